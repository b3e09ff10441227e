import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"
import { goRecord, key, makeCluster, resource } from "./suites/processes.ts"

// What a process does not only decide by its turns, but tells them: without it they would know nothing of the server or the crowd.

describe("a process that waits for its turn", () => {
  it.effect("leaves the one before it as much time as this server takes for an answer", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster({
        request: (_, answer) => Effect.tap(Effect.delay(answer, "50 millis"), () => Effect.sleep("50 millis"))
      })
      const idle = yield* (yield* cluster.start("idle")).make()
      const waiter = yield* (yield* cluster.start("waiter")).make()
      const times = (count: number, lock: typeof idle) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(Effect.repeat(lock.withLock(Effect.void), { times: count - 1 }))
          // No pause in which the turns would be forgotten.
          while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("100 millis")
          yield* Fiber.join(fiber)
        })
      yield* times(60, waiter)
      yield* times(1, idle)
      yield* times(1, waiter)

      // The one before it does not want the lock.
      yield* cluster.objects.put(resource, { [key]: goRecord("go", yield* Clock.currentTimeMillis, 60_000) })
      const waiting = yield* Effect.forkChild(waiter.withLock(Effect.void))
      yield* TestClock.adjust("1 second")
      cluster.requests.length = 0
      const freedAtMillis = yield* Clock.currentTimeMillis
      yield* cluster.objects.put(resource)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(waiting)
      // One and a half times the 100 ms; one such slot more in an open handover.
      const [first] = cluster.requests
      assert.isAtLeast(first!.atMillis - freedAtMillis, 140)
      assert.isAtMost(first!.atMillis - freedAtMillis, 310)
    }))

  it.effect("stands back the more, the more often it was refused", () =>
    Effect.gen(function*() {
      const barge = Effect.flatMap(Clock.currentTimeMillis, (atMillis) =>
        cluster.objects.put(resource, { [key]: goRecord("go", Math.floor(atMillis), 60_000) }))
      // Somebody is always faster.
      const cluster: Effect.Success<ReturnType<typeof makeCluster>> = yield* makeCluster({
        request: ({ method }, answer) =>
          method === "PATCH" ? Effect.andThen(barge, answer) : answer
      })
      yield* barge
      const lock = yield* (yield* cluster.start("waiter")).make()
      yield* Effect.forkChild(lock.withLock(Effect.void))
      yield* TestClock.adjust("1 second")
      const pauses: Array<number> = []
      for (let round = 0; round < 40; round++) {
        cluster.requests.length = 0
        const freedAtMillis = yield* Clock.currentTimeMillis
        yield* cluster.objects.put(resource)
        yield* TestClock.adjust("1 second")
        pauses.push(cluster.requests[0]!.atMillis - freedAtMillis)
      }
      // Among eight slots of at least 5 ms, from the third refusal on.
      const atLast = pauses.slice(3)
      assert.isAtLeast(new Set(atLast).size, 4)
      assert.isAtLeast(Math.max(...atLast), 25)
      assert.isAtMost(Math.max(...atLast), 80)
    }).pipe(Random.withSeed(1)))

  it.effect("does so from its first refusal on", () =>
    Effect.gen(function*() {
      const pauses: Array<number> = []
      for (let round = 0; round < 8; round++) {
        const cluster = yield* makeCluster({ request: (_, answer) => Effect.delay(answer, "100 millis") })
        yield* cluster.objects.put(resource, { [key]: goRecord("go", yield* Clock.currentTimeMillis, 60_000) })
        const lock = yield* (yield* cluster.start("waiter")).make()
        const waiting = yield* Effect.forkChild(lock.withLock(Effect.void))
        yield* TestClock.adjust("1 second")
        cluster.requests.length = 0
        const freedAtMillis = yield* Clock.currentTimeMillis
        yield* cluster.objects.put(resource)
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(waiting)
        pauses.push(Math.round(cluster.requests[0]!.atMillis - freedAtMillis))
      }
      // One of two slots.
      assert.deepStrictEqual(pauses.toSorted((a, b) => a - b).filter((pause, i, all) => pause !== all[i - 1]), [0, 10])
    }).pipe(Random.withSeed(1)))
})
