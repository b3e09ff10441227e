import { KubeAnnotationStore, KubeTransport, ResourceRef } from "@kubelock/kube"
import { KubeApiServer } from "@kubelock/testing"
import { Effect, Layer } from "effect"
import { World } from "./World.ts"

export const configMapOf = (ref: ResourceRef.ResourceRef) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  namespace: ref.namespace,
  name: ref.name
})

/** Objects on the embedded server, reached past HTTP. */
export const apiServerWorld = Layer.effect(
  World,
  Effect.gen(function*() {
    const server = yield* KubeApiServer
    let made = 0
    const nextRef = Effect.sync(() => ResourceRef.configMap({ namespace: "default", name: `object-${made++}` }))
    const put: World["Service"]["put"] = (ref, annotations) => {
      const { name, namespace, ...type } = configMapOf(ref)
      return Effect.orDie(
        server.put({ ...type, metadata: { ...(namespace === undefined ? {} : { namespace }), name, annotations } })
      )
    }
    return {
      object: (annotations = {}) => Effect.tap(nextRef, (ref) => put(ref, annotations)),
      nowhere: nextRef,
      put,
      delete: (ref) => Effect.orDie(server.delete(configMapOf(ref)))
    }
  })
)

/** A store that speaks to the embedded server over HTTP. */
export const storeOfServer = Layer.unwrap(
  Effect.map(
    KubeApiServer,
    ({ kubeconfig }) => Layer.provide(KubeAnnotationStore.layer, KubeTransport.layerText(kubeconfig))
  )
)
