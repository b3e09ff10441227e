/**
 * A write that the API server itself refuses if the lock is no longer held.
 *
 * A section may go on although its lock is lost: the process was paused, the section cannot be interrupted. `HeldLock.write` changes
 * the locked object in the same request that tests the lock's own record, so such a write comes to nothing, however late it is.
 *
 * Here somebody breaks the lock of a section that cannot be interrupted, and takes it. The version that is stored stays theirs.
 *
 * Run it: node docs/examples/fenced-write.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { HeldLock, KubeAnnotationStore, KubeLock, KubeTransport, ResourceRef } from "@kubelock/kube"
import { KubeApiServer } from "@kubelock/testing"
import { Console, Effect, Layer, Logger } from "effect"

const resource = ResourceRef.configMap({ namespace: "default", name: "deploys" })
const configMap = { apiVersion: "v1", kind: "ConfigMap", namespace: "default", name: "deploys" }

const store = (version: string) =>
  Effect.gen(function*() {
    const held = yield* HeldLock
    yield* held.write([{ op: "add", path: "/data/version", value: version }])
    yield* Console.log(`stored ${version}`)
  })

const program = Effect.gen(function*() {
  const server = yield* KubeApiServer
  yield* server.put({ ...configMap, metadata: { ...configMap }, data: { version: "none" } })

  const lock = yield* KubeLock.make({ resource, name: "helm", owner: "alice" })
  const others = yield* KubeLock.make({ resource, name: "helm", owner: "bob" })
  const locks = yield* KubeLock

  const late = Effect.gen(function*() {
    yield* store("5.3.0")
    yield* locks.break({ resource, name: "helm" })
    const refused = yield* Effect.flip(store("5.3.1"))
    yield* Console.log(refused.message)
  })
  yield* Effect.uninterruptible(late).pipe(
    lock.withLock,
    Effect.catchTag("LockLost", ({ reason }) => Console.log(`the section has ended: ${reason._tag}`))
  )
  yield* others.withLock(store("6.0.0"))

  const { data } = yield* server.get(configMap)
  yield* Console.log(`the object says ${JSON.stringify(data)}`)
})

const onServer = Layer.unwrap(Effect.map(KubeApiServer, ({ kubeconfig }) =>
  KubeLock.layer.pipe(
    Layer.provide(KubeAnnotationStore.layer),
    Layer.provide(KubeTransport.layerText(kubeconfig))
  )))

// The library warns of a broken and of a lost lock. This program says so itself.
const silent = Logger.layer([])

const layer = onServer.pipe(Layer.provideMerge(KubeApiServer.layer()), Layer.provideMerge(silent))

program.pipe(Effect.provide(layer), NodeRuntime.runMain)
