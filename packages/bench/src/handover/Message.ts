/** What is said between the benchmark and a process that wants a lock. Times are of the machine's monotonic clock, which all its processes share. */
import { Schema } from "effect"

/** A process's settings, as its one argument. */
export const Settings = Schema.fromJsonString(Schema.Struct({ kubeconfig: Schema.String }))

/** How one waits. */
export const Strategy = Schema.Union([
  /** A managed lock. */
  Schema.TaggedStruct("InTurn", {}),
  /** A managed lock that waits for nobody's turn. */
  Schema.TaggedStruct("Turnless", {}),
  /** A managed lock whose object is in the memory of the process. */
  Schema.TaggedStruct("InMemory", {}),
  /** The same requests, by whoever sees the lock free. */
  Schema.TaggedStruct("AtOnce", {}),
  /** giantswarm/kubelock, tried so often. */
  Schema.TaggedStruct("Poll", { everyMillis: Schema.Int }),
  /** client-go's leader election. */
  Schema.TaggedStruct("Elect", { retryMillis: Schema.Int })
])
export type Strategy = typeof Strategy.Type

/** Its fibers want the lock, again and again. */
export const Contend = Schema.TaggedStruct("Contend", {
  strategy: Strategy,
  contender: Schema.String,
  configMap: Schema.String,
  fibers: Schema.Int,
  /** How long a section takes; of 0, no time at all. */
  holdMillis: Schema.Int,
  /** What lies between two of them is drawn up to here. */
  thinkMillisAtMost: Schema.Int,
  beginMicros: Schema.Int,
  /** What begins from here on is counted. */
  fromMicros: Schema.Int,
  untilMicros: Schema.Int
})

/** Writes an annotation, again and again. */
export const Write = Schema.TaggedStruct("Write", {
  configMap: Schema.String,
  times: Schema.Int,
  everyMillis: Schema.Int
})

/** Watches the object. */
export const Watch = Schema.TaggedStruct("Watch", { configMap: Schema.String, untilMicros: Schema.Int })

export const Order = Schema.Union([Contend, Write, Watch])
export type Order = typeof Order.Type

/** An acquisition from the server. What was not by the end is absent. */
export const Turn = Schema.Struct({
  /** When the fiber that got it asked. */
  askedMicros: Schema.Int,
  /** Its first section. */
  startedMicros: Schema.Int,
  /** The request that releases it was sent. */
  sentMicros: Schema.optionalKey(Schema.Int),
  /** And answered. */
  answeredMicros: Schema.optionalKey(Schema.Int)
})
export type Turn = typeof Turn.Type

/** What has come of it. */
export const Contended = Schema.TaggedStruct("Contended", {
  /** Sections begun. */
  acquisitions: Schema.Int,
  /** How long those waited who got it, and those who were still waiting at the end. */
  waits: Schema.Struct({ sumMicros: Schema.Int, longestMicros: Schema.Int }),
  turns: Schema.Array(Turn),
  requests: Schema.Int
})
export type Contended = typeof Contended.Type

export const Written = Schema.TaggedStruct("Written", {
  writes: Schema.Array(
    Schema.Struct({ resourceVersion: Schema.String, sentMicros: Schema.Int, answeredMicros: Schema.Int })
  )
})

export const Watched = Schema.TaggedStruct("Watched", {
  events: Schema.Array(Schema.Struct({ resourceVersion: Schema.String, seenMicros: Schema.Int }))
})

export const Answer = Schema.Union([Contended, Written, Watched])
export type Answer = typeof Answer.Type
