/**
 * The state of a lock, read from its object's annotations at an instant.
 *
 * **Details**
 *
 * - `Free`: there is no annotation.
 * - `Held`: it says who has the lock, and that time is not over.
 * - `Expired`: it is over; the next who asks gets the lock.
 * - `Malformed`: the annotation cannot be read. The lock can be neither taken nor released until somebody breaks it.
 *
 * **Example** (Who has it?)
 *
 * ```ts
 * import { LockName, LockState } from "@kubelock/core"
 * import { Result } from "effect"
 *
 * const helm = Result.getOrThrow(LockName.make("helm"))
 * LockState.read({}, helm, 0n)._tag // => "Free"
 * LockState.read({ "kubelock.giantswarm.io/helm": "{}" }, helm, 0n)._tag // => "Expired"
 *
 * const annotations = { team: "web", "kubelock.giantswarm.io/helm": "{}", "kubelock.giantswarm.io/db": "mine!" }
 * LockState.readAll(annotations, 0n).map(([lock, { _tag }]) => [lock, _tag]) // => [["db", "Malformed"], ["helm", "Expired"]]
 * ```
 *
 * @since 0.1.0
 */
import { Option, Result } from "effect"
import * as AnnotationEdit from "./AnnotationEdit.ts"
import * as LockName from "./LockName.ts"
import * as LockRecord from "./LockRecord.ts"

/** There is no annotation: whoever asks gets the lock. @category models @since 0.1.0 */
export interface Free {
  readonly _tag: "Free"
}

/** Somebody has the lock, and its time is not over. @category models @since 0.1.0 */
export interface Held {
  readonly _tag: "Held"
  /** What the annotation says. */
  readonly record: LockRecord.LockRecord
  /** The annotation's exact text. */
  readonly text: string
}

/** The time of the record is over: whoever asks gets the lock. @category models @since 0.1.0 */
export interface Expired {
  readonly _tag: "Expired"
  /** What the annotation says. */
  readonly record: LockRecord.LockRecord
  /** The annotation's exact text. */
  readonly text: string
}

/** The annotation cannot be read; nothing but `break` removes it. @category models @since 0.1.0 */
export interface Malformed {
  readonly _tag: "Malformed"
  /** The annotation's exact text. */
  readonly text: string
  /** Why it cannot be read. */
  readonly problem: string
}

/** What a lock can be in. @category models @since 0.1.0 */
export type LockState = Free | Held | Expired | Malformed

/** The state of one lock at an instant, in nanoseconds since 1970. @category constructors @since 0.1.0 */
export const read = (
  annotations: AnnotationEdit.Annotations,
  lock: LockName.LockName,
  nowNanos: bigint
): LockState => {
  const text = AnnotationEdit.get(annotations, LockName.toKey(lock))
  return text === undefined ? { _tag: "Free" } : readText(text, nowNanos)
}

const readText = (text: string, nowNanos: bigint): Exclude<LockState, Free> => {
  const parsed = LockRecord.parse(text)
  if (Result.isFailure(parsed)) return { _tag: "Malformed", text, problem: parsed.failure.problem }
  const record = parsed.success
  return { _tag: LockRecord.isExpired(record, nowNanos) ? "Expired" : "Held", record, text }
}

/** The state of every lock that has an annotation, in the order of their names. @category constructors @since 0.1.0 */
export const readAll = (
  annotations: AnnotationEdit.Annotations,
  nowNanos: bigint
): ReadonlyArray<readonly [LockName.LockName, Exclude<LockState, Free>]> =>
  Object.keys(annotations).sort().flatMap((key) => {
    const lock = Option.getOrUndefined(LockName.fromKey(key))
    return lock === undefined ? [] : [[lock, readText(annotations[key]!, nowNanos)] as const]
  })
