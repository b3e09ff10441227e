/**
 * What is done to locks, each to its end: decided, sent, and found out about where its answer was lost.
 *
 * Everything here takes leases and requests that are valid.
 */
import { AnnotationEdit, quote, type Transition } from "@kubelock/core"
import { Cause, type Clock, Data, Duration, Effect, Result } from "effect"
import type { AnnotationStore, JsonPatchOperation, ObjectMetadata } from "../AnnotationStore.ts"
import { Conflict, isConflict, KubeError } from "../KubeError.ts"
import { RequestTimeout } from "../KubeTransport.ts"
import type { Lease } from "../Lease.ts"
import * as LockMetrics from "../LockMetrics.ts"
import * as ResourceRef from "../ResourceRef.ts"
import * as RetryPolicy from "../RetryPolicy.ts"
import * as Attributes from "./Attributes.ts"
import * as Operation from "./Operation.ts"
import * as Tasks from "./Tasks.ts"

/** This moment. */
export const now: Effect.Effect<Operation.Instant> = Effect.clockWith((clock) => Effect.succeed(instantOf(clock)))

// The monotonic clock first: what is counted from here must not begin later than what is written down.
const instantOf = (clock: Clock.Clock): Operation.Instant => {
  const monotonicNanos = clock.monotonicTimeNanosUnsafe()
  return { monotonicNanos, wallNanos: clock.currentTimeNanosUnsafe() }
}

/** A try was refused, and no second was to be made. */
export class Refused extends Data.TaggedError("Refused")<{
  /** What was sent. */
  readonly edits: ReadonlyArray<Transition.RecordEdit>
  /** When. */
  readonly sentAt: Operation.Instant
  /** The object as it was read after the refusal; absent where it was not read. */
  readonly seen: ObjectMetadata | undefined
}> {}

/** As `Effect.uninterruptibleMask` gives it. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** What is to be done to one object, and how. */
export interface Task<Edit, E> extends Operation.Task<Edit, E> {
  readonly resource: ResourceRef.ResourceRef
  /** Other changes to the object, made with the edits or not at all. */
  readonly operations?: ReadonlyArray<JsonPatchOperation> | undefined
  /** Where it does not succeed, this is run for every write that was made, or may have been. */
  readonly undo?: ((edits: ReadonlyArray<Edit>) => Effect.Effect<void>) | undefined
  /** Lets interruption in where nothing would be left behind by it. By default wherever the caller can be interrupted. */
  readonly restore?: Restore | undefined
}

/** Edits that were made, and the object after them. */
export interface Performed<Edit> extends Operation.Attempt<Edit> {
  readonly after: ObjectMetadata
}

/** A lock that was taken: validity counts from `sentAt`. */
export interface Taken {
  readonly lease: Lease
  readonly sentAt: Operation.Instant
  /** The object after it. */
  readonly after: ObjectMetadata
}

/** Locks of one object that are wanted, and what is believed of it. */
export interface Acquisition {
  readonly resource: ResourceRef.ResourceRef
  readonly requests: ReadonlyArray<Tasks.AcquireRequest>
  readonly believed?: AnnotationEdit.Annotations | undefined
  readonly restore?: Restore | undefined
}

// Where the caller limits no request: whoever is interrupted does not end before.
const giveBackAtMost = Duration.seconds(10)

/** What can be done to the locks of a store. */
export type Attempts = ReturnType<typeof make>

/** The attempts over one store. */
export const make = (store: AnnotationStore["Service"]) => {
  const read = Effect.fnUntraced(function*(resource: ResourceRef.ResourceRef, backoff: RetryPolicy.Backoff) {
    while (true) {
      const answer = yield* Effect.result(store.get(resource))
      if (Result.isSuccess(answer)) return answer.success
      yield* backoff(answer.failure)
    }
  })

  /**
   * Decides, sends the edits, and finds out what became of them.
   *
   * Interruption waits for the answer to a write; it does not wait for a read or a pause.
   */
  const perform = <Edit extends AnnotationEdit.AnnotationEdit, E>(
    task: Task<Edit, E>
  ): Effect.Effect<Performed<Edit>, E | KubeError> =>
    Effect.uninterruptibleMask((own) => {
      const { operations, resource, restore = own, undo = () => Effect.void } = task
      let state: Operation.State<Edit> = Operation.notBegun
      let made: Operation.Attempt<Edit> | undefined
      let seen: ObjectMetadata | undefined
      // No generator, since every operation comes through here.
      const take = (
        { next, state: reached }: Operation.Step<Edit, E>,
        backoff: RetryPolicy.Backoff
      ): Effect.Effect<Performed<Edit>, E | KubeError> => {
        state = reached
        switch (next._tag) {
          case "Send": {
            const { attempt } = next
            return Effect.matchEffect(store.edit(resource, attempt.edits, operations), {
              onSuccess: (after) => {
                made = attempt
                // Whoever interrupted us while the answer was on its way will never see it.
                return restore(Effect.succeed({ ...attempt, after }))
              },
              onFailure: (error) => Effect.flatMap(notMade(attempt, error, backoff), (step) => take(step, backoff))
            })
          }
          case "Read":
            return Effect.flatMap(restore(read(resource, backoff)), (object) => {
              seen = object
              return Effect.flatMap(now, (now) => take(Operation.read(task, state, object, now), backoff))
            })
          case "Made":
            return Effect.succeed({ ...next.attempt, after: seen! })
          case "Refuse":
            return Effect.fail(next.error)
        }
      }
      const notMade = (
        attempt: Operation.Attempt<Edit>,
        error: AnnotationEdit.EditRefused | KubeError,
        backoff: RetryPolicy.Backoff
      ): Effect.Effect<Operation.Step<Edit, E>, KubeError> =>
        Effect.gen(function*() {
          if (error._tag === "EditRefused" || isConflict(error)) yield* LockMetrics.conflicted
          const step: Operation.Step<Edit, E> = error._tag === "EditRefused"
            ? Operation.refused(task, state, attempt)
            : Operation.failed(state, attempt, error.outcomeUnknown)
          state = step.state
          if (error._tag !== "EditRefused") yield* restore(backoff(error))
          else if (step.next._tag === "Read" && step.next.isConflict) yield* restore(backoff(conflict(resource, error)))
          return step
        })
      return Effect.flatMap(RetryPolicy.start, (backoff) =>
        Effect.clockWith((clock) => take(Operation.start(task, instantOf(clock)), backoff))).pipe(
          // In one step: every operation has it, and few fail.
          Effect.catchCause((cause) => {
            const told = Cause.map(cause, (error) =>
              error instanceof KubeError && state.perhapsMade.length > 0 && !error.outcomeUnknown
                ? error.withLostAnswer()
                : error)
            // Of one that was sent twice and refused the second time, part may be left where somebody broke the rest.
            const isLeft = ({ edits }: Operation.Attempt<Edit>) =>
              edits.some(({ key, value }) =>
                seen !== undefined && AnnotationEdit.get(seen.annotations, key) === value
              )
            const toUndo = [
              ...(made === undefined ? [] : [made]),
              ...state.perhapsMade,
              ...state.refused.filter((attempt) =>
                Cause.hasInterrupts(cause) || isLeft(attempt)
              )
            ]
            // All at once, so that it takes no longer than one of them.
            return Effect.ensuring(
              Effect.failCause(told),
              Effect.forEach(toUndo, ({ edits }) => undo(edits), { concurrency: "unbounded", discard: true })
            )
          })
        )
    })

  /** Removes the records that an acquisition has written, or may have. Tried again for as long as a request may take. */
  const giveBack = Effect.fnUntraced(function*(
    resource: ResourceRef.ResourceRef,
    edits: ReadonlyArray<AnnotationEdit.AnnotationEdit>
  ) {
    const removals = edits.map(({ key, value }) => ({ key, expected: value, value: undefined }))
    let problem: KubeError | undefined
    // Only where it pauses after a problem, which is then told of, does it run out of time.
    const removeAll = Effect.uninterruptibleMask((restore) => {
      /** Whether all of them were there. */
      const remove = Effect.fnUntraced(function*(removals: ReadonlyArray<AnnotationEdit.AnnotationEdit>) {
        const backoff = yield* RetryPolicy.start
        while (true) {
          const answer = yield* Effect.result(store.edit(resource, removals))
          problem = Result.isFailure(answer) && answer.failure instanceof KubeError ? answer.failure : undefined
          if (problem === undefined) return Result.isSuccess(answer)
          yield* restore(backoff(problem))
        }
      })
      // Somebody may have broken one, and the others are no less left behind.
      return Effect.flatMap(remove(removals), (isDone) =>
        isDone || removals.length === 1
          ? Effect.void
          : Effect.forEach(removals, (removal) => remove([removal]), { discard: true }))
    })
    const atMost = Duration.min(yield* RequestTimeout, giveBackAtMost)
    yield* Effect.ignore(Effect.timeoutOption(removeAll, atMost))
    if (problem === undefined) return
    yield* Effect.logWarning("A lock may have been left behind, and will then be held until it expires").pipe(
      Effect.annotateLogs({
        ...Attributes.ofObject(resource),
        ...Attributes.ofProblem(problem),
        "kubelock.annotations": edits.map(({ key }) => key).join(", ")
      })
    )
  })

  const acquire = <E = never>(
    { believed, requests, resource, restore }: Acquisition,
    ending?: Task<Transition.RecordEdit, E>["ending"]
  ): Effect.Effect<ReadonlyArray<Taken>, E | Tasks.NotTaken | KubeError> =>
    perform<Transition.RecordEdit, E | Tasks.NotTaken>({
      ...Tasks.acquire(requests, believed),
      resource,
      undo: (edits) => giveBack(resource, edits),
      restore,
      ending
    }).pipe(
      Effect.map((performed) => takenBy(resource, requests, performed)),
      forPurpose("acquire", requests.map(({ lock }) => lock), requests[0]?.owner)
    )

  return {
    perform,
    giveBack,

    /** The object as it is. */
    read: (resource: ResourceRef.ResourceRef) =>
      Effect.flatMap(RetryPolicy.start, (backoff) => read(resource, backoff)),

    /** Takes all the locks or none of them. */
    acquire: (acquisition: Acquisition) => acquire(acquisition),

    /** The same in a single try. The object is read after a refusal only if `isRead`. */
    tryAcquire: (acquisition: Acquisition, isRead: boolean) =>
      acquire(
        acquisition,
        (attempt, seen) => isRead && seen === undefined ? undefined : new Refused({ ...attempt, seen })
      ),

    /** Gives back what of the leases, all of one object, is still held; then fails if something was not. */
    release: (
      resource: ResourceRef.ResourceRef,
      leases: ReadonlyArray<Lease>
    ): Effect.Effect<ObjectMetadata, Tasks.NotMine | KubeError> =>
      Effect.suspend(() => {
        let lost: Tasks.NotMine | undefined
        const task = Tasks.release(leases, (error) => {
          lost = error
        })
        return Effect.flatMap(
          perform<Transition.RemovalEdit, Tasks.NotMine>({ ...task, resource }).pipe(
            forPurpose("release", leases.map(({ name }) => name), leases[0]?.owner)
          ),
          ({ after }) => lost === undefined ? Effect.succeed(after) : Effect.fail(lost)
        )
      })
  }
}

/** What took the locks, from the edits that did. */
export const takenBy = (
  resource: ResourceRef.ResourceRef,
  requests: ReadonlyArray<Tasks.AcquireRequest>,
  { after, edits, sentAt }: Performed<Transition.RecordEdit>
): ReadonlyArray<Taken> =>
  requests.map(({ id, lock }, index) => {
    const { record } = edits[index]!
    const lease = { resource, name: lock, owner: record.owner, id, record, fencingToken: after.resourceVersion }
    return { lease, sentAt, after }
  })

/** Lets a `KubeError` say which lock it was about, and for whom. */
export const forPurpose =
  (operation: string, locks: ReadonlyArray<string>, owner?: string) =>
  <A, E, R>(self: Effect.Effect<A, E | KubeError, R>): Effect.Effect<A, E | KubeError, R> =>
    Effect.mapError(self, (error) => {
      if (!(error instanceof KubeError)) return error
      const named = [locks.length === 1 ? "lock" : "locks", locks.map(quote).join(", ")].join(
        " "
      ).trim()
      return error.withPurpose(`${operation} ${named}${owner === undefined ? "" : ` as ${quote(owner)}`}`)
    })

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
