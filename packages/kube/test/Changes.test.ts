import { assert, describe, it, layer } from "@effect/vitest"
import {
  AnnotationStore,
  KubeAnnotationStore,
  type KubeError,
  KubeTransport,
  type ObjectChange,
  ResourceRef,
  RetryPolicy
} from "@kubelock/kube"
import { Faults, KubeApiServer } from "@kubelock/testing"
import { Deferred, Effect, Fiber, Layer, Queue, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Fixture from "./KubeTransportFixtures.ts"
import { apiServerWorld, storeOfServer } from "./suites/apiServerWorld.ts"
import { withoutPauses, World } from "./suites/World.ts"

// What becomes of a stream of changes when watches end, break, expire or fall silent: nothing lost, nothing told twice.

const services = Layer.mergeAll(apiServerWorld, storeOfServer).pipe(Layer.provideMerge(KubeApiServer.layer()))

const versionOf = (change: ObjectChange) =>
  change._tag === "Present" ? change.object.resourceVersion : change.resourceVersion

/** An object, what became of it since it was made, and what a test does to it. */
const followed = Effect.gen(function*() {
  const server = yield* KubeApiServer
  const world = yield* World
  const store = yield* AnnotationStore
  const ref = yield* world.object({ a: "0" })
  const made = yield* store.get(ref)
  yield* server.clearFaults
  yield* server.clearRequests
  const heard = yield* Queue.unbounded<ObjectChange, KubeError>()
  const listen = (from: bigint) =>
    store.changes(ref, from).pipe(
      Stream.runForEach((change) => Queue.offer(heard, change)),
      Effect.catchTag("KubeError", (error) => Queue.fail(heard, error)),
      Effect.forkScoped
    )
  const put = (value: string) =>
    Effect.map(Effect.andThen(world.put(ref, { a: value }), store.get(ref)), (object) => object.resourceVersion)
  return { server, world, store, ref, made, heard, listen, put }
})

/** Until so many watches are open: a connection takes a moment to open and to close. */
const untilOpen = (count: number) =>
  Effect.flatMap(KubeApiServer, (server) => server.openWatches).pipe(
    Effect.flatMap((open) => open === count ? Effect.void : Effect.fail(`${open} watches are open, not ${count}`)),
    Effect.retry(Schedule.spaced("5 millis").pipe(Schedule.upTo({ duration: "5 seconds" }))),
    Effect.orDie,
    TestClock.withLive
  )

/** The requests about the collection, in a word each. A test's own GETs and PATCHes are about the object. */
const asked = Effect.map(
  Effect.flatMap(KubeApiServer, (server) => server.requests),
  (requests) =>
    requests.filter(({ path }) => path.endsWith("/configmaps")).map(({ query }) =>
      new URLSearchParams(query).has("watch") ? "watch" : "list"
    )
)

/** The resourceVersions from which watches were asked for. */
const begunFrom = Effect.map(
  Effect.flatMap(KubeApiServer, (server) => server.requests),
  (requests) =>
    requests.map(({ query }) => new URLSearchParams(query)).filter((query) => query.has("watch")).map((query) =>
      BigInt(query.get("resourceVersion") ?? "0")
    )
)

/** So many tries after failures on end; one more, and the stream fails. */
const withTries = (times: number) =>
  Effect.provideService(RetryPolicy.RetryPolicy, {
    ...RetryPolicy.defaults,
    unavailable: Schedule.recurs(times),
    conflict: Schedule.recurs(times)
  })

layer(services)("what becomes of an object", (it) => {
  it.effect("is asked for as metadata, of the one name, from what was read", () =>
    Effect.gen(function*() {
      const { listen, made, ref, server } = yield* followed
      yield* listen(made.resourceVersion)
      yield* untilOpen(1)
      const [request] = yield* server.requests
      assert.strictEqual(request?.path, "/api/v1/namespaces/default/configmaps")
      assert.deepStrictEqual(Object.fromEntries(new URLSearchParams(request?.query)), {
        watch: "true",
        fieldSelector: `metadata.name=${ref.name}`,
        resourceVersion: String(made.resourceVersion),
        allowWatchBookmarks: "true",
        timeoutSeconds: "30"
      })
    }))

  const interruptions = [
    ["cut at once", Faults.watchCut({ count: 3 })],
    ["cut after a change", Faults.watchCut({ afterEvents: 1, count: 3 })],
    ["reset", Faults.connectionReset({ verb: "watch", count: 3 })],
    ["dropped", Faults.requestDropped({ verb: "watch", count: 3 })],
    ["answered 503", Faults.serviceUnavailable({ verb: "watch", count: 3 })],
    ["answered 500", Faults.internalError({ verb: "watch", count: 3 })],
    ["answered 429", Faults.tooManyRequests({ verb: "watch", count: 3, retryAfterSeconds: 0 })],
    ["expired at once", Faults.watchExpired({ count: 3 })],
    ["expired after a change", Faults.watchExpired({ afterEvents: 1, count: 3 })]
  ] as const

  it.effect.each(interruptions)(
    "is told to the last change, whatever the watch is: %s",
    ([, fault]) =>
      Effect.gen(function*() {
        const { heard, listen, made, put, server } = yield* followed
        yield* server.inject(fault)
        yield* withoutPauses(listen(made.resourceVersion))
        const versions: Array<bigint> = []
        const told: Array<bigint> = []
        for (const value of ["1", "2", "3", "4", "5"]) {
          versions.push(yield* put(value))
          told.push(versionOf(yield* Queue.take(heard)))
        }
        assert.deepStrictEqual(told, versions)
        yield* until(begunFrom, (watches) => watches.length >= 4)
        yield* untilOpen(1)
        assert.strictEqual((yield* begunFrom).length, 4)
      })
  )

  it.effect("goes on where the last watch ended, be that a change or a bookmark", () =>
    Effect.gen(function*() {
      const { heard, listen, made, put, server, world } = yield* followed
      yield* withoutPauses(listen(made.resourceVersion))
      yield* untilOpen(1)
      const first = yield* put("1")
      assert.strictEqual(versionOf(yield* Queue.take(heard)), first)
      yield* server.cutWatches
      yield* until(begunFrom, (watches) => watches.length === 2)
      yield* untilOpen(1)
      const other = yield* world.object()
      const now = (yield* (yield* AnnotationStore).get(other)).resourceVersion
      yield* server.sendBookmarks
      yield* put("2")
      yield* Queue.take(heard)
      yield* server.cutWatches
      const last = yield* put("3")
      assert.strictEqual(versionOf(yield* Queue.take(heard)), last)
      const from = yield* begunFrom
      assert.deepStrictEqual(from.slice(0, 2), [made.resourceVersion, first])
      assert.isTrue(from[2]! > now)
    }))

  it.effect("is told of an object that nobody has written for so long that its resourceVersion has expired", () =>
    Effect.gen(function*() {
      const { heard, listen, made, put, server, world } = yield* followed
      yield* world.object()
      yield* server.expireHistory
      yield* withoutPauses(listen(made.resourceVersion))
      yield* untilAsked(3)
      yield* untilOpen(1)
      const version = yield* put("1")
      assert.strictEqual(versionOf(yield* Queue.take(heard)), version)
      assert.deepStrictEqual(yield* asked, ["watch", "list", "watch"])
    }))

  it.effect("is told although the list fails that an expired watch calls for", () =>
    Effect.gen(function*() {
      const { heard, listen, made, put, server } = yield* followed
      const version = yield* put("1")
      yield* server.expireHistory
      yield* server.inject(Faults.serviceUnavailable({ verb: "list", count: 2 }))
      yield* withoutPauses(listen(made.resourceVersion))
      assert.strictEqual(versionOf(yield* Queue.take(heard)), version)
      yield* untilAsked(7)
      assert.deepStrictEqual(yield* asked, ["watch", "list", "watch", "list", "watch", "list", "watch"])
    }))

  it.effect("is told as it is by now, where the history has expired", () =>
    Effect.gen(function*() {
      const { heard, listen, made, put, server, store, ref } = yield* followed
      yield* put("1")
      yield* put("2")
      yield* server.expireHistory
      yield* withoutPauses(listen(made.resourceVersion))
      assert.deepStrictEqual(yield* Queue.take(heard), { _tag: "Present", object: yield* store.get(ref) })
      yield* put("3")
      assert.deepStrictEqual(yield* Queue.take(heard), { _tag: "Present", object: yield* store.get(ref) })
    }))

  it.effect("is told as deleted, once, and as made again, where the history has expired", () =>
    Effect.gen(function*() {
      const { heard, listen, made, put, server, store, ref, world } = yield* followed
      yield* world.delete(ref)
      yield* world.object()
      yield* server.expireHistory
      yield* server.inject(Faults.watchExpired({ count: 3, skip: 1 }))
      yield* withoutPauses(listen(made.resourceVersion))
      const deleted = yield* Queue.take(heard)
      assert.strictEqual(deleted._tag, "Deleted")
      assert.isTrue(versionOf(deleted) > made.resourceVersion)
      yield* untilAsked(9)
      yield* untilOpen(1)
      yield* put("again")
      const again = yield* store.get(ref)
      assert.notStrictEqual(again.uid, made.uid)
      assert.deepStrictEqual(yield* Queue.take(heard), { _tag: "Present", object: again })
    }))

  it.effect("is told with its new uid, where it was deleted and made again and the history has expired", () =>
    Effect.gen(function*() {
      const { heard, listen, made, put, server, store, ref, world } = yield* followed
      yield* world.delete(ref)
      yield* put("again")
      yield* server.expireHistory
      yield* withoutPauses(listen(made.resourceVersion))
      const again = yield* store.get(ref)
      assert.notStrictEqual(again.uid, made.uid)
      assert.deepStrictEqual(yield* Queue.take(heard), { _tag: "Present", object: again })
    }))

  it.effect("is asked for again every 30 seconds where nothing changes, without a pause and without end", () =>
    Effect.gen(function*() {
      const { heard, listen, made, put } = yield* followed
      yield* withTries(0)(listen(made.resourceVersion))
      for (let watches = 1; watches <= 4; watches++) {
        yield* untilAsked(watches)
        yield* untilOpen(1)
        yield* TestClock.adjust("30 seconds")
      }
      yield* untilAsked(5)
      const version = yield* put("1")
      assert.strictEqual(versionOf(yield* Queue.take(heard)), version)
      assert.strictEqual((yield* asked).length, 5)
    }))

  it.effect.each(
    [
      ["ended at once", Faults.watchCut({ count: Infinity }), "Unavailable", 1 + 6],
      ["expired", Faults.watchExpired({ count: Infinity }), "Conflict", 1 + 8],
      ["answered 503", Faults.serviceUnavailable({ verb: "watch", count: Infinity }), "Unavailable", 1 + 6],
      ["reset", Faults.connectionReset({ verb: "watch", count: Infinity }), "Unavailable", 1 + 6],
      ["answered 429", Faults.tooManyRequests({ verb: "watch", count: Infinity }), "Throttled", 1 + 5]
    ] as const
  )("is given up with a typed error, where every watch is %s", ([, fault, reason, watches]) =>
    Effect.gen(function*() {
      const { heard, listen, made, server } = yield* followed
      yield* server.inject({ ...fault, ...(fault._tag === "TooManyRequests" ? { retryAfterSeconds: 0 } : {}) })
      yield* withoutPauses(listen(made.resourceVersion))
      const error = yield* Effect.flip(Queue.take(heard))
      assert.strictEqual(error.reason._tag, reason)
      assert.include(error.message, "configmaps")
      assert.strictEqual((yield* asked).filter((request) => request === "watch").length, watches)
      yield* untilOpen(0)
    }))

  it.effect("is followed for ever, where something is heard between one failure and the next", () =>
    Effect.gen(function*() {
      const { heard, listen, made, put, server } = yield* followed
      yield* withTries(2)(listen(made.resourceVersion))
      yield* untilOpen(1)
      // In each round a watch that is cut before anything is heard of it, and one that is refused.
      for (let round = 0; round < 4; round++) {
        yield* server.inject(Faults.serviceUnavailable({ verb: "watch" }))
        yield* server.cutWatches
        const version = yield* put(`round ${round}`)
        assert.strictEqual(versionOf(yield* Queue.take(heard)), version)
        yield* untilOpen(1)
      }
    }))

  it.effect("is followed for ever, where watches break after something was heard of them", () =>
    Effect.gen(function*() {
      const { heard, listen, made, put, server } = yield* followed
      yield* server.inject(Faults.watchExpired({ afterEvents: 1, count: 4 }))
      yield* withTries(1)(listen(made.resourceVersion))
      for (let watches = 1; watches <= 5; watches++) {
        yield* until(begunFrom, ({ length }) => length === watches)
        const version = yield* put(`watch ${watches}`)
        assert.strictEqual(versionOf(yield* Queue.take(heard)), version)
      }
    }))

  it.effect("is followed for ever, where a watch lasts between one failure and the next", () =>
    Effect.gen(function*() {
      const { heard, listen, made, put, server } = yield* followed
      yield* withTries(1)(listen(made.resourceVersion))
      for (let round = 1; round <= 3; round++) {
        yield* untilAsked(2 * round - 1)
        yield* untilOpen(1)
        yield* server.inject(Faults.serviceUnavailable({ verb: "watch" }))
        yield* TestClock.adjust("30 seconds")
      }
      const version = yield* put("1")
      assert.strictEqual(versionOf(yield* Queue.take(heard)), version)
      assert.strictEqual((yield* asked).length, 7)
    }))

  it.effect("is asked for again without a pause, where a watch ended after a change", () =>
    Effect.gen(function*() {
      const { heard, listen, made, put, server } = yield* followed
      yield* server.inject(Faults.watchCut({ afterEvents: 1, count: 3 }))
      yield* withTries(0)(listen(made.resourceVersion))
      for (const value of ["1", "2", "3", "4"]) {
        const version = yield* put(value)
        assert.strictEqual(versionOf(yield* Queue.take(heard)), version)
      }
    }))

  it.effect("is remembered as it was told last: the first annotation then costs one request", () =>
    Effect.gen(function*() {
      const { made, ref, server, store, world } = yield* followed
      const next = Stream.runDrain(Stream.take(store.changes(ref, made.resourceVersion), 1))
      const first = (key: string) =>
        Effect.gen(function*() {
          yield* server.clearRequests
          yield* store.edit(ref, [{ key, expected: undefined, value: "1" }])
          return (yield* server.requests).filter(({ method }) => method === "PATCH").map(({ status }) => status)
        })
      yield* world.put(ref, {})
      yield* next
      assert.deepStrictEqual(yield* first("b"), [200])
      yield* world.put(ref, {})
      yield* store.get(ref)
      // Tells it as it was before; what was read since is newer.
      const { resourceVersion } = yield* world.put(ref, { c: "1" }).pipe(Effect.andThen(store.get(ref)))
      yield* world.put(ref, { c: "2" })
      yield* world.put(ref, {})
      yield* store.get(ref)
      yield* Stream.runDrain(Stream.take(store.changes(ref, resourceVersion), 1))
      assert.deepStrictEqual(yield* first("d"), [200])
    }))

  it.effect("waits between failures as RetryPolicy says", () =>
    Effect.gen(function*() {
      const { heard, listen, made, put, server } = yield* followed
      yield* server.inject(Faults.serviceUnavailable({ verb: "watch" }))
      const failed = yield* Deferred.make<void>()
      yield* listen(made.resourceVersion).pipe(
        Effect.provideService(RetryPolicy.RetryPolicy, {
          ...RetryPolicy.defaults,
          unavailable: Schedule.tap(Schedule.spaced("1 second"), () => Deferred.succeed(failed, undefined))
        })
      )
      const version = yield* put("1")
      yield* Deferred.await(failed)
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual(yield* asked, ["watch"])
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(versionOf(yield* Queue.take(heard)), version)
    }))

  it.effect("is no longer watched when the stream ends, or is interrupted while open or before the answer begins", () =>
    Effect.gen(function*() {
      const { listen, made, put, ref, server, store } = yield* followed
      yield* put("1")
      yield* Stream.runDrain(Stream.take(store.changes(ref, made.resourceVersion), 1))
      yield* untilOpen(0)
      const open = yield* listen(made.resourceVersion)
      yield* untilOpen(1)
      yield* Fiber.interrupt(open)
      yield* untilOpen(0)
      yield* server.clearRequests
      yield* server.inject(Faults.hang({ verb: "watch" }))
      const hanging = yield* listen(made.resourceVersion)
      yield* untilAsked(1)
      yield* Fiber.interrupt(hanging)
      yield* untilAnswered(1)
      assert.deepStrictEqual((yield* server.requests).map(({ status }) => status), ["dropped"])
    }))

  const Step = Schema.Literals(["write", "write", "elsewhere", "delete", "bookmark", "cut", "expire", "break"])

  it.effect.prop(
    "ends as the object is, with rising resource versions, whatever happens between writes",
    [Schema.Array(Step).check(Schema.isMaxLength(14))],
    ([steps]) =>
      Effect.gen(function*() {
        const { heard, listen, made, put, ref, server, store, world } = yield* followed
        const listening = yield* withoutPauses(listen(made.resourceVersion))
        const versions: Array<bigint> = []
        let isThere = true
        for (const [index, step] of steps.entries()) {
          if (step === "write") {
            versions.push(yield* put(`write ${index}`))
            isThere = true
          } else if (step === "elsewhere") yield* world.object()
          else if (step === "delete" && isThere) {
            yield* world.delete(ref)
            isThere = false
          } else if (step === "bookmark") yield* server.sendBookmarks
          else if (step === "cut") yield* server.cutWatches
          else if (step === "expire") yield* server.expireHistory
          else if (step === "break") yield* server.inject(Faults.connectionReset({ verb: "watch" }))
          // Lets what is on its way get anywhere.
          if (index % 3 === 0) yield* TestClock.withLive(Effect.sleep("1 millis"))
        }
        const last = yield* put("last")
        versions.push(last)
        const changes: Array<ObjectChange> = []
        do {
          changes.push(yield* Queue.take(heard))
        } while (versionOf(changes.at(-1)!) < last)
        assert.deepStrictEqual(changes.at(-1), { _tag: "Present", object: yield* store.get(ref) })
        const told = changes.map(versionOf)
        told.forEach((version, index) => assert.isTrue(version > (told[index - 1] ?? made.resourceVersion)))
        const present = changes.filter(({ _tag }) => _tag === "Present").map(versionOf)
        if (steps.includes("expire")) assert.includeMembers(versions, present)
        else assert.deepStrictEqual(present, versions)
        yield* Fiber.interrupt(listening)
        yield* untilOpen(0)
        assert.strictEqual(yield* Queue.size(heard), 0)
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 25 } }
  )
})

/** Until so many requests were made about the collection. */
const untilAsked = (count: number) => until(asked, (requests) => requests.length >= count)

/** Until so many requests about the collection were answered, or dropped. */
const untilAnswered = (count: number) =>
  until(
    Effect.flatMap(KubeApiServer, (server) => server.requests),
    (requests) =>
      requests.filter(({ path, status }) => path.endsWith("/configmaps") && status !== "pending").length >= count
  )

const until = <A, R>(effect: Effect.Effect<A, never, R>, is: (value: A) => boolean) =>
  effect.pipe(
    Effect.flatMap((value) => is(value) ? Effect.void : Effect.fail("not yet")),
    Effect.retry(Schedule.spaced("5 millis").pipe(Schedule.upTo({ duration: "5 seconds" }))),
    Effect.orDie,
    TestClock.withLive
  )

describe("a server that", () => {
  const ref = ResourceRef.configMap({ namespace: "default", name: "locks" })

  const event = (type: string, resourceVersion: string) =>
    `${JSON.stringify({ type, object: { metadata: { uid: "u", resourceVersion, annotations: { a: "1" } } } })}\n`

  const bookmark = (resourceVersion: string) =>
    `${JSON.stringify({ type: "BOOKMARK", object: { metadata: { resourceVersion } } })}\n`

  const status = (code: number, reason: string) => ({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: `because ${code}`,
    reason,
    code
  })

  /** What it answers to the first watch, to the second, and so on; to the rest as to the last. */
  const watching = (...answers: ReadonlyArray<Fixture.Handler>) =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve((received, response) => {
        const answer = answers[server.received.length - 1] ?? answers.at(-1)
        answer?.(received, response)
      })
      const heard = yield* Queue.unbounded<ObjectChange, KubeError>()
      const lines = yield* Queue.unbounded<string>()
      const transport = Layer.effect(
        KubeTransport,
        Effect.map(KubeTransport, (transport) => ({
          ...transport,
          stream: (request) => Stream.tap(transport.stream(request), (line) => Queue.offer(lines, line))
        }))
      ).pipe(Layer.provide(Fixture.text({ server: server.origin })))
      const store = yield* Layer.build(Layer.provide(Layer.fresh(KubeAnnotationStore.layer), transport))
      yield* Effect.flatMap(AnnotationStore, ({ changes }) =>
        Stream.runForEach(changes(ref, 5n), (change) => Queue.offer(heard, change))).pipe(
          Effect.catchTag("KubeError", (error) =>
            Queue.fail(heard, error)),
          withoutPauses,
          Effect.provideContext(store),
          Effect.forkScoped
        )
      return { server, heard, lines }
    })

  const ever = (...lines: ReadonlyArray<string>): Fixture.Handler => (_, response) => {
    response.writeHead(200, { "content-type": "application/json" })
    response.flushHeaders()
    lines.forEach((line) => response.write(line))
  }

  const ending = (...lines: ReadonlyArray<string>): Fixture.Handler => (_, response) =>
    void response.writeHead(200).end(lines.join(""))

  it.effect("falls silent is asked again after 45 seconds, on another connection", () =>
    Effect.gen(function*() {
      const { heard, server } = yield* watching(ever(event("MODIFIED", "7")), ever(event("MODIFIED", "8")))
      assert.strictEqual(versionOf(yield* Queue.take(heard)), 7n)
      yield* TestClock.adjust("44 seconds")
      assert.strictEqual(server.received.length, 1)
      const closed = Effect.callback<void>((resume) =>
        void server.connections[0]!.once("close", () => resume(Effect.void))
      )
      const closing = yield* Effect.forkChild(closed, { startImmediately: true })
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual(versionOf(yield* Queue.take(heard)), 8n)
      yield* Fiber.join(closing)
      assert.deepStrictEqual(
        server.received.map(({ url }) => new URL(url, "http://x").searchParams.get("resourceVersion")),
        ["5", "7"]
      )
    }))

  it.effect("sends bookmarks is not taken for dead", () =>
    Effect.gen(function*() {
      const sending: Array<(line: string) => void> = []
      const { heard, lines, server } = yield* watching((received, response) => {
        ever(bookmark("6"))(received, response)
        sending.push((line) => response.write(line))
      })
      assert.strictEqual(`${yield* Queue.take(lines)}\n`, bookmark("6"))
      for (const version of ["10", "20", "30"]) {
        yield* TestClock.adjust("40 seconds")
        sending[0]!(bookmark(version))
        yield* Queue.take(lines)
      }
      sending[0]!(event("MODIFIED", "31"))
      assert.strictEqual(versionOf(yield* Queue.take(heard)), 31n)
      assert.strictEqual(server.received.length, 1)
    }))

  it.effect("forbids to watch is not asked again; the error names the verb", () =>
    Effect.gen(function*() {
      const { heard, server } = yield* watching((_, response) => Fixture.json(response, 403, status(403, "Forbidden")))
      const error = yield* Effect.flip(Queue.take(heard))
      assert.strictEqual(error.reason._tag, "Forbidden")
      assert.include(error.message, `Not allowed to watch configmaps "locks" in namespace "default"`)
      assert.include(error.message, `Grant the verb "watch" on "configmaps"`)
      assert.strictEqual(server.received.length, 1)
    }))

  it.effect("lets watch but not list says so where it must be listed", () =>
    Effect.gen(function*() {
      const { heard } = yield* watching(
        (_, response) => Fixture.json(response, 410, status(410, "Expired")),
        (_, response) => Fixture.json(response, 403, status(403, "Forbidden"))
      )
      const error = yield* Effect.flip(Queue.take(heard))
      assert.strictEqual(error.reason._tag, "Forbidden")
      assert.include(error.message, `Not allowed to list configmaps "locks" in namespace "default"`)
    }))

  it.effect("answers HTTP 410 has the object listed", () =>
    Effect.gen(function*() {
      const { heard, server } = yield* watching(
        (_, response) => Fixture.json(response, 410, status(410, "Gone")),
        (_, response) =>
          Fixture.json(response, 200, {
            metadata: { resourceVersion: "90" },
            items: [{ metadata: { uid: "u", resourceVersion: "80" } }]
          }),
        ever(event("MODIFIED", "95"))
      )
      assert.deepStrictEqual(yield* Queue.take(heard), {
        _tag: "Present",
        object: { uid: "u", resourceVersion: 80n, annotations: {} }
      })
      assert.strictEqual(versionOf(yield* Queue.take(heard)), 95n)
      assert.match(server.received[1]!.headers.accept ?? "", /as=PartialObjectMetadataList/)
      assert.match(server.received[2]!.url, /resourceVersion=90&/)
    }))

  it.effect("tells the same change twice is believed once", () =>
    Effect.gen(function*() {
      const { heard } = yield* watching(
        ending(event("ADDED", "7"), event("MODIFIED", "7")),
        ending(event("MODIFIED", "6"), event("MODIFIED", "7"), bookmark("9"), event("MODIFIED", "9")),
        ever(event("DELETED", "10"))
      )
      assert.strictEqual(versionOf(yield* Queue.take(heard)), 7n)
      assert.deepStrictEqual(yield* Queue.take(heard), { _tag: "Deleted", resourceVersion: 10n })
    }))

  it.effect("fails in a line of its answer is asked again, and believed about what it said before", () =>
    Effect.gen(function*() {
      const error = `${JSON.stringify({ type: "ERROR", object: status(500, "InternalError") })}\n`
      const { heard } = yield* watching(
        ending(event("MODIFIED", "7"), error),
        ending("<html>\n"),
        ever(event("MODIFIED", "8"))
      )
      assert.strictEqual(versionOf(yield* Queue.take(heard)), 7n)
      assert.strictEqual(versionOf(yield* Queue.take(heard)), 8n)
    }))

  it.effect("is no API server is given up", () =>
    Effect.gen(function*() {
      const { heard, server } = yield* watching(ending("<html>\n"))
      const error = yield* Effect.flip(Queue.take(heard))
      assert.strictEqual(error.reason._tag, "Unavailable")
      assert.include(error.message, "Something other than an API server")
      assert.strictEqual(server.received.length, 7)
    }))
})
