import { assert, describe, it } from "@effect/vitest"
import { LockRecord } from "@kubelock/core"
import { HeldLock, KubeLock, type ManagedLock, type MemoryObjects } from "@kubelock/kube"
import { Deferred, Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import {
  annotations,
  Control,
  type Fate,
  fates,
  inWorld,
  lockName,
  overwrite,
  recordOf,
  resource,
  settle,
  takeOver,
  untilEnded
} from "./suites/managedWorld.ts"

const options = { resource, name: lockName, ttl: "30 seconds" } as const

interface Scenario {
  /** What is there before. */
  readonly before: Effect.Effect<unknown, never, MemoryObjects>
  readonly use: (lock: ManagedLock) => Effect.Effect<unknown, unknown>
  /** How many requests it makes, undisturbed. */
  readonly requests: number
}

const work = Effect.gen(function*() {
  const held = yield* HeldLock
  yield* Effect.sleep("1 second")
  yield* held.write([{ op: "add", path: "/data", value: {} }])
  // One renewal.
  yield* Effect.sleep("15 seconds")
  yield* held.renew
  yield* Effect.sleep("1 second")
})
const expired = overwrite(LockRecord.format({ owner: "gone", createdAtNanos: -10_000_000_000n, ttlNanos: 1n }))
const heldForAWhile = Effect.flatMap(
  takeOver,
  (record) => overwrite(LockRecord.format({ ...record, ttlNanos: 5_000_000_000n }))
)

const scenarios: Record<string, Scenario> = {
  "withLock, free": { before: Effect.void, use: (lock) => lock.withLock(work), requests: 5 },
  "withLock, expired": { before: expired, use: (lock) => lock.withLock(work), requests: 7 },
  "withLock, held by another for a while": { before: heldForAWhile, use: (lock) => lock.withLock(work), requests: 7 },
  "withLockIfAvailable, free": { before: Effect.void, use: (lock) => lock.withLockIfAvailable(work), requests: 5 },
  "acquire": {
    before: Effect.void,
    use: (lock) => Effect.scoped(Effect.flatMap(lock.acquire, (held) => Effect.provideService(work, HeldLock, held))),
    requests: 5
  },
  "tryAcquire, expired": {
    before: expired,
    use: (lock) =>
      Effect.scoped(
        Effect.flatMap(lock.tryAcquire, (held) => Effect.provideService(work, HeldLock, Option.getOrThrow(held)))
      ),
    requests: 7
  },
  "withLock, released early": {
    before: Effect.void,
    use: (lock) => lock.withLock(Effect.andThen(work, Effect.flatMap(HeldLock, ({ release }) => release))),
    requests: 5
  }
}

const places = ["before it is made", "after it was made", "while its answer is lost", "before it is lost"] as const

/** Stops at a request. */
const fateAt = (place: typeof places[number], pause: Effect.Effect<void>): Fate => {
  switch (place) {
    case "before it is made":
      return { before: pause }
    case "after it was made":
      return { after: pause }
    case "while its answer is lost":
      return { ...fates.answerLost, after: pause }
    case "before it is lost":
      return { ...fates.requestLost, after: pause }
  }
}

const assertNothingLeft = Effect.gen(function*() {
  const record = yield* recordOf()
  assert.isTrue(record === undefined || record.owner !== "me", JSON.stringify(yield* annotations()))
})

describe.each(Object.entries(scenarios))("interrupted: %s", (_, { before, requests, use }) => {
  it.effect("makes so many requests where nobody interrupts it", () =>
    inWorld(Effect.gen(function*() {
      yield* before
      const fiber = yield* Effect.forkChild(use(yield* KubeLock.make(options)))
      const exit = yield* untilEnded(fiber)
      assert.isTrue(Exit.isSuccess(exit), String(exit))
      assert.strictEqual((yield* (yield* Control).sent).length, requests)
      yield* assertNothingLeft
    })))

  const cases = Array.from({ length: requests }, (_, index) => index + 1)
    .flatMap((request) => places.map((place) => ({ request, place })))
  it.effect.each(cases)(
    "at request $request, $place, it leaves nothing behind",
    ({ place, request }) =>
      inWorld(Effect.gen(function*() {
        yield* before
        const reached = yield* Deferred.make<void>()
        const goOn = yield* Deferred.make<void>()
        const pause = Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(goOn))
        const control = yield* Control
        yield* control.fate(({ method, number }) =>
          number !== request || (method === "GET" && place.includes("lost")) ? undefined : fateAt(place, pause)
        )
        const fiber = yield* Effect.forkChild(use(yield* KubeLock.make(options)))
        for (let seconds = 0; !(yield* Deferred.isDone(reached)) && seconds < 30; seconds++) {
          yield* TestClock.adjust("1 second")
        }
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
        yield* settle
        yield* Deferred.succeed(goOn, undefined)
        yield* untilEnded(interrupting)
        yield* settle
        yield* assertNothingLeft
        yield* TestClock.adjust("5 minutes")
        yield* assertNothingLeft
      }))
  )

  it.effect("at any time between its requests, it leaves nothing behind", () =>
    Effect.forEach(
      [0, 1, 500, 999, 1_000, 1_500, 5_000, 5_005, 5_500, 10_999, 11_000, 16_000, 17_000],
      (atMillis) =>
        inWorld(Effect.gen(function*() {
          yield* before
          const fiber = yield* Effect.forkChild(use(yield* KubeLock.make(options)))
          yield* TestClock.adjust(atMillis)
          const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
          yield* untilEnded(interrupting)
          yield* assertNothingLeft
        })),
      { discard: true }
    ))
})

it.effect("interrupted while it waits behind another fiber, it lets those behind it through", () =>
  inWorld(Effect.gen(function*() {
    const lock = yield* KubeLock.make({ ...options, localHandover: 0 })
    const served: Array<string> = []
    const section = (name: string) =>
      Effect.andThen(Effect.sync(() => served.push(name)), Effect.sleep("1 second")).pipe(lock.withLock)
    const fibers = yield* Effect.forEach(
      ["a", "b", "c", "d"],
      (name) => Effect.tap(Effect.forkChild(section(name)), () => settle)
    )
    yield* Fiber.interrupt(fibers[1]!)
    for (const fiber of fibers) yield* untilEnded(fiber)
    assert.deepStrictEqual(served, ["a", "c", "d"])
    assert.deepStrictEqual(yield* annotations(), {})
  })))

describe("interrupted while it takes the lock, where giving it back fails", () => {
  const interruptTaking = Effect.fnUntraced(function*(...later: ReadonlyArray<Fate>) {
    const reached = yield* Deferred.make<void>()
    const goOn = yield* Deferred.make<void>()
    const stop = { after: Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(goOn)) }
    yield* (yield* Control).nextWrites(stop, ...later)
    const fiber = yield* Effect.forkChild((yield* KubeLock.make(options)).withLock(Effect.never))
    yield* Deferred.await(reached)
    const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
    yield* settle
    yield* Deferred.succeed(goOn, undefined)
    return interrupting
  })

  const { answerLost, conflict, requestLost, throttled, unavailable, unreachable } = fates
  it.effect.each(Object.entries({ answerLost, conflict, requestLost, throttled, unavailable, unreachable }))(
    "once (%s), it leaves nothing behind",
    ([, fate]) =>
      inWorld(Effect.gen(function*() {
        yield* untilEnded(yield* interruptTaking(fate))
        yield* assertNothingLeft
      }))
  )

  it.effect("for ever, it ends in time", () =>
    inWorld(Effect.gen(function*() {
      const interrupting = yield* interruptTaking(...Array.from({ length: 100 }, () => unavailable))
      yield* TestClock.adjust("5 seconds")
      assert.isDefined(interrupting.pollUnsafe())
    })))
})
