/** A process that takes and gives back locks when it is told to, and what that costs it. */
import { Effect, FileSystem, Schema, type Scope } from "effect"
import type { ChildProcessSpawner } from "effect/process"
import type { BenchFailed } from "../Scenario.ts"
import * as LineProcess from "./LineProcess.ts"
import { Answer, Order } from "./Message.ts"
import * as Usage from "./Usage.ts"

/** Some pairs, and what they came to. */
export interface Slice extends Answer, Usage.Usage {}

export interface Contender {
  /** As tables call it. */
  readonly name: string
  readonly run: (order: Order) => Effect.Effect<Slice, BenchFailed>
}

/** Starts it. It ends with the scope. */
export const start = Effect.fnUntraced(function*(
  name: string,
  program: LineProcess.Program
): Effect.fn.Return<
  Contender,
  BenchFailed,
  Scope.Scope | ChildProcessSpawner.ChildProcessSpawner | FileSystem.FileSystem
> {
  const files = yield* FileSystem.FileSystem
  const process = yield* LineProcess.start(name, program)
  const usage = Usage.of(process.pid).pipe(Effect.provideService(FileSystem.FileSystem, files))
  const read = LineProcess.read(name, Answer)
  return {
    name,
    run: Effect.fnUntraced(function*(order) {
      const line = JSON.stringify(yield* Effect.orDie(Schema.encodeEffect(Order)(order)))
      const before = yield* usage
      const told = yield* process.ask(line)
      const after = yield* usage
      return {
        ...yield* read(told),
        cpuMillis: after.cpuMillis - before.cpuMillis,
        // Its orders and its answer are no part of it.
        bytes: after.bytes - before.bytes - line.length - told.length - 2
      }
    })
  }
})
