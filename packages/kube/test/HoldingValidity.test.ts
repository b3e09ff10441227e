import { assert, describe, it } from "@effect/vitest"
import { LockRecord } from "@kubelock/core"
import { type HeldLock, KubeError, KubeLock, MemoryObjects, Throttled } from "@kubelock/kube"
import { Clock, Duration, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import {
  annotations,
  Control,
  type Fate,
  fates,
  inWorld,
  keyOf,
  lockName,
  recordOf,
  resource,
  settableClock,
  settle,
  takeOver
} from "./suites/managedWorld.ts"

// Valid for 29 seconds from before its last successful write was sent: 30 less a margin of one.
const options = { resource, name: lockName, ttl: "30 seconds" } as const
const validMillis = 29_000

const remainingMillis = (held: HeldLock["Service"]) => Effect.map(held.remaining, Duration.toMillis)

const objectNow = Effect.flatMap(MemoryObjects, (objects) => objects.get(resource))

describe("a lock is lost at the instant its validity ends", () => {
  const cases: Record<string, Fate> = {
    "when the renewal hangs for ever": fates.hang,
    "when every renewal is made, and no answer arrives": fates.hangMade,
    "when renewals fail for good": fates.forbidden,
    "when the server is away": fates.unavailable
  }

  it.effect.each(Object.entries(cases))("%s", ([, fate]) =>
    inWorld(Effect.gen(function*() {
      const lock = yield* KubeLock.make(options)
      const control = yield* Control
      const section = yield* Effect.forkChild(lock.withLock(Effect.never))
      yield* settle
      yield* control.fate(() => fate)
      yield* TestClock.adjust(validMillis - 1)
      assert.isUndefined(section.pollUnsafe(), "not a millisecond earlier")
      yield* TestClock.adjust(1)
      assert.isDefined(section.pollUnsafe(), "nor later")
      const error = yield* Effect.flip(Fiber.join(section))
      assert.strictEqual(error._tag === "LockLost" && error.reason._tag, "NotRenewed")
    })))
})

describe("a lock is valid from before the request was sent that wrote its record", () => {
  // On its way for two seconds, and its answer for one.
  const slow: Fate = { before: Effect.sleep("2 seconds"), after: Effect.sleep("1 second") }

  it.effect("nothing is begun under one that comes too late", () =>
    inWorld(Effect.gen(function*() {
      const control = yield* Control
      yield* control.nextWrites({ after: Effect.sleep(validMillis) })
      let isBegun = false
      const section = Effect.sync(() => {
        isBegun = true
      })
      const late = yield* Effect.forkChild(Effect.flip((yield* KubeLock.make(options)).withLock(section)))
      yield* TestClock.adjust(validMillis)
      assert.strictEqual((yield* Fiber.join(late))._tag, "LockLost")
      assert.isFalse(isBegun)
      assert.deepStrictEqual(yield* annotations(), {})
    })))

  it.effect("a slow acquisition leaves less of it", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* KubeLock.make(options)
      const control = yield* Control
      yield* control.nextWrites(slow)
      const acquiring = yield* Effect.forkChild(
        Effect.flatMap(Scope.make(), (scope) => Scope.provide(lock.acquire, scope))
      )
      yield* TestClock.adjust("3 seconds")
      const held = yield* Fiber.join(acquiring)
      assert.strictEqual(yield* remainingMillis(held), 26_000)
    })))

  it.effect("a slow renewal too", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* KubeLock.make(options)
      const held = yield* lock.acquire
      yield* (yield* Control).nextWrites(slow)
      yield* TestClock.adjust("12999 millis")
      assert.strictEqual(yield* remainingMillis(held), validMillis - 12_999)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* remainingMillis(held), 26_000)
      assert.strictEqual((yield* held.record).createdAtNanos, 10_000_000_000n)
    })))

  it.effect("an acquisition that was answered after it is over is lost at once", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* KubeLock.make({ ...options, ttl: "1 second" })
      yield* (yield* Control).nextWrites({ after: Effect.sleep("950 millis") })
      const section = yield* Effect.forkChild(lock.withLock(Effect.never))
      yield* TestClock.adjust("950 millis")
      assert.strictEqual((yield* Effect.flip(Fiber.join(section)))._tag, "LockLost")
    })))
})

describe("what comes too late changes nothing", () => {
  // A renewal that is sent a second before the end, and answered a second after it.
  const late = Effect.gen(function*() {
    const control = yield* Control
    yield* control.fate(({ atMillis, method }) =>
      method === "GET" || atMillis > 28_000
        ? {}
        : atMillis < 28_000
        ? fates.forbidden
        : { after: Effect.sleep("2 seconds") }
    )
  })

  it.effect("a renewal that succeeds after the lock was lost does not bring it back", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* KubeLock.make(options)
      const held = yield* lock.acquire
      yield* late
      const losing = yield* Effect.forkChild(held.lost)
      yield* TestClock.adjust(validMillis - 1)
      assert.isUndefined(losing.pollUnsafe())
      assert.strictEqual((yield* recordOf())?.createdAtNanos, 28_000_000_000n, "it was made in time")
      yield* TestClock.adjust(1)
      assert.isDefined(losing.pollUnsafe())
      yield* TestClock.adjust("5 seconds")
      assert.isFalse(yield* held.isHeld)
      assert.strictEqual(yield* remainingMillis(held), 0)
      assert.strictEqual((yield* recordOf())?.createdAtNanos, 28_000_000_000n)
      yield* held.release
      yield* settle
      assert.deepStrictEqual(yield* annotations(), {}, "and is given back all the same")
    })))

  it.effect("who asks for that renewal is told that the lock is lost", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* KubeLock.make({ ...options, renewEvery: "24 seconds", requestTimeout: "5 seconds" })
      const held = yield* lock.acquire
      yield* TestClock.adjust("20 seconds")
      yield* (yield* Control).nextWrites({ after: Effect.sleep("10 seconds") })
      const renewing = yield* Effect.forkChild(held.renew)
      yield* TestClock.adjust("10 seconds")
      const error = yield* Effect.flip(Fiber.join(renewing))
      assert.strictEqual(error._tag, "LockLost")
    })))

  it.effect("not held once is not held again, though the process was stopped while a renewal was on its way", () =>
    Effect.gen(function*() {
      const clock = yield* settableClock
      yield* inWorld(Effect.gen(function*() {
        const lock = yield* KubeLock.make(options)
        const held = yield* Effect.provideService(lock.acquire, Clock.Clock, clock.clock)
        const isHeld = Effect.provideService(held.isHeld, Clock.Clock, clock.clock)
        yield* (yield* Control).nextWrites({ after: Effect.sleep("1 second") })
        yield* TestClock.adjust("10500 millis")
        assert.isTrue(yield* isHeld)
        yield* clock.stop("20 seconds")
        assert.isFalse(yield* isHeld)
        yield* TestClock.adjust("500 millis")
        assert.isFalse(yield* isHeld, "what was sent before would be valid until 39 seconds")
      }))
    }))
})

describe("a process that was stopped for longer than its lock is valid", () => {
  const stopped = <A, E>(
    meanwhile: Effect.Effect<unknown, never, MemoryObjects>,
    use: (held: HeldLock["Service"]) => Effect.Effect<A, E, MemoryObjects | Control>
  ) =>
    Effect.gen(function*() {
      const { clock, stop } = yield* settableClock
      return yield* inWorld(Effect.gen(function*() {
        const lock = yield* KubeLock.make({ ...options, watch: false })
        const held = yield* Effect.provideService(lock.acquire, Clock.Clock, clock)
        yield* settle
        yield* stop("60 seconds")
        yield* meanwhile
        return yield* Effect.provideService(use(held), Clock.Clock, clock)
      }))
    })

  it.effect("knows at once that it holds nothing any more", () =>
    stopped(Effect.void, (held) =>
      Effect.gen(function*() {
        assert.isFalse(yield* held.isHeld)
        assert.strictEqual(yield* remainingMillis(held), 0)
        const error = yield* Effect.flip(held.write([{ op: "add", path: "/data", value: {} }]))
        assert.strictEqual(error._tag === "LockLost" && error.reason._tag, "NotRenewed", error.message)
        assert.isUndefined((yield* objectNow)?.["data"])
      })))

  it.effect("learns who has its lock, and writes nothing", () =>
    stopped(takeOver, (held) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(held.write([{ op: "add", path: "/data", value: {} }]))
        assert.include(error.message, `taken over by "somebody else"`)
        assert.isUndefined((yield* objectNow)?.["data"])
        assert.strictEqual((yield* recordOf())?.owner, "somebody else")
      })))
})

describe("the record of a lock that was not renewed in time", () => {
  const unrenewed = Effect.gen(function*() {
    const control = yield* Control
    yield* control.fate(({ atMillis }) => atMillis < validMillis ? fates.hang : {})
  })

  it.effect("is removed when its section has ended, and not before", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* KubeLock.make(options)
      const tidying = Effect.onInterrupt(Effect.never, () => Effect.sleep("600 millis"))
      const section = yield* Effect.forkChild(Effect.flip(lock.withLock(tidying)))
      yield* settle
      yield* unrenewed
      yield* TestClock.adjust(validMillis + 599)
      assert.isDefined(yield* recordOf(), "nobody else may work beside what it does at its end")
      assert.isUndefined(section.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* annotations(), {}, "nobody has to wait until it expires")
      assert.strictEqual((yield* Fiber.join(section))._tag, "LockLost")
    })))

  it.effect("is removed when it is given back, where it was acquired into a scope", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* KubeLock.make(options)
      const scope = yield* Scope.make()
      const held = yield* Scope.provide(lock.acquire, scope)
      yield* unrenewed
      yield* TestClock.adjust(validMillis)
      assert.isFalse(yield* held.isHeld)
      assert.isDefined(yield* recordOf())
      yield* Scope.close(scope, Exit.void)
      yield* settle
      assert.deepStrictEqual(yield* annotations(), {})
    })))

  it.effect("is left alone if somebody else has it by now", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* KubeLock.make({ ...options, watch: false })
      yield* lock.acquire
      const control = yield* Control
      yield* control.fate(({ atMillis }) => atMillis < validMillis ? fates.hang : {})
      yield* TestClock.adjust(validMillis - 1)
      const record = yield* takeOver
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* annotations())[keyOf(lockName)], LockRecord.format(record))
    })))
})

it.effect("renewing goes on for as long as the section runs, a third of the TTL after each renewal", () =>
  inWorld(Effect.gen(function*() {
    const lock = yield* KubeLock.make(options)
    const held = yield* lock.acquire
    yield* TestClock.adjust("10 minutes")
    assert.isTrue(yield* held.isHeld)
    const sent = yield* (yield* Control).sent
    assert.deepStrictEqual(
      sent.map(({ atMillis, method }) => [method, atMillis]),
      Array.from({ length: 61 }, (_, index) => ["PATCH", index * 10_000])
    )
  })))

it.effect("a renewal is sent again no sooner than the server says, also where RetryPolicy waits for no such thing", () =>
  inWorld(Effect.gen(function*() {
    const control = yield* Control
    const lock = yield* KubeLock.make({ resource, name: lockName, ttl: "5 minutes" })
    yield* Effect.forkChild(lock.withLock(Effect.never))
    yield* settle
    const { method, path } = fates.throttled.instead
    const reason = new Throttled({ retryAfterMillis: 40_000, message: "too many" })
    yield* control.nextWrites({ isMade: false, instead: new KubeError({ method, path, reason }) })
    yield* TestClock.adjust("100 seconds")
    const { length } = yield* control.sent
    yield* TestClock.adjust("39999 millis")
    assert.lengthOf(yield* control.sent, length)
    yield* TestClock.adjust("1 millis")
    assert.lengthOf(yield* control.sent, length + 1)
  })))
