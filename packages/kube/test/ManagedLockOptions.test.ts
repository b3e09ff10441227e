import { assert, describe, it } from "@effect/vitest"
import { KubeLock, type ManagedLockOptions, ResourceRef, RetryPolicy } from "@kubelock/kube"
import { Duration, Effect, Fiber, Result, Schedule } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import {
  asProcess,
  Control,
  fates,
  inWorld,
  inWorldOf,
  lockName,
  monotonicMillis,
  recordOf,
  resource,
  settle,
  takeOver
} from "./suites/managedWorld.ts"

/** What can be seen of the options, in milliseconds. */
const observed = Effect.fnUntraced(function*(options: Partial<ManagedLockOptions>) {
  const lock = yield* KubeLock.make({ resource, name: lockName, ...options })
  const control = yield* Control
  const before = (yield* control.sent).length
  const startedAtMillis = yield* monotonicMillis
  return yield* Effect.scoped(Effect.gen(function*() {
    const held = yield* lock.acquire
    const ttl = Number((yield* held.record).ttlNanos) / 1e6
    const validity = Duration.toMillis(yield* held.remaining)
    yield* TestClock.adjust(Math.ceil(validity))
    const [first, second] = (yield* control.sent).slice(before)
    return {
      ttl,
      safetyMargin: ttl - validity,
      requestTimeout: first?.timeoutMillis ?? NaN,
      renewEvery: (second?.atMillis ?? NaN) - startedAtMillis,
      watches: yield* control.watches
    }
  }))
})

describe("an option that is left out", () => {
  it.effect.each(
    [
      [{}, { ttl: 30_000, renewEvery: 10_000, requestTimeout: 5_000, safetyMargin: 1_000 }],
      // A tenth of what is short.
      [{ ttl: "1200 millis" }, { ttl: 1_200, renewEvery: 400, requestTimeout: 200, safetyMargin: 120 }],
      // At most ten seconds for a request.
      [{ ttl: "1 hour" }, { ttl: 3_600_000, renewEvery: 1_200_000, requestTimeout: 10_000, safetyMargin: 1_000 }],
      // At most what fits.
      [
        { ttl: "10 seconds", renewEvery: "8 seconds" },
        { ttl: 10_000, renewEvery: 8_000, requestTimeout: 1_000, safetyMargin: 1_000 }
      ],
      [
        { safetyMargin: 0, renewEvery: "29 seconds" },
        { ttl: 30_000, renewEvery: 29_000, requestTimeout: 1_000, safetyMargin: 0 }
      ]
    ] as const
  )("follows from the others: %j", ([given, expected]) =>
    inWorld(Effect.gen(function*() {
      assert.deepStrictEqual(yield* observed(given), { ...expected, watches: 1 })
    })))

  it.effect("owner: the process's own", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* KubeLock.make({ resource, name: lockName })
      assert.strictEqual(lock.owner, "me")
      assert.deepStrictEqual([lock.name, lock.resource], [lockName, resource])
      yield* lock.withLock(Effect.gen(function*() {
        assert.strictEqual((yield* recordOf())?.owner, "me")
        assert.strictEqual((yield* recordOf())?.ttlNanos, 30_000_000_000n)
      }))
    })))
})

const untyped = (value: unknown) => value as Partial<ManagedLockOptions>

describe("options that cannot work are refused, in words", () => {
  it.effect("nor can none at all", () =>
    inWorld(Effect.gen(function*() {
      for (const none of [undefined, null]) {
        const error = yield* Effect.flip(KubeLock.make(untyped(none) as ManagedLockOptions))
        assert.include(error.message, "an object is needed")
      }
    })))

  const tooTight = "renewEvery (20s) and requestTimeout (10s) together must not exceed ttl (30s) less safetyMargin (1s)"

  it.effect.each(
    [
      [{ ttl: 0 }, "ttl", "at least 1 nanosecond"],
      [{ ttl: "Infinity" }, "ttl", "at most"],
      [{ ttl: "99 millis" }, "ttl", "valid for 100ms at least"],
      [{ ttl: 30 }, "ttl", "a number is milliseconds"],
      [{ renewEvery: 0 }, "renewEvery", "10ms at least"],
      [{ renewEvery: "9999 micros" }, "renewEvery", "10ms at least"],
      [
        { renewEvery: "-1 second" },
        "renewEvery",
        `a finite duration of nothing or longer is needed, such as "10 seconds"`
      ],
      [{ renewEvery: "Infinity" }, "renewEvery", "finite"],
      [{ renewEvery: "29 seconds" }, "renewEvery", "there is no time for that"],
      [{ renewEvery: "40 seconds" }, "renewEvery", "there is no time for that"],
      [{ renewEvery: "20 seconds", requestTimeout: "10 seconds" }, "renewEvery", tooTight],
      [{ requestTimeout: "20 seconds" }, "renewEvery", "there is no time for that"],
      [{ requestTimeout: 0 }, "renewEvery", "there is no time for that"],
      [{ requestTimeout: "Infinity" }, "requestTimeout", "finite"],
      [{ safetyMargin: "30 seconds" }, "renewEvery", "there is no time for that"],
      [{ safetyMargin: "31 seconds", renewEvery: "1 second" }, "renewEvery", "there is no time for that"],
      [{ safetyMargin: "-1 second" }, "safetyMargin", "finite duration of nothing or longer"],
      [{ takeoverDelay: "-1 second" }, "takeoverDelay", "finite duration of nothing or longer"],
      [{ takeoverDelay: "Infinity" }, "takeoverDelay", "finite"],
      [{ localHandover: "-1 second" }, "localHandover", "finite duration of nothing or longer"],
      [{ waitAtMost: 0 }, "waitAtMost", "to not wait at all, use withLockIfAvailable or tryAcquire"],
      [{ waitAtMost: "-1 second" }, "waitAtMost", "longer than nothing"],
      [{ name: "a/b" }, "name", "a/b"],
      // What no type lets through, but JavaScript does.
      [untyped({ ttl: null }), "ttl", "duration"],
      [untyped({ watch: "no" }), "watch", "true or false"],
      [untyped({ retryPolicy: {} }), "retryPolicy", "RetryPolicy.defaults"],
      [untyped({ retryPolicy: 5 }), "retryPolicy", "RetryPolicy.defaults"],
      [untyped({ owner: 5 }), "owner", "a string"],
      [untyped({ resource: null }), "resource", "ResourceRef"],
      [{ resource: ResourceRef.configMap({ namespace: "default", name: "a/b" }) }, "resource", "a/b"]
    ] as ReadonlyArray<readonly [Partial<ManagedLockOptions>, string, string]>
  )("%j", ([options, field, problem]) =>
    inWorld(Effect.gen(function*() {
      const error = yield* Effect.flip(KubeLock.make({ resource, name: lockName, ...options }))
      assert.strictEqual(error._tag, "InvalidConfig")
      assert.include(error.field, field)
      assert.include(error.message, problem)
      assert.strictEqual(
        (yield* Effect.flip(KubeLock.makeAll([{ resource, name: lockName, ...options }])))._tag,
        "InvalidConfig"
      )
    })))

  const millis = fc.integer({ min: 0, max: 12 }).map((tenths) => tenths * 100)
  const optional = fc.option(millis, { nil: undefined, freq: 2 })

  it.effect("whatever is accepted leaves time for a renewal", () =>
    inWorld(Effect.gen(function*() {
      const arbitrary = fc.record({
        ttl: millis,
        renewEvery: optional,
        requestTimeout: optional,
        safetyMargin: optional
      })
      let runs = 0
      let accepted = 0
      for (const options of fc.sample(arbitrary, { seed: 1, numRuns: 300 })) {
        // A lock of its own, so that nobody has had it.
        const result = yield* Effect.result(observed({ ...options, name: `x${runs++}` }))
        if (Result.isFailure(result)) continue
        const { renewEvery, requestTimeout, safetyMargin, ttl } = result.success
        assert.isTrue(ttl >= 100 && renewEvery > 0 && requestTimeout > 0 && safetyMargin >= 0, JSON.stringify(options))
        assert.isAtMost(renewEvery + requestTimeout, ttl - safetyMargin + 0.001, JSON.stringify(options))
        accepted++
      }
      assert.isAbove(accepted, 50)
    })))
})

describe("an option is obeyed", () => {
  const options = { resource, name: lockName, ttl: "30 seconds" } as const

  it.effect("renewEvery", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* KubeLock.make({ ...options, renewEvery: "7 seconds" })
      yield* lock.acquire
      yield* TestClock.adjust("21 seconds")
      const sent = yield* (yield* Control).sent
      assert.deepStrictEqual(sent.map(({ atMillis }) => atMillis), [0, 7_000, 14_000, 21_000])
    })))

  it.effect("requestTimeout", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* KubeLock.make({
        ...options,
        requestTimeout: "2 seconds",
        retryPolicy: { ...RetryPolicy.defaults, timeout: Schedule.spaced("1 second") }
      })
      yield* lock.acquire
      yield* (yield* Control).nextWrites(fates.hang)
      yield* TestClock.adjust("14 seconds")
      const sent = yield* (yield* Control).sent
      assert.deepStrictEqual(sent.map(({ atMillis, method }) => [method, atMillis]), [
        ["PATCH", 0],
        ["PATCH", 10_000],
        ["GET", 13_000],
        ["PATCH", 13_000]
      ])
    })))

  it.effect("requestTimeout and retryPolicy, also of a renewal that a section asks for", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* KubeLock.make({
        ...options,
        requestTimeout: "2 seconds",
        retryPolicy: { ...RetryPolicy.defaults, timeout: Schedule.recurs(0) }
      })
      const held = yield* lock.acquire
      yield* (yield* Control).nextWrites(fates.hang)
      const renewing = yield* Effect.forkChild(Effect.flip(held.renew))
      yield* TestClock.adjust("2 seconds")
      assert.isDefined(renewing.pollUnsafe())
      assert.strictEqual((yield* Fiber.join(renewing))._tag, "KubeError")
    })))

  it.effect("retryPolicy, of the lock or else of whoever uses it", () =>
    inWorld(Effect.gen(function*() {
      const never = { ...RetryPolicy.defaults, unavailable: Schedule.recurs(0) }
      const failing = (lock: Effect.Success<ReturnType<typeof KubeLock.make>>) =>
        Effect.gen(function*() {
          yield* (yield* Control).nextWrites(fates.unavailable)
          const fiber = yield* Effect.forkChild(Effect.scoped(Effect.flip(lock.acquire)))
          yield* settle
          assert.isDefined(fiber.pollUnsafe(), "it is not tried again")
          assert.strictEqual((yield* Fiber.join(fiber))._tag, "KubeError")
        })
      yield* failing(yield* KubeLock.make({ ...options, retryPolicy: never }))
      yield* Effect.provideService(failing(yield* KubeLock.make(options)), RetryPolicy.RetryPolicy, never)
    })))

  it.effect("retryPolicy and waitAtMost, of a server that stays away", () =>
    inWorld(Effect.gen(function*() {
      const onAndOn = { ...RetryPolicy.defaults, unavailable: Schedule.spaced("2 seconds") }
      const outcome = Effect.fnUntraced(function*(more: Partial<ManagedLockOptions>) {
        const lock = yield* KubeLock.make({ ...options, waitAtMost: "1 minute", ...more })
        yield* (yield* Control).nextWrites(...Array.from({ length: 10 }, () => fates.unavailable))
        const fiber = yield* Effect.forkChild(Effect.result(lock.withLock(Effect.void)))
        yield* TestClock.adjust("2 minutes")
        return Result.match(yield* Fiber.join(fiber), { onFailure: ({ _tag }) => _tag, onSuccess: () => "had" })
      })
      assert.strictEqual(yield* outcome({ retryPolicy: onAndOn }), "had")
      assert.strictEqual(yield* outcome({ retryPolicy: onAndOn, waitAtMost: "10 seconds" }), "WaitTimeout")
      assert.strictEqual(yield* outcome({}), "KubeError")
    })))

  it.effect("waitAtMost", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* KubeLock.make({ ...options, waitAtMost: "3 seconds" })
      yield* takeOver
      const fiber = yield* Effect.forkChild(Effect.flip(lock.withLock(Effect.die("nobody gave it the lock"))))
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error._tag, "WaitTimeout")
      assert.include(error.message, "somebody else")
    })))
})

describe("make", () => {
  const objects = ["a", "b"].map((name) => ResourceRef.configMap({ namespace: "default", name }))

  it.effect("makes no request, and opens no watch", () =>
    inWorldOf(objects)(
      asProcess("me")(Effect.gen(function*() {
        yield* KubeLock.make({ resource: objects[0]!, name: "x" })
        yield* KubeLock.makeAll(objects.map((resource) => ({ resource, name: "x" })))
        yield* TestClock.adjust("1 minute")
        const control = yield* Control
        assert.deepStrictEqual(yield* control.sent, [])
        assert.strictEqual(yield* control.watches, 0)
      }))
    ))

  it.effect("of several locks refuses one that is named twice", () =>
    inWorldOf(objects)(
      asProcess("me")(Effect.gen(function*() {
        const [first, second] = objects.map((resource) => ({ resource, name: "x" }))
        const error = yield* Effect.flip(KubeLock.makeAll([first!, second!, first!]))
        assert.include(error.message, "asked for twice")
      }))
    ))
})
