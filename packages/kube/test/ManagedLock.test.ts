import { assert, it } from "@effect/vitest"
import { AnnotationStore, HeldLock, KubeLock, ResourceRef } from "@kubelock/kube"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"

const resource = ResourceRef.configMap({ namespace: "default", name: "object" })
const layer = KubeLock.layer.pipe(Layer.provideMerge(Layer.fresh(AnnotationStore.layerMemory([resource]))))

it.effect("smoke", () =>
  Effect.gen(function*() {
    const lock = yield* KubeLock.make({ resource, name: "x", owner: "me" })
    const locks = yield* KubeLock
    const result = yield* lock.withLock(Effect.gen(function*() {
      const held = yield* HeldLock
      assert.isTrue(yield* held.isHeld)
      const before = yield* held.record
      yield* TestClock.adjust("60 seconds")
      const after = yield* held.record
      assert.isTrue(after.createdAtNanos > before.createdAtNanos)
      assert.isTrue(yield* held.isHeld)
      return 7
    }))
    assert.strictEqual(result, 7)
    assert.deepStrictEqual((yield* (yield* AnnotationStore).get(resource)).annotations, {})
    // contention
    const order: Array<string> = []
    const fiber = yield* Effect.forkChild(lock.withLock(Effect.gen(function*() { order.push("a in"); yield* Effect.sleep("5 seconds"); order.push("a out") })))
    yield* TestClock.adjust(0)
    const other = yield* Effect.forkChild(lock.withLock(Effect.sync(() => order.push("b"))))
    yield* TestClock.adjust("5 seconds")
    yield* Fiber.join(fiber)
    yield* TestClock.adjust("1 seconds")
    yield* Fiber.join(other)
    assert.deepStrictEqual(order, ["a in", "a out", "b"])
    // loss by break
    const lostFiber = yield* Effect.forkChild(lock.withLock(Effect.never))
    yield* TestClock.adjust("1 seconds")
    yield* locks.break({ resource, name: "x" })
    yield* TestClock.adjust(0)
    const error = yield* Effect.flip(Fiber.join(lostFiber))
    assert.strictEqual(error._tag, "LockLost")
    console.log(error.message)
  }).pipe(Effect.provide(layer)))
