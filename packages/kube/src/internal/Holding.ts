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
  InvalidConfig,
  LockName,
  LockRecord,
  type OwnerMismatch
} from "@kubelock/core"
import {
  Cause,
  Clock,
  Duration,
  Effect,
  Equal,
  Exit,
  Fiber,
  JsonPointer,
  Latch,
  Option,
  Predicate,
  RcMap,
  Result,
  Schema,
  Scope,
  type Tracer
} from "effect"
import type { AnnotationStore, JsonPatchOperation } from "../AnnotationStore.ts"
import * as ClockOffset from "../ClockOffset.ts"
import { HeldLock } from "../HeldLock.ts"
import { Identity, nextAcquisitionId } from "../Identity.ts"
import type { KubeError } from "../KubeError.ts"
import * as LockMetrics from "../LockMetrics.ts"
import type { ManagedLock, ManagedLocks, NotAcquired } from "../ManagedLock.ts"
import { LockLost, Released, WaitTimeout } from "../ManagedLockError.ts"
import * as ResourceRef from "../ResourceRef.ts"
import { type Attempts, now, type Restore, type Taken } from "./Attempts.ts"
import * as Attributes from "./Attributes.ts"
import * as Given from "./Given.ts"
import * as JsonPatch from "./JsonPatch.ts"
import * as Lane from "./Lane.ts"
import * as ObjectView from "./ObjectView.ts"
import type { Instant } from "./Operation.ts"
import type { Settings } from "./Settings.ts"
import * as Tenure from "./Tenure.ts"
import * as Waiting from "./Waiting.ts"

/** Longer than most pauses between two acquisitions of one lock, and a watch is renewed three times a minute at most. */
const idleTimeToLive = Duration.seconds(10)

/** What one process knows of one object. */
interface Place {
  readonly view: ObjectView.ObjectView
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
  group: ReadonlyArray<Settings>
  /** The lane of the group in which they are, or wait. */
  lane: Lane.Lane | undefined
  /** Of the group. */
  settings: Settings
}

/** A lock that somebody in this process has, until the scope is closed. */
interface Berth {
  readonly settings: Settings
  readonly lane: Lane.Lane
  readonly scope: Scope.Closeable
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
        })
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
  const keep = Effect.fnUntraced(function*({ lane, settings }: Berth, taken: Taken) {
    const { run } = settings
    const placeScope = yield* Scope.make()
    const { view } = yield* Scope.provide(placeOf(settings), placeScope)
    const tenure = yield* run(
      Tenure.make({ attempts, scope, taken, terms: settings.terms, view, afterWrite: checkClock(settings) })
    )
    // It may be somebody else in the lane who gives it back.
    const release = Effect.ensuring(run(tenure.release), Scope.close(placeScope, Exit.void))
    lane.tenure = { ...tenure, release }
  })

  /** The lock of a berth, for its section. */
  const hold = Effect.fnUntraced(function*(berth: Berth, outcome: Held["outcome"]): Effect.fn.Return<Held> {
    const { lane, scope, settings } = berth
    const { run } = settings
    const tenure = lane.tenure!
    const clock = yield* Clock.Clock
    const startedAtNanos = clock.monotonicTimeNanosUnsafe()
    const { fencingToken, id, name, owner, resource } = tenure.lease()
    let isReleased = false
    const isGivenBack = Latch.makeUnsafe(false)
    const giveBack = Effect.suspend(() => {
      const nowNanos = clock.monotonicTimeNanosUnsafe()
      // One that is lost goes on saying why.
      isReleased = tenure.remainingNanos(nowNanos) > 0n
      return Effect.andThen(
        LockMetrics.heldFor(Duration.nanos(nowNanos - startedAtNanos)),
        Effect.andThen(leave(berth, tenure, nowNanos), isGivenBack.open)
      )
    })
    yield* Scope.addFinalizer(scope, giveBack)

    const remaining = Effect.map(
      Clock.monotonicTimeNanos,
      (nowNanos) => Duration.nanos(isReleased ? 0n : tenure.remainingNanos(nowNanos))
    )
    const released = () =>
      isReleased
        ? new LockLost({
          lock: name,
          resource: ResourceRef.describe(resource),
          owner,
          nowNanos: clock.currentTimeNanosUnsafe(),
          reason: new Released()
        })
        : undefined
    const whileHeld = <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.suspend((): Effect.Effect<A, E | LockLost> => released() ?? effect)

    yield* LockMetrics.holding
    // Beside the span of acquiring, which ends now.
    const around = Option.flatMap(yield* Effect.option(Effect.currentSpan), ({ parent }) => parent)
    const span = yield* Scope.provide(
      Effect.makeSpanScoped("KubeLock.hold", {
        ...(Option.isSome(around) ? { parent: around.value } : { root: true }),
        attributes: tenure.attributes
      }),
      scope
    )
    tenure.heldDuring(span)
    const held = HeldLock.of({
      resource,
      name,
      owner,
      id,
      fencingToken,
      record: Effect.sync(() => tenure.lease().record),
      remaining,
      isHeld: Effect.map(remaining, Duration.isPositive),
      // What becomes of it after it was left to the next is no loss of this one's.
      lost: tenure.lost.pipe(Effect.catch((error) => isReleased ? Effect.never : Effect.fail(error))),
      renew: whileHeld(run(tenure.renew)),
      // Whoever comes second waits for the first.
      release: Effect.uninterruptible(Effect.andThen(Scope.close(scope, Exit.void), isGivenBack.await)),
      write: (given) =>
        Effect.suspend(() => Effect.fromResult(validateOperations(name, given))).pipe(
          Effect.flatMap((operations) => whileHeld(run(tenure.write(operations, released))))
        )
    })
    const onLost = (callback: (error: LockLost) => void) =>
      tenure.onLost((error) => {
        if (!isReleased) callback(error)
      })
    return { settings, attributes: tenure.attributes, outcome, held, span, onLost }
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
          Effect.withSpan("KubeLock.wait", { attributes: Attributes.ofLocks(berths.map(({ settings }) => settings)) })
        )
        for (const [index, berth] of berths.entries()) yield* keep(berth, taken[index]!)
      })
    ).pipe(Effect.scoped)

  /** Waits for locks of one object, and takes them all at once. */
  const acquireOfOne = Effect.fnUntraced(function*(
    group: ReadonlyArray<Settings>,
    scope: Scope.Closeable,
    progress: Progress,
    restore: Restore
  ) {
    const { process } = yield* Identity
    const berths: Array<Berth> = []
    progress.group = group
    for (const settings of group) {
      const key = `${process} ${settings.key}`
      progress.settings = settings
      progress.lane = Lane.find(lanes, key)
      const lane = yield* Lane.enter(lanes, key, restore)
      progress.lane = lane
      const berth = { settings, lane, scope: yield* Scope.fork(scope) }
      yield* Scope.addFinalizer(berth.scope, Lane.leave(lane))
      berths.push(berth)
      // Who wants others besides may have to wait for those, and must not keep this one from everybody meanwhile.
      if (group.length > 1 || !isLeftFor(berth, yield* Clock.monotonicTimeNanos)) yield* Lane.release(lane)
    }
    const isLeft = berths.every(({ lane }) => lane.tenure !== undefined)
    if (!isLeft) yield* restore(withinLayer(contend(berths)))
    const outcome = isLeft ? "handed over" : "acquired"
    const held: Array<Held> = []
    for (const berth of berths) held.push(yield* hold(berth, outcome))
    return held
  })
  /** Waits for all the locks, object by object, and holds them until the scope is closed. */
  const acquireAll = (
    { groups, locks, waitAtMost }: Wish,
    scope: Scope.Closeable
  ): Effect.Effect<ReadonlyArray<Held>, NotAcquired> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const startedAtNanos = yield* Clock.monotonicTimeNanos
        const progress: Progress = { group: [], lane: undefined, settings: locks[0]! }
        const all: Array<Held> = []
        const taking = Effect.uninterruptibleMask((restore) =>
          Effect.gen(function*() {
            for (const group of groups) all.push(...yield* acquireOfOne(group, scope, progress, restore))
          })
        )
        const timedOut = Effect.flatMap(
          now,
          (now) => Effect.fail(timeoutOf(progress, waitAtMost, now))
        )
        const inTime = Duration.isFinite(waitAtMost)
          ? Effect.timeoutOrElse(taking, { duration: waitAtMost, orElse: () => timedOut })
          : taking
        yield* Effect.onError(restore(inTime), (cause) =>
          Effect.andThen(
            Effect.forEach(locks, () => LockMetrics.acquired(outcomeOf(cause)), { discard: true }),
            Scope.close(scope, Exit.failCause(cause))
          ))
        const waited = Duration.nanos((yield* Clock.monotonicTimeNanos) - startedAtNanos)
        for (const { outcome } of all) {
          yield* LockMetrics.acquired(outcome)
          yield* LockMetrics.waited(waited)
        }
        const inOrder = locks.map((settings) => all.find((held) => held.settings === settings)!)
        yield* Effect.annotateCurrentSpan(attributesOf(inOrder))
        return inOrder
      })
    )

  /** Takes the lock if it is free, and nobody in this process waits for it. */
  const tryAcquire = (
    settings: Settings,
    scope: Scope.Closeable
  ): Effect.Effect<Option.Option<Held>, Unwaited> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const { process } = yield* Identity
        const lane = yield* Lane.enterIfEmpty(lanes, `${process} ${settings.key}`)
        if (lane === undefined) return undefined
        const berth = { settings, lane, scope }
        yield* Scope.addFinalizer(scope, Lane.leave(lane))
        const isTaken = yield* restore(withinLayer(tryToTake(berth)))
        return isTaken ? yield* hold(berth, "acquired") : undefined
      }).pipe(
        Effect.onError((cause) =>
          Effect.andThen(LockMetrics.acquired(outcomeOf(cause)), Scope.close(scope, Exit.failCause(cause)))
        ),
        Effect.flatMap(Effect.fnUntraced(function*(one) {
          yield* LockMetrics.acquired(one === undefined ? "unavailable" : "acquired")
          if (one === undefined) yield* Scope.close(scope, Exit.void)
          else yield* Effect.annotateCurrentSpan(one.attributes)
          return Option.fromUndefinedOr(one)
        }))
      )
    )

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

  const spanned = (locks: ReadonlyArray<Settings>) =>
    Effect.withSpan("KubeLock.acquire", { attributes: Attributes.ofLocks(locks) }, { captureStackTrace: false })

  const lockOf = (settings: Settings): ManagedLock => {
    const { name, owner, resource } = settings
    const wish = wishOf([settings])
    const span = spanned([settings])
    const one = (scope: Scope.Closeable) => span(Effect.map(acquireAll(wish, scope), ([held]) => held!))
    const perhaps = (scope: Scope.Closeable) => span(tryAcquire(settings, scope))
    return {
      resource,
      name,
      owner,
      acquire: Effect.map(inScope(one), ({ held }) => held),
      tryAcquire: Effect.map(inScope(perhaps), Option.map(({ held }) => held)),
      withLock: (section) => inOwnScope((scope) => Effect.flatMap(one(scope), (held) => under(held, section))),
      withLockIfAvailable: (section) =>
        inOwnScope((scope) =>
          Effect.flatMap(
            perhaps(scope),
            Option.match({ onNone: () => Effect.succeedNone, onSome: (held) => Effect.asSome(under(held, section)) })
          )
        )
    }
  }

  const locksOf = (locks: ReadonlyArray<Settings>): ManagedLocks => {
    const wish = wishOf(locks)
    const span = spanned(locks)
    const acquired = inScope((scope) => Effect.map(span(acquireAll(wish, scope)), (all) => all.map(({ held }) => held)))
    return {
      acquireAll: acquired,
      withLocks: (section) =>
        Effect.acquireUseRelease(
          Scope.make(),
          (scope) =>
            Effect.flatMap(
              Scope.provide(acquired, scope),
              (held) => Effect.raceAllFirst([...held.map(({ lost }) => lost), section])
            ),
          Scope.close
        )
    }
  }

  return { lockOf, locksOf }
})

/** Whether the last head of the lane has left what will do. */
const isLeftFor = ({ lane: { tenure }, settings }: Berth, nowNanos: bigint): boolean => {
  if (tenure === undefined) return false
  const { owner, record } = tenure.lease()
  return tenure.remainingNanos(nowNanos) > 0n && owner === settings.owner && record.ttlNanos === settings.ttl &&
    Equal.equals(tenure.terms, settings.terms)
}

/** Leaves what is held to the next in the lane, or gives it back. */
const leave = ({ lane, settings }: Berth, tenure: Tenure.Tenure, nowNanos: bigint): Effect.Effect<void> => {
  if (lane.tenure !== tenure) return Effect.void
  const isYoung = nowNanos - tenure.takenAt.monotonicNanos < Duration.toNanosUnsafe(settings.localHandover)
  const isLeft = lane.queue.size > 0 && isYoung && tenure.remainingNanos(nowNanos) > 0n
  return isLeft ? Effect.void : Lane.release(lane)
}

/** A lock as it was asked for, how it was got, and the span of its being held. */
export interface Held {
  readonly settings: Settings
  readonly attributes: Attributes.OfHeld
  readonly outcome: "acquired" | "handed over"
  readonly held: HeldLock["Service"]
  readonly span: Tracer.Span
  /** Calls back when the lock is lost before it is given back, or at once if it is, until what it returns is called. */
  readonly onLost: (callback: (error: LockLost) => void) => () => void
}

const attributesOf = (held: ReadonlyArray<Held>): Attributes.OfHeld =>
  held.length === 1 ? held[0]!.attributes : Attributes.ofHeld(held.map(({ held }) => held))

/** Runs a section under a lock, and interrupts it when the lock is lost. Under one that is lost already nothing is begun. */
const under = <A, E, R>(
  { held, onLost, span }: Held,
  section: Effect.Effect<A, E, R>
): Effect.Effect<A, E | LockLost, Exclude<R, HeldLock>> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      let lost = undefined as LockLost | undefined
      let running = undefined as Fiber.Fiber<A, E> | undefined
      const forget = onLost((error) => {
        lost = error
        running?.interruptUnsafe()
      })
      if (lost !== undefined) return yield* lost
      // Not a race, which takes a second fiber: sections are many, and losses few.
      const fiber = running = yield* Effect.forkChild(section, { startImmediately: true })
      if (lost !== undefined) fiber.interruptUnsafe()
      const exit = yield* Effect.exit(Effect.onInterrupt(restore(Fiber.join(fiber)), () => Fiber.interrupt(fiber)))
      forget()
      return yield* lost ?? exit
    })
  ).pipe(Effect.provideService(HeldLock, held), Effect.withParentSpan(span))

/** In a part of the scope at hand. */
const inScope = <A, E>(use: (scope: Scope.Closeable) => Effect.Effect<A, E>): Effect.Effect<A, E, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.flatMap(Effect.scope, Scope.fork), (scope) => restore(use(scope)))
  )

/** In a scope of its own, that ends with it. */
const inOwnScope = <A, E, R>(use: (scope: Scope.Closeable) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(Scope.make(), use, Scope.close)

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

// Deeper than any object, and not too deep to be looked at.
const maxLevels = 1_000

/** Operations that can be sent, and leave the lock's own record alone; as they are at one time. */
const validateOperations = (
  lock: LockName.LockName,
  given: ReadonlyArray<JsonPatchOperation>
): Result.Result<ReadonlyArray<JsonPatchOperation>, InvalidConfig> =>
  Result.gen(function*() {
    const operations = yield* Given.read("operations", given, JsonPatch.wellFormed)
    const refuse = (value: unknown, problem: string) => Result.fail(InvalidConfig.of("operations", value, problem))
    if (!isOperations(operations)) {
      return yield* refuse(operations, "a list of the operations of JSON Patch is needed, their values as JSON")
    }
    if (!isWithin(maxLevels, operations)) return yield* refuse("", `it is nested deeper than ${maxLevels} levels`)
    const wordsOf = ({ op, path }: JsonPatchOperation) => `${op} ${path}`
    const relative = operations.find((operation) =>
      pointersOf(operation).some((pointer) => pointer !== "" && !pointer.startsWith("/"))
    )
    if (relative !== undefined) {
      return yield* refuse(wordsOf(relative), "a path begins with a slash, as in /data/key")
    }
    const own = ["metadata", "annotations", LockName.toKey(lock)]
    const holdsOwn = (pointer: string) => {
      const tokens = pointer.split("/").slice(1).map(JsonPointer.unescapeToken)
      return tokens.every((token, index) => index >= own.length || token === own[index])
    }
    const wrong = operations.find((operation) =>
      (operation.op !== "test" && holdsOwn(operation.path)) || (operation.op === "move" && holdsOwn(operation.from))
    )
    if (wrong !== undefined) {
      return yield* refuse(
        wordsOf(wrong),
        "it would change the annotation of the lock itself; name what is beside it, as /metadata/labels or /data/key"
      )
    }
    return operations
  })

const pointersOf = (operation: JsonPatchOperation): ReadonlyArray<string> =>
  "from" in operation ? [operation.path, operation.from] : [operation.path]

const Operations = Schema.Array(Schema.Union([
  Schema.Struct({ op: Schema.Literals(["add", "replace", "test"]), path: Schema.String, value: Schema.Unknown }),
  Schema.Struct({ op: Schema.Literal("remove"), path: Schema.String }),
  Schema.Struct({ op: Schema.Literals(["move", "copy"]), path: Schema.String, from: Schema.String })
]))

// They were read from JSON: their values are of it.
const isOperations: (operations: unknown) => boolean = Schema.is(Operations)

const isWithin = (levels: number, value: unknown): boolean =>
  !Predicate.isObjectOrArray(value) ||
  (levels > 0 && Object.values(value).every((inner) => isWithin(levels - 1, inner)))
