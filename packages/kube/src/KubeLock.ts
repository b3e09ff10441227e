/**
 * Locks on Kubernetes objects: taken, renewed, given back and looked at, one attempt at a time.
 *
 * **Details**
 *
 * On a free lock `acquire`, and `renew` and `release` of a {@link Lease}, are one request each. A refused `acquire` is two. A
 * conflict, a throttled request and a lost answer are tried again as `RetryPolicy` says; after a lost answer the object is read
 * first, so that a write which did land is not made twice, nor taken for a failure.
 *
 * **Gotchas**
 *
 * - This service holds nothing for you: a lease that is not renewed expires after its TTL, whatever your program is doing.
 * - Expiry is judged by wall clocks: this machine's against the time that the holder's machine wrote down.
 * - A write that is on its way is not abandoned when the fiber is interrupted, since nobody could say then whether it landed.
 *   Its answer is awaited, at most for the transport's request timeout; a lock that it took is given back.
 *
 * **Example** (Taking and releasing a lock)
 *
 * ```ts
 * import { AnnotationStore, KubeLock, ResourceRef } from "@kubelock/kube"
 * import { Effect, Layer } from "effect"
 *
 * const resource = ResourceRef.configMap({ namespace: "prod", name: "deploys" })
 *
 * const program = Effect.gen(function*() {
 *   const locks = yield* KubeLock
 *   const lease = yield* locks.acquire({ resource, name: "helm", owner: "alice", ttl: "30 seconds" })
 *   const other = yield* Effect.flip(locks.acquire({ resource, name: "helm", owner: "bob" }))
 *   yield* locks.release(lease)
 *   return other._tag
 * })
 *
 * const layer = KubeLock.layer.pipe(Layer.provide(AnnotationStore.layerMemory([resource])))
 *
 * await Effect.runPromise(program.pipe(Effect.provide(layer))) // => "OwnerMismatch"
 * ```
 *
 * @since 0.1.0
 */
import {
  type AlreadyExists,
  AnnotationEdit,
  InvalidConfig,
  isInvalidConfig,
  LockName,
  LockRecord,
  LockState,
  type MalformedRecord,
  type NotFound,
  type OwnerMismatch,
  Transition,
  Ttl
} from "@kubelock/core"
import { Cause, Clock, Context, Duration, Effect, Layer, Result } from "effect"
import { AnnotationStore, type ObjectMetadata } from "./AnnotationStore.ts"
import { Identity, nextAcquisitionId } from "./Identity.ts"
import { Conflict, KubeError } from "./KubeError.ts"
import * as ResourceRef from "./ResourceRef.ts"
import * as RetryPolicy from "./RetryPolicy.ts"

/** Which lock. @category models @since 0.1.0 */
export interface LockTarget {
  readonly resource: ResourceRef.ResourceRef
  /** The lock's name: see `LockName` of `@kubelock/core`. */
  readonly name: string
}

/** Whose lock. @category models @since 0.1.0 */
export interface OwnerTarget extends LockTarget {
  /** Any string, also the empty one. Default: this process's own, see `Identity`. */
  readonly owner?: string | undefined
}

/** What is wanted. @category models @since 0.1.0 */
export interface AcquireOptions extends OwnerTarget {
  /** How long the lock is valid if it is not renewed. Default: 5 minutes. */
  readonly ttl?: Duration.Input | undefined
}

/** What is wanted, of one object. @category models @since 0.1.0 */
export interface AcquireAllOptions extends Omit<AcquireOptions, "name"> {
  readonly names: ReadonlyArray<string>
}

/** A lock that was acquired, as of its last renewal. @category models @since 0.1.0 */
export interface Lease {
  readonly resource: ResourceRef.ResourceRef
  readonly name: LockName.LockName
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
  readonly resource: ResourceRef.ResourceRef
  readonly name: LockName.LockName
  readonly state: LockState.LockState
  /** Absent where there is no record, or none that can be read. */
  readonly owner?: string
  /** Since the lock was acquired or last renewed. Negative if the holder's clock is ahead of ours. */
  readonly age?: Duration.Duration
  /** Until it expires; zero if it has. */
  readonly remaining?: Duration.Duration
}

type Refused = InvalidConfig | MalformedRecord | KubeError

/** Takes, renews, gives back and shows locks, one attempt each. @category services @since 0.1.0 */
export class KubeLock extends Context.Service<KubeLock, {
  /**
   * Takes the lock if it is free or expired.
   *
   * Fails with `AlreadyExists` if the same owner holds it and with `OwnerMismatch` if another does.
   */
  readonly acquire: (options: AcquireOptions) => Effect.Effect<Lease, AlreadyExists | OwnerMismatch | Refused>
  /** Takes several locks of one object, all or none, in one request. */
  readonly acquireAll: (
    options: AcquireAllOptions
  ) => Effect.Effect<ReadonlyArray<Lease>, AlreadyExists | OwnerMismatch | Refused>
  /**
   * Starts the TTL anew. Use the lease it returns from then on.
   *
   * Fails with `NotFound` if the lock has expired or is gone, and with `OwnerMismatch` if somebody has taken it since.
   */
  readonly renew: (lease: Lease) => Effect.Effect<Lease, NotFound | OwnerMismatch | Refused>
  /**
   * Gives the lock back: a {@link Lease} of one's own, or, as the Go library does, whatever the owner holds (one request more).
   *
   * Fails with `NotFound` if the lock is gone (or, given an owner alone, has expired), and with `OwnerMismatch` if somebody
   * else has it.
   */
  readonly release: (held: Lease | OwnerTarget) => Effect.Effect<void, NotFound | OwnerMismatch | Refused>
  /** Gives back several locks of one object in one request. If some are lost already, the others are released all the same. */
  readonly releaseAll: (leases: ReadonlyArray<Lease>) => Effect.Effect<void, NotFound | OwnerMismatch | Refused>
  /** The lock as it is now: who has it, since when, until when. Changes nothing. */
  readonly inspect: (target: LockTarget) => Effect.Effect<LockInfo, InvalidConfig | KubeError>
  /** Every lock on an object, free ones excepted, in the order of their names. Changes nothing. */
  readonly list: (
    resource: ResourceRef.ResourceRef
  ) => Effect.Effect<ReadonlyArray<LockInfo>, InvalidConfig | KubeError>
  /**
   * Removes the lock without asking its owner, also one that cannot be read, and answers with what it was.
   *
   * Fails with `NotFound` if there is none. **The holder is not asked**: make sure that it is dead, or can bear it.
   */
  readonly break: (target: LockTarget) => Effect.Effect<LockInfo, NotFound | InvalidConfig | KubeError>
}>()("@kubelock/kube/KubeLock") {
  /** Locks over any store. @category layers @since 0.1.0 */
  static readonly layer: Layer.Layer<KubeLock, never, AnnotationStore> = Layer.effect(
    KubeLock,
    Effect.suspend(() => make)
  )
}

const make = Effect.gen(function*() {
  const store = yield* AnnotationStore

  const read = Effect.fnUntraced(function*(resource: ResourceRef.ResourceRef, backoff: RetryPolicy.Backoff) {
    while (true) {
      const answer = yield* Effect.result(store.get(resource))
      if (Result.isSuccess(answer)) return answer.success
      yield* backoff(answer.failure)
    }
  })

  /**
   * Decides, sends the edits, and finds out what became of them. `believed` is what the annotations are taken to be before
   * anything was read; the server refuses edits that were decided on a wrong belief.
   *
   * Interruption waits for the answer to a write; it does not wait for a read or a pause. Where the operation does not
   * succeed, `undo` is run for every write that was made, or may have been.
   */
  const perform = <Edit extends AnnotationEdit.AnnotationEdit, E>(
    resource: ResourceRef.ResourceRef,
    believed: AnnotationEdit.Annotations | undefined,
    decide: (annotations: AnnotationEdit.Annotations, nowNanos: bigint) => Result.Result<ReadonlyArray<Edit>, E>,
    undo: (edits: ReadonlyArray<Edit>) => Effect.Effect<void> = () => Effect.void
  ): Effect.Effect<Performed<Edit>, E | KubeError> =>
    Effect.uninterruptibleMask((restore) => {
      const perhapsMade: Array<Attempt<Edit>> = []
      const refused: Array<Attempt<Edit>> = []
      return Effect.gen(function*() {
        const backoff = yield* RetryPolicy.start
        let isBelief = believed !== undefined
        let annotations = believed ?? (yield* restore(read(resource, backoff))).annotations
        while (true) {
          const sentAtNanos = yield* Clock.currentTimeNanos
          const decision = decide(annotations, sentAtNanos)
          if (Result.isFailure(decision)) {
            // What was only believed is no ground to refuse anything.
            if (!isBelief || isInvalidConfig(decision.failure)) return yield* Effect.fail(decision.failure)
            annotations = (yield* restore(read(resource, backoff))).annotations
            isBelief = false
            continue
          }
          const edits = decision.success
          const attempt = { edits, sentAtNanos }
          const answer = yield* Effect.result(store.edit(resource, edits))
          if (Result.isSuccess(answer)) {
            perhapsMade.push(attempt)
            // Whoever interrupted us while the answer was on its way will never see it.
            yield* restore(Effect.void)
            return { edits, after: answer.success }
          }
          const error = answer.failure
          if (error._tag === "KubeError") {
            if (error.outcomeUnknown) perhapsMade.push(attempt)
            yield* restore(backoff(error))
          } else {
            refused.push(attempt)
            if (!isBelief) yield* restore(backoff(conflict(resource, error)))
          }
          const after = yield* restore(read(resource, backoff))
          const nowNanos = yield* Clock.currentTimeNanos
          const isThere = (edit: Edit) => isRecordThere(edit, after.annotations, nowNanos)
          // A proxy may have sent the request twice: the answer is then that of the repetition, and a record of ours tells.
          const landed = refused.find(({ edits }) => edits.every(isThere)) ??
            perhapsMade.find(({ edits, sentAtNanos }) =>
              edits.every((edit) => isThere(edit) || wasRemoved(edit, after.annotations, sentAtNanos))
            )
          if (landed !== undefined) return { edits: landed.edits, after }
          annotations = after.annotations
          isBelief = false
        }
      }).pipe(
        Effect.mapError((error) =>
          error instanceof KubeError && perhapsMade.length > 0 && !error.outcomeUnknown ? error.withLostAnswer() : error
        ),
        Effect.onError((cause) => {
          const toUndo = Cause.hasInterrupts(cause) ? [...perhapsMade, ...refused] : perhapsMade
          // All at once, so that it takes no longer than one request may.
          return Effect.forEach(toUndo, ({ edits }) => undo(edits), { concurrency: "unbounded", discard: true })
        })
      )
    })

  /** Removes the records that an acquisition has written, or may have. */
  const giveBack = (resource: ResourceRef.ResourceRef) => (edits: ReadonlyArray<AnnotationEdit.AnnotationEdit>) =>
    store.edit(resource, edits.map(({ key, value }) => ({ key, expected: value, value: undefined }))).pipe(
      Effect.asVoid,
      Effect.catchTag("EditRefused", () => Effect.void),
      Effect.catch((error) =>
        Effect.logWarning("A lock may have been left behind, and will then be held until it expires", error).pipe(
          Effect.annotateLogs({
            "kubelock.resource": ResourceRef.describe(resource),
            "kubelock.annotations": edits.map(({ key }) => key).join(", ")
          })
        )
      )
    )

  const acquireAll = Effect.fnUntraced(function*(options: AcquireAllOptions) {
    const resource = yield* Effect.fromResult(ResourceRef.validate(options.resource))
    const ttl = yield* Effect.fromResult(Ttl.make(options.ttl))
    const locks = yield* Effect.fromResult(Result.all(options.names.map(LockName.make)))
    const owner = yield* ownerOf(options)
    const id = yield* nextAcquisitionId
    if (locks.length === 0) return []
    const requests = locks.map((lock) => ({ lock, resource: ResourceRef.describe(resource), owner, id, ttl }))
    const { after, edits } = yield* perform(
      resource,
      {},
      (annotations, nowNanos) => Transition.acquireAll(annotations, requests, nowNanos),
      giveBack(resource)
    ).pipe(forPurpose("acquire", locks, owner))
    return edits.map(({ record }, index): Lease => ({
      resource,
      name: locks[index]!,
      owner: record.owner,
      id,
      record,
      fencingToken: after.resourceVersion
    }))
  })

  const releaseAll = Effect.fnUntraced(function*(leases: ReadonlyArray<Lease>) {
    const [first] = yield* Effect.fromResult(Result.all(leases.map(validateLease)))
    if (first === undefined) return
    const resource = first.resource
    const twice = leases.find(({ name }, index) => leases.findIndex((lease) => lease.name === name) !== index)
    if (twice !== undefined) {
      return yield* new InvalidConfig({ field: "leases", value: twice.name, problem: "two of them are of this lock" })
    }
    const elsewhere = leases.find((lease) => ResourceRef.toPath(lease.resource) !== ResourceRef.toPath(resource))
    if (elsewhere !== undefined) {
      return yield* new InvalidConfig({
        field: "leases",
        value: ResourceRef.describe(elsewhere.resource),
        problem: `all leases must be of one object; the first is of ${ResourceRef.describe(resource)}`
      })
    }
    let lost: NotFound | OwnerMismatch | MalformedRecord | undefined
    yield* perform(resource, believedOf(leases), (annotations, nowNanos) => {
      const decisions = leases.map((lease) => Transition.release(annotations, requestOf(lease), nowNanos))
      lost = decisions.find(Result.isFailure)?.failure
      const edits = decisions.filter(Result.isSuccess).map(({ success }) => success)
      return edits.length > 0 || lost === undefined ? Result.succeed(edits) : Result.fail(lost)
    }).pipe(forPurpose("release", leases.map(({ name }) => name), first.owner))
    if (lost !== undefined) return yield* lost
  })

  const inspect = Effect.fnUntraced(function*(target: LockTarget) {
    const resource = yield* Effect.fromResult(ResourceRef.validate(target.resource))
    const lock = yield* Effect.fromResult(LockName.make(target.name))
    const { annotations } = yield* read(resource, yield* RetryPolicy.start).pipe(forPurpose("inspect", [lock]))
    const nowNanos = yield* Clock.currentTimeNanos
    return infoOf(resource, lock, LockState.read(annotations, lock, nowNanos), nowNanos)
  })

  return KubeLock.of({
    acquire: Effect.fn("KubeLock.acquire")(function*(options) {
      const leases = yield* acquireAll({ ...options, names: [options.name] })
      return leases[0]!
    }),
    acquireAll: Effect.fn("KubeLock.acquireAll")(acquireAll),
    renew: Effect.fn("KubeLock.renew")(function*(lease) {
      yield* Effect.fromResult(validateLease(lease))
      const { edits } = yield* perform(
        lease.resource,
        believedOf([lease]),
        (annotations, nowNanos) =>
          Result.map(Transition.renew(annotations, requestOf(lease), nowNanos), (edit) => [edit])
      ).pipe(forPurpose("renew", [lease.name], lease.owner))
      return { ...lease, record: edits[0]!.record }
    }),
    release: Effect.fn("KubeLock.release")(function*(held) {
      if ("record" in held) return yield* releaseAll([held])
      const resource = yield* Effect.fromResult(ResourceRef.validate(held.resource))
      const lock = yield* Effect.fromResult(LockName.make(held.name))
      const request = {
        lock,
        resource: ResourceRef.describe(resource),
        owner: yield* ownerOf(held)
      }
      yield* perform(
        resource,
        undefined,
        (annotations, nowNanos) => Result.map(Transition.release(annotations, request, nowNanos), (edit) => [edit])
      ).pipe(forPurpose("release", [lock], request.owner))
    }),
    releaseAll: Effect.fn("KubeLock.releaseAll")(releaseAll),
    inspect: Effect.fn("KubeLock.inspect")(inspect),
    list: Effect.fn("KubeLock.list")(function*(resource) {
      yield* Effect.fromResult(ResourceRef.validate(resource))
      const { annotations } = yield* read(resource, yield* RetryPolicy.start).pipe(forPurpose("list", []))
      const nowNanos = yield* Clock.currentTimeNanos
      return LockState.readAll(annotations, nowNanos).map(([lock, state]) => infoOf(resource, lock, state, nowNanos))
    }),
    break: Effect.fn("KubeLock.break")(function*(target) {
      const resource = yield* Effect.fromResult(ResourceRef.validate(target.resource))
      const lock = yield* Effect.fromResult(LockName.make(target.name))
      const request = { lock, resource: ResourceRef.describe(resource) }
      let broken = infoOf(resource, lock, { _tag: "Free" }, 0n)
      yield* perform(resource, undefined, (annotations, nowNanos) => {
        broken = infoOf(resource, lock, LockState.read(annotations, lock, nowNanos), nowNanos)
        return Result.map(Transition.break(annotations, request, nowNanos), (edit) => [edit])
      }).pipe(forPurpose("break", [lock]))
      yield* Effect.logWarning("A lock was broken").pipe(
        Effect.annotateLogs({
          "kubelock.lock": lock,
          "kubelock.resource": request.resource,
          "kubelock.owner": broken.owner
        })
      )
      return broken
    })
  })
})

/** Edits that were sent, and when they were decided on. */
interface Attempt<Edit> {
  readonly edits: ReadonlyArray<Edit>
  readonly sentAtNanos: bigint
}

interface Performed<Edit> {
  readonly edits: ReadonlyArray<Edit>
  readonly after: ObjectMetadata
}

/** Lets a `KubeError` say which lock it was about, and for whom. */
const forPurpose =
  (operation: string, locks: ReadonlyArray<string>, owner?: string) =>
  <A, E, R>(self: Effect.Effect<A, E | KubeError, R>): Effect.Effect<A, E | KubeError, R> =>
    Effect.mapError(self, (error) => {
      if (!(error instanceof KubeError)) return error
      const named = [locks.length === 1 ? "lock" : "locks", locks.map((lock) => JSON.stringify(lock)).join(", ")].join(
        " "
      ).trim()
      return error.withPurpose(`${operation} ${named}${owner === undefined ? "" : ` as ${JSON.stringify(owner)}`}`)
    })

/** Whether the record that an edit leaves is there, and still valid. */
const isRecordThere = (
  edit: AnnotationEdit.AnnotationEdit | Transition.RecordEdit,
  annotations: AnnotationEdit.Annotations,
  nowNanos: bigint
): boolean =>
  "record" in edit &&
  AnnotationEdit.get(annotations, edit.key) === edit.value &&
  !LockRecord.isExpired(edit.record, nowNanos)

/**
 * Whether a removal whose answer was lost has been made. The acquisition that it was about must be gone; where another has come
 * in its place since, it can only have come after the removal.
 */
const wasRemoved = (
  edit: AnnotationEdit.AnnotationEdit | Transition.RemovalEdit,
  annotations: AnnotationEdit.Annotations,
  sentAtNanos: bigint
): boolean => {
  if (!("removed" in edit)) return false
  const text = AnnotationEdit.get(annotations, edit.key)
  if (text === undefined) return true
  const found = Result.getOrUndefined(LockRecord.parse(text))
  if (text === edit.expected || found === undefined) return false
  const isRenewed = found.id !== undefined && found.id === edit.removed?.id
  return !isRenewed && found.createdAtNanos >= sentAtNanos
}

const ownerOf = Effect.fnUntraced(function*({ owner }: { readonly owner?: string | undefined }) {
  if (owner === undefined) return (yield* Identity).owner
  if (typeof owner === "string") return owner
  return yield* new InvalidConfig({ field: "owner", value: String(owner), problem: "it must be a string, or left out" })
})

/** A lease is a value, and may have been stored and read badly on its way back. */
const validateLease = (lease: Lease): Result.Result<Lease, InvalidConfig> =>
  Result.gen(function*() {
    yield* ResourceRef.validate(lease.resource)
    yield* LockName.make(lease.name)
    const { createdAtNanos, ttlNanos } = lease.record
    if (typeof createdAtNanos !== "bigint" || typeof ttlNanos !== "bigint" || typeof lease.id !== "string") {
      return yield* Result.fail(
        new InvalidConfig({
          field: "lease",
          value: lease.name,
          problem: "it is not as acquire or renew returned it: times must be bigint, its id a string"
        })
      )
    }
    return lease
  })

const requestOf = ({ id, name, owner, resource }: Lease): Transition.OwnerRequest => ({
  lock: name,
  resource: ResourceRef.describe(resource),
  owner,
  id
})

const believedOf = (leases: ReadonlyArray<Lease>): AnnotationEdit.Annotations =>
  Object.fromEntries(leases.map(({ name, record }) => [LockName.toKey(name), LockRecord.format(record)]))

const conflict = (resource: ResourceRef.ResourceRef, refused: AnnotationEdit.EditRefused): KubeError =>
  new KubeError({
    method: "PATCH",
    path: ResourceRef.toPath(resource),
    reason: new Conflict({
      message: `Others write the locks of ${
        ResourceRef.describe(resource)
      } faster than they can be read: ${refused.message}.`
    })
  })

const infoOf = (
  resource: ResourceRef.ResourceRef,
  name: LockName.LockName,
  state: LockState.LockState,
  nowNanos: bigint
): LockInfo => {
  if (state._tag === "Free" || state._tag === "Malformed") return { resource, name, state }
  const remainingNanos = LockRecord.expiresAtNanos(state.record) - nowNanos
  return {
    resource,
    name,
    state,
    owner: state.record.owner,
    age: Duration.nanos(nowNanos - state.record.createdAtNanos),
    remaining: Duration.nanos(remainingNanos > 0n ? remainingNanos : 0n)
  }
}
