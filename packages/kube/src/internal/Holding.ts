/**
 * Managed locks: from asking for one to having given it back.
 *
 * **Details**
 *
 * For each object that this process waits for or holds locks of, there is one view and a lane per lock, kept for a while after the
 * last of them: who looks away between two acquisitions would not know whose turn it is.
 */
import {
  type AlreadyExists,
  AnnotationEdit,
  type Holder,
  LockName,
  LockRecord,
  type OwnerMismatch
} from "@kubelock/core"
import { Cause, Clock, Duration, Effect, Equal, Exit, Fiber, Option, RcMap, Result, Scope, Tracer } from "effect"
import type { AnnotationStore } from "../AnnotationStore.ts"
import * as ClockOffset from "../ClockOffset.ts"
import { HeldLock } from "../HeldLock.ts"
import { Identity, nextAcquisitionId } from "../Identity.ts"
import type { KubeError } from "../KubeError.ts"
import * as LockMetrics from "../LockMetrics.ts"
import type { ManagedLock, ManagedLocks, NotAcquired } from "../ManagedLock.ts"
import { type LockLost, WaitTimeout } from "../ManagedLockError.ts"
import * as ResourceRef from "../ResourceRef.ts"
import { type Attempts, now, type Restore, type Taken } from "./Attempts.ts"
import * as Attributes from "./Attributes.ts"
import * as Lane from "./Lane.ts"
import * as ObjectView from "./ObjectView.ts"
import type { Instant } from "./Operation.ts"
import * as Renewals from "./Renewals.ts"
import * as Section from "./Section.ts"
import type { Settings } from "./Settings.ts"
import * as Tenure from "./Tenure.ts"
import * as Waiting from "./Waiting.ts"

/** Longer than most pauses between two acquisitions of one lock, and a watch is renewed three times a minute at most. */
const idleTimeToLive = Duration.seconds(10)

/** What one process knows of one object. */
interface Place {
  readonly view: ObjectView.ObjectView
  readonly renewals: Renewals.Renewals
}

/** What is asked for at once, and what is the same each time that it is. */
interface Wish {
  readonly locks: ReadonlyArray<Settings>
  /** By object, and in one order for all, so that nobody waits for somebody who waits for them. */
  readonly groups: ReadonlyArray<ReadonlyArray<Settings>>
  readonly waitAtMost: Duration.Duration
}

/** How far somebody has come who wants locks. */
interface Progress {
  /** Those whose turn it is, or was. */
  readonly berths: Array<Berth>
  group: ReadonlyArray<Settings>
  /** Of the group. */
  settings: Settings
  /** The lane for it, if others are in it. */
  lane: Lane.Lane | undefined
}

/** Locks of one object that are asked for at once, by whom, and how far that has come. */
interface Request {
  readonly group: ReadonlyArray<Settings>
  readonly process: string
  readonly progress: Progress
  readonly restore: Restore
  readonly span: Tracer.Span
}

/** A lock that is somebody's turn to have. */
interface Berth {
  readonly settings: Settings
  readonly lane: Lane.Lane
  outcome: "acquired" | "handed over"
  /** Once it is held. */
  section: Section.Section | undefined
}

/** Managed locks over one store. What keeps them ends with the scope, and with it they are lost. */
export const make = Effect.fnUntraced(function*(store: AnnotationStore["Service"], attempts: Attempts) {
  const unwatched = new Set<string>()

  const sayUnwatched = (resource: ResourceRef.ResourceRef, error: KubeError) =>
    Effect.suspend(() => {
      const path = ResourceRef.toCollectionPath(resource)
      if (unwatched.has(path)) return Effect.void
      unwatched.add(path)
      return Effect.logWarning(
        "An object cannot be watched: who waits for its locks reads it now and then, and who holds one learns of its loss later"
      ).pipe(Effect.annotateLogs({ ...Attributes.ofObject(resource), ...Attributes.ofProblem(error) }))
    })

  /** The tolerances, in milliseconds, that the clock is off by more than: locks may differ in theirs. */
  const exceeded = new Set<number>()
  const checkClock = ({ takeoverDelayNanos, terms: { safetyMargin } }: Settings) =>
    Effect.flatMap(store.clockOffset, (offset) => {
      const offMillis = offset === undefined ? 0 : ClockOffset.certainMillis(offset)
      const tolerance = Duration.sum(safetyMargin, Duration.nanos(takeoverDelayNanos))
      const toleranceMillis = Duration.toMillis(tolerance)
      const wasOff = exceeded.has(toleranceMillis)
      const isOff = Math.abs(offMillis) > toleranceMillis
      if (isOff) exceeded.add(toleranceMillis)
      else exceeded.delete(toleranceMillis)
      if (!isOff || wasOff) return Effect.void
      return Effect.logWarning(
        `This machine's clock is ${Duration.format(Duration.millis(Math.round(Math.abs(offMillis))))} ${
          offMillis > 0 ? "ahead of" : "behind"
        } the API server's. Clocks that are apart by more than safetyMargin and takeoverDelay together (here ${
          Duration.format(tolerance)
        }) can let two holders in at once: correct the clock, or lengthen those.`
      )
    })

  const places = yield* RcMap.make({
    idleTimeToLive,
    lookup: Effect.fnUntraced(function*({ process, resource }: {
      readonly process: string
      readonly resource: ResourceRef.ResourceRef
    }) {
      const place: Place = {
        view: yield* ObjectView.make({
          attempts,
          store,
          resource,
          process,
          sayUnwatched: (error) => sayUnwatched(resource, error)
        }),
        renewals: Renewals.make(attempts)
      }
      return place
    })
  })

  // All at once, so that the end of many locks takes no longer than that of one.
  const scope = yield* Scope.fork(yield* Effect.scope, "parallel")

  /** Interrupted by the end of the layer, which waits for it: what is on its way can still be given back then. */
  const withinLayer = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.acquireUseRelease(Effect.forkIn(effect, scope, { startImmediately: true }), Fiber.join, Fiber.interrupt)

  const lanes = Lane.make()
  yield* Scope.addFinalizer(scope, Lane.close(lanes))

  const placeOf = Effect.fnUntraced(function*({ resource }: Settings) {
    const { process } = yield* Identity
    return yield* RcMap.get(places, { process, resource })
  })

  const requestOf = Effect.fnUntraced(function*({ name, owner, resource, takeoverDelayNanos, ttl }: Settings) {
    const id = yield* nextAcquisitionId
    return { lock: name, resource: ResourceRef.describe(resource), owner, ttl, takeoverDelayNanos, id }
  })

  /** What was taken, kept from now on until the berth is given up or the next in the lane has it. */
  const keep = Effect.fnUntraced(function*(berth: Berth, taken: Taken) {
    const { lane, settings } = berth
    const { run } = settings
    const placeScope = yield* Scope.make()
    const { renewals, view } = yield* Scope.provide(placeOf(settings), placeScope)
    const tenure = yield* run(
      Tenure.make({ attempts, scope, taken, terms: settings.terms, view, renewals, afterWrite: checkClock(settings) })
    )
    // It may be somebody else in the lane who gives it back.
    const release = Effect.ensuring(run(tenure.release), Scope.close(placeScope, Exit.void))
    lane.tenure = { ...tenure, release }
    berth.outcome = "acquired"
  })

  /** Holds what a lane has, for the section whose turn it is. */
  const hold = (berth: Berth): Effect.Effect<void> =>
    Effect.suspend(() => {
      const { lane, settings } = berth
      const tenure = lane.tenure!
      const leave = (nowNanos: bigint) => Effect.ensuring(leaveOrRelease(berth, tenure, nowNanos), Lane.leave(lane))
      return Effect.map(Section.begin(tenure, settings, leave), (section) => {
        berth.section = section
      })
    })

  /** Takes what other processes may have, for these berths, all at once. */
  const contend = (berths: ReadonlyArray<Berth>) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const { settings } = berths[0]!
        const { resource, run } = settings
        const { view } = yield* placeOf(settings)
        for (const { lane } of berths) lane.view = view
        const requests = yield* Effect.forEach(berths, ({ settings }) => requestOf(settings))
        const taken = yield* run(Waiting.acquire({ attempts, view, resource, requests, restore })).pipe(
          Effect.catchTag("InvalidConfig", Effect.die),
          Effect.withSpan(
            "KubeLock.wait",
            { attributes: Attributes.ofLocks(berths.map(({ settings }) => settings)) },
            Attributes.withoutStack
          )
        )
        for (const [index, berth] of berths.entries()) yield* keep(berth, taken[index]!)
      })
    ).pipe(Effect.scoped)

  // A fiber may be one of a thousand that wait in a lane, and what each keeps meanwhile is the greater part of what a handover costs. So from
  // here to there: no generators, and as few steps as there can be.

  /** Waits until it is somebody's turn in the lane of a lock. */
  const enterLane = (settings: Settings, request: Request, berths: Array<Berth>): Effect.Effect<void> => {
    const { group, process, progress, restore } = request
    const key = `${process} ${settings.key}`
    progress.settings = settings
    progress.lane = Lane.find(lanes, key)
    return Effect.flatMap(Lane.enter(lanes, key, restore), (lane) => {
      const berth: Berth = { settings, lane, outcome: "handed over", section: undefined }
      progress.lane = lane
      berths.push(berth)
      progress.berths.push(berth)
      // Who wants others besides may have to wait for those, and must not keep this one from everybody meanwhile.
      return group.length > 1 ? Lane.release(lane) : releaseUnlessLeftFor(berth)
    })
  }

  /** Waits for locks of one object, and takes them all at once. */
  const acquireOfOne = (request: Request): Effect.Effect<void, NotAcquired> => {
    const { group, progress, restore, span } = request
    const berths: Array<Berth> = []
    progress.group = group
    return Effect.flatMap(inTurn(group, (settings) => enterLane(settings, request, berths)), () => {
      const held = Effect.suspend(() => inTurn(berths, hold))
      return berths.some(({ lane }) => lane.tenure === undefined)
        ? Effect.andThen(
          Effect.withParentSpan(restore(withinLayer(contend(berths))), span, Attributes.withoutStack),
          held
        )
        : held
    })
  }

  /** Waits for all the locks, object by object. To be run where only `restore` lets interruption in. */
  const acquireAll = (
    { groups, locks, waitAtMost }: Wish,
    restore: Restore,
    span: Tracer.Span
  ): Effect.Effect<ReadonlyArray<Section.Section>, NotAcquired> =>
    Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const { process } = fiber.getRef(Identity)
      const askedAtNanos = clock.monotonicTimeNanosUnsafe()
      const progress: Progress = { berths: [], group: locks, settings: locks[0]!, lane: undefined }
      const takeAll = (restore: Restore) =>
        inTurn(groups, (group) => acquireOfOne({ group, process, progress, restore, span }))
      const taken = Duration.isFinite(waitAtMost)
        ? restore(Effect.timeoutOrElse(Effect.uninterruptibleMask(takeAll), {
          duration: waitAtMost,
          orElse: () => Effect.flatMap(now, (now) => Effect.fail(timeoutOf(progress, waitAtMost, now)))
        }))
        : takeAll(restore)
      return Effect.matchCauseEffect(taken, {
        onFailure: (cause) =>
          Effect.forEach(locks, () => LockMetrics.acquired(outcomeOf(cause)), { discard: true }).pipe(
            Effect.andThen(giveUp(progress.berths)),
            Effect.andThen(Effect.failCause(cause))
          ),
        onSuccess: () => {
          const waited = Duration.nanos(clock.monotonicTimeNanosUnsafe() - askedAtNanos)
          const sectionOf = (settings: Settings) =>
            progress.berths.find((berth) => berth.settings === settings)!.section!
          const sections = locks.map(sectionOf)
          describeHeld(span, sections)
          return Effect.as(
            inTurn(progress.berths, ({ outcome }) => LockMetrics.acquired(outcome, waited)),
            sections
          )
        }
      })
    })

  /** Takes the lock if it is free, and nobody in this process waits for it. To be run as `acquireAll` is. */
  const tryAcquire = Effect.fnUntraced(function*(
    settings: Settings,
    restore: Restore,
    span: Tracer.Span
  ): Effect.fn.Return<Option.Option<Section.Section>, Unwaited> {
    const { process } = yield* Identity
    const lane = yield* Lane.enterIfEmpty(lanes, `${process} ${settings.key}`)
    if (lane === undefined) {
      yield* LockMetrics.acquired("unavailable")
      return Option.none()
    }
    const berth: Berth = { settings, lane, outcome: "acquired", section: undefined }
    const isTaken = yield* restore(withinLayer(tryToTake(berth))).pipe(
      Effect.withParentSpan(span, Attributes.withoutStack),
      Effect.onError((cause) => Effect.andThen(LockMetrics.acquired(outcomeOf(cause)), giveUp([berth])))
    )
    if (!isTaken) {
      yield* Lane.leave(lane)
      yield* LockMetrics.acquired("unavailable")
      return Option.none()
    }
    yield* hold(berth)
    yield* LockMetrics.acquired(berth.outcome)
    describeHeld(span, [berth.section!])
    return Option.some(berth.section!)
  })

  const tryToTake = (berth: Berth) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const { resource, run } = berth.settings
        const requests = [yield* requestOf(berth.settings)]
        const answer = yield* Effect.result(
          run(attempts.acquire({ resource, requests, believed: {}, restore })).pipe(
            Effect.catchTag("InvalidConfig", Effect.die)
          )
        )
        if (Result.isFailure(answer)) return isHeld(answer.failure) ? false : yield* answer.failure
        yield* keep(berth, answer.success[0]!)
        return true
      })
    )

  const lockOf = (settings: Settings): ManagedLock => {
    const { name, owner, resource } = settings
    const wish = wishOf([settings])
    const options = { attributes: Attributes.ofLocks([settings]) }
    const one = (restore: Restore) =>
      Effect.map(
        Effect.useSpan("KubeLock.acquire", options, (span) => acquireAll(wish, restore, span)),
        ([section]) => section!
      )
    const perhaps = (restore: Restore) =>
      Effect.useSpan("KubeLock.acquire", options, (span) => tryAcquire(settings, restore, span))
    return {
      resource,
      name,
      owner,
      acquire: Effect.uninterruptibleMask((restore) => Effect.flatMap(one(restore), inScope)),
      tryAcquire: Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(
          perhaps(restore),
          Option.match({ onNone: () => Effect.succeedNone, onSome: (section) => Effect.asSome(inScope(section)) })
        )
      ),
      withLock: (work) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(one(restore), (section) => during([section], under(section, work), restore))
        ),
      withLockIfAvailable: (work) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(
            perhaps(restore),
            Option.match({
              onNone: () => Effect.succeedNone,
              onSome: (section) => Effect.asSome(during([section], under(section, work), restore))
            })
          )
        )
    }
  }

  const locksOf = (locks: ReadonlyArray<Settings>): ManagedLocks => {
    const wish = wishOf(locks)
    const options = { attributes: Attributes.ofLocks(locks) }
    const all = (restore: Restore) =>
      Effect.useSpan("KubeLock.acquire", options, (span) => acquireAll(wish, restore, span))
    return {
      acquireAll: Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(all(restore), (sections) => Effect.forEach(sections, inScope))
      ),
      withLocks: (work) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(all(restore), (sections) => during(sections, work, restore))
        )
    }
  }
  return { lockOf, locksOf }
})

/** One after the other; mostly it is one alone, which then needs no loop. */
const inTurn = <A, E>(all: ReadonlyArray<A>, run: (one: A) => Effect.Effect<void, E>): Effect.Effect<void, E> =>
  all.length === 1 ? run(all[0]!) : Effect.forEach(all, run, { discard: true })

/** Gives back what the last head of the lane has left, unless that will do. */
const releaseUnlessLeftFor = (berth: Berth): Effect.Effect<void> =>
  Effect.clockWith((clock) =>
    isLeftFor(berth, clock.monotonicTimeNanosUnsafe()) ? Effect.void : Lane.release(berth.lane)
  )

/** Whether the last head of the lane has left what will do. */
const isLeftFor = ({ lane: { tenure }, settings }: Berth, nowNanos: bigint): boolean => {
  if (tenure === undefined) return false
  const { owner, record } = tenure.lease()
  return tenure.remainingNanos(nowNanos) > 0n && owner === settings.owner && record.ttlNanos === settings.ttl &&
    Equal.equals(tenure.terms, settings.terms)
}

/** Leaves what is held to the next in the lane, or gives it back. */
const leaveOrRelease = ({ lane, settings }: Berth, tenure: Tenure.Tenure, nowNanos: bigint): Effect.Effect<void> => {
  if (lane.tenure !== tenure) return Effect.void
  const isYoung = nowNanos - tenure.takenAt.monotonicNanos < Duration.toNanosUnsafe(settings.localHandover)
  const isLeft = lane.queue.size > 0 && isYoung && tenure.remainingNanos(nowNanos) > 0n
  return isLeft ? Effect.void : Lane.release(lane)
}

/** The last first, and all of them, whatever becomes of one. */
const endAll = (ends: ReadonlyArray<Effect.Effect<void>>): Effect.Effect<void> =>
  ends.toReversed().reduce((before, end) => Effect.ensuring(before, end), Effect.void)

/** Gives up what was asked for together. */
const giveUp = (berths: ReadonlyArray<Berth>): Effect.Effect<void> =>
  endAll(berths.map(({ lane, section }) => section?.giveBack ?? Lane.leave(lane)))

/** Until the scope at hand ends, or it is given back. */
const inScope = Effect.fnUntraced(function*({ giveBack, held }: Section.Section) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  yield* Scope.addFinalizer(scope, giveBack)
  return HeldLock.of({
    ...held,
    release: Effect.uninterruptible(Effect.andThen(giveBack, Scope.close(scope, Exit.void)))
  })
})

/** The work as a section of one lock sees it. */
const under = <A, E, R>(
  { held, span }: Section.Section,
  work: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, HeldLock>> =>
  work.pipe(Effect.provideService(HeldLock, held), Effect.provideService(Tracer.ParentSpan, span))

/**
 * Works under locks, and gives them back. When one is lost the work is interrupted; under one that is lost already nothing is
 * begun. To be run where only `restore` lets interruption in.
 */
const during = Effect.fnUntraced(function*<A, E, R>(
  sections: ReadonlyArray<Section.Section>,
  work: Effect.Effect<A, E, R>,
  restore: Restore
): Effect.fn.Return<A, E | LockLost, R> {
  let lost = undefined as LockLost | undefined
  let running = undefined as Fiber.Fiber<A, E> | undefined
  const forget = sections.map(({ onLost }) =>
    onLost((error) => {
      lost ??= error
      running?.interruptUnsafe()
    })
  )
  // Not a race, which takes a second fiber for each lock: sections are many, and losses few.
  const exit = yield* Effect.exit(Effect.suspend((): Effect.Effect<A, E | LockLost, R> => {
    if (lost !== undefined) return lost
    return Effect.flatMap(Effect.forkChild(work, { startImmediately: true }), (fiber) => {
      running = fiber
      if (lost !== undefined) fiber.interruptUnsafe()
      // Nothing to wait for, where nothing was waited for.
      return fiber.pollUnsafe() ?? Effect.onInterrupt(restore(Fiber.join(fiber)), () => Fiber.interrupt(fiber))
    })
  }))
  for (const end of forget) end()
  yield* endAll(sections.map(({ giveBack }) => giveBack))
  return yield* lost ?? exit
})

const describeHeld = (span: Tracer.Span, sections: ReadonlyArray<Section.Section>): void => {
  const [first] = sections
  const attributes = sections.length === 1 ? first!.attributes : Attributes.ofHeld(sections.map(({ held }) => held))
  for (const [key, value] of Object.entries(attributes)) span.attribute(key, value)
}

type Unwaited = Exclude<NotAcquired, WaitTimeout>

const isHeld = (error: { readonly _tag: string }): error is AlreadyExists | OwnerMismatch =>
  error._tag === "AlreadyExists" || error._tag === "OwnerMismatch"

const outcomeOf = (cause: Cause.Cause<NotAcquired>): LockMetrics.AcquisitionOutcome =>
  Cause.hasInterruptsOnly(cause)
    ? "interrupted"
    : Option.match(Cause.findErrorOption(cause), {
      onNone: () => "failed",
      onSome: ({ _tag }) => _tag === "WaitTimeout" ? "timed out" : "failed"
    })

const wishOf = (locks: ReadonlyArray<Settings>): Wish => {
  const inOrder = locks.toSorted((left, right) => left.key < right.key ? -1 : 1)
  return {
    locks,
    groups: Object.values(Object.groupBy(inOrder, ({ resource }) => ResourceRef.toPath(resource))).map((group) =>
      group!
    ),
    waitAtMost: locks.map(({ waitAtMost }) => waitAtMost).reduce(Duration.min, Duration.infinity)
  }
}

const timeoutOf = (
  { group, lane, settings }: Progress,
  waited: Duration.Duration,
  { monotonicNanos, wallNanos: nowNanos }: Instant
): WaitTimeout => {
  const waitedFor = lane === undefined ? undefined : waitedForIn(lane, settings, group, monotonicNanos)
  const { name, owner, resource } = waitedFor?.settings ?? settings
  return new WaitTimeout({
    lock: name,
    resource: ResourceRef.describe(resource),
    owner,
    waited,
    nowNanos,
    ...(waitedFor === undefined ? undefined : { holder: waitedFor.holder })
  })
}

/** Which lock keeps somebody waiting in a lane, and who has it, as far as this process can tell. */
const waitedForIn = (
  { tenure, view }: Lane.Lane,
  settings: Settings,
  group: ReadonlyArray<Settings>,
  monotonicNanos: bigint
): { readonly settings: Settings; readonly holder: Holder } | undefined => {
  if (tenure !== undefined && tenure.remainingNanos(monotonicNanos) > 0n) {
    return { settings, holder: LockRecord.holderOf(tenure.lease().record) }
  }
  const latest = view?.latest()
  if (latest?._tag !== "Present") return undefined
  return group.flatMap((settings) => {
    const text = AnnotationEdit.get(latest.object.annotations, LockName.toKey(settings.name))
    const record = text === undefined ? undefined : Result.getOrUndefined(LockRecord.parse(text))
    return record === undefined ? [] : [{ settings, holder: LockRecord.holderOf(record) }]
  })[0]
}
