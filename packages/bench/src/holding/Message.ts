/** What is said between the benchmark and a process that holds locks. */
import { Schema } from "effect"

/** A process's settings, as its one argument. */
export const Settings = Schema.fromJsonString(Schema.Struct({ kubeconfig: Schema.String }))

/** Take locks, one on each of these objects or all on the first, and hold them from now on. */
export const Hold = Schema.TaggedStruct("Hold", {
  locks: Schema.Int,
  configMaps: Schema.Array(Schema.String),
  renewEveryMillis: Schema.Int
})

/** Tell how many requests there were. */
export const Count = Schema.TaggedStruct("Count", {})

export const Order = Schema.Union([Hold, Count])
export type Order = typeof Order.Type

/** Requests that were sent so far, without watches; and how many locks are held. */
export const Counted = Schema.Struct({ requests: Schema.Int, held: Schema.Int })
export type Counted = typeof Counted.Type
