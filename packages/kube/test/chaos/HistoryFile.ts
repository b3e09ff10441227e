/** A history that was written to a file, read and judged. */
import { Console, Effect, FileSystem, Schema } from "effect"
import { Event } from "./History.ts"
import * as Verdict from "./Verdict.ts"

export class Unreadable extends Schema.TaggedError<Unreadable>()("Unreadable", { message: Schema.String }) {}

const read = Effect.fnUntraced(function*(file: string) {
  const text = yield* (yield* FileSystem.FileSystem).readFileString(file)
  return yield* Effect.forEach(text.trimEnd().split("\n"), (line, index) =>
    Effect.mapError(
      Schema.decodeEffect(Event)(line),
      ({ message }) => new Unreadable({ message: `${file}, line ${index + 1}, is no event: ${message}` })
    ))
})

/** Tells the figures and what is wrong. Where anything is, the process exits with 1. */
export const judge = Effect.fnUntraced(function*(file: string) {
  const verdict = Verdict.judge(yield* read(file))
  yield* Console.log(Verdict.lines(verdict).join("\n"))
  if (verdict.violations.length > 0) yield* fail
})

const fail = Effect.sync(() => {
  process.exitCode = 1
})

/** What a person can do something about is told in its own words, and the process exits with 1. */
export const failWith = ({ message }: { readonly message: string }): Effect.Effect<void> =>
  Effect.andThen(Console.error(message), fail)
