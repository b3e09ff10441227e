import { assert, describe, it } from "@effect/vitest"
import { Faults, KubeApiServer } from "@kubelock/testing"
import { Deferred, Effect, Exit, Layer, Schedule, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { at, configMaps, metadataOnly, type OpenWatch, type Server, watch } from "./support/Client.ts"

const id = (name: string, namespace = "default") => ({ apiVersion: "v1", kind: "ConfigMap", namespace, name })
const configMap = (name: string, annotations: Record<string, string> = {}, namespace = "default") => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace, annotations },
  data: { k: "v" }
})

const watchOf = (parameters: string) => `${configMaps}?watch=true&${parameters}`
const onlyA = "fieldSelector=metadata.name%3Da"

const version = (event: unknown) => at(event, "object", "metadata", "resourceVersion")

/** The next event in a few words. */
const next = (watch: OpenWatch) =>
  Effect.map(watch.next, (event) => `${String(at(event, "type"))} ${String(at(event, "object", "metadata", "name"))}`)

const expired = (requested: string | number, oldest: string | number) => ({
  type: "ERROR",
  object: {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: `too old resource version: ${requested} (${oldest})`,
    reason: "Expired",
    code: 410
  }
})

/** Until so many watches are open: a client's disconnection takes a moment to be seen. */
const untilOpen = (server: Server, count: number) =>
  server.openWatches.pipe(
    Effect.flatMap((open) => open === count ? Effect.void : Effect.fail(`${open} watches are open`)),
    Effect.retry(Schedule.spaced("5 millis").pipe(Schedule.upTo({ duration: "5 seconds" }))),
    Effect.orDie,
    TestClock.withLive
  )

const withServer = <A, E>(body: (server: Server) => Effect.Effect<A, E, Scope.Scope>) =>
  Effect.flatMap(KubeApiServer, body).pipe(Effect.scoped, Effect.provide(KubeApiServer.layer({ maxHistory: 4 })))

describe("KubeApiServer: watch", () => {
  it.effect("begins with what there is, then tells every change of one object", () =>
    withServer((server) =>
      Effect.gen(function*() {
        yield* server.put(configMap("a"))
        yield* server.put(configMap("b"))
        const watching = yield* watch(server, watchOf(onlyA))
        assert.strictEqual(watching.status, 200)
        assert.strictEqual(yield* next(watching), "ADDED a")
        yield* server.put(configMap("b", { x: "1" }))
        const { metadata } = yield* server.put(configMap("a", { x: "1" }))
        const modified = yield* watching.next
        assert.strictEqual(at(modified, "type"), "MODIFIED")
        assert.strictEqual(version(modified), metadata.resourceVersion)
        assert.deepStrictEqual(at(modified, "object", "data"), { k: "v" })
        yield* server.delete(id("a"))
        const deleted = yield* watching.next
        assert.strictEqual(at(deleted, "type"), "DELETED")
        assert.strictEqual(version(deleted), String(Number(metadata.resourceVersion) + 1))
      })
    ))

  it.effect("tells metadata only when asked so", () =>
    withServer((server) =>
      Effect.gen(function*() {
        yield* server.put(configMap("a"))
        const watching = yield* watch(server, watchOf(onlyA), { accept: metadataOnly })
        const event = yield* watching.next
        assert.deepInclude(at(event, "object"), { apiVersion: "meta.k8s.io/v1", kind: "PartialObjectMetadata" })
        assert.isUndefined(at(event, "object", "data"))
      })
    ))

  it.effect("goes on from a resourceVersion", () =>
    withServer((server) =>
      Effect.gen(function*() {
        const first = yield* server.put(configMap("a"))
        yield* server.put(configMap("a", { x: "1" }))
        const watching = yield* watch(server, watchOf(`${onlyA}&resourceVersion=${first.metadata.resourceVersion}`))
        assert.strictEqual(yield* next(watching), "MODIFIED a")
        yield* server.put(configMap("a", { x: "2" }))
        assert.strictEqual(yield* next(watching), "MODIFIED a")
      })
    ))

  it.effect("sends the head of its answer before there is any event", () =>
    withServer((server) =>
      Effect.gen(function*() {
        const { metadata } = yield* server.put(configMap("a"))
        const watching = yield* watch(server, watchOf(`resourceVersion=${metadata.resourceVersion}`))
        assert.strictEqual(watching.status, 200)
        assert.strictEqual(yield* server.openWatches, 1)
      })
    ))

  it.effect("sees all namespaces, or one", () =>
    withServer((server) =>
      Effect.gen(function*() {
        const all = yield* watch(server, "/api/v1/configmaps?watch=true&resourceVersion=5")
        const one = yield* watch(server, watchOf("resourceVersion=5"))
        yield* server.put(configMap("x", {}, "kube-system"))
        yield* server.put(configMap("y"))
        assert.deepStrictEqual([yield* next(all), yield* next(all)], ["ADDED x", "ADDED y"])
        assert.strictEqual(yield* next(one), "ADDED y")
      })
    ))

  it.effect("adds and removes what a label selector begins and ceases to select", () =>
    withServer((server) =>
      Effect.gen(function*() {
        const watching = yield* watch(server, watchOf("labelSelector=on%3D1"))
        const label = (on: string) =>
          server.put({ ...configMap("a"), metadata: { ...configMap("a").metadata, labels: { on } } })
        yield* label("0")
        yield* label("1")
        yield* label("2")
        assert.deepStrictEqual([yield* next(watching), yield* next(watching)], ["ADDED a", "DELETED a"])
      })
    ))

  it.effect("does not tell a write that changes nothing", () =>
    withServer((server) =>
      Effect.gen(function*() {
        const watching = yield* watch(server, watchOf(onlyA))
        yield* server.put(configMap("a"))
        yield* server.put(configMap("a"))
        yield* server.put(configMap("a", { x: "1" }))
        assert.deepStrictEqual([yield* next(watching), yield* next(watching)], ["ADDED a", "MODIFIED a"])
      })
    ))

  it.effect("says 410 Expired of a resourceVersion older than the history, as an event", () =>
    withServer((server) =>
      Effect.gen(function*() {
        const { metadata } = yield* server.put(configMap("a"))
        for (const x of ["1", "2", "3", "4", "5"]) yield* server.put(configMap("a", { x }))
        const watching = yield* watch(server, watchOf(`resourceVersion=${metadata.resourceVersion}`))
        assert.strictEqual(watching.status, 200)
        const oldest = Number(metadata.resourceVersion) + 1
        assert.deepStrictEqual(yield* watching.next, expired(metadata.resourceVersion, oldest))
        assert.strictEqual(yield* Effect.flip(watching.next), "End")
        const resumed = yield* watch(server, watchOf(`resourceVersion=${oldest}`))
        assert.strictEqual(yield* next(resumed), "MODIFIED a")
      })
    ))

  it.effect("expires on demand, leaving those alone that are up to date", () =>
    withServer((server) =>
      Effect.gen(function*() {
        const before = yield* server.put(configMap("a"))
        const watching = yield* watch(server, watchOf(`resourceVersion=${before.metadata.resourceVersion}`))
        const after = yield* server.put(configMap("a", { x: "1" }))
        assert.strictEqual(yield* next(watching), "MODIFIED a")
        yield* server.expireHistory
        const late = yield* watch(server, watchOf(`resourceVersion=${before.metadata.resourceVersion}`))
        assert.deepStrictEqual(
          yield* late.next,
          expired(before.metadata.resourceVersion, after.metadata.resourceVersion)
        )
        yield* server.put(configMap("a", { x: "2" }))
        assert.strictEqual(yield* next(watching), "MODIFIED a")
      })
    ))

  it.effect("sends a bookmark to a watch that has just shown its first event", () =>
    withServer((server) =>
      Effect.gen(function*() {
        yield* server.put(configMap("a"))
        const { body } = yield* Effect.promise(() =>
          fetch(`${server.url}${watchOf("resourceVersion=5&allowWatchBookmarks=true")}`)
        )
        const lines = yield* Stream.fromReadableStream({ evaluate: () => body!, onError: String }).pipe(
          Stream.decodeText(),
          Stream.splitLines,
          // Nobody could be sooner.
          Stream.tap(() => server.sendBookmarks),
          Stream.take(2),
          Stream.runCollect
        )
        assert.deepStrictEqual(lines.map((line) => at(JSON.parse(line), "type")), ["ADDED", "BOOKMARK"])
      })
    ))

  it.effect("sends bookmarks on demand and every minute, to those who allow them", () =>
    withServer((server) =>
      Effect.gen(function*() {
        const { metadata } = yield* server.put(configMap("a"))
        const from = `resourceVersion=${metadata.resourceVersion}`
        const with_ = yield* watch(server, watchOf(`${from}&allowWatchBookmarks=true`), { accept: metadataOnly })
        const without = yield* watch(server, watchOf(from))
        const other = yield* server.put({ ...configMap("s"), kind: "Secret" })
        yield* server.sendBookmarks
        assert.deepStrictEqual(yield* with_.next, {
          type: "BOOKMARK",
          object: {
            apiVersion: "meta.k8s.io/v1",
            kind: "PartialObjectMetadata",
            metadata: { resourceVersion: other.metadata.resourceVersion }
          }
        })
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(at(yield* with_.next, "type"), "BOOKMARK")
        yield* server.put(configMap("a", { x: "1" }))
        assert.strictEqual(yield* next(without), "MODIFIED a")
      })
    ))

  it.effect("marks the end of the initial events", () =>
    withServer((server) =>
      Effect.gen(function*() {
        yield* server.put(configMap("a"))
        const parameters = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        const watching = yield* watch(server, watchOf(parameters))
        assert.strictEqual(yield* next(watching), "ADDED a")
        const annotations = at(yield* watching.next, "object", "metadata", "annotations")
        assert.deepStrictEqual(annotations, { "k8s.io/initial-events-end": "true" })
      })
    ))

  it.effect.each(
    [
      ["sendInitialEvents=true", 422],
      ["resourceVersion=abc", 500],
      ["timeoutSeconds=abc", 400],
      ["fieldSelector=bad", 400]
    ] as const
  )("refuses %s with %s", ([parameters, code]) =>
    withServer((server) =>
      Effect.gen(function*() {
        assert.strictEqual((yield* watch(server, watchOf(parameters))).status, code)
      })
    ))

  it.effect("ends after its timeout", () =>
    withServer((server) =>
      Effect.gen(function*() {
        const watching = yield* watch(server, watchOf("resourceVersion=5&timeoutSeconds=30"))
        yield* untilOpen(server, 1)
        yield* TestClock.adjust("29 seconds")
        yield* server.put(configMap("a"))
        assert.strictEqual(yield* next(watching), "ADDED a")
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Effect.flip(watching.next), "End")
      })
    ))

  it.effect("ends when cut, and not those opened later", () =>
    withServer((server) =>
      Effect.gen(function*() {
        const one = yield* watch(server, watchOf("resourceVersion=5"))
        const two = yield* watch(server, watchOf("resourceVersion=5"))
        yield* server.cutWatches
        assert.deepStrictEqual([yield* Effect.flip(one.next), yield* Effect.flip(two.next)], ["End", "End"])
        const three = yield* watch(server, watchOf("resourceVersion=5"))
        yield* server.put(configMap("a"))
        assert.strictEqual(yield* next(three), "ADDED a")
      })
    ))

  it.effect("is counted as long as its client listens", () =>
    withServer((server) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        yield* watch(server, watchOf("resourceVersion=5")).pipe(Scope.provide(scope))
        yield* watch(server, watchOf("resourceVersion=5"))
        yield* untilOpen(server, 2)
        yield* Scope.close(scope, Exit.void)
        yield* untilOpen(server, 1)
      })
    ))

  it.effect("counts the bytes that it sent", () =>
    withServer((server) =>
      Effect.gen(function*() {
        const watching = yield* watch(server, watchOf("resourceVersion=5"))
        yield* server.put(configMap("a"))
        const event = yield* watching.next
        const [entry] = yield* server.requests
        assert.strictEqual(entry?.responseBytes, JSON.stringify(event).length + 1)
        assert.strictEqual(entry?.status, 200)
      })
    ))
})

describe("KubeApiServer: watches that go wrong", () => {
  it.effect("are cut after so many events", () =>
    withServer((server) =>
      Effect.gen(function*() {
        yield* server.inject(Faults.watchCut({ afterEvents: 1 }))
        const watching = yield* watch(server, watchOf("resourceVersion=5"))
        yield* server.put(configMap("a"))
        assert.strictEqual(yield* next(watching), "ADDED a")
        assert.strictEqual(yield* Effect.flip(watching.next), "End")
        const again = yield* watch(server, watchOf("resourceVersion=5"))
        yield* server.put(configMap("a", { x: "1" }))
        assert.deepStrictEqual([yield* next(again), yield* next(again)], ["ADDED a", "MODIFIED a"])
      })
    ))

  it.effect("expire after so many events", () =>
    withServer((server) =>
      Effect.gen(function*() {
        yield* server.inject(Faults.watchExpired({ afterEvents: 1 }))
        const watching = yield* watch(server, watchOf("resourceVersion=5"))
        yield* server.put(configMap("a"))
        assert.strictEqual(yield* next(watching), "ADDED a")
        assert.strictEqual(at(yield* watching.next, "object", "code"), 410)
        assert.strictEqual(yield* Effect.flip(watching.next), "End")
      })
    ))

  it.effect("end with the server, which does not wait for them", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(KubeApiServer.layer(), scope)
      const ended = yield* Deferred.make<string>()
      yield* Effect.gen(function*() {
        const watching = yield* watch(yield* KubeApiServer, watchOf("resourceVersion=5"))
        yield* Effect.flip(watching.next).pipe(Effect.flatMap((end) => Deferred.succeed(ended, end)), Effect.forkScoped)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* Deferred.await(ended), "End")
      }).pipe(Effect.provide(context))
    }).pipe(Effect.scoped))
})
