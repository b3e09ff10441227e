import { assert, describe, it } from "@effect/vitest"
import { LockRecord } from "@kubelock/core"
import { KubeLock } from "@kubelock/kube"
import { Clock, Effect, Fiber, Result } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import {
  annotations,
  asProcess,
  Control,
  fates,
  inWorld,
  inWorldOf,
  lockName,
  resource,
  settableClock,
  settle
} from "./suites/managedWorld.ts"

const options = { resource, name: lockName, ttl: "30 seconds" } as const
const validMillis = 29_000

describe("a wall clock that is set", () => {
  it.effect.each(["-1 hour", "-1 second", "1 second", "1 hour"] as const)(
    "by %s changes nothing for the holder",
    (by) =>
      inWorld(Effect.gen(function*() {
        const { clock, jump } = yield* settableClock
        const lock = yield* KubeLock.make(options)
        const fiber = yield* Effect.forkChild(
          Effect.provideService(lock.withLock(Effect.sleep("10 minutes")), Clock.Clock, clock)
        )
        yield* TestClock.adjust("15 seconds")
        yield* jump(by)
        for (let minute = 0; minute < 9; minute++) {
          yield* TestClock.adjust("1 minute")
          assert.isUndefined(fiber.pollUnsafe())
        }
        yield* TestClock.adjust("1 minute")
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(yield* annotations(), {})
        const control = yield* Control
        const writes = (yield* control.sent).map(({ atMillis, method }) => [method, atMillis])
        assert.deepStrictEqual(writes, [
          ...Array.from({ length: 60 }, (_, index) => ["PATCH", index * 10_000]),
          // The section ends in the instant of a renewal.
          ...writes.slice(60)
        ])
        assert.isAtMost(writes.length, 62)
      }))
  )

  it.effect.each(["-1 hour", "1 hour"] as const)(
    "by %s leaves the instant of a loss where it is",
    (by) =>
      inWorld(Effect.gen(function*() {
        const { clock, jump } = yield* settableClock
        const lock = yield* KubeLock.make(options)
        const fiber = yield* Effect.forkChild(Effect.provideService(lock.withLock(Effect.never), Clock.Clock, clock))
        yield* settle
        yield* (yield* Control).fate(() => fates.hang)
        yield* TestClock.adjust("15 seconds")
        yield* jump(by)
        yield* TestClock.adjust(validMillis - 15_000 - 1)
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.strictEqual((yield* Effect.flip(Fiber.join(fiber)))._tag, "LockLost")
      }))
  )

  it.effect("back keeps others out for as long as the lock is valid", () =>
    inWorldOf([resource])(Effect.gen(function*() {
      const { clock, jump } = yield* settableClock
      yield* asProcess("me")(Effect.gen(function*() {
        const lock = yield* KubeLock.make(options)
        yield* Effect.provideService(lock.acquire, Clock.Clock, clock)
        yield* jump("-1 hour")
      }))
      const other = yield* asProcess("other")(Effect.gen(function*() {
        const lock = yield* KubeLock.make(options)
        return yield* Effect.forkChild(lock.withLock(Effect.succeed("it")))
      }))
      yield* TestClock.adjust("10 minutes")
      assert.isUndefined(other.pollUnsafe())
    })))
})

// Of a small domain, so that they meet: what is written, how far the clock is set, when.
const step = fc.record({
  passMillis: fc.integer({ min: 0, max: 4 }).map((count) => count * 500),
  jumpMillis: fc.integer({ min: -4, max: 4 }).map((count) => count * 500),
  doing: fc.constantFrom("nothing", "renew", "write"),
  fate: fc.constantFrom("ok", "answerLost", "requestLost"),
  isGivenUp: fc.boolean()
})

it.effect("a record is later than any before it, and by the time that has passed, however the clock is set", () =>
  Effect.gen(function*() {
    const runs = fc.sample(fc.array(step, { minLength: 1, maxLength: 8 }), { seed: 4, numRuns: 200 })
    for (const steps of runs) {
      yield* inWorld(Effect.gen(function*() {
        const { clock, jump } = yield* settableClock
        const lock = yield* KubeLock.make({ ...options, watch: false })
        const control = yield* Control
        const held = yield* Effect.provideService(lock.acquire, Clock.Clock, clock)
        for (const { doing, fate, isGivenUp, jumpMillis, passMillis } of steps) {
          yield* TestClock.adjust(passMillis)
          yield* jump(jumpMillis)
          if (doing === "nothing") continue
          yield* control.nextWrites(fates[fate])
          const effect = doing === "renew" ? held.renew : held.write([])
          const fiber = yield* Effect.forkChild(Effect.provideService(effect, Clock.Clock, clock))
          yield* settle
          if (isGivenUp) yield* Fiber.interrupt(fiber)
          yield* TestClock.adjust("1 second")
          assert.isDefined(fiber.pollUnsafe())
        }
        assert.isTrue(yield* Effect.provideService(held.isHeld, Clock.Clock, clock))
        const written = (yield* control.sent).flatMap(({ atMillis, edits: [edit] }) =>
          edit?.value === undefined
            ? []
            : [{
              atNanos: BigInt(Math.round(atMillis * 1e6)),
              nanos: Result.getOrThrow(LockRecord.parse(edit.value)).createdAtNanos
            }]
        )
        for (const [index, { atNanos, nanos }] of written.entries()) {
          const before = written[index - 1]
          if (before === undefined) continue
          assert.isTrue(nanos > before.nanos, JSON.stringify(steps))
          assert.isTrue(nanos - before.nanos >= atNanos - before.atNanos, JSON.stringify(steps))
        }
      }))
    }
  }))
