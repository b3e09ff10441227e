/**
 * Taking locks that others may hold: waiting for one's turn, and trying when it has come.
 *
 * **Details**
 *
 * As long as the object is followed, a try is one request, and what refused it is awaited rather than read. Nothing is written
 * while waiting.
 */
import {
  type AlreadyExists,
  AnnotationEdit,
  describeHolder,
  LockName,
  LockRecord,
  LockState,
  type OwnerMismatch
} from "@kubelock/core"
import { Clock, Duration, Effect, Exit, Random, Result } from "effect"
import type { ObjectMetadata } from "../AnnotationStore.ts"
import type * as ResourceRef from "../ResourceRef.ts"
import * as Turns from "../Turns.ts"
import { type Attempts, forPurpose, type Refused, type Restore, type Taken, takenBy } from "./Attempts.ts"
import * as Attributes from "./Attributes.ts"
import type { Look, ObjectView, Sight } from "./ObjectView.ts"
import type { Instant } from "./Operation.ts"
import type { AcquireRequest } from "./Tasks.ts"

type Failure = Exclude<Effect.Error<ReturnType<Attempts["acquire"]>>, AlreadyExists | OwnerMismatch>

/** A try that was refused, and what it was made on. */
interface Unexplained {
  readonly refused: Refused
  readonly resourceVersion: bigint
}

/** What is wanted, and where it is seen. */
export interface Wish {
  readonly attempts: Attempts
  readonly view: ObjectView
  readonly resource: ResourceRef.ResourceRef
  /** All of them, or none. */
  readonly requests: ReadonlyArray<AcquireRequest>
  readonly restore: Restore
}

// A refusal that no change explains within this time is read about. It then comes from a watch that lags, or from something
// between us and the server that refuses whatever we write.
const firstPatience = Duration.seconds(1)

// The wall clock, by which locks expire, may be set while we sleep.
const longestSleep = Duration.seconds(10)

// A lock expires strictly after its last instant.
const justAfter = Duration.millis(1)

// A person who wonders why nothing happens finds out from the logs: after a minute, and then ever more seldom.
const firstWord = Duration.minutes(1)

/** Waits for the locks, however long it takes, and takes them. To be run where only `restore` lets interruption in. */
export const acquire = Effect.fnUntraced(function*({ attempts, requests, resource, restore, view }: Wish) {
  const keys = requests.map(({ lock }) => LockName.toKey(lock))
  const processes = new Set(requests.map(Turns.processOf))

  /** While nothing newer has been seen that would explain it. */
  let unexplained: Unexplained | undefined
  let patience = firstPatience
  /** When the object was last read and followed anew. */
  let followedAtNanos = -Duration.toNanosUnsafe(firstPatience)

  const askedAtNanos = yield* Clock.monotonicTimeNanos
  let nextWord = firstWord
  const sayHeld = (records: ReadonlyArray<LockRecord.LockRecord>, { monotonicNanos, wallNanos }: Instant) => {
    const waited = Duration.nanos(monotonicNanos - askedAtNanos)
    if (Duration.isLessThan(waited, nextWord)) return undefined
    nextWord = Duration.times(nextWord, 2)
    return Effect.logInfo(`Still waiting for a lock after ${Duration.format(waited)}`).pipe(Effect.annotateLogs({
      ...Attributes.ofLocks(requests.map(({ lock, owner }) => ({ resource, name: lock, owner }))),
      "kubelock.holder": records.map((record) => describeHolder(record, wallNanos)).join("; ")
    }))
  }

  // Where changes cannot be followed any more, the object is read and followed anew.
  const waitFor = <A>(look: Look<A>, afterwards: A) =>
    restore(Effect.catchTag(view.until(look), "KubeError", () => Effect.as(followAnew, afterwards)))

  /** Whether it came to be so in time. */
  const waitUntil = (isSo: () => boolean, waitAtMost: Duration.Duration) =>
    waitFor(
      (isTimeUp) => isSo() || isTimeUp ? { found: isSo() } : { waitAtMost, isDue: isSo },
      true
    )
  const followAnew = Effect.gen(function*() {
    const nowNanos = yield* Clock.monotonicTimeNanos
    // A watch that fails as soon as it was begun would have us read without end.
    if (nowNanos - followedAtNanos < Duration.toNanosUnsafe(firstPatience)) yield* Effect.sleep(firstPatience)
    yield* view.follow(yield* attempts.read(resource))
    followedAtNanos = yield* Clock.monotonicTimeNanos
  }).pipe(forPurpose("acquire", requests.map(({ lock }) => lock), requests[0]?.owner))

  const tryOnce = (object: ObjectMetadata | undefined) =>
    Effect.gen(function*() {
      const isRead = view.following() !== "by watch"
      const startedAtNanos = yield* Clock.monotonicTimeNanos
      const answer = yield* Effect.result(
        attempts.tryAcquire({ resource, requests, believed: object?.annotations ?? {}, restore }, isRead)
      )
      if (Result.isSuccess(answer) || (answer.failure._tag === "Refused" && answer.failure.seen === undefined)) {
        const roundTripMillis = Number((yield* Clock.monotonicTimeNanos) - startedAtNanos) / 1e6
        for (const { lock } of requests) view.observe(lock, { _tag: "Answered", roundTripMillis })
      }
      if (Result.isSuccess(answer)) return answer.success
      const error = answer.failure
      switch (error._tag) {
        case "Refused": {
          const resourceVersion = object?.resourceVersion ?? -1n
          for (const { lock } of requests) view.observe(lock, { _tag: "Refused", resourceVersion })
          if (error.seen === undefined) unexplained = { refused: error, resourceVersion }
          else yield* view.follow(error.seen)
          return undefined
        }
        case "AlreadyExists":
        case "OwnerMismatch": {
          if (view.following() === "not") yield* restore(followAnew)
          return undefined
        }
        default:
          return yield* error
      }
    })

  /** Reads what is there, takes the locks if they are free, and otherwise waits until something changes. */
  const tryByReading = Effect.gen(function*() {
    const before = view.latest()
    const answer = yield* Effect.result(attempts.acquire({ resource, requests, restore }))
    if (Result.isSuccess(answer)) return answer.success
    const error = answer.failure
    if (error._tag !== "AlreadyExists" && error._tag !== "OwnerMismatch") return yield* error
    yield* waitUntil(() => view.latest() !== before, patience)
    patience = Duration.min(Duration.times(patience, 2), longestSleep)
    return undefined
  })

  /** Finds out what became of a try that was refused: nothing newer was seen yet that would explain it. */
  const explain = Effect.fnUntraced(function*({ refused, resourceVersion }: Unexplained) {
    const latest = view.latest()
    if (latest?._tag !== "Present" || latest.object.resourceVersion <= resourceVersion) {
      const isExplained = yield* waitUntil(() => view.latest() !== latest, patience)
      return isExplained ? undefined : yield* tryByReading
    }
    unexplained = undefined
    patience = firstPatience
    // Somebody on the way may have sent the try twice, and the refusal was that of the repetition.
    const isThere = ({ key, value }: AnnotationEdit.AnnotationEdit) =>
      AnnotationEdit.get(latest.object.annotations, key) === value
    if (refused.edits.every(isThere)) return takenBy(resource, requests, { ...refused, after: latest.object })
    if (refused.edits.some(isThere)) yield* attempts.giveBack(resource, refused.edits)
    return undefined
  })

  type Step = Effect.Effect<ReadonlyArray<Taken> | undefined, Failure>

  /**
   * What is to be done as soon as it is time for it. Every change of the object is looked at by all who wait for its locks, in every process;
   * woken up is only who has something to do.
   */
  const lookWith = (clock: Clock.Clock, draw: () => number): Look<Step> => {
    /** Whether it has waited for its turn since it last looked. */
    let isForTurn = false
    return (isTimeUp) => {
      const isTurn = isTimeUp && isForTurn
      isForTurn = false
      const latest = view.latest()
      // Where nothing is known, the locks are taken for free.
      if (view.following() === "not" || latest === undefined) return { found: tryOnce(undefined) }
      if (latest._tag === "Deleted") return { found: tryByReading }
      if (unexplained !== undefined) return { found: explain(unexplained) }
      const { object } = latest

      const monotonicNanos = clock.monotonicTimeNanosUnsafe()
      const wallNanos = clock.currentTimeNanosUnsafe()
      const states = requests.map(({ lock, takeoverDelayNanos = 0n }) =>
        LockState.read(object.annotations, lock, wallNanos - takeoverDelayNanos)
      )
      if (states.some(({ _tag }) => _tag === "Malformed")) return { found: tryByReading }

      const values = keys.map((key) => AnnotationEdit.get(object.annotations, key))
      const isDue = () => {
        const newer = view.latest()
        return newer?._tag !== "Present" ||
          keys.some((key, index) => AnnotationEdit.get(newer.object.annotations, key) !== values[index])
      }
      const wait = (atMost: Duration.Duration): Sight<Step> => ({
        waitAtMost: Duration.min(atMost, longestSleep),
        isDue
      })

      const heldForNanos = states.map((state, index) =>
        state._tag === "Held"
          ? LockRecord.expiresAtNanos(state.record) + (requests[index]!.takeoverDelayNanos ?? 0n) - wallNanos
          : -1n
      )
      const longestNanos = heldForNanos.reduce((left, right) => left > right ? left : right, -1n)
      if (longestNanos >= 0n) {
        const records = states.flatMap((state) => state._tag === "Held" ? [state.record] : [])
        // Whoever had it in this process is done with it, or nobody would wait here: what is seen may be old.
        const isOwn = records.some((record) => processes.has(Turns.processOf(record)))
        if (isOwn && isTimeUp) return { found: tryByReading }
        const word = sayHeld(records, { monotonicNanos, wallNanos })
        if (word !== undefined) return { found: Effect.as(word, undefined) }
        const untilOver = Duration.sum(Duration.nanos(longestNanos), justAfter)
        return wait(isOwn ? Duration.min(patience, untilOver) : untilOver)
      }

      // Less than any clock can count may be left of a slot; and a second draw, where other annotations have changed, would mostly be a later one.
      if (isTurn) return { found: tryOnce(object) }
      const nowMillis = Number(monotonicNanos) / 1e6
      const random = draw()
      const tryAtMillis = requests.map(({ lock }, index) => {
        view.turnsOf(lock, monotonicNanos)
        if (states[index]!._tag === "Expired") view.observe(lock, { _tag: "Expired", nowMillis })
        return Turns.tryAtMillis(view.turnsOf(lock, monotonicNanos), random) ?? Infinity
      })
      const inMillis = Math.max(...tryAtMillis) - nowMillis
      if (inMillis === Infinity) return { found: tryByReading }
      if (inMillis <= 0) return { found: tryOnce(object) }
      isForTurn = true
      return wait(Duration.millis(inMillis))
    }
  }

  const step: Step = Effect.withFiber((fiber) => {
    const random = fiber.getRef(Random.Random)
    const look = lookWith(fiber.getRef(Clock.Clock), () => random.nextDoubleUnsafe())
    return Effect.flatten(waitFor(look, Effect.undefined))
  })

  // What is not kept from the beginning misses what the first refusal shows.
  for (const { lock } of requests) view.turnsOf(lock, askedAtNanos)
  const observeWaiting = (isWaiting: boolean) => {
    for (const { lock } of requests) view.observe(lock, { _tag: "Waiting", isWaiting })
  }
  observeWaiting(true)
  const steps = Effect.gen(function*() {
    while (true) {
      const taken = yield* step
      if (taken !== undefined) return taken
    }
  })
  return yield* Effect.onExit(steps, (exit) => {
    observeWaiting(false)
    return unexplained === undefined || Exit.isSuccess(exit)
      ? Effect.void
      : attempts.giveBack(resource, unexplained.refused.edits)
  })
})
