/**
 * A program of several replicas, of which one works at a time: what docs/guides/in-a-pod.md runs in a Pod.
 *
 * It asks for the lock again after each piece of work, and so does every replica: whoever was served least recently goes first. On SIGTERM it
 * cleans up and gives the lock back before it ends.
 */
import { NodeRuntime } from "@effect/platform-node"
import { HeldLock, KubeAnnotationStore, KubeLock, KubeTransport, ResourceRef } from "@kubelock/kube"
import { Config, Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp, OtlpSerialization } from "effect/observability"

const work = Effect.gen(function*() {
  const { fencingToken } = yield* HeldLock
  yield* Effect.log(`works, token ${fencingToken}`)
  yield* Effect.sleep("10 seconds")
}).pipe(Effect.onInterrupt(() => Effect.log("told to end, or the lock is lost: cleans up")))

const program = Effect.gen(function*() {
  const namespace = yield* Config.String("POD_NAMESPACE")
  const lock = yield* KubeLock.make({
    resource: ResourceRef.configMap({ namespace, name: "deploys" }),
    name: "helm"
  })
  return yield* lock.withLock(work).pipe(
    // No reason to end: it is asked for again. Anything else, such as a right that is missing, ends the process.
    Effect.catchTag("LockLost", ({ message }) => Effect.log(message)),
    Effect.forever
  )
})

const onCluster = KubeLock.layer.pipe(
  Layer.provide(KubeAnnotationStore.layer),
  Layer.provide(KubeTransport.layer())
)

// As the variables OTEL_* say; without them it sends nothing.
const telemetry = Otlp.layerFromConfig().pipe(
  Layer.provide(OtlpSerialization.layerJson),
  Layer.provide(FetchHttpClient.layer)
)

// Telemetry is there first and ends last, so that it hears of the end too.
program.pipe(Effect.provide(onCluster.pipe(Layer.provideMerge(telemetry))), NodeRuntime.runMain)
