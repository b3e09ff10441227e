/** What was found out, as it is kept in `results`: so that the docs can be held against it, and plots made of it. */
import { Effect, FileSystem, Path, Schema } from "effect"
import { cpus, totalmem } from "node:os"
import process from "node:process"

const Table = Schema.Struct({
  id: Schema.String,
  title: Schema.String,
  columns: Schema.Array(Schema.String),
  rows: Schema.Array(Schema.Array(Schema.String))
})

/** The findings of one scenario, and where they were made. */
export const Result = Schema.Struct({
  /** What made them. */
  command: Schema.String,
  machine: Schema.String,
  tables: Schema.Array(Table),
  data: Schema.optionalKey(Schema.Json)
})
export type Result = typeof Result.Type

const file = Schema.fromJsonString(Result)

const pathOf = Effect.fnUntraced(function*(scenario: string) {
  return (yield* Path.Path).join(import.meta.dirname, "..", "results", `${scenario}.json`)
})

/** The last that was written. */
export const read = Effect.fnUntraced(function*(scenario: string) {
  const text = yield* (yield* FileSystem.FileSystem).readFileString(yield* pathOf(scenario))
  return yield* Schema.decodeEffect(file)(text)
})

export const write = Effect.fnUntraced(function*(scenario: string, result: Result) {
  const encoded = yield* Schema.encodeEffect(Result)(result)
  const files = yield* FileSystem.FileSystem
  yield* files.writeFileString(yield* pathOf(scenario), `${JSON.stringify(encoded, null, 2)}\n`)
})

/** This machine, in a line. */
export const machine = (server: string): string => {
  const processors = cpus()
  const gib = Math.round(totalmem() / 2 ** 30)
  const model = processors[0]?.model.trim() ?? "unknown processor"
  return `${processors.length} cores of ${model}, ${gib} GiB, Node ${process.versions.node}, ${server}`
}
