/** Another process that answers each line with a line. */
import { type Cause, Effect, Queue, Schema, type Scope, Stream } from "effect"
import { ChildProcess, type ChildProcessSpawner } from "effect/process"
import { execPath } from "node:process"
import { fileURLToPath } from "node:url"
import { BenchFailed } from "../Scenario.ts"

/** What to start. */
export interface Program {
  readonly command: string
  readonly args: ReadonlyArray<string>
}

/** A script of this package, under the Node that runs this. */
export const script = (url: URL, ...args: ReadonlyArray<string>): Program => ({
  command: execPath,
  args: [fileURLToPath(url), ...args]
})

export interface LineProcess {
  readonly pid: number
  /** Tells it something and waits for its answer; one at a time. */
  readonly ask: (line: string) => Effect.Effect<string, BenchFailed>
}

/** Starts it. It is killed when the scope closes. */
export const start = Effect.fnUntraced(function*(
  name: string,
  program: Program
): Effect.fn.Return<LineProcess, BenchFailed, Scope.Scope | ChildProcessSpawner.ChildProcessSpawner> {
  const input = yield* Queue.unbounded<string>()
  const handle = yield* ChildProcess.make(program.command, program.args, {
    stdin: Stream.encodeText(Stream.fromQueue(input)),
    stderr: "inherit",
    extendEnv: true,
    killSignal: "SIGKILL"
  }).pipe(
    Effect.mapError(({ message }) => new BenchFailed({ message: `${name} could not be started: ${message}` }))
  )
  const lines = yield* handle.stdout.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.toQueue({ capacity: "unbounded" })
  )
  const broken = (cause: Cause.Done | { readonly message?: string }) =>
    new BenchFailed({
      message: `${name} ended before it answered: ${"message" in cause ? cause.message : "see above"}`
    })
  return {
    pid: handle.pid,
    ask: (line) => Effect.andThen(Queue.offer(input, `${line}\n`), Effect.mapError(Queue.take(lines), broken))
  }
})

/** Reads an answer. */
export const read = <A>(name: string, codec: Schema.Codec<A, unknown>) => {
  const decode = Schema.decodeEffect(Schema.fromJsonString(codec))
  return (line: string): Effect.Effect<A, BenchFailed> =>
    Effect.mapError(
      decode(line),
      () => new BenchFailed({ message: `${name} answered what nobody understands: ${line}` })
    )
}
