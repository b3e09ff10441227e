import { assert, describe, it } from "@effect/vitest"
import { HeldLock, KubeError, ResourceRef, Unavailable } from "@kubelock/kube"
import { Duration, Effect, Fiber, Option, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { goRecord, hold, key, makeCluster, makeSections, resource, settle } from "./suites/processes.ts"

// What waiters do to records of others: nothing, until they are over; and what becomes of writes whose answers are lost.

describe("takeoverDelay", () => {
  it.effect.each([0, 1_500])(
    "of %d ms: nobody takes an expired lock before it is over",
    (delayMillis) =>
      Effect.gen(function*() {
        const cluster = yield* makeCluster()
        const record = goRecord("dead", 0, 1_000)
        yield* cluster.objects.put(resource, { [key]: record })
        const options = { takeoverDelay: Duration.millis(delayMillis) }
        const lock = yield* (yield* cluster.start("p")).make(options)
        yield* TestClock.adjust(1_000 + delayMillis)
        assert.isTrue(Option.isNone(yield* lock.withLockIfAvailable(Effect.void)))
        assert.isTrue(Option.isNone(yield* Effect.scoped(lock.tryAcquire)))
        assert.deepStrictEqual(yield* cluster.annotations, { [key]: record })
        yield* TestClock.adjust("1 millis")
        assert.isTrue(Option.isSome(yield* lock.withLockIfAvailable(Effect.void)))
        assert.deepStrictEqual(yield* cluster.annotations, {})
      })
  )

  it.effect("holds for one who comes when the lock has expired already", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      yield* cluster.objects.put(resource, { [key]: goRecord("dead", 0, 1_000) })
      const lock = yield* (yield* cluster.start("p")).make({ takeoverDelay: "2 seconds" })
      yield* TestClock.adjust("2 seconds")
      const waiting = yield* Effect.forkChild(lock.withLock(Effect.void))
      yield* TestClock.adjust("1 second")
      assert.isUndefined(waiting.pollUnsafe())
      assert.deepStrictEqual(cluster.requests.map(({ method }) => method), ["PATCH", "GET"])
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(waiting)
    }))

  it.effect("is each waiter's own: who allows less takes the lock first", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      yield* cluster.objects.put(resource, { [key]: goRecord("dead", 0, 1_000) })
      const sections = makeSections()
      for (const [name, takeoverDelay] of [["careful", "2 seconds"], ["bold", "1 second"]] as const) {
        const lock = yield* (yield* cluster.start(name)).make({ takeoverDelay })
        yield* Effect.forkChild(lock.withLock(sections.by(name, Effect.sleep("5 seconds"))))
      }
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(sections.entered, [])
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(sections.entered, ["bold"])
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(sections.entered, ["bold", "careful"])
      assert.strictEqual(sections.most(), 1)
    }))

  it.effect("does not keep a lock back that was released", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      const { release } = yield* hold(yield* (yield* cluster.start("holder")).make())
      const lock = yield* (yield* cluster.start("p")).make({ takeoverDelay: "1 hour" })
      const waiting = yield* Effect.forkChild(lock.withLock(Effect.void))
      yield* TestClock.adjust("1 second")
      yield* release
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(waiting)
    }))
})

describe("the record of a Go program", () => {
  it.effect("is left alone, byte for byte, while several processes wait for it, and while it is written anew", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      const first = goRecord("go", 0, 60_000)
      yield* cluster.objects.put(resource, { [key]: first })
      const sections = makeSections()
      const waiting = yield* Effect.forEach(["a", "b", "c"], (name) =>
        Effect.gen(function*() {
          const lock = yield* (yield* cluster.start(name)).make()
          return yield* Effect.forkChild(lock.withLock(sections.by(name, Effect.sleep("1 second"))))
        }))
      yield* TestClock.adjust("50 seconds")
      const { resourceVersion } = yield* cluster.store.get(resource)
      assert.deepStrictEqual(yield* cluster.annotations, { [key]: first })
      // Another program of the same owner, as far as anybody can see.
      const second = goRecord("go", 50_000, 60_000)
      yield* cluster.objects.put(resource, { [key]: second })
      yield* TestClock.adjust("60 seconds")
      assert.deepStrictEqual(sections.entered, [])
      assert.deepStrictEqual(yield* cluster.annotations, { [key]: second })
      assert.strictEqual((yield* cluster.store.get(resource)).resourceVersion, resourceVersion + 1n)
      // It reads, and writes what it has read: nobody has come between.
      yield* cluster.store.edit(resource, [{ key, expected: second, value: undefined }])
      yield* TestClock.adjust("10 seconds")
      yield* Effect.forEach(waiting, Fiber.join)
      assert.deepStrictEqual(sections.entered.toSorted(), ["a", "b", "c"])
      assert.strictEqual(sections.most(), 1)
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))
})

const Mishap = Schema.Literals(["none", "none", "none", "answer lost", "request lost", "sent twice", "late"])

describe("whatever is lost on the way while several contend", () => {
  it.effect("a try that something on the way has sent twice is known again by what the watch shows", () =>
    Effect.gen(function*() {
      let isTwice = false
      const cluster = yield* makeCluster({
        request: ({ process }, answer) => {
          if (!isTwice || process !== "waiter") return answer
          isTwice = false
          return Effect.andThen(Effect.result(answer), answer)
        }
      })
      const { release } = yield* hold(yield* (yield* cluster.start("holder")).make())
      const waiting = yield* Effect.forkChild((yield* (yield* cluster.start("waiter")).make()).withLock(Effect.void))
      yield* TestClock.adjust("1 second")
      cluster.requests.length = 0
      isTwice = true
      yield* release
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(waiting)
      assert.deepStrictEqual(cluster.requests.map(({ method, process }) => `${process} ${method}`), [
        "holder PATCH",
        "waiter PATCH",
        "waiter PATCH"
      ])
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))

  it.effect("a try that something on the way has sent twice is undone where nobody waits for what the watch shows", () =>
    Effect.gen(function*() {
      let isTwice = false
      const cluster = yield* makeCluster({
        request: ({ process }, answer) => {
          if (!isTwice || process !== "waiter") return answer
          isTwice = false
          return Effect.andThen(Effect.result(answer), answer)
        },
        // It lags, once the release was told.
        watch: Stream.tap((change) =>
          change._tag === "Present" && change.object.annotations[key]?.includes(`"waiter"`) === true
            ? Effect.sleep("1 minute")
            : Effect.void
        )
      })
      const { release } = yield* hold(yield* (yield* cluster.start("holder")).make())
      const waiting = yield* Effect.forkChild((yield* (yield* cluster.start("waiter")).make()).withLock(Effect.void))
      yield* TestClock.adjust("1 second")
      isTwice = true
      yield* release
      yield* TestClock.adjust("100 millis")
      assert.include((yield* cluster.annotations)[key], `"waiter"`)
      yield* Fiber.interrupt(waiting)
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))

  it.effect("a first try that something on the way has sent twice is undone where nobody waits for what is read after it", () =>
    Effect.gen(function*() {
      const cluster: Effect.Success<ReturnType<typeof makeCluster>> = yield* makeCluster({
        request: ({ method }, answer) =>
          method === "GET"
            ? Effect.never
            : cluster.requests.length === 1
            ? Effect.andThen(Effect.result(answer), answer)
            : answer
      })
      const lock = yield* (yield* cluster.start("p")).make()
      const waiting = yield* Effect.forkChild(lock.withLock(Effect.void))
      yield* TestClock.adjust("1 second")
      assert.include((yield* cluster.annotations)[key], `"p"`)
      yield* Fiber.interrupt(waiting)
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))

  it.effect.prop(
    "no two hold the lock, all are served, and nothing is left",
    [Schema.Array(Mishap).check(Schema.isMinLength(4), Schema.isMaxLength(30)), Schema.Literals([0, 1, 3])],
    ([mishaps, lagMillis]) =>
      Effect.gen(function*() {
        let writes = 0
        const lost = new KubeError({
          method: "PATCH",
          path: ResourceRef.toPath(resource),
          reason: new Unavailable({ outcomeUnknown: true, message: "the connection broke" })
        })
        const cluster = yield* makeCluster({
          request: ({ method }, answer) =>
            Effect.suspend(
              (): Effect.Effect<Effect.Success<typeof answer>, Effect.Error<typeof answer> | KubeError> => {
                const mishap = method === "PATCH" ? mishaps[writes++] : "none"
                const made = Effect.delay(answer, "1 millis")
                switch (mishap) {
                  case "answer lost":
                    return Effect.andThen(Effect.result(made), Effect.fail(lost))
                  case "request lost":
                    return Effect.delay(Effect.fail(lost), "1 millis")
                  case "sent twice":
                    return Effect.andThen(Effect.result(answer), made)
                  case "late":
                    return Effect.andThen(
                      Effect.forkDetach(Effect.delay(Effect.ignore(answer), "40 millis")),
                      Effect.fail(lost)
                    )
                  default:
                    return made
                }
              }
            ),
          watch: (changes) => lagMillis === 0 ? changes : Stream.tap(changes, () => Effect.sleep(lagMillis))
        })
        const sections = makeSections()
        const fibers = yield* Effect.forEach(["a", "b", "c"], (name) =>
          Effect.gen(function*() {
            const lock = yield* (yield* cluster.start(name)).make({ ttl: "30 seconds" })
            const section = sections.by(
              name,
              Effect.gen(function*() {
                const held = yield* HeldLock
                assert.include((yield* cluster.annotations)[key], held.id)
                yield* Effect.sleep("2 millis")
                assert.include((yield* cluster.annotations)[key], held.id)
              })
            )
            return yield* Effect.forkChild(Effect.replicateEffect(lock.withLock(section), 3))
          }))
        assert.isTrue(yield* settle(fibers), "not all were served")
        yield* Effect.forEach(fibers, Fiber.join)
        assert.strictEqual(sections.entered.length, 9)
        assert.strictEqual(sections.most(), 1)
        assert.deepStrictEqual(yield* cluster.annotations, {})
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 40 } }
  )
})
