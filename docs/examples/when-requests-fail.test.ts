/**
 * A test of what one's own code does when requests to the API server fail, or the lock is lost.
 *
 * `KubeApiServer` speaks real HTTP, so these tests run on the real clock: the code under test takes its `ttl` from whoever calls it, and the
 * test a short one. `Faults` says what shall go wrong: which requests, how many of them, and after how many. What shall go wrong under
 * the lock is best injected there, by the work.
 *
 * Run it with vitest and @effect/vitest.
 */
import { assert, describe, it } from "@effect/vitest"
import { HeldLock, KubeAnnotationStore, KubeLock, KubeTransport, ResourceRef } from "@kubelock/kube"
import { Faults, KubeApiServer } from "@kubelock/testing"
import { type Duration, Effect, Layer, Logger, Result } from "effect"

// The code under test: a deployment that is stored in the object that is locked.
const resource = ResourceRef.configMap({ namespace: "default", name: "deploys" })

const deploy = Effect.fn("deploy")(
  function*(version: string, options: { readonly ttl: Duration.Input; readonly work: Effect.Effect<void> }) {
    const lock = yield* KubeLock.make({ resource, name: "helm", ttl: options.ttl })
    yield* Effect.gen(function*() {
      const held = yield* HeldLock
      yield* options.work
      yield* held.write([{ op: "add", path: "/data/version", value: version }])
    }).pipe(lock.withLock)
    return "deployed"
  },
  Effect.catchTag("LockLost", ({ reason }) => Effect.succeed(`stopped: ${reason._tag}`))
)

const configMap = { apiVersion: "v1", kind: "ConfigMap", namespace: "default", name: "deploys" }

const stored = Effect.gen(function*() {
  const server = yield* KubeApiServer
  const { data, metadata: { annotations } } = yield* server.get(configMap)
  return { data, annotations }
})

const onServer = Layer.effectDiscard(Effect.gen(function*() {
  const server = yield* KubeApiServer
  // The very first annotation of an object takes a request more, which whoever counts requests would have to know.
  const metadata = { namespace: "default", name: "deploys", annotations: { team: "web" } }
  yield* server.put({ ...configMap, metadata, data: { version: "none" } })
})).pipe(
  Layer.provideMerge(Layer.unwrap(Effect.map(KubeApiServer, ({ kubeconfig }) =>
    KubeLock.layer.pipe(
      Layer.provide(KubeAnnotationStore.layer),
      Layer.provide(KubeTransport.layerText(kubeconfig))
    )))),
  Layer.provideMerge(KubeApiServer.layer()),
  // The library warns of lost locks; here they are lost on purpose.
  Layer.provideMerge(Logger.layer([]))
)

describe("deploy", () => {
  it.live("is stored once, and gives its lock back, whichever answer is lost", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      for (const [index, version] of ["taken", "stored", "given back"].entries()) {
        yield* server.inject(Faults.answerDropped({ method: "PATCH", skip: index }))
        assert.strictEqual(yield* deploy(version, { ttl: "30 seconds", work: Effect.void }), "deployed")
        assert.deepStrictEqual(yield* stored, { data: { version }, annotations: { team: "web" } })
      }
    }).pipe(Effect.provide(onServer)))

  it.live("stops when the API server stays away for too long", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      const away = server.inject(Faults.serviceUnavailable({ method: "PATCH", count: Infinity }))
      const work = Effect.andThen(away, Effect.never)
      assert.strictEqual(yield* deploy("5.3.0", { ttl: "2 seconds", work }), "stopped: NotRenewed")
      assert.deepStrictEqual((yield* stored).data, { version: "none" })
    }).pipe(Effect.provide(onServer)))

  it.live("stops when somebody deletes the object", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      const work = Effect.andThen(Effect.orDie(server.delete(configMap)), Effect.never)
      assert.strictEqual(yield* deploy("5.3.0", { ttl: "30 seconds", work }), "stopped: ObjectDeleted")
    }).pipe(Effect.provide(onServer)))

  it.live("fails when there is no such object", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      yield* server.delete(configMap)
      const outcome = yield* Effect.result(deploy("5.3.0", { ttl: "30 seconds", work: Effect.void }))
      assert.isTrue(Result.isFailure(outcome) && outcome.failure._tag === "KubeError")
    }).pipe(Effect.provide(onServer)))
})
