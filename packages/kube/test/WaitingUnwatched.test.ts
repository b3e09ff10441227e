import { assert, describe, it } from "@effect/vitest"
import {
  Forbidden,
  Invalid,
  KubeError,
  type KubeErrorReason,
  ResourceRef,
  RetryPolicy,
  Throttled,
  Timeout,
  Unavailable
} from "@kubelock/kube"
import { Effect, Fiber, Logger, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { type Between, goRecord, hold, key, makeCluster, resource } from "./suites/processes.ts"

// Waiting where the object cannot be watched, or a watch does not say what it should.

const path = ResourceRef.toCollectionPath(resource)
const failing = (reason: KubeErrorReason) => new KubeError({ method: "GET", path, reason })

/** Nobody may watch. */
const refused = Stream.fail(failing(new Forbidden({ message: "you may not watch" })))
const forbidden: Between = { watch: () => refused }

/** What is logged, the level before it. */
const logged = () => {
  const lines: Array<string> = []
  const layer = Logger.layer([Logger.make(({ logLevel, message }) => {
    lines.push(`${logLevel}: ${Array.isArray(message) ? message.join(" ") : String(message)}`)
  })])
  return { lines, layer }
}

/** A Go program holds the lock for an hour; a process waits for it, between which and the store there is this. */
const waitBehindGo = Effect.fnUntraced(function*(between: Between) {
  const cluster = yield* makeCluster(between)
  yield* cluster.objects.put(resource, { [key]: goRecord("go", 0, 3_600_000) })
  const waiter = yield* cluster.start("waiter")
  const waiting = yield* Effect.forkChild((yield* waiter.make()).withLock(Effect.void))
  yield* TestClock.adjust("10 seconds")
  return { cluster, waiter, waiting }
})

describe("without the right to watch", () => {
  it.effect("one who waits reads, seldom and at irregular times, and finds the release", () =>
    Effect.gen(function*() {
      const { cluster, waiting } = yield* waitBehindGo(forbidden)
      cluster.requests.length = 0
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(waiting.pollUnsafe())
      assert.isTrue(cluster.requests.every(({ method }) => method === "GET"))
      const times = cluster.requests.map(({ atMillis }) => atMillis)
      const pauses = times.slice(1).map((time, index) => time - times[index]!)
      assert.isAtLeast(pauses.length, 28)
      assert.isAtMost(pauses.length, 60)
      assert.isAtLeast(Math.min(...pauses), 1_000)
      assert.isAtMost(Math.max(...pauses), 2_000)
      assert.isAtLeast(new Set(pauses.map(Math.round)).size, 20)
      yield* cluster.objects.put(resource)
      yield* TestClock.adjust("2100 millis")
      yield* Fiber.join(waiting)
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))

  it.effect("it reads often at first, and again after a change", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster(forbidden)
      yield* cluster.objects.put(resource, { [key]: goRecord("go", 0, 3_600_000) })
      const waiting = yield* Effect.forkChild((yield* (yield* cluster.start("waiter")).make()).withLock(Effect.void))
      const readsWithin = Effect.fnUntraced(function*(millis: number) {
        cluster.requests.length = 0
        yield* TestClock.adjust(millis)
        return cluster.requests.length
      })
      assert.isAtLeast(yield* readsWithin(1_000), 5)
      yield* TestClock.adjust("1 minute")
      assert.isAtMost(yield* readsWithin(1_000), 1)
      yield* cluster.objects.put(resource, { [key]: goRecord("go", 60_000, 3_600_000) })
      // Every two seconds at most until then.
      assert.isAtLeast(yield* readsWithin(6_000), 8)
      yield* Fiber.interrupt(waiting)
    }))

  it.effect("nobody reads while nobody waits; and one who comes later needs no failed watch first", () =>
    Effect.gen(function*() {
      const { cluster, waiter, waiting } = yield* waitBehindGo(forbidden)
      cluster.requests.length = 0
      yield* Fiber.interrupt(waiting)
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(cluster.requests, [])
      const again = yield* Effect.forkChild((yield* waiter.make()).withLock(Effect.void))
      yield* TestClock.adjust("1 second")
      yield* cluster.objects.put(resource)
      yield* TestClock.adjust("2100 millis")
      yield* Fiber.join(again)
      assert.strictEqual(cluster.watchedFrom.length, 1)
      yield* waiter.end
      cluster.requests.length = 0
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(cluster.requests, [])
    }))

  it.effect.each(["one who waits", "one who holds"] as const)(
    "for a moment, as while an API server starts: %s watches again before long",
    (who) =>
      Effect.gen(function*() {
        let mayWatch = false
        const cluster = yield* makeCluster({
          watch: (changes) => Stream.suspend(() => mayWatch ? changes : refused)
        })
        const lock = yield* (yield* cluster.start("p")).make()
        if (who === "one who waits") yield* cluster.objects.put(resource, { [key]: goRecord("go", 0, 3_600_000) })
        const working = yield* Effect.forkChild(lock.withLock(who === "one who waits" ? Effect.void : Effect.never))
        yield* TestClock.adjust("10 seconds")
        mayWatch = true
        yield* TestClock.adjust("25 seconds")
        assert.strictEqual(cluster.openWatches(), 1)
        // Sooner than it would be read.
        yield* cluster.objects.put(resource, {})
        yield* TestClock.adjust("100 millis")
        assert.isDefined(working.pollUnsafe())
      })
  )

  it.effect("it is said once, of however many locks of however many objects of a kind", () => {
    const { layer, lines } = logged()
    return Effect.gen(function*() {
      const objects = ["a", "b", "c"].map((name) => ResourceRef.configMap({ namespace: "default", name }))
      const cluster = yield* makeCluster(forbidden, objects)
      const process = yield* cluster.start("p")
      for (const object of objects) {
        for (const name of ["x", "y"]) yield* hold(yield* process.make({ resource: object, name }))
      }
      const waiting = yield* Effect.forEach(
        objects,
        (object) =>
          Effect.flatMap(process.make({ resource: object }), ({ withLock }) => Effect.forkChild(withLock(Effect.void)))
      )
      yield* TestClock.adjust("30 seconds")
      yield* Effect.forEach(waiting, Fiber.interrupt)
      const [line, ...others] = lines.filter((line) => line.startsWith("Warn"))
      assert.deepStrictEqual(others, [])
      assert.include(line, "An object cannot be watched")
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.effect("a deletion is found too", () =>
    Effect.gen(function*() {
      const { cluster, waiting } = yield* waitBehindGo(forbidden)
      yield* cluster.objects.delete(resource)
      yield* TestClock.adjust("2100 millis")
      const error = yield* Effect.flip(Fiber.join(waiting))
      assert.strictEqual(error._tag === "KubeError" && error.reason._tag, "ResourceNotFound")
      assert.include(error.message, `lock "x" as "waiter"`)
    }))

  it.effect("nor to read, the wait fails, and says for which lock", () =>
    Effect.gen(function*() {
      let mayRead = true
      const { cluster, waiting } = yield* waitBehindGo({
        ...forbidden,
        request: ({ method }, answer) =>
          method === "GET" && !mayRead ? Effect.fail(failing(new Forbidden({ message: "nor read" }))) : answer
      })
      mayRead = false
      yield* TestClock.adjust("2 seconds")
      const error = yield* Effect.flip(Fiber.join(waiting))
      assert.strictEqual(error._tag === "KubeError" && error.reason._tag, "Forbidden")
      assert.include(error.message, `Could not acquire lock "x" as "waiter": nor read`)
      assert.isDefined((yield* cluster.annotations)[key])
    }))
})

describe("a watch that fails for good", () => {
  const reasons: ReadonlyArray<KubeErrorReason> = [
    new Unavailable({ outcomeUnknown: false, message: "down" }),
    new Timeout({ outcomeUnknown: false, message: "silent" }),
    new Throttled({ message: "busy" })
  ]

  it.effect.each(reasons)(
    "($_tag) is begun anew from what is then read, for as long as reading works",
    (reason) =>
      Effect.gen(function*() {
        const from: Array<bigint> = []
        const { cluster, waiting } = yield* waitBehindGo({
          // As after all the tries of RetryPolicy.
          watch: (changes) =>
            Stream.suspend(() => {
              from.push(0n)
              return from.length <= 3 ?
                Stream.drain(Stream.fromEffect(Effect.sleep("10 seconds"))).pipe(
                  Stream.concat(Stream.fail(failing(reason)))
                ) :
                changes
            })
        })
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(cluster.watchedFrom.length, 4)
        assert.strictEqual(cluster.openWatches(), 1)
        assert.deepStrictEqual(cluster.requests.map(({ method }) => method), ["PATCH", "GET", "GET", "GET", "GET"])
        yield* cluster.objects.put(resource)
        yield* TestClock.adjust("100 millis")
        yield* Fiber.join(waiting)
      })
  )

  it.effect("hides nothing that was written while it was down", () =>
    Effect.gen(function*() {
      const { cluster, waiting } = yield* waitBehindGo({
        watch: () =>
          Stream.fromEffectDrain(Effect.sleep("20 seconds")).pipe(
            Stream.concat(Stream.fail(failing(new Unavailable({ outcomeUnknown: false, message: "down" }))))
          )
      })
      yield* cluster.objects.put(resource)
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(waiting)
    }))

  it.effect("is begun anew by who holds a lock, at the next renewal", () =>
    Effect.gen(function*() {
      const down = failing(new Unavailable({ outcomeUnknown: false, message: "down" }))
      let isDown = true
      const cluster = yield* makeCluster({
        watch: (changes) => Stream.suspend(() => isDown ? Stream.fail(down) : changes)
      })
      const lock = yield* (yield* cluster.start("holder")).make({ ttl: "30 seconds" })
      const holding = yield* Effect.forkChild(lock.withLock(Effect.never))
      yield* TestClock.adjust("5 seconds")
      isDown = false
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(cluster.openWatches(), 1)
      yield* cluster.objects.put(resource)
      yield* TestClock.adjust(0)
      assert.isDefined(holding.pollUnsafe())
      assert.strictEqual((yield* Effect.flip(Fiber.join(holding)))._tag, "LockLost")
    }))

  it.effect("is not taken up again without a pause, if it fails as soon as it is begun", () =>
    Effect.gen(function*() {
      const down = failing(new Unavailable({ outcomeUnknown: false, message: "down" }))
      const cluster = yield* makeCluster({ watch: () => Stream.fail(down) })
      yield* cluster.objects.put(resource, { [key]: goRecord("go", 0, 3_600_000) })
      const lock = yield* (yield* cluster.start("waiter")).make()
      const waiting = yield* Effect.forkChild(lock.withLock(Effect.void))
      for (let second = 0; second < 30; second++) yield* TestClock.adjust("1 second")
      assert.isAtMost(cluster.requests.length, 34)
      yield* cluster.objects.put(resource, {})
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(waiting)
    }))

  it.effect("fails those who wait if reading fails too, as RetryPolicy has it, and says for which lock", () =>
    Effect.gen(function*() {
      let isDown = false
      const down = failing(new Unavailable({ outcomeUnknown: false, message: "down" }))
      const cluster = yield* makeCluster({
        request: (_, answer) => isDown ? Effect.fail(down) : answer,
        watch: () => Stream.fromEffectDrain(Effect.sleep("10 seconds")).pipe(Stream.concat(Stream.fail(down)))
      })
      yield* cluster.objects.put(resource, { [key]: goRecord("go", 0, 3_600_000) })
      const lock = yield* (yield* cluster.start("waiter")).make({
        retryPolicy: {
          ...RetryPolicy.defaults,
          unavailable: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 2 }))
        }
      })
      const waiting = yield* Effect.forkChild(lock.withLock(Effect.void))
      yield* TestClock.adjust("9 seconds")
      isDown = true
      cluster.requests.length = 0
      yield* TestClock.adjust("2900 millis")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("200 millis")
      const error = yield* Effect.flip(Fiber.join(waiting))
      assert.strictEqual(error._tag === "KubeError" && error.reason._tag, "Unavailable")
      assert.include(error.message, `Could not acquire lock "x" as "waiter": down`)
      assert.deepStrictEqual(cluster.requests.map(({ method }) => method), ["GET", "GET", "GET"])
    }))
})

describe("a watch that says nothing", () => {
  it.effect("keeps nobody waiting longer than the record that was seen last says", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster({ watch: () => Stream.never })
      yield* cluster.objects.put(resource, { [key]: goRecord("go", 0, 60_000) })
      const waiting = yield* Effect.forkChild((yield* (yield* cluster.start("waiter")).make()).withLock(Effect.void))
      yield* TestClock.adjust("30 seconds")
      yield* cluster.objects.put(resource)
      yield* TestClock.adjust("30 seconds")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(waiting)
    }))

  it.effect("keeps nobody from taking again what one has given back oneself", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster({ watch: () => Stream.never })
      const lock = yield* (yield* cluster.start("p")).make({ ttl: "10 minutes" })
      yield* lock.withLock(Effect.void)
      const again = yield* Effect.forkChild(lock.withLock(Effect.void))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(again)
    }))

  it.effect("costs few requests, where the lock is held on by renewals that it does not show", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster({ watch: () => Stream.never })
      const holder = yield* hold(yield* (yield* cluster.start("holder")).make({ ttl: "30 seconds" }))
      const waiting = yield* Effect.forkChild((yield* (yield* cluster.start("waiter")).make()).withLock(Effect.void))
      yield* TestClock.adjust("150 seconds")
      assert.isUndefined(waiting.pollUnsafe())
      assert.isAtMost(cluster.requests.filter(({ process }) => process === "waiter").length, 20)
      yield* holder.release
      yield* TestClock.adjust("17 seconds")
      yield* Fiber.join(waiting)
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))
})

describe("a request that something on the way refuses whatever it is", () => {
  it.effect("is not made again and again", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster({
        request: ({ method }, answer) =>
          method === "PATCH"
            ? Effect.fail(failing(new Invalid({ status: 422, message: "a webhook says no", causes: [] })))
            : answer
      })
      const error = yield* Effect.flip((yield* (yield* cluster.start("p")).make()).withLock(Effect.void))
      assert.strictEqual(error._tag === "KubeError" && error.reason._tag, "Invalid")
      assert.strictEqual(cluster.requests.length, 1)
    }))
})
