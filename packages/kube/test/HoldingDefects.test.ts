import { assert, describe, it } from "@effect/vitest"
import { ResourceRef } from "@kubelock/kube"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { makeCluster, makeSections, resource, settle } from "./suites/processes.ts"

// A store or a tracer of somebody else's may throw. What is broken then must not break the rest.

const other = ResourceRef.configMap({ namespace: "default", name: "other" })

/** A cluster in which these PATCHes (the first is number 1) end in a defect, and are not made. */
const clusterWithDefects = Effect.fnUntraced(function*(...numbers: ReadonlyArray<number>) {
  let patches = 0
  return yield* makeCluster(
    {
      request: ({ method }, answer) =>
        method === "PATCH" && numbers.includes(++patches) ? Effect.die(new Error("a defect")) : answer
    },
    [resource, other]
  )
})

describe("a release that ends in a defect", () => {
  it.effect("keeps nobody of its process from the lock", () =>
    Effect.gen(function*() {
      const cluster = yield* clusterWithDefects(2)
      const sections = makeSections()
      const lock = yield* (yield* cluster.start("p")).make({ localHandover: 0, ttl: "10 seconds" })
      const fibers = yield* Effect.forEach(["a", "b", "c"], (name) =>
        Effect.forkDetach(Effect.exit(lock.withLock(sections.by(name, Effect.sleep("1 second"))))))
      assert.isTrue(yield* settle(fibers))
      const exits = yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [false, true, true])
      assert.deepStrictEqual(sections.entered, ["a", "b", "c"])
      assert.strictEqual(sections.most(), 1)
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))

  it.effect("leaves no other lock of the section behind", () =>
    Effect.gen(function*() {
      const cluster = yield* clusterWithDefects(3)
      const locks = yield* (yield* cluster.start("p")).makeAll([{}, { resource: other }])
      const fiber = yield* Effect.forkDetach(Effect.exit(locks.withLocks(Effect.sleep("1 second"))))
      assert.isTrue(yield* settle([fiber]))
      assert.isTrue(Exit.hasDies(yield* Fiber.join(fiber)))
      const left = yield* Effect.forEach([resource, other], (ref) =>
        Effect.map(cluster.store.get(ref), ({ annotations }) => Object.keys(annotations).length))
      // The last that was taken is the first to be given back.
      assert.deepStrictEqual(left, [0, 1])
    }))
})

describe("a renewal that ends in a defect", () => {
  it.effect("is not tried again without a pause, and the lock is lost in time", () =>
    Effect.gen(function*() {
      const cluster = yield* clusterWithDefects(2)
      const lock = yield* (yield* cluster.start("p")).make({ ttl: "30 seconds" })
      const fiber = yield* Effect.forkDetach(Effect.flip(lock.withLock(Effect.never)))
      yield* TestClock.adjust("28 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      assert.strictEqual(cluster.requests.length, 2)
      yield* TestClock.adjust("2 seconds")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error._tag, "LockLost")
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))
})
