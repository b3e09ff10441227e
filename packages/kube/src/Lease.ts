/**
 * What one asks of locks, and what one gets: targets, options, a {@link Lease}, a {@link LockInfo}. Data, without behaviour.
 *
 * **Gotchas**
 *
 * A lease is a value: it can be kept, sent and used again. It holds nothing: the record on the object does, until its TTL is
 * over.
 *
 * **Example** (Telling others which acquisition one works for)
 *
 * ```ts
 * import type { Lease } from "@kubelock/kube"
 *
 * export const label = ({ fencingToken, name, owner }: Lease) => `${name} as ${owner}, token ${fencingToken}`
 * ```
 *
 * @since 0.1.0
 */
import type { LockName, LockRecord, LockState } from "@kubelock/core"
import type { Duration } from "effect"
import type * as ResourceRef from "./ResourceRef.ts"

/** Which lock, on which object. @category models @since 0.1.0 */
export interface LockTarget {
  /** The object that carries the lock. */
  readonly resource: ResourceRef.ResourceRef
  /** The lock's name: see `LockName` of `@kubelock/core`. */
  readonly name: string
}

/** Which lock, and whose. @category models @since 0.1.0 */
export interface OwnerTarget extends LockTarget {
  /** Any string of at most 262,144 characters, also the empty one. Default: this process's own, see `Identity`. */
  readonly owner?: string | undefined
}

/** Which lock is wanted, for whom, and for how long. @category models @since 0.1.0 */
export interface AcquireOptions extends OwnerTarget {
  /** How long the lock is valid if it is not renewed. A number is milliseconds. Default: 5 minutes, as in the Go library. */
  readonly ttl?: Duration.Input | undefined
}

/** Which locks of one object are wanted, for whom, and for how long. @category models @since 0.1.0 */
export interface AcquireAllOptions<Names extends ReadonlyArray<string> = ReadonlyArray<string>>
  extends Omit<AcquireOptions, "name">
{
  /** The locks' names, none of them twice. For none at all nothing is sent. */
  readonly names: Names
}

/** A lock that was acquired, as of its last renewal: frozen as it comes from `KubeLock`. @category models @since 0.1.0 */
export interface Lease {
  /** The object that carries the lock. */
  readonly resource: ResourceRef.ResourceRef
  /** The lock's name on it. */
  readonly name: LockName.LockName
  /** Who holds it. */
  readonly owner: string
  /** Unique to this acquisition; renewals keep it. */
  readonly id: string
  /** What the annotation says. */
  readonly record: LockRecord.LockRecord
  /**
   * Higher for every later acquisition of the lock, whoever makes it, Go programs included: the object's resourceVersion at this
   * acquisition. A resource that remembers the highest token it has seen can refuse a holder that has been succeeded.
   */
  readonly fencingToken: bigint
}

/** What there is to see of a lock. @category models @since 0.1.0 */
export interface LockInfo {
  /** The object that carries the lock. */
  readonly resource: ResourceRef.ResourceRef
  /** The lock's name on it. */
  readonly name: LockName.LockName
  /** `Free`, `Held`, `Expired` or `Malformed`, with what the annotation says, when it was read. */
  readonly state: LockState.LockState
  /** Absent where there is no record, or none that can be read. */
  readonly owner?: string
  /** Since the lock was acquired or last renewed. Negative if the holder's clock is ahead of ours. */
  readonly age?: Duration.Duration
  /** Until it expires; zero if it has. */
  readonly remaining?: Duration.Duration
  /** What is odd about the record, in words: it was written in the future, by this machine's clock. */
  readonly warning?: string
}
