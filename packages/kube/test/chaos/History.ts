/**
 * What happened under fire, as it is written to a file: one event per line, as JSON, in the order in which one process, the parent
 * of all workers, saw it. `check.ts` judges such a file.
 *
 * **Details**
 *
 * - `atMicros`: of the parent's monotonic clock, since the beginning.
 * - The parent is the resource that the lock protects, and the witness: `Entered` and `Used` say what it accepted, a token that is
 *   not lower than any it has seen. Workers wait for its answer before they go on, so these events are in the order of what
 *   they are about.
 * - `Observed` is a version of the locked object, as a watch of the parent's own shows it, past every fault.
 * - `FaultBegan` comes before the fault, and `FaultEnded` after it.
 * - 64-bit numbers (tokens, resourceVersions, nanoseconds) are strings.
 *
 * A history begins with `Began` and ends with `Over`.
 */
import { Schema } from "effect"

/** What is done to a worker, or to the way from it to the API server. */
export const workerFaultKinds = [
  /** It is killed (SIGKILL) and started again. */
  "Kill",
  /** It is stopped (SIGSTOP) for longer than its TTL, and goes on. */
  "Stop",
  /** What it and the API server say to each other comes late. */
  "Delay",
  /** Its connections are closed, and new ones are reset as soon as something is said. */
  "Cut",
  /** Its connections are closed on the API server's side when something is said, and stay open on its own. */
  "HalfClose",
  /** What it says, or what it is answered, or both, gets lost without a word. */
  "BlackHole"
] as const
export type WorkerFaultKind = (typeof workerFaultKinds)[number]

/** What is done to the API server, or there. */
export const serverFaultKinds = [
  /** kube-apiserver is killed and started again. */
  "ServerKilled",
  /** etcd is stopped for some seconds. */
  "EtcdPaused",
  /** The workers' token is replaced in its file, and the old one revoked. */
  "TokenRotated",
  /** The object is deleted and made again. */
  "ObjectRemade"
] as const
export type ServerFaultKind = (typeof serverFaultKinds)[number]

export const faultKinds = [...workerFaultKinds, ...serverFaultKinds] as const
export type FaultKind = (typeof faultKinds)[number]

const event = <Tag extends string, Fields extends Schema.Struct.Fields>(tag: Tag, fields: Fields) =>
  Schema.TaggedStruct(tag, { atMicros: Schema.Int, ...fields })

const token = Schema.BigIntFromString

/** The first event. */
export const Began = event("Began", {
  seed: Schema.Int,
  seconds: Schema.Int,
  workers: Schema.Array(Schema.Struct({
    worker: Schema.String,
    language: Schema.Literals(["TypeScript", "Go"]),
    ttlMillis: Schema.Int
  }))
})

/** A worker is there. */
export const Started = event("Started", { worker: Schema.String, incarnation: Schema.Int })

/** A worker is gone: `Killed` by a fault, `Asked` to end, killed because it was asked and did not end (`Late`), or by `Itself`. */
export const Ended = event("Ended", {
  worker: Schema.String,
  incarnation: Schema.Int,
  how: Schema.Literals(["Killed", "Asked", "Late", "Itself"])
})

/** A worker has begun, or wanted to begin, a section. */
export const Entered = event("Entered", {
  worker: Schema.String,
  section: Schema.String,
  acquisition: Schema.String,
  token,
  accepted: Schema.Boolean
})

/** A worker has worked, or wanted to work, on what the lock protects. */
export const Used = event("Used", { worker: Schema.String, section: Schema.String, token, accepted: Schema.Boolean })

/** A section that was accepted has ended. */
export const Left = event("Left", { worker: Schema.String, section: Schema.String })

/** What became of a fenced write, as its worker says. */
export const Wrote = event("Wrote", {
  worker: Schema.String,
  section: Schema.String,
  value: Schema.String,
  outcome: Schema.Literals(["Made", "Refused", "Unknown"]),
  resourceVersion: Schema.optionalKey(token),
  statuses: Schema.Array(Schema.Int)
})

/** What else a worker met. */
export const Failed = event("Failed", { worker: Schema.String, failure: Schema.String })

/** A fault is about to begin; `worker` is whom it is for. */
export const FaultBegan = event("FaultBegan", {
  fault: Schema.Int,
  kind: Schema.Literals(faultKinds),
  worker: Schema.optionalKey(Schema.String)
})

/** The fault is over. */
export const FaultEnded = event("FaultEnded", { fault: Schema.Int })

/** The object was made, or made again, with this version: tokens below are of one that is no more. */
export const ObjectMade = event("ObjectMade", { resourceVersion: token })

/** The unrelated controller has written to the object. */
export const ControllerWrote = event("ControllerWrote", {})

/** Whose record is on the object. */
export const Record = Schema.Struct({
  /** As in `Entered`. */
  acquisition: Schema.String,
  createdAtNanos: Schema.BigIntFromString,
  ttlNanos: Schema.BigIntFromString
})
export type Record = typeof Record.Type

/** A version of the object: whose lock, and what was last written under it. */
export const Observed = event("Observed", {
  uid: Schema.String,
  resourceVersion: token,
  record: Schema.optionalKey(Record),
  /** `ACQUISITION TOKEN NUMBER`; absent where nothing was written yet. */
  written: Schema.optionalKey(Schema.String)
})

/** The object was deleted. */
export const Deleted = event("Deleted", { resourceVersion: token })

/** The watch was cut off: what happened to the object until the next version that was `Observed` may not have been seen. */
export const Missed = event("Missed", {})

/** There are no more faults. */
export const Healed = event("Healed", {})

/** After every worker has ended, and the longest TTL has passed: the locks that are still held. */
export const Found = event("Found", { held: Schema.Array(Schema.String) })

/** The last event. */
export const Over = event("Over", {})

/** One line. */
export const Event = Schema.fromJsonString(
  Schema.Union([
    Began,
    Started,
    Ended,
    Entered,
    Used,
    Left,
    Wrote,
    Failed,
    FaultBegan,
    FaultEnded,
    ObjectMade,
    ControllerWrote,
    Observed,
    Deleted,
    Missed,
    Healed,
    Found,
    Over
  ])
)
export type Event = typeof Event.Type
