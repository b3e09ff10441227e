/** A history that was written to a file, read and judged. */
import { Console, Effect, FileSystem, Schema } from "effect"
import { Event } from "./History.ts"
import * as Verdict from "./Verdict.ts"

/** Tells the figures and what is wrong. Where anything is, the process exits with 1. */
export const judge = Effect.fnUntraced(function*(file: string) {
  const text = yield* (yield* FileSystem.FileSystem).readFileString(file)
  const events = yield* Effect.forEach(
    text.split("\n").filter((line) => line !== ""),
    (line) => Schema.decodeEffect(Event)(line)
  )
  const verdict = Verdict.judge(events)
  yield* Console.log(Verdict.lines(verdict).join("\n"))
  if (verdict.violations.length === 0) return
  yield* Effect.sync(() => {
    process.exitCode = 1
  })
})
