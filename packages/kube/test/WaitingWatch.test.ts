import { assert, describe, it } from "@effect/vitest"
import { AnnotationStore, type ManagedLockOptions } from "@kubelock/kube"
import { Faults, KubeApiServer } from "@kubelock/testing"
import { Effect, Fiber, Layer, Schedule, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { apiServerWorld, storeOfServer } from "./suites/apiServerWorld.ts"
import { goRecord, hold, key, type Process, startProcess } from "./suites/processes.ts"
import { withoutPauses, World } from "./suites/World.ts"

// The one watch of an object that all waiters and holders of a process share, over HTTP: no change lost, whatever becomes of it.

const services = Layer.fresh(
  Layer.mergeAll(apiServerWorld, storeOfServer).pipe(Layer.provideMerge(KubeApiServer.layer()))
)

/**
 * On a server of its own. What a process had sent just before it ended arrives after that: on the server of the next test it would be
 * one of that test's requests, an open watch, and what an injected fault strikes.
 */
const alone = <A, E>(test: Effect.Effect<A, E, Layer.Success<typeof services> | Scope.Scope>) =>
  test.pipe(Effect.scoped, Effect.provide(services))

/** Until it is so, on the real clock: an answer takes a moment to arrive. */
const eventually = <A, R>(effect: Effect.Effect<A, never, R>, is: (value: A) => boolean) =>
  effect.pipe(
    Effect.flatMap((value) => is(value) ? Effect.succeed(value) : Effect.fail(value)),
    Effect.retry(Schedule.spaced("5 millis").pipe(Schedule.upTo({ duration: "5 seconds" }))),
    Effect.orDie,
    TestClock.withLive
  )

const openWatches = Effect.flatMap(KubeApiServer, (server) => server.openWatches)
const untilOpen = (count: number) => eventually(openWatches, (open) => open === count)

/** What was asked, in a word each. */
const asked = Effect.map(
  Effect.flatMap(KubeApiServer, (server) => server.requests),
  (requests) => requests.map(({ method, query }) => new URLSearchParams(query).has("watch") ? "WATCH" : method)
)

const watchedFrom = Effect.map(
  Effect.flatMap(KubeApiServer, (server) => server.requests),
  (requests) =>
    requests.map(({ query }) => new URLSearchParams(query)).filter((query) => query.has("watch")).map((query) =>
      BigInt(query.get("resourceVersion") ?? "0")
    )
)

/** Lets the test clock run while requests are answered in real time, until the fiber has ended. */
const ended = <A, E>(fiber: Fiber.Fiber<A, E>) =>
  Effect.andThen(
    TestClock.adjust("1 millis"),
    Effect.sync(() => fiber.pollUnsafe() !== undefined)
  ).pipe(
    Effect.tap(TestClock.withLive(Effect.sleep("1 millis"))),
    Effect.repeat({ until: (isEnded) => isEnded, times: 2_000 }),
    Effect.andThen(Fiber.join(fiber))
  )

/** An object whose lock somebody else holds for a minute, and a process that will wait for it. */
const locked = Effect.fnUntraced(function*(annotations = { [key]: goRecord("go", 0, 60_000) }) {
  const server = yield* KubeApiServer
  const world = yield* World
  const store = yield* AnnotationStore
  const resource = yield* world.object(annotations)
  const process = yield* startProcess("p", store)
  const make = (options: Partial<ManagedLockOptions> = {}) => process.make({ resource, ...options })
  return { server, world, store, resource, process, make }
})

/** Ends a process, and sees that its watch ends too. */
const endOf = (process: Process) => Effect.andThen(process.end, untilOpen(0))

describe("the watch of an object", () => {
  it.effect("is one for twenty who wait and one who holds, of five locks", () =>
    Effect.gen(function*() {
      const { make, process, resource, server, world } = yield* locked(Object.fromEntries(
        Array.from({ length: 5 }, (_, lock) => [`kubelock.giantswarm.io/l${lock}`, goRecord("go", 0, 60_000)])
      ))
      const waiting = yield* Effect.forEach(Array.from({ length: 20 }), (_, index) =>
        Effect.flatMap(make({ name: `l${index % 5}` }), ({ withLock }) =>
          Effect.forkChild(withLock(Effect.void))))
      // The first of each lock is refused, and reads; then all is known.
      yield* eventually(asked, (requests) =>
        requests.length === 5 + 5 + 1)
      yield* untilOpen(1)
      const { release } = yield* hold(yield* make({ name: "held" }))
      const count = (wanted: string) => Effect.map(asked, (all) => all.filter((request) => request === wanted).length)
      assert.deepStrictEqual(yield* Effect.all([count("PATCH"), count("GET"), count("WATCH")]), [5 + 1, 5, 1])
      yield* server.clearRequests
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(yield* asked, [])
      yield* release
      yield* world.put(resource, {})
      yield* Effect.forEach(waiting, ended)
      yield* endOf(process)
    }).pipe(alone))

  it.effect("begins where the refused attempt has read: what changes before it is open is not missed", () =>
    Effect.gen(function*() {
      const { make, process, resource, server, store, world } = yield* locked()
      yield* server.inject(Faults.latency({ verb: "watch", duration: "5 seconds" }))
      const waiting = yield* Effect.forkChild((yield* make()).withLock(Effect.void))
      yield* eventually(asked, (requests) => requests.includes("WATCH"))
      const read = (yield* store.get(resource)).resourceVersion
      yield* world.put(resource, {})
      yield* TestClock.adjust("4 seconds")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("1 seconds")
      yield* ended(waiting)
      assert.deepStrictEqual(yield* watchedFrom, [read])
      yield* endOf(process)
    }).pipe(alone))

  it.effect("is kept for a while after the last of them, and is then closed; a wait after that opens another", () =>
    Effect.gen(function*() {
      const { make, process, resource } = yield* locked({})
      const lock = yield* make()
      yield* lock.withLock(untilOpen(1))
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(yield* openWatches, 1)
      yield* lock.withLock(Effect.void)
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(yield* openWatches, 1)
      yield* TestClock.adjust("2 seconds")
      yield* untilOpen(0)
      yield* lock.withLock(untilOpen(1))
      yield* endOf(process)
      assert.strictEqual((yield* watchedFrom).length, 2)
      assert.strictEqual(resource.namespace, "default")
    }).pipe(alone))

  it.effect("is not of every process on its own: two have two, of one object, and each ends with its process", () =>
    Effect.gen(function*() {
      const { make, process, resource, store } = yield* locked({})
      const other = yield* startProcess("other", store)
      yield* (yield* make()).withLock(untilOpen(1))
      yield* (yield* other.make({ resource, name: "y" })).withLock(untilOpen(2))
      yield* other.end
      yield* untilOpen(1)
      yield* endOf(process)
    }).pipe(alone))

  const interruptions = [
    ["cut at once, again and again", Faults.watchCut({ count: 3 })],
    ["cut after a change", Faults.watchCut({ afterEvents: 1, count: 3 })],
    ["reset", Faults.connectionReset({ verb: "watch", count: 3 })],
    ["dropped", Faults.requestDropped({ verb: "watch", count: 3 })],
    ["answered 503, as by a server that starts again", Faults.serviceUnavailable({ verb: "watch", count: 3 })],
    ["answered 429", Faults.tooManyRequests({ verb: "watch", count: 3, retryAfterSeconds: 0 })],
    ["expired at once", Faults.watchExpired({ count: 3 })],
    ["expired after a change", Faults.watchExpired({ afterEvents: 1, count: 3 })],
    [
      "answered with failures for longer than RetryPolicy has patience",
      Faults.serviceUnavailable({ verb: "watch", count: 20 })
    ]
  ] as const

  it.effect.each(interruptions)("shows a release although it is %s", ([, fault]) =>
    Effect.gen(function*() {
      const { make, process, resource, server, world } = yield* locked()
      yield* server.inject(fault)
      const waiting = yield* Effect.forkChild(withoutPauses((yield* make()).withLock(Effect.void)))
      yield* eventually(asked, (requests) => requests.includes("WATCH"))
      for (const note of ["1", "2", "3"]) {
        yield* world.put(resource, { [key]: goRecord("go", 0, 60_000), note })
        yield* TestClock.withLive(Effect.sleep("5 millis"))
      }
      assert.isUndefined(waiting.pollUnsafe())
      yield* world.put(resource, {})
      yield* ended(waiting)
      yield* endOf(process)
    }).pipe(alone))

  it.effect("shows a release that was made while its history expired and it was cut", () =>
    Effect.gen(function*() {
      const { make, process, resource, server, world } = yield* locked()
      const waiting = yield* Effect.forkChild(withoutPauses((yield* make()).withLock(Effect.void)))
      yield* untilOpen(1)
      yield* server.inject(Faults.latency({ verb: "watch", duration: "5 seconds" }))
      yield* server.cutWatches
      yield* eventually(watchedFrom, ({ length }) => length === 2)
      yield* world.put(resource, {})
      yield* world.object()
      yield* server.expireHistory
      yield* TestClock.adjust("5 seconds")
      yield* ended(waiting)
      yield* endOf(process)
    }).pipe(alone))

  it.effect("shows a deletion that was made while it was cut, and its history gone", () =>
    Effect.gen(function*() {
      const { make, process, resource, server, world } = yield* locked()
      const waiting = yield* Effect.forkChild(Effect.flip(withoutPauses((yield* make()).withLock(Effect.void))))
      yield* untilOpen(1)
      yield* server.inject(Faults.latency({ verb: "watch", duration: "5 seconds" }))
      yield* server.cutWatches
      yield* eventually(watchedFrom, ({ length }) => length === 2)
      yield* world.delete(resource)
      yield* world.object()
      yield* server.expireHistory
      yield* TestClock.adjust("5 seconds")
      const error = yield* ended(waiting)
      assert.strictEqual(error._tag === "KubeError" && error.reason._tag, "ResourceNotFound")
      yield* endOf(process)
    }).pipe(alone))

  it.effect("is asked for again where no answer comes, and the release that was made meanwhile is found", () =>
    Effect.gen(function*() {
      const { make, process, resource, server, world } = yield* locked()
      yield* server.inject(Faults.hang({ verb: "watch" }))
      const waiting = yield* Effect.forkChild(withoutPauses((yield* make()).withLock(Effect.void)))
      yield* eventually(asked, (requests) => requests.includes("WATCH"))
      yield* world.put(resource, {})
      yield* TestClock.adjust("10 seconds")
      yield* ended(waiting)
      assert.strictEqual((yield* watchedFrom).length, 2)
      yield* endOf(process)
    }).pipe(alone))
})
