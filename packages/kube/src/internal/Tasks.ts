/** What is done to the locks of one object, as tasks for `Operation`; and until when a holder is one. Pure. */
import {
  type AlreadyExists,
  AnnotationEdit,
  type InvalidConfig,
  LockName,
  LockRecord,
  type MalformedRecord,
  type NotFound,
  type OwnerMismatch,
  Transition
} from "@kubelock/core"
import { Result } from "effect"
import type { Lease } from "../Lease.ts"
import * as ResourceRef from "../ResourceRef.ts"
import type { Instant, Task } from "./Operation.ts"

/** What is wanted, and by which acquisition. */
export type AcquireRequest = Transition.AcquireRequest & { readonly id: string }

/** Why a lock was not taken. */
export type NotTaken = AlreadyExists | OwnerMismatch | MalformedRecord | InvalidConfig

/** Why a lock is not the caller's. */
export type NotMine = MalformedRecord | NotFound | OwnerMismatch

/** A lease, and when its record was written: before the write was sent. */
export interface Standing {
  readonly lease: Lease
  readonly renewedAt: Instant
}

/** The lock of a lease, and whose it is. */
export const requestOf = ({ id, name, owner, resource }: Lease): Transition.OwnerRequest => ({
  lock: name,
  resource: ResourceRef.describe(resource),
  owner,
  id
})

/** The annotations of leases that nobody has touched. */
export const believedOf = (leases: ReadonlyArray<Lease>): AnnotationEdit.Annotations =>
  Object.fromEntries(leases.map(({ name, record }) => [LockName.toKey(name), LockRecord.format(record)]))

/** Takes all the locks or none of them. */
export const acquire = (
  requests: ReadonlyArray<AcquireRequest>,
  believed: AnnotationEdit.Annotations | undefined
): Task<Transition.RecordEdit, NotTaken> => ({
  believed,
  decide: (annotations, { wallNanos }) => Transition.acquireAll(annotations, requests, wallNanos)
})

/** Gives back what of the leases is still held. What was not is told to `lost`. */
export const release = (
  leases: ReadonlyArray<Lease>,
  lost: (error: NotMine | undefined) => void
): Task<Transition.RemovalEdit, NotMine> => ({
  believed: believedOf(leases),
  decide: (annotations, { wallNanos }) => {
    const decisions = leases.map((lease) => Transition.release(annotations, requestOf(lease), wallNanos))
    lost(decisions.find(Result.isFailure)?.failure)
    return allThatCan(decisions)
  }
})

/** How long a lock is held for certain: counted from before its record was sent, less the margin; 0 when that is over. */
export const remainingNanos = (
  { lease, renewedAt }: Standing,
  safetyMarginNanos: bigint,
  monotonicNanos: bigint
): bigint => {
  const leftNanos = renewedAt.monotonicNanos + lease.record.ttlNanos - safetyMarginNanos - monotonicNanos
  return leftNanos > 0n ? leftNanos : 0n
}

/** The time by the record: its own, and what the monotonic clock has counted since. */
const timeOf = ({ lease, renewedAt }: Standing) => ({ monotonicNanos }: Instant): bigint =>
  lease.record.createdAtNanos + monotonicNanos - renewedAt.monotonicNanos

/** A lock to be renewed. */
export interface Renewal<E> {
  readonly standing: Standing
  /** What to write, where no clock forbids it: see {@link renew}. */
  readonly createdAtNanos: (now: Instant) => bigint
  /** Why it is not to be renewed any more, if so. */
  readonly ended: (now: Instant) => E | undefined
}

/** What is written for a lock, or why nothing is. */
export type Decision<E> = Result.Result<Transition.RecordEdit, E | NotMine>

/**
 * Renews what of these is to be renewed and still its holder's; what was decided of each is told to `decided`, in their order. No
 * record is earlier than the last one of its lock plus the time that has passed since.
 */
export const renew = <E>(
  renewals: ReadonlyArray<Renewal<E>>,
  decided: (decisions: ReadonlyArray<Decision<E>>, now: Instant) => void
): Task<Transition.RecordEdit, E | NotMine> => {
  const timesOf = new Map(renewals.map(({ standing }) => [LockName.toKey(standing.lease.name), timeOf(standing)]))
  return {
    believed: believedOf(renewals.map(({ standing }) => standing.lease)),
    timeOf: (now, key) => timesOf.get(key)!(now),
    decide: (annotations, now) => {
      const decisions = renewals.map(({ createdAtNanos, ended, standing }): Decision<E> => {
        const end = ended(now)
        if (end !== undefined) return Result.fail(end)
        const request = { ...requestOf(standing.lease), createdAtNanos: createdAtNanos(now) }
        return Transition.renew(annotations, request, timeOf(standing)(now))
      })
      decided(decisions, now)
      return allThatCan(decisions)
    }
  }
}

/** The edits of those that could be decided on; the first failure where there is no other. */
const allThatCan = <Edit, E>(
  decisions: ReadonlyArray<Result.Result<Edit, E>>
): Result.Result<ReadonlyArray<Edit>, E> => {
  const edits = decisions.filter(Result.isSuccess).map(({ success }) => success)
  const failure = decisions.find(Result.isFailure)
  return edits.length > 0 || failure === undefined ? Result.succeed(edits) : Result.fail(failure.failure)
}
