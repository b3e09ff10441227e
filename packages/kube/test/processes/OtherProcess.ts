/** Another process: it has its orders as an argument, and tells what it does line by line. */
import { Effect, Queue, Schema, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { execPath, kill } from "node:process"
import { fileURLToPath } from "node:url"

export class ProcessFailed extends Schema.TaggedError<ProcessFailed>()("ProcessFailed", { message: Schema.String }) {}

/** Any program that speaks in lines. */
export interface Program<Message> {
  readonly command: string
  readonly args: ReadonlyArray<string>
  /** A line on its standard output. */
  readonly message: Schema.Codec<Message, string>
  /** Its standard input, which ends with this. */
  readonly input: Stream.Stream<string>
}

/** Starts it. It is killed when the scope closes. */
export const open = Effect.fnUntraced(function*<Message>({ args, command, input, message }: Program<Message>) {
  const handle = yield* ChildProcess.make(command, args, {
    stdin: Stream.encodeText(input),
    stderr: "inherit",
    extendEnv: true,
    killSignal: "SIGKILL"
  })
  return {
    /** What it tells, until its standard output ends. */
    messages: handle.stdout.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.mapEffect((line) => Schema.decodeEffect(message)(line))
    ),
    exitCode: handle.exitCode,
    /** Does nothing where it has ended. */
    signal: (signal: NodeJS.Signals) => Effect.ignore(Effect.try(() => kill(handle.pid, signal)))
  }
})

/** How to run a script beside this one. */
export const script = (name: string, orders: string): Pick<Program<never>, "command" | "args"> => ({
  command: execPath,
  args: [fileURLToPath(new URL(name, import.meta.url)), orders]
})

export interface Options<Message> {
  /** The name of the script's file. */
  readonly script: string
  readonly orders: string
  /** A line on its standard output. */
  readonly message: Schema.Codec<Message, string>
  /** When its standard input ends. Default: at once. */
  readonly inputEnds?: Effect.Effect<void> | undefined
}

/** Starts a script that is told nothing but its orders. It is killed when the scope closes. */
export const start = Effect.fnUntraced(
  function*<Message extends { readonly _tag: string }>(
    { inputEnds = Effect.void, message, orders, script: name }: Options<Message>
  ) {
    const process = yield* open({ ...script(name, orders), message, input: Stream.fromEffectDrain(inputEnds) })
    const messages = yield* Stream.toQueue(process.messages, { capacity: "unbounded" })
    return {
      /** The next message, which must be of this kind. */
      next: <Tag extends Message["_tag"]>(tag: Tag) =>
        Queue.take(messages).pipe(
          Effect.filterOrFail(
            (told): told is Extract<Message, { readonly _tag: Tag }> => told._tag === tag,
            (told) => new ProcessFailed({ message: `${name} told ${JSON.stringify(told)} instead of ${tag}` })
          ),
          Effect.catchTag("Done", () =>
            Effect.flatMap(process.exitCode, (code) =>
              Effect.fail(new ProcessFailed({ message: `${name} ended before ${tag}, with exit code ${code}` }))))
        ),
      exitCode: process.exitCode,
      signal: process.signal
    }
  }
)
