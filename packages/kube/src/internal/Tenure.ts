/**
 * One acquisition of one lock, kept alive until it is released or lost.
 *
 * **Details**
 *
 * It is valid until the TTL, counted on the monotonic clock from before the last successful write was sent, less the safety
 * margin. At that instant it is lost, whatever a renewal that is on its way may bring.
 *
 * Every write to the record is a renewal, a fenced write too: so each leaves a text of its own, and tells by it whether it was
 * made.
 */
import { AnnotationEdit, LockName, LockRecord, type Transition } from "@kubelock/core"
import {
  Clock,
  Deferred,
  Duration,
  Effect,
  Exit,
  type Fiber,
  Option,
  Result,
  Scope,
  Semaphore,
  type Tracer
} from "effect"
import type { JsonPatchOperation, ObjectChange, ObjectMetadata } from "../AnnotationStore.ts"
import { isResourceNotFound, KubeError, type ResourceNotFound } from "../KubeError.ts"
import type { Lease } from "../Lease.ts"
import * as LockMetrics from "../LockMetrics.ts"
import {
  Broken,
  LayerEnded,
  LockLost,
  type LossReason,
  NotRenewed,
  ObjectDeleted,
  OperationsRefused,
  Released,
  TakenOver
} from "../ManagedLockError.ts"
import * as ResourceRef from "../ResourceRef.ts"
import { RetryPolicy } from "../RetryPolicy.ts"
import * as Attempts from "./Attempts.ts"
import * as Attributes from "./Attributes.ts"
import type { ObjectView } from "./ObjectView.ts"
import type { Instant } from "./Operation.ts"
import type { Failure, Member, Renewals, Written } from "./Renewals.ts"
import * as Tasks from "./Tasks.ts"

/** How a lock is kept. */
export interface Terms {
  readonly renewEvery: Duration.Duration
  readonly requestTimeout: Duration.Duration
  readonly safetyMargin: Duration.Duration
  /** Whether the object is watched meanwhile. */
  readonly watch: boolean
}

/** One acquisition, kept alive. */
export interface Tenure {
  readonly terms: Terms
  readonly takenAt: Instant
  /** How spans and logs name it. */
  readonly attributes: Attributes.OfHeld
  /** As of the last write. */
  readonly lease: () => Lease
  /** How long it is valid for certain, at an instant of the monotonic clock; 0 when it is over. */
  readonly remainingNanos: (monotonicNanos: bigint) => bigint
  /** Fails when the lock is lost. */
  readonly lost: Effect.Effect<never, LockLost>
  /** Calls back when the lock is lost, or at once if it is, until what it returns is called. */
  readonly onLost: (callback: (error: LockLost) => void) => () => void
  readonly renew: Effect.Effect<void, LockLost | KubeError>
  /** Renews the record, and makes these changes to the object with it, unless whoever asks has left it to the next by then. */
  readonly write: (
    operations: ReadonlyArray<JsonPatchOperation>,
    isLeft: () => LockLost | undefined
  ) => Effect.Effect<ObjectMetadata, LockLost | OperationsRefused | KubeError>
  /** Removes the record, if it is still there. Nobody works under it any more. */
  readonly release: Effect.Effect<void>
  /** What happens to it by itself is part of this span, until another is named. */
  readonly heldDuring: (span: Tracer.AnySpan) => void
}

// After a renewal that failed for good, by its schedule, the next one follows when so much of the time between two has passed,
// and no sooner than the server says.
const pausePerRenewal = 1 / 10

/** Keeps what was taken. Its fibers live in `scope`, and are not waited for elsewhere; with it the lock is lost. */
export const make = Effect.fnUntraced(function*({ afterWrite, attempts, renewals, scope, taken, terms, view }: {
  readonly attempts: Attempts.Attempts
  /** Those of the object. */
  readonly renewals: Renewals
  readonly view: ObjectView
  readonly taken: Attempts.Taken
  readonly terms: Terms
  readonly scope: Scope.Scope
  /** Run after every write that was made, the acquiring one too. */
  readonly afterWrite: Effect.Effect<void>
}): Effect.fn.Return<Tenure> {
  // All of this is made for every acquisition, and `Effect.fnUntraced` takes longer to make a function than that to run: so no more of it here.
  const clock = yield* Clock.Clock
  const { after: { resourceVersion, uid }, lease: { id, name, owner, resource }, sentAt: takenAt } = taken
  const where = { lock: name, resource: ResourceRef.describe(resource), owner }
  const attributes = Attributes.ofHeld([taken.lease])
  const annotated = (error?: { readonly message: string }) =>
    Effect.annotateLogs({ ...attributes, ...(error === undefined ? undefined : Attributes.ofProblem(error)) })

  let standing: Tasks.Standing = { lease: taken.lease, renewedAt: takenAt }
  /** The latest record that was sent, be it made or not. */
  let newest = { createdAtNanos: taken.lease.record.createdAtNanos, monotonicNanos: takenAt.monotonicNanos }
  /** What the last renewal failed with, and when to try again. */
  let problem: { readonly error: KubeError; readonly tryAtNanos: bigint } | undefined
  /** That it is lost, as far as it was found out by writing. */
  let loss: LockLost | undefined
  /** Why nothing more is done for the lock. An error takes a while to make, and nobody asks for that of one that was given back. */
  let over: LockLost | "released" | undefined
  let renewing: Fiber.Fiber<void> | undefined
  let guarding: Fiber.Fiber<void> | undefined
  let hold: Tracer.AnySpan | undefined
  const lost = Deferred.makeUnsafe<never, LockLost>()
  const toBeTold = new Set<(error: LockLost) => void>()
  /** What was found out that ends it. */
  const found = Deferred.makeUnsafe<LossReason>()
  /** Nobody works under it any more. */
  const left = Deferred.makeUnsafe<void>()
  // Until it is over, and its record is no more to be removed: with the layer at the latest.
  const keeping = yield* Scope.fork(scope)
  // Who has waited for longer than the layer lives has not begun to work under it.
  if (keeping.state._tag === "Closed") Deferred.doneUnsafe(left, Effect.void)
  // A renewal and a write each test the text that the other one replaces.
  const writing = Semaphore.makeUnsafe(1)

  const withinHold = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.suspend(() => hold === undefined ? effect : Effect.withParentSpan(effect, hold, Attributes.withoutStack))

  const lostFor = (reason: LossReason) => new LockLost({ ...where, reason, nowNanos: clock.currentTimeNanosUnsafe() })

  /** Finds out that it is lost. */
  const lose = (reason: LossReason) => {
    Deferred.doneUnsafe(found, Effect.succeed(reason))
    const error = lostFor(reason)
    loss ??= error
    return error
  }

  const isNotRenewed = () => over !== undefined && over !== "released" && over.reason._tag === "NotRenewed"

  const whyOver = () => over === "released" ? lostFor(new Released()) : over

  const notRenewed = () => new NotRenewed(problem === undefined ? {} : { problem: problem.error.message })

  const remainingNanos = (monotonicNanos: bigint) =>
    over === undefined ? Tasks.remainingNanos(standing, Duration.toNanosUnsafe(terms.safetyMargin), monotonicNanos) : 0n

  /** By the wall clock; but later than any before it by what has passed since, and by something: no two texts are alike. */
  const nextCreatedAtNanos = ({ monotonicNanos, wallNanos }: Instant) => {
    const passedNanos = monotonicNanos - newest.monotonicNanos
    const atLeastNanos = newest.createdAtNanos + (passedNanos > 0n ? passedNanos : 1n)
    return wallNanos > atLeastNanos ? wallNanos : atLeastNanos
  }

  const note = (record: LockRecord.LockRecord, { monotonicNanos }: Instant) => {
    newest = { createdAtNanos: record.createdAtNanos, monotonicNanos }
  }

  /** A record was written. Whether that was in time: what comes too late changes nothing any more. */
  const written = ({ after, record, sentAt }: Written) =>
    Effect.gen(function*() {
      // Whoever makes an object again from a copy brings the record along.
      if (after.uid !== uid) return yield* lose(new ObjectDeleted())
      if (remainingNanos(yield* Clock.monotonicTimeNanos) === 0n) return false
      standing = { lease: { ...standing.lease, record }, renewedAt: sentAt }
      problem = undefined
      // The watch may have been given up meanwhile.
      if (terms.watch) yield* view.follow(after)
      return true
    })

  const writeNow = (
    operations: ReadonlyArray<JsonPatchOperation>,
    isLeft: () => LockLost | undefined
  ) =>
    Effect.gen(function*() {
      // Whether the lock is still valid is for the server to say: it refuses the write if it must.
      const ended = () => whyOver() ?? isLeft()
      const before = ended()
      if (before !== undefined) return yield* before
      const { after, edits: [edit], sentAt } = yield* attempts.perform<
        Transition.RecordEdit,
        LockLost | OperationsRefused | Tasks.NotMine | ObjectDeleted
      >({
        ...Tasks.renew(
          [{ standing, createdAtNanos: nextCreatedAtNanos, ended }],
          ([decision], now) => {
            if (Result.isSuccess(decision!)) note(decision.success.record, now)
          }
        ),
        resource,
        operations,
        ending: ({ edits }, seen) => {
          if (seen === undefined) return undefined
          if (seen.uid !== uid) return new ObjectDeleted()
          return edits.every(({ expected, key }) => AnnotationEdit.get(seen.annotations, key) === expected)
            ? new OperationsRefused({
              resource: where.resource,
              operations: operations.map(({ op, path }) => `${op} ${path}`)
            })
            : undefined
        }
      }).pipe(
        Attempts.forPurpose("write under", [name], owner),
        Effect.catchIf(isLoss, (error) => Effect.fail(lose(reasonOf(error, id))))
      )
      yield* written({ record: edit!.record, sentAt, after })
      yield* afterWrite
      return after
    })
  const write = (operations: ReadonlyArray<JsonPatchOperation>, isLeft: () => LockLost | undefined) =>
    writing.withPermits(1)(writeNow(operations, isLeft)).pipe(
      Effect.withSpan("KubeLock.write", { attributes }, Attributes.withoutStack)
    )

  /** Why it is not renewed any more: that would bring back what counts as lost. */
  const ended = ({ monotonicNanos }: Instant) =>
    whyOver() ?? loss ?? (remainingNanos(monotonicNanos) === 0n ? lostFor(notRenewed()) : undefined)
  const renewed = (answer: Result.Result<Written, Failure>) =>
    Effect.gen(function*() {
      const isInTime = yield* Effect.fromResult(answer).pipe(
        Effect.flatMap(written),
        Effect.catchIf(isLoss, (error) => Effect.fail(lose(reasonOf(error, id))))
      )
      if (!isInTime) return yield* whyOver() ?? lostFor(notRenewed())
      yield* afterWrite
    })
  // One that was given back meanwhile has not failed.
  const counted = (isRenewed: boolean) => over === "released" ? Effect.void : LockMetrics.renewed(isRenewed)
  const context = yield* Effect.context()
  const member: Member = {
    conditions: { ...terms, uid, ttlNanos: taken.lease.record.ttlNanos, retryPolicy: yield* RetryPolicy },
    clock,
    writing,
    dueAtNanos: () =>
      problem?.tryAtNanos ?? standing.renewedAt.monotonicNanos + Duration.toNanosUnsafe(terms.renewEvery),
    renewal: () => ({ standing, createdAtNanos: nextCreatedAtNanos, ended }),
    decided: (decision, now) => {
      if (Result.isSuccess(decision)) note(decision.success.record, now)
      else if (isLoss(decision.failure)) lose(reasonOf(decision.failure, id))
    },
    answered: (answer) =>
      renewed(answer).pipe(
        Effect.tap(() => counted(true)),
        Effect.tapError(() => counted(false)),
        withinHold,
        // The request may have been made by whoever keeps another lock.
        Effect.updateContext(() => context)
      ),
    failed: (error, at) => {
      const isNews = problem === undefined && ended(at) === undefined
      const pause = Duration.max(
        Duration.times(terms.renewEvery, pausePerRenewal),
        Duration.millis(error.retryAfterMillis ?? 0)
      )
      problem = { error, tryAtNanos: at.monotonicNanos + Duration.toNanosUnsafe(pause) }
      return isNews
    },
    problem: () => problem?.error,
    hold: () => hold
  }

  // A request that hangs must not hold up the end: nobody waits for what is interrupted here.
  const endWith = (why: LockLost | "released") => {
    over = why
    forget()
    renewing?.interruptUnsafe()
  }

  const remove = Effect.suspend(() => attempts.release(resource, [standing.lease])).pipe(
    Effect.timeoutOption(terms.requestTimeout),
    Effect.flatMap((answer) =>
      Option.isSome(answer)
        ? Effect.void
        : annotated()(
          Effect.logWarning(
            "A lock could not be released in time; unless a request still arrives, it is held until it expires"
          )
        )
    ),
    Effect.catchIf(isLoss, (error) =>
      // One that is known to be lost has been told of.
      over === "released"
        ? Effect.andThen(
          LockMetrics.lost(reasonOf(error, id)._tag),
          annotated(error)(Effect.logWarning("A lock was lost before it could be released"))
        )
        : Effect.void),
    Effect.catch((error) =>
      annotated(error)(Effect.logWarning("A lock could not be released; it is held until it expires"))
    ),
    Effect.withSpan("KubeLock.release", { attributes }, Attributes.withoutStack)
  )

  // Whoever is told may end the layer, and everybody in it, at once.
  const lostWith = (reason: LossReason) =>
    Effect.gen(function*() {
      const error = lostFor(reason)
      endWith(error)
      Deferred.doneUnsafe(lost, Effect.fail(error))
      for (const callback of Array.from(toBeTold)) callback(error)
      yield* tell(reason).pipe(annotated(error), withinHold)
    }).pipe(Effect.uninterruptible)

  const guard = Effect.gen(function*() {
    while (true) {
      const leftNanos = remainingNanos(yield* Clock.monotonicTimeNanos)
      const reason = leftNanos > 0n
        ? yield* Effect.timeoutOption(Deferred.await(found), Duration.nanos(leftNanos))
        : Option.some(notRenewed())
      if (Option.isNone(reason)) continue
      yield* lostWith(reason.value)
      if (reason.value._tag !== "NotRenewed") yield* Scope.close(keeping, Exit.void)
      return
    }
  })

  // Nobody else may have it yet, be it valid or not renewed, and nobody has to wait until it expires. But whoever works under it is given time
  // to end before another has it: that is what the margin is for.
  const abandon = Effect.gen(function*() {
    if (over === undefined) yield* lostWith(new LayerEnded())
    else if (!isNotRenewed()) return
    const isLeft = yield* Effect.timeoutOption(Deferred.await(left), terms.requestTimeout)
    if (Option.isSome(isLeft)) yield* withinHold(remove)
  })

  const look = () => {
    const latest = view.latest()
    const reason = latest === undefined ? undefined : lossIn(latest)
    if (reason !== undefined) lose(reason)
  }
  const lossIn = (change: ObjectChange): LossReason | undefined => {
    if (change._tag === "Deleted") return change.resourceVersion > resourceVersion ? new ObjectDeleted() : undefined
    const { annotations, resourceVersion: seenVersion, uid: seenUid } = change.object
    if (seenVersion <= resourceVersion) return undefined
    if (seenUid !== uid) return new ObjectDeleted()
    const text = AnnotationEdit.get(annotations, LockName.toKey(name))
    const record = text === undefined ? undefined : Result.getOrUndefined(LockRecord.parse(text))
    if (record === undefined) return new Broken()
    return record.id === id ? undefined : new TakenOver({ holder: LockRecord.holderOf(record) })
  }
  const forget = terms.watch ? view.onChange(look) : () => {}
  if (terms.watch) yield* view.follow(taken.after)
  look()
  yield* afterWrite
  yield* Scope.provide(Effect.addFinalizer(() => abandon), keeping)
  // At once: what came too late must not be worked under at all.
  guarding = yield* Effect.forkIn(guard, scope, { startImmediately: true })
  renewing = yield* Effect.forkIn(renewals.keep(member, scope), scope)

  return {
    terms,
    takenAt,
    attributes,
    lease: () => standing.lease,
    remainingNanos,
    lost: Deferred.await(lost),
    onLost: (callback) => {
      toBeTold.add(callback)
      if (over !== undefined && over !== "released") callback(over)
      return () => {
        toBeTold.delete(callback)
      }
    },
    renew: renewals.renew(member),
    write,
    release: Effect.suspend(() => {
      if (!Deferred.doneUnsafe(left, Effect.void)) return Effect.void
      // Whoever has lost it waits for no server that does not answer; only the end of the layer does, which may have come before.
      if (isNotRenewed()) return Effect.asVoid(Effect.forkIn(Scope.close(keeping, Exit.void), scope))
      if (over !== undefined) return Effect.void
      endWith("released")
      guarding?.interruptUnsafe()
      return Effect.andThen(Scope.close(keeping, Exit.void), remove)
    }),
    heldDuring: (span) => {
      hold = span
    }
  }
})

type Gone = KubeError & { readonly reason: ResourceNotFound }

// That sections are interrupted where a program ends is nothing to be woken up for.
const tell = ({ _tag }: LossReason): Effect.Effect<void> =>
  _tag === "LayerEnded"
    ? Effect.logInfo("A lock has ended with the layer that kept it")
    : Effect.andThen(LockMetrics.lost(_tag), Effect.logError("A lock was lost"))

const isLoss = <E extends { readonly _tag: string }>(error: E): error is E & (Tasks.NotMine | ObjectDeleted | Gone) =>
  error._tag === "MalformedRecord" || error._tag === "NotFound" || error._tag === "OwnerMismatch" ||
  error._tag === "ObjectDeleted" || isResourceNotFound(error)

const reasonOf = (error: Tasks.NotMine | ObjectDeleted | KubeError, id: string): LossReason => {
  switch (error._tag) {
    case "ObjectDeleted":
    case "KubeError":
      return new ObjectDeleted()
    case "MalformedRecord":
      return new Broken()
    case "NotFound":
      if (error.expired === undefined) return new Broken()
      return error.expired.id === id ? new NotRenewed({}) : new TakenOver({ holder: error.expired })
    case "OwnerMismatch":
      return new TakenOver({ holder: error.holder })
  }
}
