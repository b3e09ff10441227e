/** One of the questions that the benchmarks answer. */
import { type Effect, Schema } from "effect"
import type { Table } from "./Table.ts"

/** A measurement could not be made. The message says what to do. */
export class BenchFailed extends Schema.TaggedError<BenchFailed>()("BenchFailed", { message: Schema.String }) {}

/** How a scenario is run. */
export interface Settings {
  /** Only to see that it works: a fraction of the rounds, and figures that mean little. */
  readonly quick: boolean
  /** The server that is measured against. */
  readonly server: Server
}

/** An API server, and how to reach it. */
export interface Server {
  readonly kind: "real" | "embedded"
  /** As `v1.36.3`; of the embedded one, `embedded`. */
  readonly version: string
  readonly kubeconfig: string
}

/** A question, and how its answer is found. */
export interface Scenario<R> {
  /** What `npm run bench -- NAME` calls it. */
  readonly name: string
  /** What it has found out: tables, and whatever else is to be kept, as JSON. */
  readonly run: (settings: Settings) => Effect.Effect<Findings, BenchFailed, R>
}

/** What was found out. */
export interface Findings {
  readonly tables: ReadonlyArray<Table>
  /** For plots, and for other scenarios: kept beside the tables. */
  readonly data?: Schema.Json
}
