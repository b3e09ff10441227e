/**
 * A service that does one thing at a time, in the whole cluster.
 *
 * The lock is made once, with the service: that costs no request. `withLock` waits for it, keeps it while the section runs, and gives it
 * back at the end. If the lock is lost meanwhile, the section is interrupted and `LockLost` is its failure.
 *
 * Here two deployments are asked for at once, and one waits for the other. The store is in memory; on a cluster it is
 *
 *   KubeLock.layer.pipe(Layer.provide(KubeAnnotationStore.layer), Layer.provide(KubeTransport.layer()))
 *
 * Run it: node docs/examples/with-lock-in-a-service.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { AnnotationStore, KubeLock, type LockLost, type NotAcquired, ResourceRef } from "@kubelock/kube"
import { Console, Context, Effect, Layer } from "effect"

const resource = ResourceRef.configMap({ namespace: "prod", name: "deploys" })

class Deployments extends Context.Service<Deployments, {
  readonly deploy: (version: string) => Effect.Effect<void, LockLost | NotAcquired>
}>()("example/Deployments") {
  static readonly layer = Layer.effect(
    Deployments,
    Effect.gen(function*() {
      const lock = yield* KubeLock.make({ resource, name: "helm", ttl: "30 seconds" })
      return {
        deploy: (version) =>
          Effect.gen(function*() {
            yield* Console.log(`${version}: begins`)
            yield* Effect.sleep("20 millis")
            yield* Console.log(`${version}: done`)
          }).pipe(lock.withLock)
      }
    })
  )
}

const program = Effect.gen(function*() {
  const { deploy } = yield* Deployments
  yield* Effect.all([deploy("5.3.0"), deploy("5.4.0")], { concurrency: "unbounded" })
})

const inMemory = Deployments.layer.pipe(
  Layer.provide(KubeLock.layer),
  Layer.provide(AnnotationStore.layerMemory([resource]))
)

program.pipe(Effect.provide(inMemory), NodeRuntime.runMain)
