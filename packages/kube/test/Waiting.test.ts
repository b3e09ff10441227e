import { assert, describe, it } from "@effect/vitest"
import { LockRecord } from "@kubelock/core"
import { Clock, Duration, Effect, Fiber, Result } from "effect"
import { TestClock } from "effect/testing"
import { type Between, goRecord, hold, key, makeCluster, resource } from "./suites/processes.ts"

// What wakes those who wait for a lock, and what does not.

/** A process that holds the lock, and a fiber of another one that has begun to wait for it. */
const oneWaits = Effect.fnUntraced(function*(between?: Between) {
  const cluster = yield* makeCluster(between)
  const holding = yield* Effect.forkChild(hold(yield* (yield* cluster.start("holder")).make({ ttl: "30 seconds" })))
  yield* TestClock.adjust("20 millis")
  const holder = yield* Fiber.join(holding)
  const lock = yield* (yield* cluster.start("waiter")).make()
  const waiting = yield* Effect.forkChild(lock.withLock(Clock.currentTimeMillis))
  yield* TestClock.adjust("1 second")
  assert.isUndefined(waiting.pollUnsafe())
  cluster.requests.length = 0
  return { cluster, holder, waiting }
})

/** At the latest when its slot has come: a waiter that nobody has served draws among few. */
const aSlot = TestClock.adjust("100 millis")

describe("who waits for a lock has it", () => {
  it.effect("as soon as it is released", () =>
    Effect.gen(function*() {
      const { cluster, holder, waiting } = yield* oneWaits()
      yield* holder.release
      yield* aSlot
      assert.isAtLeast(yield* Fiber.join(waiting), 1_000)
      assert.deepStrictEqual(cluster.requests.map(({ method, process }) => `${process} ${method}`), [
        "holder PATCH",
        "waiter PATCH",
        "waiter PATCH"
      ])
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))

  it.effect("as soon as it is broken", () =>
    Effect.gen(function*() {
      const { cluster, waiting } = yield* oneWaits()
      const { [key]: text } = yield* cluster.annotations
      yield* cluster.store.edit(resource, [{ key, expected: text, value: undefined }])
      yield* aSlot
      yield* Fiber.join(waiting)
    }))

  it.effect.each([0, 700])(
    "when it expires, strictly after its TTL and a takeoverDelay of %d ms",
    (delayMillis) =>
      Effect.gen(function*() {
        const cluster = yield* makeCluster()
        yield* cluster.objects.put(resource, { [key]: goRecord("dead", 0, 20_000) })
        const lock = yield* (yield* cluster.start("waiter")).make({ takeoverDelay: Duration.millis(delayMillis) })
        const waiting = yield* Effect.forkChild(lock.withLock(cluster.annotations))
        yield* TestClock.adjust(20_000 + delayMillis)
        assert.isUndefined(waiting.pollUnsafe())
        // It was refused, and has read; nothing more.
        assert.deepStrictEqual(cluster.requests.map(({ method }) => method), ["PATCH", "GET"])
        yield* aSlot
        const { [key]: text } = yield* Fiber.join(waiting)
        const { createdAtNanos } = Result.getOrThrow(LockRecord.parse(text!))
        assert.isTrue(createdAtNanos > BigInt(20_000 + delayMillis) * 1_000_000n, text)
        assert.isTrue(createdAtNanos <= BigInt(20_100 + delayMillis) * 1_000_000n, text)
      })
  )

  it.effect("soon after its wall clock is set to where it has expired", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      yield* cluster.objects.put(resource, { [key]: goRecord("dead", 0, 3_600_000) })
      const lock = yield* (yield* cluster.start("waiter")).make()
      let aheadMillis = 0
      const settable = yield* Effect.clockWith((clock) => {
        const currentTimeMillisUnsafe = () => clock.currentTimeMillisUnsafe() + aheadMillis
        const currentTimeNanosUnsafe = () => clock.currentTimeNanosUnsafe() + BigInt(aheadMillis) * 1_000_000n
        return Effect.succeed<Clock.Clock>({
          ...clock,
          currentTimeMillisUnsafe,
          currentTimeNanosUnsafe,
          currentTimeMillis: Effect.sync(currentTimeMillisUnsafe),
          currentTimeNanos: Effect.sync(currentTimeNanosUnsafe)
        })
      })
      const waiting = yield* Effect.forkChild(Effect.provideService(lock.withLock(Effect.void), Clock.Clock, settable))
      yield* TestClock.adjust("1 second")
      aheadMillis = 3_600_000
      yield* TestClock.adjust("11 seconds")
      yield* Fiber.join(waiting)
    }))

  it.effect("when its object is deleted and made again, without the lock, before one could look", () =>
    Effect.gen(function*() {
      const { cluster, waiting } = yield* oneWaits({ request: (_, answer) => Effect.delay(answer, "10 millis") })
      yield* Effect.andThen(cluster.objects.delete(resource), cluster.objects.put(resource))
      yield* aSlot
      yield* Fiber.join(waiting)
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))
})

describe("who waits for a lock is told at once", () => {
  it.effect("that its object was deleted", () =>
    Effect.gen(function*() {
      const { cluster, waiting } = yield* oneWaits()
      yield* cluster.objects.delete(resource)
      yield* TestClock.adjust(0)
      const error = yield* Effect.flip(Fiber.join(waiting))
      assert.strictEqual(error._tag === "KubeError" && error.reason._tag, "ResourceNotFound")
      assert.include(
        error.message,
        `Could not acquire lock "x" as "waiter": configmaps/object in default does not exist.`
      )
    }))

  it.effect("that its record can no longer be read; and leaves that as it is", () =>
    Effect.gen(function*() {
      const { cluster, waiting } = yield* oneWaits()
      yield* cluster.objects.put(resource, { [key]: "no record" })
      yield* TestClock.adjust(0)
      const error = yield* Effect.flip(Fiber.join(waiting))
      assert.strictEqual(error._tag, "MalformedRecord")
      assert.include(error.message, `lock "x" on configmaps/object in default`)
      assert.deepStrictEqual(yield* cluster.annotations, { [key]: "no record" })
    }))
})

describe("who waits for a lock asks nothing of the server", () => {
  it.effect("when its holder renews it", () =>
    Effect.gen(function*() {
      const { cluster, holder, waiting } = yield* oneWaits()
      yield* TestClock.adjust("100 seconds")
      const renewals = cluster.requests.filter(({ process }) => process === "holder").length
      assert.isAtLeast(renewals, 10)
      assert.deepStrictEqual(cluster.requests.filter(({ process }) => process === "waiter"), [])
      yield* holder.release
      yield* aSlot
      yield* Fiber.join(waiting)
    }))

  it.effect("when other annotations of the object change, and other locks come and go", () =>
    Effect.gen(function*() {
      const { cluster, waiting } = yield* oneWaits()
      const other = yield* (yield* cluster.start("other")).make({ name: "y" })
      for (let round = 0; round < 10; round++) {
        yield* other.withLock(TestClock.adjust("10 millis"))
        yield* cluster.store.edit(resource, [{ key: `note-${round}`, expected: undefined, value: "1" }])
        yield* TestClock.adjust("10 millis")
      }
      assert.isUndefined(waiting.pollUnsafe())
      assert.deepStrictEqual(cluster.requests.filter(({ process }) => process === "waiter"), [])
    }))

  it.effect("once it is interrupted", () =>
    Effect.gen(function*() {
      const { cluster, holder, waiting } = yield* oneWaits()
      yield* Fiber.interrupt(waiting)
      yield* holder.release
      yield* aSlot
      assert.deepStrictEqual(cluster.requests.map(({ process }) => process), ["holder"])
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))
})
