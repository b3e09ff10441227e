import { assert, layer } from "@effect/vitest"
import { AnnotationStore, KubeLock, type ResourceRef } from "@kubelock/kube"
import { KubeApiServer } from "@kubelock/testing"
import { Effect, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import { apiServerWorld, configMapOf, storeOfServer } from "./suites/apiServerWorld.ts"
import { World } from "./suites/World.ts"

// What operations cost, counted at the server. Nothing here may be tried again: the policy in force is the default one, and
// under a test clock its pauses would never end.

const services = KubeLock.layer.pipe(
  Layer.provideMerge(storeOfServer),
  Layer.provideMerge(apiServerWorld),
  Layer.provideMerge(KubeApiServer.layer())
)

const key = "kubelock.giantswarm.io/x"

/** The requests that an effect makes, as methods and statuses. */
const requestsOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const server = yield* KubeApiServer
    yield* server.clearRequests
    yield* Effect.result(effect)
    return (yield* server.requests).map(({ method, status }) => `${method} ${status}`)
  })

layer(services)("an operation costs", (it) => {
  const cycle = Effect.fnUntraced(function*(resource: ResourceRef.ResourceRef) {
    const locks = yield* KubeLock
    const acquire = yield* requestsOf(locks.acquire({ resource, name: "x" }))
    yield* locks.release({ resource, name: "x" })
    const lease = yield* locks.acquire({ resource, name: "x" })
    const renew = yield* requestsOf(locks.renew(lease))
    const renewed = yield* locks.renew(lease)
    return { acquire, renew, release: yield* requestsOf(locks.release(renewed)) }
  })
  const one = { acquire: ["PATCH 200"], renew: ["PATCH 200"], release: ["PATCH 200"] }

  it.effect("one request each to acquire, renew and release, where the object has other annotations", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* cycle(yield* (yield* World).object({ other: "x" })), one)
    }))

  it.effect("one request each in steady state, where the lock is the only annotation", () =>
    Effect.gen(function*() {
      const resource = yield* (yield* World).object()
      yield* cycle(resource)
      for (let round = 0; round < 3; round++) assert.deepStrictEqual(yield* cycle(resource), one)
    }))

  it.effect("one request to acquire, where another's lock was seen as the only annotation and is gone", () =>
    Effect.gen(function*() {
      const { object, put } = yield* World
      const locks = yield* KubeLock
      const resource = yield* object({ [key]: `{"owner":"go","createdAt":"2100-01-01T00:00:00Z","ttl":1}` })
      const acquire = locks.acquire({ resource, name: "x", owner: "me" })
      assert.deepStrictEqual(yield* requestsOf(acquire), ["PATCH 422", "GET 200"])
      yield* put(resource, {})
      assert.deepStrictEqual(yield* requestsOf(acquire), ["PATCH 200"])
    }))

  it.effect("two requests to be refused, by oneself, by another or by an unreadable value", () =>
    Effect.gen(function*() {
      const { object } = yield* World
      const locks = yield* KubeLock
      const held = `{"owner":"go","createdAt":"2100-01-01T00:00:00Z","ttl":1}`
      for (const value of [held, "not json"]) {
        const resource = yield* object({ [key]: value })
        for (const owner of ["go", "me"]) {
          const refused = yield* requestsOf(locks.acquire({ resource, name: "x", owner }))
          assert.deepStrictEqual(refused, ["PATCH 422", "GET 200"])
        }
      }
    }))

  it.effect("three requests to take over an expired lock, or to be the first on an unknown object", () =>
    Effect.gen(function*() {
      const { object } = yield* World
      const locks = yield* KubeLock
      for (const annotations of [{ [key]: "{}" }, {}]) {
        const resource = yield* object(annotations)
        const acquire = yield* requestsOf(locks.acquire({ resource, name: "x" }))
        assert.deepStrictEqual(acquire, ["PATCH 422", "GET 200", "PATCH 200"])
      }
    }))

  it.effect("as much for several locks of one object as for one", () =>
    Effect.gen(function*() {
      const locks = yield* KubeLock
      const resource = yield* (yield* World).object({ other: "x" })
      const names = ["a", "b", "c", "d"]
      assert.deepStrictEqual(yield* requestsOf(locks.acquireAll({ resource, names })), ["PATCH 200"])
      assert.deepStrictEqual(yield* requestsOf(locks.acquireAll({ resource, names })), ["PATCH 422", "GET 200"])
      for (const name of names) yield* locks.break({ resource, name })
      const leases = yield* locks.acquireAll({ resource, names })
      assert.deepStrictEqual(yield* requestsOf(locks.releaseAll(leases)), ["PATCH 200"])
    }))

  it.effect("one request, made or refused, for an edit with operations", () =>
    Effect.gen(function*() {
      const store = yield* AnnotationStore
      const resource = yield* (yield* World).object({ other: "x" }, { version: "1" })
      const edits = [{ key: "a", expected: undefined, value: "1" }]
      const write = (version: string) =>
        requestsOf(store.edit(resource, edits, [{ op: "test", path: "/data/version", value: version }]))
      assert.deepStrictEqual(yield* write("0"), ["PATCH 422"])
      assert.deepStrictEqual(yield* write("1"), ["PATCH 200"])
    }))

  it.effect("a GET to look, and a PATCH more to release by owner or to break", () =>
    Effect.gen(function*() {
      const locks = yield* KubeLock
      const resource = yield* (yield* World).object()
      const target = { resource, name: "x" }
      assert.deepStrictEqual(yield* requestsOf(locks.inspect(target)), ["GET 200"])
      assert.deepStrictEqual(yield* requestsOf(locks.list(resource)), ["GET 200"])
      yield* locks.acquire(target)
      assert.deepStrictEqual(yield* requestsOf(locks.release(target)), ["GET 200", "PATCH 200"])
      assert.deepStrictEqual(yield* requestsOf(locks.release(target)), ["GET 200"])
      yield* locks.acquire(target)
      assert.deepStrictEqual(yield* requestsOf(locks.break(target)), ["GET 200", "PATCH 200"])
    }))

  it.effect("a GET to find that a lease has expired", () =>
    Effect.gen(function*() {
      const locks = yield* KubeLock
      const resource = yield* (yield* World).object()
      const lease = yield* locks.acquire({ resource, name: "x", ttl: "1 second" })
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* requestsOf(locks.renew(lease)), ["GET 200"])
    }))

  it.effect("nothing at all, where the request cannot be meant", () =>
    Effect.gen(function*() {
      const locks = yield* KubeLock
      const resource = yield* (yield* World).object()
      assert.deepStrictEqual(yield* requestsOf(locks.acquire({ resource, name: "x", ttl: -1 })), [])
      assert.deepStrictEqual(yield* requestsOf(locks.acquireAll({ resource, names: [] })), [])
      assert.deepStrictEqual(yield* requestsOf(locks.acquireAll({ resource, names: ["x", "x"] })), [])
    }))

  it.effect("no conflict and no retry while others write the object at the same time", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      const locks = yield* KubeLock
      const resource = yield* (yield* World).object({ other: "x" })
      const object = yield* server.get(configMapOf(resource))
      // Another write before each of ours, and more while it is on its way: several times a hundred a second.
      let writes = 0
      const busy = Effect.forever(Effect.gen(function*() {
        const path = `${server.url}/api/v1/namespaces/default/configmaps/${resource.name}`
        const body = JSON.stringify({ data: { count: String(++writes) } })
        const headers = { "content-type": "application/merge-patch+json" }
        yield* Effect.promise((signal) => fetch(path, { method: "PATCH", headers, body, signal }))
      }))
      const rounds = 100
      yield* server.clearRequests
      yield* Effect.raceFirst(
        busy,
        Effect.gen(function*() {
          for (let round = 0; round < rounds; round++) {
            yield* locks.release(yield* locks.renew(yield* locks.acquire({ resource, name: "x" })))
          }
        })
      )
      const ours = (yield* server.requests).filter(({ client }) => client.startsWith("kubelock"))
      assert.deepStrictEqual(ours.map(({ status }) => status), Array.from({ length: 3 * rounds }, () => 200))
      assert.isAtLeast(writes, rounds)
      assert.notStrictEqual(
        (yield* server.get(configMapOf(resource))).metadata.resourceVersion,
        object.metadata.resourceVersion
      )
    }))

  it.effect("no answer over 2 KiB, and every one of metadata alone, on an object of 900 KiB", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      const locks = yield* KubeLock
      const resource = yield* (yield* World).object({ other: "x" })
      const { name, namespace, ...type } = configMapOf(resource)
      const metadata = { namespace: namespace!, name, annotations: { other: "x" } }
      yield* server.put({ ...type, metadata, data: { large: "x".repeat(900 * 1024) } })
      yield* server.clearRequests
      const lease = yield* locks.acquire({ resource, name: "x", owner: "me" })
      yield* Effect.result(locks.acquire({ resource, name: "x", owner: "other" }))
      yield* locks.inspect({ resource, name: "x" })
      yield* locks.release(yield* locks.renew(lease))
      yield* Effect.result(locks.release({ resource, name: "x" }))
      const requests = yield* server.requests
      assert.isAtLeast(requests.length, 7)
      for (const { method, query, responseBytes } of requests) {
        assert.isBelow(responseBytes, 2_048)
        const fieldManagers = new URLSearchParams(query).getAll("fieldManager")
        assert.deepStrictEqual(fieldManagers, method === "PATCH" ? ["kubelock"] : [])
      }
    }))

  it.effect("a request for what a wrong belief was about: a lease that is not what it was is read before it is judged", () =>
    Effect.gen(function*() {
      const { object, put } = yield* World
      const locks = yield* KubeLock
      const store = yield* AnnotationStore
      const resource = yield* object({ other: "x" })
      const lease = yield* locks.acquire({ resource, name: "x" })
      const { annotations } = yield* store.get(resource)
      yield* put(resource, { ...annotations, [key]: annotations[key]!.replace(/}$/, `,"note":1}`) })
      const renewed = yield* locks.renew(lease)
      assert.deepStrictEqual(renewed.record.others, [`"note":1`])
      assert.isTrue(Result.isSuccess(yield* Effect.result(locks.release(renewed))))
    }))
})
