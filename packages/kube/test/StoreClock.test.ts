import { assert, describe, it } from "@effect/vitest"
import { AnnotationStore, ClockOffset, LockMetrics, type ResourceRef } from "@kubelock/kube"
import { Faults, KubeApiServer } from "@kubelock/testing"
import { Clock, Duration, Effect, Fiber, Layer, Metric, Stream } from "effect"
import { TestClock } from "effect/testing"
import { apiServerWorld, storeOfServer } from "./suites/apiServerWorld.ts"
import { World } from "./suites/World.ts"

// What a store learns of the server's clock, which is the test's: a fiber may be given one of its own.

const services = Layer.fresh(
  storeOfServer.pipe(Layer.provideMerge(apiServerWorld), Layer.provideMerge(KubeApiServer.layer()))
)

/** Runs on a machine whose wall clock is ahead by so much; its monotonic clock is the same. */
const ahead = (millis: number) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.clockWith((clock) => {
    const currentTimeMillisUnsafe = () => clock.currentTimeMillisUnsafe() + millis
    const currentTimeNanosUnsafe = () => clock.currentTimeNanosUnsafe() + BigInt(millis) * 1_000_000n
    return Effect.provideService(effect, Clock.Clock, {
      currentTimeMillisUnsafe,
      currentTimeMillis: Effect.sync(currentTimeMillisUnsafe),
      currentTimeNanosUnsafe,
      currentTimeNanos: Effect.sync(currentTimeNanosUnsafe),
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: clock.monotonicTimeNanos,
      sleep: (duration) => clock.sleep(duration)
    })
  })

const known = Effect.flatMap(AnnotationStore, ({ clockOffset }) => clockOffset)

const certain = Effect.map(known, (offset) => offset && ClockOffset.certainMillis(offset))

const get = (ref: ResourceRef.ResourceRef) => Effect.flatMap(AnnotationStore, (store) => store.get(ref))

const edit = (ref: ResourceRef.ResourceRef, expected: string | undefined) =>
  Effect.flatMap(AnnotationStore, (store) => store.edit(ref, [{ key: "a", expected, value: "1" }]))

const turn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))

const someObject = Effect.flatMap(World, ({ object }) => object({ other: "x" }))

/** Answers at the beginning of a second, and at its end: together they tell all. */
const getTwice = Effect.fnUntraced(function*(ref: ResourceRef.ResourceRef, offsetMillis = 0) {
  yield* ahead(offsetMillis)(get(ref))
  yield* TestClock.adjust("999 millis")
  yield* ahead(offsetMillis)(get(ref))
  yield* TestClock.adjust("1 millis")
})

/** A registry of one's own, and what is in it. */
const ownMetrics = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provideService(effect, Metric.MetricRegistry, new Map())

const measured = Effect.map(
  Metric.snapshot,
  (metrics) =>
    metrics.flatMap((metric) =>
      metric.type === "Gauge" && metric.id === "kubelock_clock_offset_seconds"
        ? [[Number(metric.state.value).toFixed(2), metric.attributes?.["unit"]]]
        : []
    )
)

describe("the offset of this machine's clock", () => {
  it.effect("is unknown before the first answer that is no error", () =>
    Effect.gen(function*() {
      const ref = yield* someObject
      const server = yield* KubeApiServer
      assert.isUndefined(yield* known)
      yield* Effect.flip(get(yield* (yield* World).nowhere))
      yield* Effect.flip(edit(ref, "not this"))
      yield* server.inject(Faults.serviceUnavailable())
      yield* Effect.flip(get(ref))
      assert.isUndefined(yield* known)
      assert.deepStrictEqual(yield* measured, [])
      yield* get(ref)
      assert.deepInclude(yield* known, { atLeastMillis: -1_000, atMostMillis: 1 })
    }).pipe(ownMetrics, Effect.provide(services)))

  it.effect("is learnt from a read, a write, and a list", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      const ref = yield* someObject
      const listed = Effect.gen(function*() {
        yield* server.expireHistory
        const { changes } = yield* AnnotationStore
        yield* Stream.runDrain(Stream.take(changes(ref, 1n), 1))
      })
      for (const learn of [get(ref), edit(ref, undefined), listed]) {
        yield* Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(ahead(10_000)(learn))
          yield* Effect.repeat(Effect.andThen(turn, TestClock.adjust("1 millis")), {
            until: () => fiber.pollUnsafe() !== undefined
          })
          yield* Fiber.join(fiber)
          assert.closeTo(ClockOffset.estimateMillis((yield* ahead(10_000)(known))!), 9_500, 600)
        }).pipe(Effect.provide(Layer.fresh(storeOfServer)))
      }
      const requests = (yield* server.requests).map(({ method, query }) => [method, query.includes("watch=true")])
      assert.deepStrictEqual(requests, [["GET", false], ["PATCH", false], ["GET", true], ["GET", false]])
    }).pipe(Effect.provide(services)))

  it.effect.each([5_000, -5_000, 250])(
    "of %i ms is known from a few answers, and measured",
    (offsetMillis) =>
      Effect.gen(function*() {
        yield* getTwice(yield* someObject, offsetMillis)
        const offset = (yield* ahead(offsetMillis)(known))!
        assert.closeTo(offset.atLeastMillis, offsetMillis, 3)
        assert.closeTo(offset.atMostMillis, offsetMillis, 3)
        assert.deepStrictEqual(yield* measured, [[(offsetMillis / 1_000).toFixed(2), "s"]])
      }).pipe(ownMetrics, Effect.provide(services))
  )

  it.effect("is none that is certain, where the clocks agree", () =>
    Effect.gen(function*() {
      const ref = yield* someObject
      for (let round = 0; round < 3; round++) {
        yield* getTwice(ref)
        assert.strictEqual(yield* certain, 0)
      }
    }).pipe(Effect.provide(services)))

  it.effect("is found again after the clock was set", () =>
    Effect.gen(function*() {
      const ref = yield* someObject
      yield* getTwice(ref, 60_000)
      yield* getTwice(ref, -30_000)
      assert.closeTo((yield* ahead(-30_000)(certain))!, -30_000, 100)
      assert.closeTo((yield* Metric.value(LockMetrics.clockOffsetSeconds)).value, -30, 0.1)
    }).pipe(ownMetrics, Effect.provide(services)))

  it.effect("counts from before the request was sent", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      const ref = yield* someObject
      yield* server.inject(Faults.latency({ duration: "3 seconds" }))
      const fiber = yield* Effect.forkChild(get(ref))
      yield* Effect.repeat(Effect.andThen(turn, TestClock.adjust("500 millis")), {
        until: () => fiber.pollUnsafe() !== undefined
      })
      assert.strictEqual(yield* certain, 0)
      assert.isAtMost((yield* known)!.atLeastMillis, -3_000)
    }).pipe(Effect.provide(services)))

  it.effect("is less sure the longer nobody has answered", () =>
    Effect.gen(function*() {
      yield* getTwice(yield* someObject)
      const before = (yield* known)!
      yield* TestClock.adjust("100 seconds")
      const after = (yield* known)!
      assert.closeTo(before.atLeastMillis - after.atLeastMillis, Duration.toSeconds("100 seconds"), 0.001)
      assert.closeTo(after.atMostMillis - before.atMostMillis, Duration.toSeconds("100 seconds"), 0.001)
    }).pipe(Effect.provide(services)))

  it.effect("is unknown in memory", () =>
    Effect.gen(function*() {
      assert.isUndefined(yield* known)
    }).pipe(Effect.provide(AnnotationStore.layerMemory())))
})
