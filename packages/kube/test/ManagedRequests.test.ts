import { assert, layer } from "@effect/vitest"
import { LockRecord } from "@kubelock/core"
import { AnnotationStore, HeldLock, KubeLock, type ManagedLockOptions, type ResourceRef } from "@kubelock/kube"
import { Faults, KubeApiServer } from "@kubelock/testing"
import { Clock, Deferred, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"
import { apiServerWorld, configMapOf, storeOfServer } from "./suites/apiServerWorld.ts"
import { World } from "./suites/World.ts"

// What managed locks cost, counted at the server. The titles of the tests are the rows of the table in docs/PROTOCOL.md.

const services = Layer.fresh(KubeLock.layer.pipe(
  Layer.provideMerge(storeOfServer),
  Layer.provideMerge(apiServerWorld),
  Layer.provideMerge(KubeApiServer.layer())
))

const key = "kubelock.giantswarm.io/x"

const heldNow = Effect.map(Clock.currentTimeNanos, (createdAtNanos) => ({
  [key]: LockRecord.format({ owner: "go", createdAtNanos, ttlNanos: 30_000_000_000n })
}))

/** Lets answers and events come in, and short pauses pass. */
const settle = Effect.repeat(
  Effect.andThen(TestClock.adjust("1 millis"), TestClock.withLive(Effect.sleep("1 millis"))),
  {
    times: 60
  }
)

const section = Effect.fnUntraced(
  function*<A, E>(resource: ResourceRef.ResourceRef, work: Effect.Effect<A, E, HeldLock>) {
    const lock = yield* KubeLock.make({ resource, name: "x", owner: "me" })
    const fiber = yield* Effect.forkChild(lock.withLock(work))
    yield* settle
    return fiber
  }
)

/** The requests but watches that were made meanwhile, as methods and statuses. */
const requestsOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const server = yield* KubeApiServer
    yield* server.clearRequests
    yield* effect
    yield* settle
    return (yield* server.requests).flatMap(({ method, query, status }) =>
      query.includes("watch=true") ? [] : [`${method} ${status}`]
    )
  })

type Play = Effect.Effect<ReadonlyArray<string>, unknown, AnnotationStore | KubeApiServer | KubeLock | World>

/** An object whose lock somebody else has, and a section that waits for it. */
const waiting = Effect.gen(function*() {
  const { object, put } = yield* World
  const resource = yield* object(yield* heldNow)
  const begun = yield* Deferred.make<void>()
  const fiber = yield* section(resource, Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
  return { resource, fiber, begun, put: (annotations: Record<string, string>) => put(resource, annotations) }
})

/** What is done by a section under the lock. */
const under = (work: Effect.Effect<unknown, unknown, HeldLock>): Play =>
  Effect.gen(function*() {
    const resource = yield* (yield* World).object({ other: "x" })
    const goOn = yield* Deferred.make<void>()
    yield* section(
      resource,
      Deferred.await(goOn).pipe(Effect.andThen(Effect.ignore(work)), Effect.andThen(Effect.never))
    )
    return yield* requestsOf(Deferred.succeed(goOn, undefined))
  })

/** An object of which a process has three locks. */
const several = Effect.fnUntraced(function*(more: Partial<ManagedLockOptions>) {
  const resource = yield* (yield* World).object({ other: "x" })
  for (const name of ["x", "y", "z"]) {
    const lock = yield* KubeLock.make({ resource, name, owner: "me", ...more })
    yield* Effect.forkChild(Effect.ignore(lock.withLock(Effect.never)))
    yield* settle
  }
  return resource
})

const rows: Readonly<Record<string, { readonly costs: ReadonlyArray<string>; readonly play: Play }>> = {
  "take a free lock, the object not being followed": {
    costs: ["PATCH 200"],
    play: Effect.flatMap(
      Effect.flatMap(World, ({ object }) => object({ other: "x" })),
      (resource) => requestsOf(section(resource, Effect.never))
    )
  },
  "take a held lock, the object not being followed": { costs: ["PATCH 422", "GET 200"], play: requestsOf(waiting) },
  "wait, whatever changes": {
    costs: [],
    play: Effect.gen(function*() {
      const { put } = yield* waiting
      const changes = Effect.gen(function*() {
        for (let change = 0; change < 5; change++) yield* Effect.andThen(put({ ...yield* heldNow, other: "x" }), settle)
      })
      return yield* requestsOf(changes)
    })
  },
  "take a lock that is seen free, when the turn has come": {
    costs: ["PATCH 200"],
    play: Effect.flatMap(
      waiting,
      ({ begun, put }) => requestsOf(Effect.andThen(put({ other: "x" }), whilePassing(begun)))
    )
  },
  "take a lock that is seen to have expired": {
    costs: ["PATCH 200"],
    play: Effect.flatMap(waiting, ({ begun }) => requestsOf(whilePassing(begun)))
  },
  "lose the race for a free lock": {
    costs: ["PATCH 422"],
    play: Effect.gen(function*() {
      const { put } = yield* waiting
      const server = yield* KubeApiServer
      // The write comes late: somebody else was faster.
      yield* server.inject(Faults.latency({ duration: "20 millis", method: "PATCH" }))
      const race = Effect.gen(function*() {
        yield* put({ other: "x" })
        yield* Effect.repeat(
          Effect.andThen(TestClock.withLive(Effect.sleep("1 millis")), TestClock.adjust("1 millis")),
          {
            until: () => Effect.map(server.requests, (all) => all.some(({ method }) => method === "PATCH"))
          }
        )
        yield* put({ ...yield* heldNow, other: "x" })
      })
      return yield* requestsOf(race)
    })
  },
  "have a lock from another fiber of the process": {
    costs: [],
    play: Effect.gen(function*() {
      const resource = yield* (yield* World).object({ other: "x" })
      const goOn = yield* Deferred.make<void>()
      const begun = yield* Deferred.make<void>()
      const lock = yield* KubeLock.make({ resource, name: "x", owner: "me", localHandover: "1 second" })
      yield* Effect.forkChild(lock.withLock(Deferred.await(goOn)))
      yield* settle
      yield* Effect.forkChild(lock.withLock(Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)))
      yield* settle
      return yield* requestsOf(Effect.andThen(Deferred.succeed(goOn, undefined), Deferred.await(begun)))
    })
  },
  "renew": { costs: ["PATCH 200"], play: under(Effect.flatMap(HeldLock, ({ renew }) => renew)) },
  "renew several of one object": {
    costs: ["PATCH 200"],
    play: Effect.flatMap(several({}), () => requestsOf(TestClock.adjust("10 seconds")))
  },
  "renew several of one object, one of which was broken unseen": {
    costs: ["PATCH 422", "GET 200", "PATCH 200"],
    play: Effect.gen(function*() {
      const resource = yield* several({ watch: false })
      const store = yield* AnnotationStore
      const { annotations: { [key]: expected } } = yield* store.get(resource)
      yield* store.edit(resource, [{ key, expected, value: undefined }])
      return yield* requestsOf(TestClock.adjust("10 seconds"))
    })
  },
  "write under the lock": {
    costs: ["PATCH 200"],
    play: under(Effect.flatMap(HeldLock, ({ write }) => write([{ op: "add", path: "/data", value: { version: "1" } }])))
  },
  "write under the lock what cannot be made": {
    costs: ["PATCH 422", "GET 200"],
    play: under(Effect.flatMap(HeldLock, ({ write }) => write([{ op: "test", path: "/data/version", value: "1" }])))
  },
  "learn that the lock was broken, taken over or deleted": {
    costs: [],
    play: Effect.gen(function*() {
      const { object, put } = yield* World
      const server = yield* KubeApiServer
      const costs: Array<string> = []
      for (
        const lose of [
          (resource: ResourceRef.ResourceRef) => put(resource, { other: "x" }),
          (resource: ResourceRef.ResourceRef) => Effect.flatMap(heldNow, (record) => put(resource, record)),
          (resource: ResourceRef.ResourceRef) => server.delete(configMapOf(resource))
        ]
      ) {
        const resource = yield* object({ other: "x" })
        const fiber = yield* section(resource, Effect.never)
        costs.push(...yield* requestsOf(Effect.andThen(lose(resource), Effect.flip(Fiber.join(fiber)))))
      }
      return costs
    })
  },
  "release": {
    costs: ["PATCH 200"],
    play: Effect.gen(function*() {
      const resource = yield* (yield* World).object({ other: "x" })
      const fiber = yield* section(resource, Effect.never)
      return yield* requestsOf(Fiber.interrupt(fiber))
    })
  },
  "find a lock held, without waiting": {
    costs: ["PATCH 422", "GET 200"],
    play: Effect.gen(function*() {
      const resource = yield* (yield* World).object({ ...yield* heldNow, other: "x" })
      const lock = yield* KubeLock.make({ resource, name: "x", owner: "me" })
      return yield* requestsOf(lock.withLockIfAvailable(Effect.void))
    })
  }
}

/** Lets time pass until it is so. */
const whilePassing = (deferred: Deferred.Deferred<void>) =>
  Effect.repeat(Effect.andThen(TestClock.withLive(Effect.sleep("1 millis")), TestClock.adjust("50 millis")), {
    until: () => Deferred.isDone(deferred)
  })

layer(services)("the requests to", (it) => {
  for (const [name, { costs, play }] of Object.entries(rows)) {
    it.effect(name, () => Effect.map(play, (requests) => assert.deepStrictEqual(requests, costs)))
  }

  it.effect("all that docs/PROTOCOL.md names", () =>
    Effect.sync(() => {
      const docs = readFileSync(new URL("../../../docs/PROTOCOL.md", import.meta.url), "utf8")
      const table = /(?:^\|.*\n)+/m.exec(docs.split("### Of managed locks\n")[1] ?? "")?.[0] ?? ""
      const documented = [...table.matchAll(/^\| ([^|]+?) *\| ([^|]+?) *\|$/gm)].slice(2).map(([, name, cell]) => [
        name,
        [...cell!.matchAll(/`(\w+)`( \(refused\))?/g)].map(([, method, refused]) => `${method} ${refused ? 422 : 200}`)
      ])
      assert.deepStrictEqual(documented, Object.entries(rows).map(([name, { costs }]) => [name, [...costs]]))
    }))
})
