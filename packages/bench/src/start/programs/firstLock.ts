/** Takes one lock, as a program does that has just been started. Its arguments: a kubeconfig, a ConfigMap, a lock. */
import { KubeAnnotationStore, KubeLock, KubeTransport, ResourceRef } from "@kubelock/kube"
import { Effect, Layer } from "effect"

const importedMillis = performance.now()
const [kubeconfig = "", object = "", lock = ""] = process.argv.slice(2)

const layer = KubeLock.layer.pipe(
  Layer.provide(KubeAnnotationStore.layer),
  Layer.provide(KubeTransport.layerFile(kubeconfig))
)

const program = Effect.gen(function*() {
  const locks = yield* KubeLock
  const builtMillis = performance.now()
  const resource = ResourceRef.configMap({ namespace: "default", name: object })
  yield* locks.acquire({ resource, name: lock, ttl: "5 minutes" })
  const { system, user } = process.cpuUsage()
  return { importedMillis, builtMillis, takenMillis: performance.now(), cpuMillis: (user + system) / 1_000 }
}).pipe(Effect.provide(layer))

process.stdout.write(JSON.stringify(await Effect.runPromise(program)))
