/**
 * What a worker is told, and what it tells. Workers are `worker.ts` and, in Go, `../go-peer/worker.go`.
 *
 * A worker asks before everything that it does under the lock, and waits for the verdict: so what it tells comes in the order in
 * which it happens, also between workers, and nothing it does goes unseen.
 */
import { Schema } from "effect"

/** A worker's orders, as its last argument. */
export const Orders = Schema.fromJsonString(Schema.Struct({
  worker: Schema.String,
  /** How often the worker was started. */
  incarnation: Schema.Int,
  kubeconfigFile: Schema.String,
  namespace: Schema.String,
  configMap: Schema.String,
  lock: Schema.String,
  ttlMillis: Schema.Int
}))
export type Orders = typeof Orders.Type

const ofSection = {
  /** Answered by a {@link Verdict} of this number. */
  request: Schema.Int,
  /** Unique to one section of one worker. */
  section: Schema.String
}

/** Everything is loaded; from now on the lock is wanted. */
export const Ready = Schema.TaggedStruct("Ready", {})

/** A section begins. Where it is not accepted, it is over. */
export const Enter = Schema.TaggedStruct("Enter", {
  ...ofSection,
  /** Which acquisition it is under: the `id` of its record, or where there is none (Go), its owner. */
  acquisition: Schema.String,
  token: Schema.BigIntFromString
})

/** The section does something to what the lock protects. */
export const Use = Schema.TaggedStruct("Use", { ...ofSection, token: Schema.BigIntFromString })

/** The section has ended; it was accepted before. */
export const Leave = Schema.TaggedStruct("Leave", ofSection)

/** A fenced write is about to begin. */
export const Write = Schema.TaggedStruct("Write", {})

/** A fenced write has ended. */
export const Wrote = Schema.TaggedStruct("Wrote", {
  section: Schema.String,
  /** What it wrote, unlike anything else that is written. */
  value: Schema.String,
  /** `Unknown`: whether it was made is not known, or it was interrupted. */
  outcome: Schema.Literals(["Made", "Refused", "Unknown"]),
  /** The object's, after it; where it was made. */
  resourceVersion: Schema.optionalKey(Schema.BigIntFromString),
  /** What the API server answered, one for each time it was sent; 0 for none. */
  statuses: Schema.Array(Schema.Int)
})

/** Something else failed, as it may here. */
export const Failed = Schema.TaggedStruct("Failed", { failure: Schema.String })

/** A line on a worker's standard output. */
export const Message = Schema.fromJsonString(Schema.Union([Ready, Enter, Use, Leave, Write, Wrote, Failed]))
export type Message = typeof Message.Type

/**
 * A line on a worker's standard input. That of request 0, which nobody has made, asks the worker to end; it is still answered until
 * it has. Where its standard input ends the parent is no more.
 */
export const Verdict = Schema.fromJsonString(Schema.Struct({ request: Schema.Int, accepted: Schema.Boolean }))
