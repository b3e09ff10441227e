/**
 * The locks that one process keeps on one object, renewed together: many of them cost as many requests as one.
 *
 * **Details**
 *
 * Whichever falls due takes along all that would within half a period from then. After one period all of them travel together: what
 * was left out is due more than half a period later, and takes the others along when its time has come.
 *
 * One whose record is being written is left out, and not waited for: that write renews it too. One that falls due while a
 * request is on its way without it goes by itself. Where the server refuses to renew several, each is tried by itself until that
 * has succeeded. Until a request for several has ended, by all its retries, none of them can be written otherwise.
 */
import { LockName, type LockRecord, type Transition } from "@kubelock/core"
import {
  type Clock,
  Duration,
  Effect,
  Equal,
  Fiber,
  References,
  Result,
  type Scope,
  type Semaphore,
  type Tracer
} from "effect"
import type { ObjectMetadata } from "../AnnotationStore.ts"
import { isResourceNotFound, isThrottled, isTimeout, isUnavailable, KubeError } from "../KubeError.ts"
import { type LockLost, ObjectDeleted } from "../ManagedLockError.ts"
import type { RetryPolicy } from "../RetryPolicy.ts"
import { type Attempts, forPurpose, now } from "./Attempts.ts"
import * as Attributes from "./Attributes.ts"
import type { Instant } from "./Operation.ts"
import * as Tasks from "./Tasks.ts"

/** What a request is made by. Only locks for which all of it is equal can share one. */
export interface Conditions {
  /** The object's: one that was made again is another. */
  readonly uid: string
  readonly ttlNanos: bigint
  readonly renewEvery: Duration.Duration
  readonly requestTimeout: Duration.Duration
  readonly safetyMargin: Duration.Duration
  readonly watch: boolean
  readonly retryPolicy: RetryPolicy
}

/** A record that was written. */
export interface Written {
  readonly record: LockRecord.LockRecord
  readonly sentAt: Instant
  /** The object after it. */
  readonly after: ObjectMetadata
}

/** Why a lock was not renewed. */
export type Failure = LockLost | Tasks.NotMine | ObjectDeleted | KubeError

/** A lock that is kept, as far as its renewals go. */
export interface Member {
  readonly conditions: Conditions
  /** By which its times are. */
  readonly clock: Clock.Clock
  /** Its one permit is had by whoever writes the record. */
  readonly writing: Semaphore.Semaphore
  readonly dueAtNanos: () => bigint
  readonly renewal: () => Tasks.Renewal<LockLost>
  /** Is told each decision: what is about to be sent, or why nothing is. */
  readonly decided: (decision: Tasks.Decision<LockLost>, now: Instant) => void
  /** Is told what became of a renewal. Fails if the lock was not renewed by it. */
  readonly answered: (answer: Result.Result<Written, Failure>) => Effect.Effect<void, LockLost | KubeError>
  /** Is told that a renewal has to be tried again; whether the one before had succeeded. */
  readonly failed: (error: KubeError, now: Instant) => boolean
  /** What the last renewal failed with. */
  readonly problem: () => KubeError | undefined
  /** The span of its being held. */
  readonly hold: () => Tracer.AnySpan | undefined
}

/** The renewals of one object. */
export interface Renewals {
  /** Renews the lock, by itself. */
  readonly renew: (member: Member) => Effect.Effect<void, LockLost | KubeError>
  /** Renews the lock whenever it is due, until it is over. What is on its way lives in `scope`, also after an interruption. */
  readonly keep: (member: Member, scope: Scope.Scope) => Effect.Effect<void>
}

/** A request that is on its way, for all of these. */
interface Flight {
  readonly members: ReadonlyArray<Member>
  readonly fiber: Fiber.Fiber<unknown, unknown>
}

/** Those that can share requests. */
interface Group {
  readonly clock: Clock.Clock
  readonly conditions: Conditions
  readonly members: Set<Member>
  readonly flights: Set<Flight>
}

/** The renewals of an object of which no lock is kept yet. */
export const make = (attempts: Attempts): Renewals => {
  const groups = new Set<Group>()

  const join = ({ clock, conditions }: Member): Group => {
    const known = Array.from(groups).find((group) =>
      group.clock === clock && Equal.equals(group.conditions, conditions)
    )
    const group = known ?? { clock, conditions, members: new Set(), flights: new Set() }
    groups.add(group)
    return group
  }

  const leave = (group: Group, member: Member) => {
    group.members.delete(member)
    if (group.members.size === 0) groups.delete(group)
    for (const { fiber, members } of group.flights) {
      if (!members.some((other) => group.members.has(other))) fiber.interruptUnsafe()
    }
  }

  /** Renews of these what is still to be renewed, in one request, and tells each what became of it. Fails if none was renewed. */
  const renewAll = Effect.fnUntraced(function*(members: ReadonlyArray<Member>) {
    const renewals = members.map(({ renewal }) => renewal())
    const leases = renewals.map(({ standing }) => standing.lease)
    const [{ name, owner, resource }, { conditions: { uid } }] = [leases[0]!, members[0]!]
    let decisions: ReadonlyArray<Tasks.Decision<LockLost>> = []
    const answer = yield* attempts.perform<Transition.RecordEdit, Exclude<Failure, KubeError>>({
      ...Tasks.renew(renewals, (latest, now) => {
        decisions = latest
        for (const [index, decision] of latest.entries()) members[index]!.decided(decision, now)
      }),
      resource,
      ending: (_, seen) => seen === undefined || seen.uid === uid ? undefined : new ObjectDeleted()
    }).pipe(
      members.length === 1 ? forPurpose("renew", [name], owner) : forPurpose("renew", []),
      Effect.catchIf(isResourceNotFound, () => Effect.fail(new ObjectDeleted())),
      Effect.result
    )
    const edits = Result.isSuccess(answer) ? answer.success.edits : []
    const records = new Map(edits.map(({ key, record }) => [key, record]))
    const answers = yield* Effect.forEach(members, (member, index) => {
      const record = records.get(LockName.toKey(leases[index]!.name))
      const decision = decisions[index]!
      const own: Result.Result<Written, Failure> = record === undefined && Result.isFailure(decision)
        ? Result.fail(decision.failure)
        : Result.map(answer, ({ after, sentAt }) => ({ record: record!, sentAt, after }))
      return Effect.result(member.answered(own))
    })
    if (Result.isFailure(answer) && answer.failure instanceof KubeError) return yield* answer.failure
    return yield* Effect.fromResult(answers.find(Result.isSuccess) ?? answers[0]!)
  })

  const sayNotYet = Effect.fnUntraced(function*(members: ReadonlyArray<Member>, error: KubeError) {
    const failedAt = yield* now
    const news = members.filter(({ failed }) => failed(error, failedAt))
    if (news.length === 0) return
    yield* Effect.logWarning("A lock could not be renewed yet; unless it can in time, it is lost").pipe(
      Effect.annotateLogs({ ...Attributes.ofHeld(news.map(leaseOf)), ...Attributes.ofProblem(error) })
    )
  })

  // All at one go: whoever else wakes up now is to find that it is on its way already.
  const takeAlong = Effect.fnUntraced(function*(group: Group, due: Member) {
    const soonNanos = (yield* now).monotonicNanos + Duration.toNanosUnsafe(group.conditions.renewEvery) / 2n
    const taken: Array<Member> = []
    for (const member of group.members) {
      const isTaken = member === due ||
        (isTogether(due) && isTogether(member) && member.dueAtNanos() <= soonNanos &&
          (yield* member.writing.takeIfAvailable(1)))
      if (isTaken) taken.push(member)
    }
    return taken
  }, Effect.provideService(References.PreventSchedulerYield, true))

  /** Renews the lock that is due, whose record is its to write, and others with it. */
  const renewTogether = (group: Group, due: Member) =>
    Effect.withFiber((fiber) =>
      Effect.acquireUseRelease(
        Effect.map(takeAlong(group, due), (members) => {
          const flight: Flight = { members, fiber }
          group.flights.add(flight)
          return flight
        }),
        ({ members }) =>
          renewAll(members).pipe(
            Effect.tapError((error) => error instanceof KubeError ? sayNotYet(members, error) : Effect.void),
            spanned(members, aroundOf(members)),
            Effect.ignore
          ),
        (flight) => {
          group.flights.delete(flight)
          const others = flight.members.filter((member) => member !== due)
          return Effect.forEach(others, ({ writing }) => writing.release(1), { discard: true })
        }
      )
    )

  const keepIn = Effect.fnUntraced(function*(group: Group, member: Member, scope: Scope.Scope) {
    const dueInNanos = Effect.map(now, ({ monotonicNanos }) => member.dueAtNanos() - monotonicNanos)
    // In a fiber of its own: the end of this lock is not to take the renewal from the others.
    const renewIfDue = Effect.gen(function*() {
      if ((yield* dueInNanos) > 0n) return
      const flying = renewTogether(group, member)
      yield* Fiber.join(yield* Effect.forkIn(flying, scope, { startImmediately: true }))
    })
    while (member.renewal().ended(yield* now) === undefined) {
      const leftNanos = yield* dueInNanos
      if (leftNanos > 0n) yield* Effect.sleep(Duration.nanos(leftNanos))
      // Whoever writes the record now may renew it with that.
      else yield* member.writing.withPermits(1)(renewIfDue)
    }
  })

  return {
    renew: (member) =>
      Effect.gen(function*() {
        const ended = member.renewal().ended(yield* now)
        return yield* ended ?? renewAll([member])
      }).pipe(member.writing.withPermits(1), spanned([member])),
    keep: (member, scope) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          const group = join(member)
          group.members.add(member)
          return group
        }),
        (group) => keepIn(group, member, scope),
        (group) => Effect.sync(() => leave(group, member))
      )
  }
}

// What the server refuses may be the fault of one, or of their being so many while others come and go. Where it does not answer
// it is nobody's.
const isTogether = ({ problem }: Member): boolean => {
  const error = problem()
  return error === undefined || isThrottled(error) || isUnavailable(error) || isTimeout(error)
}

const leaseOf = ({ renewal }: Member) => renewal().standing.lease

const spanned =
  (members: ReadonlyArray<Member>, around: Tracer.SpanOptionsNoTrace = {}) =>
  <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    self.pipe(Effect.withSpan(
      "KubeLock.renew",
      { ...around, attributes: Attributes.ofHeld(members.map(leaseOf)) },
      Attributes.withoutStack
    ))

/** Part of the span of the one lock's being held; of several, beside them. */
const aroundOf = (members: ReadonlyArray<Member>): Tracer.SpanOptionsNoTrace => {
  const holds = members.flatMap(({ hold }) => hold() ?? [])
  return members.length === 1
    ? { parent: holds[0] }
    : { root: true, links: holds.map((span) => ({ span, attributes: {} })) }
}
