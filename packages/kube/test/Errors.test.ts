import { assert, layer } from "@effect/vitest"
import { LockRecord } from "@kubelock/core"
import * as kube from "@kubelock/kube"
import { HeldLock, KubeAnnotationStore, KubeLock, KubeTransport, ResourceRef } from "@kubelock/kube"
import { Faults, KubeApiServer } from "@kubelock/testing"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import { apiServerWorld, storeOfServer } from "./suites/apiServerWorld.ts"
import { withoutPauses, World } from "./suites/World.ts"

// Every row of docs/ERRORS.md is met here, through HTTP. The titles of the tests are the first cells of the rows.

interface Failed {
  readonly _tag: string
  readonly message: string
  readonly reason?: { readonly _tag: string }
}

interface Meeting {
  /** The error's tag and, for a `KubeError`, its reason: as the table has it. */
  readonly error: string
  /** What its message must tell a person. */
  readonly says: ReadonlyArray<string>
  readonly met: (options: {
    readonly resource: ResourceRef.ResourceRef
    readonly locks: KubeLock["Service"]
    readonly server: KubeApiServer["Service"]
  }) => Effect.Effect<unknown, Failed, World>
}

const key = "kubelock.giantswarm.io/x"
const held = (owner: string) => LockRecord.format({ owner, createdAtNanos: 0n, ttlNanos: 300_000_000_000n })

const patched = { method: "PATCH" }

/** One attempt that meets a fault for as long as it lasts. */
const under = (fault: Faults.Fault): Meeting["met"] => ({ locks, resource, server }) =>
  Effect.andThen(server.inject(fault), locks.acquire({ resource, name: "x", owner: "me" }))

const always = { count: Infinity }

/** Lets time pass until the effect has ended; not so fast that a request could not be answered. */
const whileTimePasses = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkChild(effect)
  while (fiber.pollUnsafe() === undefined) {
    yield* TestClock.withLive(Effect.sleep("1 millis"))
    yield* TestClock.adjust("100 millis")
  }
  return yield* Fiber.join(fiber)
})

/** A section that goes on until its lock is lost. */
const losing =
  (lose: (options: Parameters<Meeting["met"]>[0]) => Effect.Effect<unknown, Failed, World>): Meeting["met"] =>
  (options) =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const lock = yield* options.locks.make({ resource: options.resource, name: "x", owner: "me" })
      const section = Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
      const fiber = yield* Effect.forkChild(lock.withLock(section))
      yield* Deferred.await(begun)
      yield* lose(options)
      return yield* whileTimePasses(Fiber.join(fiber))
    })

/** Somebody who is no API server. */
const somebodyElse =
  (status: number, headers: Record<string, string>, body: string): Meeting["met"] => ({ resource }) =>
    Effect.scoped(Effect.gen(function*() {
      const server = createServer((_, response) => response.writeHead(status, headers).end(body))
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () => Effect.sync(() => server.close().closeAllConnections())
      )
      const address = server.address()
      const port = typeof address === "object" ? address?.port : undefined
      const locks = yield* locksAt(kubeconfigOf(`http://127.0.0.1:${port}`))
      return yield* locks.acquire({ resource, name: "x", owner: "me" })
    }))

const kubeconfigOf = (server: string) =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "c", cluster: { server } }],
    users: [],
    contexts: [{ name: "c", context: { cluster: "c", user: "" } }],
    "current-context": "c"
  })

const locksAt = (kubeconfig: string, options?: { readonly context: string }) =>
  Effect.map(
    // Fresh: the layers of the suite's own server are the same values.
    Layer.build(Layer.fresh(KubeLock.layer.pipe(
      Layer.provide(KubeAnnotationStore.layer),
      Layer.provide(KubeTransport.layerText(kubeconfig, options))
    ))),
    (context) => context.mapUnsafe.get(KubeLock.key) as KubeLock["Service"]
  )

const meetings: Record<string, Meeting> = {
  "held by the same owner": {
    error: "AlreadyExists",
    says: [`lock "x"`, `"me"`, "configmaps/", "until 1970-01-01T00:05:00Z", "left"],
    met: ({ locks, resource }) =>
      Effect.andThen(
        Effect.flatMap(World, ({ put }) => put(resource, { [key]: held("me") })),
        locks.acquire({ resource, name: "x", owner: "me" })
      )
  },
  "held by another owner": {
    error: "OwnerMismatch",
    says: [`lock "x"`, `"go"`, `not by "me"`, "since 1970-01-01T00:00:00Z"],
    met: ({ locks, resource }) =>
      Effect.andThen(
        Effect.flatMap(World, ({ put }) => put(resource, { [key]: held("go") })),
        locks.acquire({ resource, name: "x", owner: "me" })
      )
  },
  "nothing to release": {
    error: "NotFound",
    says: [`there is no lock "x"`, "configmaps/"],
    met: ({ locks, resource }) => locks.release({ resource, name: "x", owner: "me" })
  },
  "expired": {
    error: "NotFound",
    says: [`lock "x"`, "has expired", `"me"`],
    met: ({ locks, resource }) =>
      Effect.gen(function*() {
        yield* locks.acquire({ resource, name: "x", owner: "me", ttl: "1 second" })
        yield* TestClock.adjust("2 seconds")
        yield* locks.release({ resource, name: "x", owner: "me" })
      })
  },
  "unreadable annotation": {
    error: "MalformedRecord",
    says: [`lock "x"`, "not a JSON object", "[1]", "break"],
    met: ({ locks, resource }) =>
      Effect.andThen(
        Effect.flatMap(World, ({ put }) => put(resource, { [key]: "[1]" })),
        locks.acquire({ resource, name: "x", owner: "me" })
      )
  },
  "bad name, TTL or resource": {
    error: "InvalidConfig",
    says: ["invalid ttl", "at least 1 nanosecond"],
    met: ({ locks, resource }) => locks.acquire({ resource, name: "x", ttl: 0 })
  },
  "bad kubeconfig or context": {
    error: "InvalidConfig",
    says: ["nowhere", "c"],
    met: () => Effect.scoped(locksAt(kubeconfigOf("http://127.0.0.1:1"), { context: "nowhere" }))
  },
  "no such object": {
    error: "KubeError ResourceNotFound",
    says: ["does not exist", `Could not acquire lock "x" as "me"`],
    met: ({ locks }) =>
      Effect.flatMap(
        Effect.flatMap(World, ({ nowhere }) => nowhere),
        (resource) => locks.acquire({ resource, name: "x", owner: "me" })
      )
  },
  "no such resource type": {
    error: "KubeError ResourceNotFound",
    says: ["clusters", "CustomResourceDefinition"],
    met: ({ locks }) =>
      locks.acquire({
        resource: ResourceRef.make({ group: "infra.example.com", version: "v1", resource: "clusters", name: "eu1" }),
        name: "x"
      })
  },
  "HTTP 401": {
    error: "KubeError Unauthorized",
    says: ["credentials", "HTTP 401"],
    met: ({ locks, resource, server }) =>
      server.setToken("another").pipe(
        Effect.andThen(locks.acquire({ resource, name: "x" })),
        Effect.ensuring(server.setToken("secret"))
      )
  },
  "HTTP 403": {
    error: "KubeError Forbidden",
    says: ["patch", "configmaps", "Role"],
    met: somebodyElse(
      403,
      { "content-type": "application/json" },
      JSON.stringify({
        kind: "Status",
        apiVersion: "v1",
        status: "Failure",
        reason: "Forbidden",
        message: "no",
        code: 403
      })
    )
  },
  "409 without end": {
    error: "KubeError Conflict",
    says: ["changed", "HTTP 409"],
    met: under(Faults.conflict({ ...patched, ...always }))
  },
  "422 with causes, and other 4xx": {
    error: "KubeError Invalid",
    says: ["metadata.annotations", "262144"],
    met: ({ locks, resource }) => locks.acquire({ resource, name: "x", owner: "x".repeat(262_144) })
  },
  "429 without end": {
    error: "KubeError Throttled",
    says: ["fewer requests"],
    met: under(Faults.tooManyRequests({ ...always, retryAfterSeconds: 0 }))
  },
  "429 with too long a Retry-After": {
    error: "KubeError Throttled",
    says: ["3600000 ms"],
    met: under(Faults.tooManyRequests({ retryAfterSeconds: 3600 }))
  },
  "5xx without end": {
    error: "KubeError Unavailable",
    says: ["may or may not have been applied", "HTTP 500"],
    met: under(Faults.internalError({ ...always, ...patched }))
  },
  "503 without end": {
    error: "KubeError Unavailable",
    says: ["HTTP 503"],
    met: under(Faults.serviceUnavailable({ ...always, ...patched }))
  },
  "connection refused": {
    error: "KubeError Unavailable",
    says: ["Nothing listens", "nothing was sent"],
    met: ({ resource }) =>
      Effect.scoped(
        Effect.flatMap(locksAt(kubeconfigOf("http://127.0.0.1:1")), (locks) => locks.acquire({ resource, name: "x" }))
      )
  },
  "connection lost without end": {
    error: "KubeError Unavailable",
    says: ["broke", "may or may not have been applied"],
    met: under(Faults.requestDropped({ ...always, ...patched }))
  },
  "no answer in time": {
    error: "KubeError Timeout",
    says: ["10s", "may or may not have been applied"],
    met: under(Faults.hang({ ...always, ...patched }))
  },
  "an answer that is no Kubernetes object": {
    error: "KubeError Unavailable",
    says: ["cannot be read"],
    met: somebodyElse(200, { "content-type": "text/html" }, "<html>please log in</html>")
  },
  "a redirect": {
    error: "KubeError Unavailable",
    says: ["redirect", "proxy"],
    met: somebodyElse(302, { location: "http://127.0.0.1:1/" }, "")
  },
  "lost: not renewed in time": {
    error: "LockLost NotRenewed",
    says: [`"me" has lost lock "x" on configmaps/`, "could not be renewed in time", "HTTP 503"],
    met: losing(({ server }) => server.inject(Faults.serviceUnavailable({ ...always, ...patched })))
  },
  "lost: taken over": {
    error: "LockLost TakenOver",
    says: [`"me" has lost lock "x"`, `taken over by "go" since 1970-01-01T00:00:00Z`],
    met: losing(({ resource }) => Effect.flatMap(World, ({ put }) => put(resource, { [key]: held("go") })))
  },
  "lost: broken": {
    error: "LockLost Broken",
    says: [`"me" has lost lock "x"`, "removed or overwritten"],
    met: losing(({ locks, resource }) => locks.break({ resource, name: "x" }))
  },
  "lost: the object was deleted": {
    error: "LockLost ObjectDeleted",
    says: [`"me" has lost lock "x"`, "was deleted"],
    met: losing(({ resource }) => Effect.flatMap(World, (world) => world.delete(resource)))
  },
  "lost: its layer has ended": {
    error: "LockLost LayerEnded",
    says: [`"me" has lost lock "x"`, "the layer of KubeLock, which kept it, has ended"],
    met: ({ resource, server }) =>
      Effect.gen(function*() {
        const begun = yield* Deferred.make<void>()
        const fiber = yield* Effect.scoped(Effect.gen(function*() {
          const lock = yield* (yield* locksAt(server.kubeconfig)).make({ resource, name: "x", owner: "me" })
          const section = Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
          const fiber = yield* Effect.forkDetach(lock.withLock(section))
          yield* Deferred.await(begun)
          return fiber
        }))
        return yield* whileTimePasses(Fiber.join(fiber))
      })
  },
  "used after it was released": {
    error: "LockLost Released",
    says: [`"me" has lost lock "x"`, "released by its holder"],
    met: ({ locks, resource }) =>
      Effect.scoped(Effect.gen(function*() {
        const held = yield* (yield* locks.make({ resource, name: "x", owner: "me" })).acquire
        yield* held.release
        return yield* held.write([{ op: "add", path: "/data", value: {} }])
      }))
  },
  "not free in time": {
    error: "WaitTimeout",
    says: [`"me" has waited 5s for lock "x" on configmaps/`, `it is held by "go" since 1970-01-01T00:00:00Z`],
    met: ({ locks, resource }) =>
      Effect.gen(function*() {
        yield* Effect.flatMap(World, ({ put }) => put(resource, { [key]: held("go") }))
        const lock = yield* locks.make({ resource, name: "x", owner: "me", waitAtMost: "5 seconds" })
        return yield* whileTimePasses(lock.withLock(Effect.void))
      })
  },
  "a fenced write that cannot be made": {
    error: "OperationsRefused",
    says: ["configmaps/", "test /data/version", "though the lock is held"],
    met: ({ locks, resource }) =>
      Effect.flatMap(locks.make({ resource, name: "x" }), (lock) =>
        lock.withLock(
          Effect.flatMap(HeldLock, (held) => held.write([{ op: "test", path: "/data/version", value: "1" }]))
        ))
  },
  "options that do not go together": {
    error: "InvalidConfig",
    says: ["invalid renewEvery", "must not exceed ttl (10s)"],
    met: ({ locks, resource }) => locks.make({ resource, name: "x", ttl: "10 seconds", renewEvery: "9 seconds" })
  }
}

const services = KubeLock.layer.pipe(
  Layer.provideMerge(storeOfServer),
  Layer.provideMerge(apiServerWorld),
  Layer.provideMerge(KubeApiServer.layer({ tls: true, token: "secret" }))
)

layer(services)("an error is met through HTTP:", (it) => {
  for (const [name, { error, met, says }] of Object.entries(meetings)) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const server = yield* KubeApiServer
        const resource = yield* (yield* World).object({ other: "x" })
        const options = { resource, locks: yield* KubeLock, server }
        yield* server.clearRequests
        const fiber = yield* Effect.forkChild(Effect.flip(withoutPauses(met(options))))
        while (fiber.pollUnsafe() === undefined) {
          yield* TestClock.withLive(Effect.sleep("1 millis"))
          // Lets a request that hangs run out of time; nothing else waits.
          const hangs = error === "KubeError Timeout" &&
            (yield* server.requests).some(({ status }) => status === "pending")
          if (hangs) yield* TestClock.adjust("10 seconds")
        }
        const exit = fiber.pollUnsafe()!
        yield* server.clearFaults
        assert.isTrue(exit._tag === "Success", String(exit))
        if (exit._tag !== "Success") return
        const failed = exit.value
        assert.strictEqual([failed._tag, failed.reason?._tag].filter((tag) => tag !== undefined).join(" "), error)
        for (const words of says) assert.include(failed.message, words)
        assert.notInclude(failed.message, "secret")
      }))
  }

  it.effect("is exported, with its guard if it is one of the Go library's: nobody has to install the package below for it", () =>
    Effect.sync(() => {
      const names = Object.values(meetings).map(({ error }) => error.split(" ")[0]!)
      const guards = ["isAlreadyExists", "isOwnerMismatch", "isNotFound", "isMalformedRecord", "isInvalidConfig"]
      assert.deepStrictEqual([...names, ...guards].filter((name) => !(name in kube)), [])
    }))

  it.effect("all that docs/ERRORS.md names", () =>
    Effect.sync(() => {
      const docs = readFileSync(new URL("../../../docs/ERRORS.md", import.meta.url), "utf8")
      const rows = [...docs.matchAll(/^\| ([^|`]+?) *\| `([^`]+)` *\|/gm)].map(([, name, error]) => [name, error])
      assert.deepStrictEqual(rows, Object.entries(meetings).map(([name, { error }]) => [name, error]))
    }))
})
