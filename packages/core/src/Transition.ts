/**
 * The decisions: may this be done to the lock, and by which edit?
 *
 * **Details**
 *
 * Each takes an object's annotations, a request and the time, and answers with an {@link AnnotationEdit} or a
 * typed refusal. An edit names the exact text that the decision was made on, so a store that performs it can never act on a
 * lock that has changed since. Nothing here reads a clock or performs anything. Times are nanoseconds since 1970.
 *
 * All but `break` fail with `MalformedRecord` if the annotation is no record.
 *
 * The rules are those of the Go library's `Acquire` and `Release`; renewal, expiry and breaking are ours.
 *
 * **Example** (Deciding, and performing on a plain map)
 *
 * ```ts
 * import { AnnotationEdit, LockName, Transition, Ttl } from "@kubelock/core"
 * import { Result } from "effect"
 *
 * const request = {
 *   lock: Result.getOrThrow(LockName.make("helm")),
 *   owner: "alice",
 *   ttl: Result.getOrThrow(Ttl.make("5 minutes"))
 * }
 * const edit = Result.getOrThrow(Transition.acquire({}, request, 0n))
 * edit.value // => `{"owner":"alice","createdAt":"1970-01-01T00:00:00Z","ttl":300000000000}`
 *
 * const annotations = Result.getOrThrow(AnnotationEdit.apply({}, [edit]))
 * Transition.acquire(annotations, { ...request, owner: "bob" }, 1n).pipe(Result.flip, Result.getOrThrow)._tag // => "OwnerMismatch"
 * ```
 *
 * **Example** (A lock's life)
 *
 * ```ts
 * import { AnnotationEdit, LockName, Transition, Ttl } from "@kubelock/core"
 * import { Result } from "effect"
 *
 * const lock = Result.getOrThrow(LockName.make("helm"))
 * const alice = { lock, owner: "alice", ttl: Result.getOrThrow(Ttl.make("30 seconds")) }
 * const seconds = (count: number) => BigInt(count) * 1_000_000_000n
 *
 * const perform = (
 *   annotations: AnnotationEdit.Annotations,
 *   decision: Result.Result<AnnotationEdit.AnnotationEdit, unknown>
 * ) => Result.getOrThrow(AnnotationEdit.apply(annotations, [Result.getOrThrow(decision)]))
 * const refusal = (decision: Result.Result<unknown, { readonly _tag: string }>) => Result.getOrThrow(Result.flip(decision))._tag
 *
 * const taken = perform({}, Transition.acquire({}, alice, seconds(0)))
 * const renewed = perform(taken, Transition.renew(taken, alice, seconds(20)))
 * perform(renewed, Transition.release(renewed, alice, seconds(40))) // => {}
 *
 * // Since the renewal it is valid until 50 s, and at 50 s too.
 * refusal(Transition.expire(renewed, { lock }, seconds(50))) // => "AlreadyExists"
 * refusal(Transition.renew(renewed, alice, seconds(51))) // => "NotFound"
 * perform(renewed, Transition.expire(renewed, { lock }, seconds(51))) // => {}
 * perform(renewed, Transition.break(renewed, { lock }, seconds(40))) // => {}
 * ```
 *
 * @since 0.1.0
 */
import { Result } from "effect"
import type { AnnotationEdit, Annotations } from "./AnnotationEdit.ts"
import { AlreadyExists, InvalidConfig, MalformedRecord, NotFound, OwnerMismatch } from "./LockError.ts"
import * as LockName from "./LockName.ts"
import * as LockRecord from "./LockRecord.ts"
import * as LockState from "./LockState.ts"
import type { Ttl } from "./Ttl.ts"

/** Which lock. @category models @since 0.1.0 */
export interface LockRequest {
  /** The lock's name. */
  readonly lock: LockName.LockName
  /** The object that carries the lock, in words: what errors call it. Without it they name the lock alone. */
  readonly resource?: string | undefined
}

/** Whose lock. @category models @since 0.1.0 */
export interface OwnerRequest extends LockRequest {
  /** Any string; the empty one is an owner like any other. */
  readonly owner: string
  /** The acquisition it must be, where that is known. Without it, any acquisition of the owner will do, as in the Go library. */
  readonly id?: string | undefined
}

/** Whose lock shall live on, and since when it shall say it does. @category models @since 0.1.0 */
export interface RenewRequest extends OwnerRequest {
  /** The record's new `createdAt` at least. Default: now. */
  readonly createdAtNanos?: bigint | undefined
}

/** Who wants which lock, and for how long. @category models @since 0.1.0 */
export interface AcquireRequest extends OwnerRequest {
  /** How long the record is valid from now on, in nanoseconds. */
  readonly ttl: Ttl
  /** For how long an expired lock is left alone, in nanoseconds. Default: 0, as in the Go library. */
  readonly takeoverDelayNanos?: bigint | undefined
}

/** An edit that leaves a record, and that record. @category models @since 0.1.0 */
export interface RecordEdit extends AnnotationEdit {
  /** The record's text. */
  readonly value: string
  /** What that says. */
  readonly record: LockRecord.LockRecord
}

/** An edit that removes a record, and that record; none if it could not be read. @category models @since 0.1.0 */
export interface RemovalEdit extends AnnotationEdit {
  /** The text that is removed. */
  readonly expected: string
  /** Nothing is left. */
  readonly value: undefined
  /** What the removed text says; `undefined` if it cannot be read. */
  readonly removed: LockRecord.LockRecord | undefined
}

const write = (request: LockRequest, expected: string | undefined, record: LockRecord.LockRecord): RecordEdit => ({
  key: LockName.toKey(request.lock),
  expected,
  value: LockRecord.format(record),
  record
})

const remove = (request: LockRequest, state: Exclude<LockState.LockState, LockState.Free>): RemovalEdit => ({
  key: LockName.toKey(request.lock),
  expected: state.text,
  value: undefined,
  removed: state._tag === "Malformed" ? undefined : state.record
})

const at = ({ lock, resource }: LockRequest) => ({ lock, resource })

const malformed = (request: LockRequest, state: LockState.Malformed) =>
  Result.fail(new MalformedRecord({ ...at(request), raw: state.text, problem: state.problem }))

const notFound = (request: LockRequest, state: LockState.Free | LockState.Expired) =>
  Result.fail(
    new NotFound(state._tag === "Free" ? at(request) : { ...at(request), expired: state.record })
  )

const stillHeld = (request: LockRequest, state: LockState.Held, nowNanos: bigint) =>
  Result.fail(new AlreadyExists({ ...at(request), holder: state.record, nowNanos }))

const notTheirs = (request: OwnerRequest, state: LockState.Held, nowNanos: bigint) =>
  Result.fail(new OwnerMismatch({ ...at(request), owner: request.owner, holder: state.record, nowNanos }))

// An owner is compared as it reads back: a lone surrogate, which no text on the wire can hold, as U+FFFD.
const isOwner = (request: OwnerRequest, record: LockRecord.LockRecord): boolean =>
  record.owner === request.owner.toWellFormed()

const later = (left: bigint, right: bigint): bigint => left > right ? left : right

const isTheirs = (request: OwnerRequest, record: LockRecord.LockRecord): boolean =>
  !isOwner(request, record) || (request.id !== undefined && record.id !== request.id)

/**
 * Takes a lock that is free or expired. Nobody who held it before is asked.
 *
 * Fails with `AlreadyExists` if the same owner holds it, with `OwnerMismatch` if another does.
 *
 * @category decisions
 * @since 0.1.0
 */
export const acquire = (
  annotations: Annotations,
  request: AcquireRequest,
  nowNanos: bigint
): Result.Result<RecordEdit, AlreadyExists | OwnerMismatch | MalformedRecord> => {
  const state = LockState.read(annotations, request.lock, nowNanos - (request.takeoverDelayNanos ?? 0n))
  switch (state._tag) {
    case "Malformed":
      return malformed(request, state)
    case "Held":
      return isOwner(request, state.record)
        ? stillHeld(request, state, nowNanos)
        : notTheirs(request, state, nowNanos)
    case "Free":
    case "Expired": {
      const owner = request.owner.toWellFormed()
      const record: LockRecord.LockRecord = request.id === undefined
        ? { owner, createdAtNanos: nowNanos, ttlNanos: request.ttl }
        : { owner, createdAtNanos: nowNanos, ttlNanos: request.ttl, id: request.id }
      return Result.succeed(write(request, state._tag === "Free" ? undefined : state.text, record))
    }
  }
}

/**
 * Takes several locks of one object, all or none of them. The first that cannot be taken is the refusal.
 *
 * Fails with `InvalidConfig` if a lock is named twice, and otherwise as {@link acquire} does: with `AlreadyExists` or `OwnerMismatch`.
 *
 * **Example** (Two locks, or none)
 *
 * ```ts
 * import { LockName, Transition, Ttl } from "@kubelock/core"
 * import { Result } from "effect"
 *
 * const ttl = Result.getOrThrow(Ttl.make())
 * const requests = ["database", "cache"].map((name) => ({ lock: Result.getOrThrow(LockName.make(name)), owner: "alice", ttl }))
 *
 * const edits = Result.getOrThrow(Transition.acquireAll({}, requests, 0n))
 * edits.map(({ key }) => key) // => ["kubelock.giantswarm.io/database", "kubelock.giantswarm.io/cache"]
 * Result.isFailure(Transition.acquireAll({}, [...requests, ...requests], 0n)) // => true
 * ```
 *
 * @category decisions
 * @since 0.1.0
 */
export const acquireAll = (
  annotations: Annotations,
  requests: ReadonlyArray<AcquireRequest>,
  nowNanos: bigint
): Result.Result<
  ReadonlyArray<RecordEdit>,
  AlreadyExists | OwnerMismatch | MalformedRecord | InvalidConfig
> => {
  const locks = new Set<string>()
  const twice = requests.find(({ lock }) => locks.size === locks.add(lock).size)
  if (twice !== undefined) {
    return Result.fail(new InvalidConfig({ field: "locks", value: twice.lock, problem: "it is asked for twice" }))
  }
  return Result.all(requests.map((request) => acquire(annotations, request, nowNanos)))
}

/**
 * Starts the TTL of a held lock anew. Everything else in the record stays, members that we do not know among it.
 *
 * Fails with `NotFound` if there is no such lock or it has expired (an expired lock must be acquired again, since another may
 * be about to take it), and with `OwnerMismatch` if it is not the caller's.
 *
 * **Gotchas**
 *
 * The new `createdAt` is later than the last, by a nanosecond at least. So a clock that was set back does not shorten the lock, and
 * no two records of one acquisition are alike: each tells whether it was written.
 *
 * A holder that counts on a monotonic clock passes as *now* the last `createdAt` plus what that clock has counted since, and
 * the wall clock's time as `createdAtNanos`: then no jump of the wall clock makes its own lock look expired.
 *
 * @category decisions
 * @since 0.1.0
 */
export const renew = (
  annotations: Annotations,
  request: RenewRequest,
  nowNanos: bigint
): Result.Result<RecordEdit, NotFound | OwnerMismatch | MalformedRecord> => {
  const state = LockState.read(annotations, request.lock, nowNanos)
  switch (state._tag) {
    case "Malformed":
      return malformed(request, state)
    case "Free":
    case "Expired":
      return notFound(request, state)
    case "Held": {
      if (isTheirs(request, state.record)) return notTheirs(request, state, nowNanos)
      const createdAtNanos = later(
        later(nowNanos, request.createdAtNanos ?? nowNanos),
        state.record.createdAtNanos + 1n
      )
      return Result.succeed(write(request, state.text, { ...state.record, createdAtNanos }))
    }
  }
}

/**
 * Gives a lock back.
 *
 * Fails with `NotFound` if there is no such lock or it has expired, and with `OwnerMismatch` if it is not the caller's.
 *
 * **Gotchas**
 *
 * A request that names the acquisition's `id` also removes that acquisition's record when it has expired: the record being
 * there proves that nobody took the lock since.
 *
 * @category decisions
 * @since 0.1.0
 */
export const release = (
  annotations: Annotations,
  request: OwnerRequest,
  nowNanos: bigint
): Result.Result<RemovalEdit, NotFound | OwnerMismatch | MalformedRecord> => {
  const state = LockState.read(annotations, request.lock, nowNanos)
  switch (state._tag) {
    case "Malformed":
      return malformed(request, state)
    case "Free":
      return notFound(request, state)
    case "Expired":
      return request.id !== undefined && !isTheirs(request, state.record)
        ? Result.succeed(remove(request, state))
        : notFound(request, state)
    case "Held":
      return isTheirs(request, state.record)
        ? notTheirs(request, state, nowNanos)
        : Result.succeed(remove(request, state))
  }
}

/**
 * Removes the record of a lock that has expired, whoever held it.
 *
 * Fails with `NotFound` if there is no record, and with `AlreadyExists` if the lock is still held.
 *
 * @category decisions
 * @since 0.1.0
 */
export const expire = (
  annotations: Annotations,
  request: LockRequest,
  nowNanos: bigint
): Result.Result<RemovalEdit, NotFound | AlreadyExists | MalformedRecord> => {
  const state = LockState.read(annotations, request.lock, nowNanos)
  switch (state._tag) {
    case "Malformed":
      return malformed(request, state)
    case "Free":
      return notFound(request, state)
    case "Held":
      return stillHeld(request, state, nowNanos)
    case "Expired":
      return Result.succeed(remove(request, state))
  }
}

/**
 * Removes whatever is there, without asking the owner: also what cannot be read.
 *
 * Fails with `NotFound` if nothing is there.
 *
 * @category decisions
 * @since 0.1.0
 */
const break_ = (
  annotations: Annotations,
  request: LockRequest,
  nowNanos: bigint
): Result.Result<RemovalEdit, NotFound> => {
  const state = LockState.read(annotations, request.lock, nowNanos)
  return state._tag === "Free"
    ? notFound(request, state)
    : Result.succeed(remove(request, state))
}

export { break_ as break }
