import { assert, describe, it } from "@effect/vitest"
import { Conflict, Forbidden, KubeError, RetryPolicy, Throttled, Timeout, Unavailable } from "@kubelock/kube"
import { Clock, Effect, Fiber, Random, Schedule } from "effect"
import { TestClock } from "effect/testing"

const failed = (reason: KubeError["reason"]) => new KubeError({ method: "PATCH", path: "/api/v1/x", reason })

const errors = {
  conflict: failed(new Conflict({ message: "" })),
  throttled: failed(new Throttled({ message: "" })),
  unavailable: failed(new Unavailable({ message: "", outcomeUnknown: true })),
  timeout: failed(new Timeout({ message: "", outcomeUnknown: true }))
}

/** How long each wait took, in milliseconds, until there was to be no other, and what the error said then. */
const triesOf = Effect.fnUntraced(function*(error: KubeError) {
  const backoff = yield* RetryPolicy.start
  const millis: Array<number> = []
  const fiber = yield* Effect.forkChild(Effect.flip(Effect.forever(Effect.gen(function*() {
    const before = yield* Clock.currentTimeMillis
    yield* backoff(error)
    millis.push((yield* Clock.currentTimeMillis) - before)
  }))))
  while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("1 millis")
  const last = yield* Fiber.join(fiber)
  assert.strictEqual(last.reason, error.reason)
  return { millis, message: last.message }
})

const waits = (error: KubeError) => Effect.map(triesOf(error), ({ millis }) => millis)

describe("RetryPolicy.defaults", () => {
  const documented = { conflict: [8, 10], throttled: [5, 500], unavailable: [6, 100], timeout: [3, 100] } as const

  it.effect.each(Object.entries(documented))(
    "%s: bounded, doubling, jittered by a fifth",
    ([name, [times, first]]) =>
      Effect.gen(function*() {
        const error = errors[name as keyof typeof errors]
        const seen = yield* Effect.forEach(["a", "b", "c"], (seed) => Random.withSeed(waits(error), seed))
        for (const millis of seen) {
          assert.strictEqual(millis.length, times)
          for (const [index, wait] of millis.entries()) {
            assert.isAtLeast(wait, Math.floor(0.8 * first * 2 ** index))
            assert.isAtMost(wait, Math.ceil(1.2 * first * 2 ** index) + 1)
          }
        }
        assert.isAbove(new Set(seen.map((millis) => millis.join())).size, 1)
      })
  )

  it.effect("tries nothing again that would fail again", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* waits(failed(new Forbidden({ message: "" }))), [])
    }))

  it.effect("keeps the count of each reason apart, and begins anew with each operation", () =>
    Effect.gen(function*() {
      const backoff = yield* RetryPolicy.start
      const schedule = { ...RetryPolicy.defaults, timeout: Schedule.recurs(1), conflict: Schedule.recurs(1) }
      const own = yield* Effect.provideService(RetryPolicy.start, RetryPolicy.RetryPolicy, schedule)
      yield* own(errors.timeout)
      yield* own(errors.conflict)
      assert.strictEqual((yield* Effect.flip(own(errors.timeout))).reason, errors.timeout.reason)
      const again = yield* Effect.provideService(RetryPolicy.start, RetryPolicy.RetryPolicy, schedule)
      yield* again(errors.timeout)
      assert.notStrictEqual(backoff, own)
    }))
})

describe("the error after the last try", () => {
  const under = Effect.provideService(RetryPolicy.RetryPolicy, {
    ...RetryPolicy.defaults,
    unavailable: Schedule.max([Schedule.spaced("2 seconds"), Schedule.recurs(3)]),
    timeout: Schedule.max([Schedule.spaced("2 seconds"), Schedule.recurs(1)])
  })

  it.effect("says how often it was tried again, and for how long", () =>
    Effect.gen(function*() {
      const { message } = yield* under(
        triesOf(failed(new Unavailable({ message: "It is down.", outcomeUnknown: true })))
      )
      assert.strictEqual(message, "It is down. Tried again 3 times in 6s. (PATCH /api/v1/x)")
      const once = yield* under(triesOf(failed(new Timeout({ message: "It hangs.", outcomeUnknown: true }))))
      assert.strictEqual(once.message, "It hangs. Tried again once in 2s. (PATCH /api/v1/x)")
    }))

  it.effect("says nothing of that where it was not tried again", () =>
    Effect.gen(function*() {
      const { message } = yield* under(triesOf(failed(new Forbidden({ message: "You may not." }))))
      assert.strictEqual(message, "You may not. (PATCH /api/v1/x)")
    }))
})

describe("Retry-After", () => {
  const throttled = (retryAfterMillis: number) => failed(new Throttled({ message: "", retryAfterMillis }))
  const policy = { ...RetryPolicy.defaults, throttled: Schedule.recurs(2) }
  const under = Effect.provideService(RetryPolicy.RetryPolicy, policy)

  it.effect("is the least that is waited", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* under(waits(throttled(2_000))), [2_000, 2_000])
      const unavailable = failed(new Unavailable({ message: "", outcomeUnknown: true, retryAfterMillis: 5_000 }))
      assert.isTrue((yield* waits(unavailable)).every((millis) => millis >= 5_000))
    }))

  it.effect("is not waited for beyond retryAfterAtMost", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* under(waits(throttled(30_000))), [30_000, 30_000])
      assert.deepStrictEqual(yield* under(waits(throttled(30_001))), [])
    }))
})
