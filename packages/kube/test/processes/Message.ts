/** What a process that wants a lock is told, and what it tells. */
import { Schema } from "effect"

/** A process's orders, as its one argument. */
export const Orders = Schema.fromJsonString(Schema.Struct({
  worker: Schema.String,
  kubeconfig: Schema.String,
  namespace: Schema.String,
  configMap: Schema.String,
  lock: Schema.String,
  ttlMillis: Schema.Int,
  /**
   * What is done under the lock. `Rest`: nothing. `Write`: once the process has been stopped and goes on, a fenced write. `SendWrite`:
   * a fenced write, and the process is stopped after everything is decided, right before the request leaves.
   */
  section: Schema.Literals(["Rest", "Write", "SendWrite"])
}))

/** Everything is loaded; the lock is asked for. */
export const Asking = Schema.TaggedStruct("Asking", {})

/** The section runs. */
export const Holding = Schema.TaggedStruct("Holding", { fencingToken: Schema.String })

/** Busy until it finds that it was stopped for long; the next message is sent after that. */
export const Busy = Schema.TaggedStruct("Busy", {})

/** What the API server answered to the fenced write. */
export const Answered = Schema.TaggedStruct("Answered", { status: Schema.Int })

/** The section was interrupted. */
export const Interrupted = Schema.TaggedStruct("Interrupted", {})

/** What `withLock` ended with: the tag of its failure, and the reason of a loss. */
export const Ended = Schema.TaggedStruct("Ended", { failure: Schema.String, reason: Schema.optionalKey(Schema.String) })

/** A line on a process's standard output. */
export const Message = Schema.fromJsonString(
  Schema.Union([Asking, Holding, Busy, Answered, Interrupted, Ended])
)
export type Message = typeof Message.Type
