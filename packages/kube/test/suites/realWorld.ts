import type { AnnotationEdit } from "@kubelock/core"
import { ResourceRef } from "@kubelock/kube"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Effect, Layer, Schema, Struct } from "effect"
import { Data, World } from "./World.ts"

/** A resource whose objects carry the locks. */
export interface Carrier {
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly kind: string
  readonly namespaced: boolean
  /** Where its objects keep some words. */
  readonly dataPath: "/data" | "/metadata/labels"
}

export const configMaps: Carrier = {
  group: "",
  version: "v1",
  resource: "configmaps",
  kind: "ConfigMap",
  namespaced: true,
  dataPath: "/data"
}

/** Cluster-scoped, and gone at once when deleted. */
export const nodes: Carrier = {
  group: "",
  version: "v1",
  resource: "nodes",
  kind: "Node",
  namespaced: false,
  dataPath: "/metadata/labels"
}

/** Custom resources; the group must be one that no other test file registers. */
export const widgets = (group: string): Carrier => ({
  group,
  version: "v1",
  resource: "widgets",
  kind: "Widget",
  namespaced: true,
  dataPath: "/data"
})

/** As {@link widgets}, and cluster-scoped. */
export const clusterWidgets = (group: string): Carrier => ({
  group,
  version: "v1",
  resource: "clusterwidgets",
  kind: "ClusterWidget",
  namespaced: false,
  dataPath: "/data"
})

export const refOf = (carrier: Carrier, name: string): ResourceRef.ResourceRef =>
  ResourceRef.make({
    ...Struct.pick(carrier, ["group", "version", "resource"]),
    ...(carrier.namespaced ? { namespace: "default" } : {}),
    name
  })

const collectionOf = (ref: ResourceRef.ResourceRef): string => ResourceRef.toPath(ref).replace(/\/[^/]*$/, "")

const Created = Schema.Struct({ metadata: Schema.Struct({ name: Schema.String, resourceVersion: Schema.String }) })
const decodeCreated = Schema.decodeUnknownEffect(Created)

const decodeObject = Schema.decodeUnknownEffect(Schema.Struct({
  metadata: Schema.Struct({ labels: Schema.optionalKey(Data) }),
  data: Schema.optionalKey(Data)
}))

const makeWorld = Effect.fnUntraced(function*(carrier: Carrier) {
  const { registerCustomResource, request } = yield* ControlPlane
  if (carrier.group !== "") yield* Effect.orDie(registerCustomResource(carrier))

  const withMetadata = (metadata: object, content: object = {}) => ({
    apiVersion: carrier.group === "" ? carrier.version : `${carrier.group}/${carrier.version}`,
    kind: carrier.kind,
    metadata,
    ...content
  })
  const create = (metadata: object, content: object = {}) =>
    request("POST", collectionOf(refOf(carrier, "any")), withMetadata(metadata, content)).pipe(
      Effect.flatMap(decodeCreated),
      Effect.map(({ metadata }) => refOf(carrier, metadata.name))
    )
  const replace = Effect.fnUntraced(function*(ref: ResourceRef.ResourceRef, annotations: AnnotationEdit.Annotations) {
    const { metadata } = yield* decodeCreated(yield* request("GET", ResourceRef.toPath(ref)))
    yield* request("PUT", ResourceRef.toPath(ref), withMetadata({ ...metadata, annotations }))
  })
  const remove = (ref: ResourceRef.ResourceRef) => Effect.asVoid(request("DELETE", ResourceRef.toPath(ref)))

  const object: World["Service"]["object"] = (annotations = {}, data = {}) =>
    Effect.orDie(
      carrier.dataPath === "/data"
        ? create({ generateName: "object-", annotations }, { data })
        : create({ generateName: "object-", annotations, labels: data })
    )

  return World.of({
    object,
    dataPath: carrier.dataPath,
    read: (ref) =>
      Effect.flatMap(request("GET", ResourceRef.toPath(ref)), decodeObject).pipe(
        Effect.map(({ data, metadata }) => carrier.dataPath === "/data" ? data : metadata.labels),
        Effect.orDie
      ),
    nowhere: Effect.tap(object(), (ref) => Effect.orDie(remove(ref))),
    put: (ref, annotations) =>
      replace(ref, annotations).pipe(
        Effect.catchIf(
          (error) => error._tag === "RequestRefused" && error.status.code === 404,
          () => Effect.asVoid(create({ name: ref.name, annotations }))
        ),
        Effect.orDie
      ),
    delete: (ref) => Effect.orDie(remove(ref))
  })
})

/** Objects on a real API server, made and changed by its admin. */
export const realWorld = (carrier: Carrier): Layer.Layer<World, never, ControlPlane> =>
  Layer.effect(World, makeWorld(carrier))
