/** Another process that runs a script of this folder: it has its orders as one argument, and tells what it does line by line. */
import { Effect, Queue, Schema, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { execPath, kill } from "node:process"
import { fileURLToPath } from "node:url"

export class ProcessFailed extends Schema.TaggedError<ProcessFailed>()("ProcessFailed", { message: Schema.String }) {}

export interface Options<Message> {
  /** The name of the script's file. */
  readonly script: string
  readonly orders: string
  /** A line on its standard output. */
  readonly message: Schema.Codec<Message, string>
  /** When its standard input ends. Default: at once. */
  readonly inputEnds?: Effect.Effect<void> | undefined
}

/** Starts it. It is killed when the scope closes. */
export const start = Effect.fnUntraced(
  function*<Message extends { readonly _tag: string }>(
    { inputEnds = Effect.void, message, orders, script }: Options<Message>
  ) {
    const handle = yield* ChildProcess.make(execPath, [fileURLToPath(new URL(script, import.meta.url)), orders], {
      stdin: Stream.fromEffectDrain(inputEnds),
      stderr: "inherit",
      extendEnv: true,
      killSignal: "SIGKILL"
    })
    const messages = yield* handle.stdout.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.mapEffect((line) => Schema.decodeEffect(message)(line)),
      Stream.toQueue({ capacity: "unbounded" })
    )
    return {
      /** The next message, which must be of this kind. */
      next: <Tag extends Message["_tag"]>(tag: Tag) =>
        Queue.take(messages).pipe(
          Effect.filterOrFail(
            (told): told is Extract<Message, { readonly _tag: Tag }> => told._tag === tag,
            (told) => new ProcessFailed({ message: `${script} told ${JSON.stringify(told)} instead of ${tag}` })
          ),
          Effect.catchTag("Done", () =>
            Effect.flatMap(handle.exitCode, (code) =>
              Effect.fail(new ProcessFailed({ message: `${script} ended before ${tag}, with exit code ${code}` }))))
        ),
      exitCode: handle.exitCode,
      signal: (signal: NodeJS.Signals) => Effect.sync(() => kill(handle.pid, signal))
    }
  }
)
