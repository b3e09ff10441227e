import { assert, describe, it } from "@effect/vitest"
import { KubeAnnotationStore, KubeError, KubeLock, KubeTransport, Unavailable } from "@kubelock/kube"
import { KubeApiServer } from "@kubelock/testing"
import { Deferred, Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { configMapOf } from "./suites/apiServerWorld.ts"
import { hold, makeCluster, makeSections, resource } from "./suites/processes.ts"

// Sections that outlive the layer which keeps their locks.

describe("when its layer ends", () => {
  it.effect("a lock is lost at once, and given back when its section has ended", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      const process = yield* cluster.start("p")
      const lock = yield* process.make()
      let isInside = true
      const section = Effect.onInterrupt(Effect.never, () =>
        Effect.andThen(
          Effect.sleep("1 second"),
          Effect.sync(() => {
            isInside = false
          })
        ))
      const fiber = yield* Effect.forkDetach(Effect.flip(lock.withLock(section)))
      yield* TestClock.adjust(0)
      const ending = yield* Effect.forkChild(process.end)
      yield* TestClock.adjust("999 millis")
      assert.isTrue(isInside)
      assert.strictEqual(Object.keys(yield* cluster.annotations).length, 1)
      yield* TestClock.adjust("1 millis")
      assert.isFalse(isInside)
      assert.deepStrictEqual(yield* cluster.annotations, {})
      yield* Fiber.join(ending)
      const error = yield* Fiber.join(fiber)
      assert.include(error.message, "the layer of KubeLock, which kept it, has ended")
    }))

  it.effect("a lock that was lost just before is given back all the same", () =>
    Effect.gen(function*() {
      const validMillis = 29_000
      const cluster = yield* makeCluster({
        request: ({ atMillis }, answer) =>
          atMillis === 0 ? answer : atMillis < validMillis ? Effect.never : Effect.delay(answer, "1 second")
      })
      const process = yield* cluster.start("p")
      const lock = yield* process.make()
      const fiber = yield* Effect.forkDetach(
        Effect.ensuring(Effect.flip(lock.withLock(Effect.never)), Effect.forkDetach(process.end))
      )
      yield* TestClock.adjust(validMillis)
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "LockLost", "whoever has lost it is not kept waiting")
      assert.lengthOf(Object.keys(yield* cluster.annotations), 1)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))

  it.effect("a lock that was lost before is given back all the same when its section has ended", () =>
    Effect.gen(function*() {
      const validMillis = 29_000
      const reason = new Unavailable({ outcomeUnknown: false, message: "connection refused" })
      const cluster = yield* makeCluster({
        request: ({ atMillis, method }, answer) =>
          atMillis === 0 || atMillis > validMillis ? answer : Effect.fail(new KubeError({ method, path: "/", reason }))
      })
      const process = yield* cluster.start("p")
      const lock = yield* process.make()
      const tidying = Effect.onInterrupt(Effect.never, () => Effect.sleep("1 second"))
      const fiber = yield* Effect.forkDetach(Effect.flip(lock.withLock(tidying)))
      yield* TestClock.adjust(validMillis + 300)
      const ending = yield* Effect.forkChild(process.end)
      yield* TestClock.adjust("699 millis")
      assert.isUndefined(ending.pollUnsafe())
      assert.lengthOf(Object.keys(yield* cluster.annotations), 1)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* cluster.annotations, {})
      yield* Fiber.join(ending)
      assert.include((yield* Fiber.join(fiber)).message, "could not be renewed in time")
    }))

  it.effect("a lock that somebody goes on working under is left to expire", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      const process = yield* cluster.start("p")
      const { held } = yield* hold(yield* process.make({ requestTimeout: "2 seconds" }))
      const ending = yield* Effect.forkChild(process.end)
      yield* TestClock.adjust("1999 millis")
      assert.isUndefined(ending.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(ending)
      assert.isFalse(yield* held.isHeld)
      assert.strictEqual((yield* Effect.flip(held.lost))._tag, "LockLost")
      assert.strictEqual(Object.keys(yield* cluster.annotations).length, 1)
    }))

  it.effect("one who waits begins nothing, and leaves nothing", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      const process = yield* cluster.start("p")
      const other = yield* hold(yield* (yield* cluster.start("q")).make())
      const sections = makeSections()
      const lock = yield* process.make()
      const fiber = yield* Effect.forkDetach(lock.withLock(sections.by("p", Effect.never)))
      yield* TestClock.adjust(0)
      yield* process.end
      yield* other.release
      yield* TestClock.adjust("1 minute")
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      assert.deepStrictEqual(sections.entered, [])
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))

  it.effect("one who waits behind another fiber of its process begins nothing, and leaves nothing", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      const process = yield* cluster.start("p")
      const sections = makeSections()
      const lock = yield* process.make()
      const first = yield* Effect.forkDetach(Effect.flip(lock.withLock(Effect.never)))
      yield* TestClock.adjust(0)
      const second = yield* Effect.forkDetach(lock.withLock(sections.by("p", Effect.never)))
      yield* TestClock.adjust(0)
      yield* process.end
      assert.strictEqual((yield* Fiber.join(first))._tag, "LockLost")
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(second)))
      const third = yield* Effect.forkDetach(lock.withLock(sections.by("p", Effect.never)))
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(third)))
      assert.deepStrictEqual(sections.entered, [])
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))

  it.effect.each(["acquire", "tryAcquire"] as const)(
    "it waits for what is on its way, and gives it back (%s)",
    (how) =>
      Effect.gen(function*() {
        const cluster = yield* makeCluster({ request: (_, answer) => Effect.delay(answer, "1 second") })
        const process = yield* cluster.start("p")
        const lock = yield* process.make()
        const acquire = how === "acquire" ? Effect.asVoid(lock.acquire) : Effect.asVoid(lock.tryAcquire)
        const fiber = yield* Effect.forkDetach(Effect.scoped(Effect.andThen(acquire, Effect.never)))
        yield* TestClock.adjust("500 millis")
        const ending = yield* Effect.forkChild(process.end)
        yield* TestClock.adjust("500 millis")
        assert.strictEqual(Object.keys(yield* cluster.annotations).length, 1)
        assert.isUndefined(ending.pollUnsafe())
        yield* TestClock.adjust("1 second")
        assert.isDefined(ending.pollUnsafe())
        assert.deepStrictEqual(yield* cluster.annotations, {})
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      })
  )

  it.effect("there are connections left to release by", () =>
    Effect.gen(function*() {
      const { get, kubeconfig, put } = yield* KubeApiServer
      const { name, namespace = "", ...type } = configMapOf(resource)
      yield* put({ ...type, metadata: { name, namespace } })
      const layer = KubeLock.layer.pipe(
        Layer.provide(KubeAnnotationStore.layer),
        Layer.provide(KubeTransport.layerText(kubeconfig))
      )
      yield* Effect.gen(function*() {
        const lock = yield* KubeLock.make({ resource, name: "x" })
        const isInside = yield* Deferred.make<void>()
        yield* Effect.forkChild(lock.withLock(Effect.andThen(Deferred.succeed(isInside, undefined), Effect.never)))
        yield* Deferred.await(isInside)
      }).pipe(Effect.provide(layer))
      assert.isUndefined((yield* get(configMapOf(resource))).metadata.annotations)
    }).pipe(Effect.provide(KubeApiServer.layer()), TestClock.withLive))
})
