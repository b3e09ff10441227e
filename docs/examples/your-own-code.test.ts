/**
 * A test of one's own code that uses locks: without a cluster, and without waiting.
 *
 * `AnnotationStore.layerMemory` stands in for the cluster, and the test clock for time: a lock that is held for minutes costs a test nothing.
 * What another process does is a record on the object (`MemoryObjects`), or a second lock under another owner.
 *
 * Where time passes, let more pass than the sections take: after two seconds of having the lock alone, a process leaves one turn to newcomers,
 * and waits some milliseconds.
 *
 * Run it with vitest and @effect/vitest.
 */
import { assert, describe, it } from "@effect/vitest"
import { AnnotationStore, KubeLock, MemoryObjects, ResourceRef } from "@kubelock/kube"
import { Effect, Exit, Fiber, Layer, Ref } from "effect"
import { TestClock } from "effect/testing"

// The code under test: a report that is written by one process at a time, and takes a minute.
const resource = ResourceRef.configMap({ namespace: "prod", name: "reports" })

const makeReport = Effect.fn("makeReport")(function*(written: Ref.Ref<number>) {
  const lock = yield* KubeLock.make({ resource, name: "report", waitAtMost: "5 minutes" })
  yield* Effect.sleep("1 minute").pipe(Effect.andThen(Ref.update(written, (count) => count + 1)), lock.withLock)
})

// Fresh: each test has a store of its own.
const inMemory = Layer.fresh(KubeLock.layer.pipe(Layer.provideMerge(AnnotationStore.layerMemory([resource]))))

describe("makeReport", () => {
  it.effect("writes one report after the other", () =>
    Effect.gen(function*() {
      const written = yield* Ref.make(0)
      const both = yield* Effect.forkChild(
        Effect.all([makeReport(written), makeReport(written)], { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Ref.get(written), 1)
      yield* TestClock.adjust("61 seconds")
      yield* Fiber.join(both)
      assert.strictEqual(yield* Ref.get(written), 2)
    }).pipe(Effect.provide(inMemory)))

  it.effect("gives up when somebody else writes for too long", () =>
    Effect.gen(function*() {
      const written = yield* Ref.make(0)
      const other = yield* KubeLock.make({ resource, name: "report", owner: "other" })
      yield* Effect.forkChild(other.withLock(Effect.never))
      yield* TestClock.adjust(0)
      const report = yield* Effect.forkChild(Effect.flip(makeReport(written)))
      yield* TestClock.adjust("5 minutes")
      const error = yield* Fiber.join(report)
      assert.strictEqual(error._tag, "WaitTimeout")
      assert.include(error.message, `held by "other"`)
    }).pipe(Effect.provide(inMemory)))

  it.effect("writes nothing when its lock is lost", () =>
    Effect.gen(function*() {
      const written = yield* Ref.make(0)
      const report = yield* Effect.forkChild(makeReport(written))
      yield* TestClock.adjust("30 seconds")
      const objects = yield* MemoryObjects
      yield* objects.put(resource, {})
      yield* TestClock.adjust("1 minute")
      assert.isTrue(Exit.isFailure(yield* Fiber.await(report)))
      assert.strictEqual(yield* Ref.get(written), 0)
    }).pipe(Effect.provide(inMemory)))

  it.effect("leaves nothing on the object", () =>
    Effect.gen(function*() {
      const report = yield* Effect.forkChild(makeReport(yield* Ref.make(0)))
      yield* TestClock.adjust("61 seconds")
      yield* Fiber.join(report)
      const store = yield* AnnotationStore
      assert.deepStrictEqual((yield* store.get(resource)).annotations, {})
    }).pipe(Effect.provide(inMemory)))
})
