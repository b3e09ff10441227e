import type { AnnotationEdit } from "@kubelock/core"
import { KubeAnnotationStore, KubeTransport, ResourceRef } from "@kubelock/kube"
import { KubeApiServer } from "@kubelock/testing"
import { Effect, Layer, Schema } from "effect"
import { Data, World } from "./World.ts"

const decodeObject = Schema.decodeUnknownEffect(Schema.Struct({ data: Schema.optionalKey(Data) }))

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
    const replace = (ref: ResourceRef.ResourceRef, annotations: AnnotationEdit.Annotations, content: object) => {
      const { name, namespace, ...type } = configMapOf(ref)
      const metadata = { ...(namespace === undefined ? {} : { namespace }), name, annotations }
      return Effect.orDie(server.put({ ...type, metadata, ...content }))
    }
    const put: World["Service"]["put"] = (ref, annotations) => replace(ref, annotations, {})
    return {
      object: (annotations = {}, data) =>
        Effect.tap(nextRef, (ref) => replace(ref, annotations, data === undefined ? {} : { data })),
      dataPath: "/data",
      read: (ref) =>
        Effect.flatMap(server.get(configMapOf(ref)), decodeObject).pipe(Effect.map(({ data }) => data), Effect.orDie),
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
