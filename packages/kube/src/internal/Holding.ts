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
import type { Settings } from "./Settings.ts"
import * as Tenure from "./Tenure.ts"
import * as Waiting from "./Waiting.ts"

/** Longer than most pauses between two acquisitions of one lock, and a watch is renewed three times a minute at most. */
const idleTimeToLive = Duration.seconds(10)

/** What one process knows of one object. */
interface Place {
  readonly view: ObjectView.ObjectView
  /** The lane of a lock, by its name. */
  readonly laneOf: (lock: string) => Effect.Effect<Lane.Lane, never, Scope.Scope>
}

/** A lock that is waited for, and who has it, as far as this process can tell. */
interface WaitedFor {
  readonly settings: Settings
  readonly holder: Holder | undefined
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
        }),
        laneOf: Lane.makeLanes()
      }
      return place
    })
  })

  // All at once, so that the end of many locks takes no longer than that of one.
  const scope = yield* Scope.fork(yield* Effect.scope, "parallel")

  /** Interrupted by the end of the layer, which waits for it: what is on its way can still be given back then. */
  const withinLayer = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.acquireUseRelease(Effect.forkIn(effect, scope, { startImmediately: true }), Fiber.join, Fiber.interrupt)

  const placeOf = Effect.fnUntraced(function*({ resource }: Settings) {
    const { process } = yield* Identity
    return yield* RcMap.get(places, { process, resource })
  })

  const requestOf = Effect.fnUntraced(function*({ name, owner, resource, takeoverDelayNanos, ttl }: Settings) {
    const id = yield* nextAcquisitionId
    return { lock: name, resource: ResourceRef.describe(resource), owner, ttl, takeoverDelayNanos, id }
  })

  /** What was taken, kept from now on until the berth is given up or the next in the lane has it. */
  const keep = Effect.fnUntraced(function*(place: Place, { lane, settings }: Berth, taken: Taken) {
    const tenure = yield* settings.run(
      Tenure.make({
        attempts,
        scope,
        taken,
        terms: settings.terms,
        view: place.view,
        afterWrite: checkClock(settings)
      })
    )
    // It may be somebody else in the lane who gives it back.
    lane.tenure = { ...tenure, release: settings.run(tenure.release) }
  })

  /** What the last head of the lane has left, if it will do. */
  const isLeftFor = Effect.fnUntraced(function*({ lane: { tenure }, settings }: Berth) {
    if (tenure === undefined) return false
    const { owner, record } = tenure.lease()
    return tenure.remainingNanos(yield* Clock.monotonicTimeNanos) > 0n &&
      owner === settings.owner && record.ttlNanos === settings.ttl && Equal.equals(tenure.terms, settings.terms)
  })

  const leave = Effect.fnUntraced(function*({ lane, settings }: Berth, tenure: Tenure.Tenure) {
    if (lane.tenure !== tenure) return
    const nowNanos = yield* Clock.monotonicTimeNanos
    const isYoung = nowNanos - tenure.takenAt.monotonicNanos < Duration.toNanosUnsafe(settings.localHandover)
    if (lane.waiting === 0 || !isYoung || tenure.remainingNanos(nowNanos) === 0n) yield* Lane.release(lane)
  })

  /** The lock of a berth, for its section. */
  const holdBerth = Effect.fnUntraced(function*(berth: Berth) {
    const { lane, scope, settings: { run } } = berth
    const tenure = lane.tenure!
    const startedAtNanos = yield* Clock.monotonicTimeNanos
    const { fencingToken, id, name, owner, resource } = tenure.lease()
    const clock = yield* Clock.Clock
    let isReleased = false
    const isGivenBack = Latch.makeUnsafe(false)
    yield* Scope.addFinalizer(
      scope,
      Effect.gen(function*() {
        const nowNanos = yield* Clock.monotonicTimeNanos
        // One that is lost goes on saying why.
        isReleased = tenure.remainingNanos(nowNanos) > 0n
        yield* LockMetrics.heldFor(Duration.nanos(nowNanos - startedAtNanos))
        yield* leave(berth, tenure)
        isGivenBack.openUnsafe()
      })
    )

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
        attributes: Attributes.ofHeld([tenure.lease()])
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
    return { held, span }
  })

  /** Waits for locks of one object, and takes them all at once. `sayWaiting` is told how to see for which, and who has it. */
  const acquireOfOne = Effect.fnUntraced(function*(
    group: ReadonlyArray<Settings>,
    restore: Restore,
    sayWaiting: (see: (monotonicNanos: bigint) => WaitedFor) => void
  ) {
    const [first] = group
    if (first === undefined) return []
    const scope = yield* Effect.scope
    const place = yield* placeOf(first)
    const berths: Array<Berth> = []
    sayWaiting((monotonicNanos) =>
      group.map((settings, index): WaitedFor => ({
        settings,
        holder: holderOf(place, settings, berths[index], monotonicNanos)
      }))
        .find(({ holder }) => holder !== undefined) ?? { settings: first, holder: undefined }
    )
    for (const settings of group) {
      const berthScope = yield* Scope.fork(scope)
      const lane = yield* Scope.provide(place.laneOf(settings.name), berthScope)
      const berth = { settings, lane, scope: berthScope }
      berths.push(berth)
      yield* restore(Scope.provide(Lane.enter(lane), berthScope))
      // Who wants others besides may have to wait for those, and must not keep this one from everybody meanwhile.
      if (group.length > 1 || !(yield* isLeftFor(berth))) yield* Lane.release(lane)
    }
    const isLeft = berths.every(({ lane }) => lane.tenure !== undefined)
    if (!isLeft) {
      const requests = yield* Effect.forEach(group, requestOf)
      const taken = yield* first.run(
        Waiting.acquire({ attempts, view: place.view, resource: first.resource, requests, restore })
      ).pipe(
        Effect.catchTag("InvalidConfig", Effect.die),
        Effect.withSpan("KubeLock.wait", { attributes: Attributes.ofLocks(group) })
      )
      for (const [index, berth] of berths.entries()) yield* keep(place, berth, taken[index]!)
    }
    const outcome = isLeft ? "handed over" as const : "acquired" as const
    return yield* Effect.forEach(berths, (berth) => Effect.map(holdBerth(berth), (held) => ({ ...held, outcome })))
  })

  /** Waits for all the locks, object by object and in an order that all share, and holds them until the scope is closed. */
  const acquireAll = (all: ReadonlyArray<Settings>): Effect.Effect<ReadonlyArray<Held>, NotAcquired, Scope.Scope> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const startedAtNanos = yield* Clock.monotonicTimeNanos
        const mine = yield* Scope.fork(yield* Effect.scope)
        let waitedFor: (nowNanos: bigint) => WaitedFor = () => ({ settings: all[0]!, holder: undefined })
        const groups = groupsOf(all)
        const taking = Effect.uninterruptibleMask((restore) =>
          Effect.forEach(groups, (group) =>
            acquireOfOne(group, restore, (see) => {
              waitedFor = see
            }))
        )
        const waitAtMost = all.map(({ waitAtMost }) => waitAtMost).reduce(Duration.min, Duration.infinity)
        const timedOut = Effect.flatMap(now, ({ monotonicNanos, wallNanos: nowNanos }) => {
          const { holder, settings: { name, owner, resource } } = waitedFor(monotonicNanos)
          return Effect.fail(
            new WaitTimeout({
              lock: name,
              resource: ResourceRef.describe(resource),
              owner,
              waited: waitAtMost,
              nowNanos,
              ...(holder === undefined ? undefined : { holder })
            })
          )
        })
        const inTime = Duration.isFinite(waitAtMost)
          ? Effect.timeoutOrElse(taking, { duration: waitAtMost, orElse: () => timedOut })
          : taking
        const held = yield* restore(withinLayer(Scope.provide(inTime, mine))).pipe(
          Effect.onError((cause) =>
            Effect.andThen(
              Effect.forEach(all, () => LockMetrics.acquired(outcomeOf(cause)), { discard: true }),
              Scope.close(mine, Exit.failCause(cause))
            )
          )
        )
        const waited = Duration.nanos((yield* Clock.monotonicTimeNanos) - startedAtNanos)
        for (const { outcome } of held.flat()) {
          yield* LockMetrics.acquired(outcome)
          yield* LockMetrics.waited(waited)
        }
        const byKey = new Map(held.flat().map((one) => [keyOf(one.held), one]))
        const inOrder = all.map((settings) => byKey.get(keyOf(settings))!)
        yield* Effect.annotateCurrentSpan(Attributes.ofHeld(inOrder.map(({ held }) => held)))
        return inOrder
      })
    )

  /** Takes the lock if it is free, and nobody in this process waits for it. */
  const tryAcquire = (settings: Settings): Effect.Effect<Option.Option<Held>, Unwaited, Scope.Scope> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const mine = yield* Scope.fork(yield* Effect.scope)
        const taking = Effect.uninterruptibleMask((restore) =>
          Effect.gen(function*() {
            const place = yield* placeOf(settings)
            const berth = { settings, lane: yield* place.laneOf(settings.name), scope: mine }
            if (!(yield* Lane.enterIfEmpty(berth.lane))) return undefined
            const requests = [yield* requestOf(settings)]
            const answer = yield* Effect.result(
              settings.run(attempts.acquire({ resource: settings.resource, requests, believed: {}, restore })).pipe(
                Effect.catchTag("InvalidConfig", Effect.die)
              )
            )
            if (Result.isFailure(answer)) return isHeld(answer.failure) ? undefined : yield* answer.failure
            yield* keep(place, berth, answer.success[0]!)
            return yield* holdBerth(berth)
          })
        )
        const one = yield* Effect.onError(
          restore(withinLayer(Scope.provide(taking, mine))),
          (cause) => Effect.andThen(LockMetrics.acquired(outcomeOf(cause)), Scope.close(mine, Exit.failCause(cause)))
        )
        yield* LockMetrics.acquired(one === undefined ? "unavailable" : "acquired")
        if (one === undefined) yield* Scope.close(mine, Exit.void)
        else yield* Effect.annotateCurrentSpan(Attributes.ofHeld([one.held]))
        return Option.fromUndefinedOr(one)
      })
    )

  /** Runs a section under a lock, if it was got, and interrupts it when the lock is lost. */
  const under = <A, E, R, E2>(
    got: Effect.Effect<Option.Option<Held>, E2, Scope.Scope>,
    section: Effect.Effect<A, E, R>
  ): Effect.Effect<Option.Option<A>, E | E2 | LockLost, Exclude<R, HeldLock>> =>
    Effect.acquireUseRelease(
      Scope.make(),
      (scope) =>
        Effect.flatMap(
          Scope.provide(got, scope),
          Option.match({
            onNone: () => Effect.succeedNone,
            onSome: ({ held, span }) =>
              // In this order: under a lock that is lost already, nothing is begun.
              Effect.raceFirst(held.lost, section).pipe(
                Effect.provideService(HeldLock, held),
                Effect.withParentSpan(span),
                Effect.asSome
              )
          })
        ),
      Scope.close
    )

  const spanned = (all: ReadonlyArray<Settings>) =>
    Effect.withSpan("KubeLock.acquire", { attributes: Attributes.ofLocks(all) })

  const lockOf = (settings: Settings): ManagedLock => {
    const { name, owner, resource } = settings
    const one = Effect.map(spanned([settings])(acquireAll([settings])), ([held]) => held!)
    const perhaps = spanned([settings])(tryAcquire(settings))
    return {
      resource,
      name,
      owner,
      acquire: Effect.map(one, ({ held }) => held),
      tryAcquire: Effect.map(perhaps, Option.map(({ held }) => held)),
      withLock: (section) => Effect.map(under(Effect.asSome(one), section), Option.getOrThrow),
      withLockIfAvailable: (section) => under(perhaps, section)
    }
  }

  const locksOf = (all: ReadonlyArray<Settings>): ManagedLocks => {
    const acquired = Effect.map(spanned(all)(acquireAll(all)), (held) => held.map(({ held }) => held))
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

/** A lock, and the span of its being held. */
export interface Held {
  readonly held: HeldLock["Service"]
  readonly span: Tracer.Span
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

/** Tells locks apart. */
export const keyOf = ({ name, resource }: { readonly name: string; readonly resource: ResourceRef.ResourceRef }) =>
  `${ResourceRef.toPath(resource)} ${name}`

/** By object, and in one order for all, so that nobody waits for somebody who waits for them. */
const groupsOf = (all: ReadonlyArray<Settings>): ReadonlyArray<ReadonlyArray<Settings>> => {
  const inOrder = all.toSorted((left, right) => keyOf(left) < keyOf(right) ? -1 : 1)
  return Object.values(Object.groupBy(inOrder, ({ resource }) => ResourceRef.toPath(resource))).map((group) => group!)
}

/** Who has a lock, as far as this process can tell. */
const holderOf = (
  { view }: Place,
  { name }: Settings,
  berth: Berth | undefined,
  monotonicNanos: bigint
): Holder | undefined => {
  const tenure = berth?.lane.tenure
  if (tenure !== undefined && tenure.remainingNanos(monotonicNanos) > 0n) {
    return LockRecord.holderOf(tenure.lease().record)
  }
  const latest = view.latest()
  const text = latest?._tag === "Present"
    ? AnnotationEdit.get(latest.object.annotations, LockName.toKey(name))
    : undefined
  const record = text === undefined ? undefined : Result.getOrUndefined(LockRecord.parse(text))
  return record === undefined ? undefined : LockRecord.holderOf(record)
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
