/**
 * A program that is told to end, and gives its lock back first.
 *
 * `NodeRuntime.runMain` interrupts the program on SIGTERM and SIGINT. A section that is interrupted releases its lock, in one request and in
 * bounded time, before the process ends: the next one has it at once, and does not wait for the TTL.
 *
 * It needs a cluster, and a ConfigMap `deploys` in the namespace `default`. In one terminal `npm run apiserver` (in a project of your
 * own, `npx kubelock-apiserver` of `@kubelock/testing`), and in another, with the KUBECONFIG that it names:
 *
 *   kubectl create configmap deploys
 *   node docs/examples/graceful-shutdown.ts    # and Ctrl-C; by itself it ends after a few seconds
 *   kubectl get configmap deploys -o yaml
 */
import { NodeRuntime } from "@effect/platform-node"
import { HeldLock, KubeAnnotationStore, KubeLock, KubeTransport, ResourceRef } from "@kubelock/kube"
import { Console, Effect, Layer } from "effect"

const resource = ResourceRef.configMap({ namespace: "default", name: "deploys" })

const work = Effect.gen(function*() {
  const { fencingToken } = yield* HeldLock
  yield* Console.log(`has the lock, token ${fencingToken}`)
  yield* Effect.sleep("10 seconds")
  yield* Console.log("done")
}).pipe(Effect.onInterrupt(() => Console.log("told to end: cleaning up, still under the lock")))

const program = Effect.gen(function*() {
  const lock = yield* KubeLock.make({ resource, name: "helm" })
  yield* Effect.ensuring(lock.withLock(work), Console.log("the lock is given back"))
})

const onCluster = KubeLock.layer.pipe(
  Layer.provide(KubeAnnotationStore.layer),
  Layer.provide(KubeTransport.layer())
)

program.pipe(Effect.provide(onCluster), NodeRuntime.runMain)
