/** Another process, kept alive: it is told by JSON lines on its standard input what to do, and answers each by one on its standard output. */
import { Cause, Effect, Queue, Schema, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { execPath } from "node:process"
import { BenchFailed } from "../Scenario.ts"

/** What it speaks, and how it is run. */
export interface Program<Order, Answer> {
  readonly command: string
  readonly args: ReadonlyArray<string>
  /** A line on its standard input. */
  readonly order: Schema.Codec<Order, string>
  /** A line on its standard output. */
  readonly answer: Schema.Codec<Answer, string>
}

/** One that runs. */
export interface OtherProcess<Order, Answer> {
  readonly pid: number
  /** Tells it what to do, and waits until it is done. */
  readonly ask: (order: Order) => Effect.Effect<Answer, BenchFailed>
}

/** How to run a script of this repository. */
export const script = (file: string, settings: string): Pick<Program<never, never>, "command" | "args"> => ({
  command: execPath,
  args: [file, settings]
})

/** Starts it. It ends with the scope. */
export const open = Effect.fnUntraced(function*<Order, Answer>(program: Program<Order, Answer>) {
  const { answer, args, command, order } = program
  const failed = (cause: unknown) => new BenchFailed({ message: `${command} ${args[0]}: ${String(cause)}` })
  const lines = yield* Queue.unbounded<string>()
  const handle = yield* Effect.mapError(
    ChildProcess.make(command, args, {
      stdin: Stream.encodeText(Stream.fromQueue(lines)),
      stderr: "inherit",
      extendEnv: true,
      killSignal: "SIGKILL"
    }),
    failed
  )
  const answers = yield* handle.stdout.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.mapEffect((line) => Schema.decodeEffect(answer)(line)),
    Stream.mapError(failed),
    Stream.toQueue({ capacity: "unbounded" })
  )
  const process: OtherProcess<Order, Answer> = {
    pid: handle.pid,
    ask: Effect.fnUntraced(function*(asked) {
      yield* Queue.offer(lines, `${yield* Effect.mapError(Schema.encodeEffect(order)(asked), failed)}\n`)
      return yield* Effect.catchIf(Queue.take(answers), Cause.isDone, () => Effect.fail(failed("it has ended")))
    })
  }
  return process
})
