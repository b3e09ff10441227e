/**
 * The annotation store of a cluster. Every request that this library makes is in this file.
 *
 * **Details**
 *
 * - `GET <object>`, and `PATCH <object>` with a JSON Patch: nothing else. Both ask for the object's metadata alone, so that an
 *   answer is small however large the object is.
 * - An edit is one JSON Patch: a `test` for every expected value, then the changes. It names no resourceVersion, so another
 *   writer of the same object is no conflict.
 * - The server compares a `test` with the object as Go writes it, byte for byte: so a patch is written as Go would.
 * - Where an object has no annotations at all there is no map to add to: the map itself is then what is tested and added. The
 *   annotations that an object last had are remembered, so that either form costs one request.
 *
 * **Gotchas**
 *
 * A layer is a value that a program builds once, however often it is provided. For the locks of a second cluster in one program,
 * wrap its layers in `Layer.fresh`.
 *
 * **Example** (A lock on the cluster of the default kubeconfig)
 *
 * ```ts
 * import { KubeAnnotationStore, KubeLock, KubeTransport } from "@kubelock/kube"
 * import { Layer } from "effect"
 *
 * export const layer = KubeLock.layer.pipe(
 *   Layer.provide(KubeAnnotationStore.layer),
 *   Layer.provide(KubeTransport.layer())
 * )
 * ```
 *
 * @since 0.1.0
 */
import { AnnotationEdit, GoJson } from "@kubelock/core"
import { Effect, Layer, Schema } from "effect"
import { AnnotationStore, type ObjectMetadata } from "./AnnotationStore.ts"
import { isInvalid, KubeError } from "./KubeError.ts"
import { type KubeRequest, KubeTransport } from "./KubeTransport.ts"
import * as ResourceRef from "./ResourceRef.ts"

// One fixed name: every further field manager would make the object's managedFields grow.
const fieldManager = "kubelock"

const accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

const getRequest = (ref: ResourceRef.ResourceRef): KubeRequest => ({
  method: "GET",
  path: ResourceRef.toPath(ref),
  headers: { accept }
})

const patchRequest = (ref: ResourceRef.ResourceRef, patch: ReadonlyArray<Operation>): KubeRequest => ({
  method: "PATCH",
  path: ResourceRef.toPath(ref),
  query: { fieldManager },
  headers: { accept, "content-type": "application/json-patch+json" },
  body: GoJson.stringify(patch)
})

interface Operation {
  readonly op: "test" | "add" | "replace" | "remove"
  readonly path: string
  readonly value?: string | null | AnnotationEdit.Annotations
}

const annotationsPath = "/metadata/annotations"

const pointer = (key: string): string => `${annotationsPath}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`

/** The patch for an object that has annotations. */
const patchOf = (edits: ReadonlyArray<AnnotationEdit.AnnotationEdit>): ReadonlyArray<Operation> => [
  ...edits.map(({ expected, key }): Operation => ({ op: "test", path: pointer(key), value: expected ?? null })),
  ...edits.flatMap(({ expected, key, value }): ReadonlyArray<Operation> => {
    if (value !== undefined) return [{ op: expected === undefined ? "add" : "replace", path: pointer(key), value }]
    return expected === undefined ? [] : [{ op: "remove", path: pointer(key) }]
  })
]

/** The patch for an object that has none. */
const patchOfNone = (edits: ReadonlyArray<AnnotationEdit.AnnotationEdit>): ReadonlyArray<Operation> => [
  { op: "test", path: annotationsPath, value: null },
  {
    op: "add",
    path: annotationsPath,
    value: Object.fromEntries(edits.flatMap(({ key, value }) => (value === undefined ? [] : [[key, value]])))
  }
]

const PartialObjectMetadata = Schema.fromJsonString(Schema.Struct({
  metadata: Schema.Struct({
    uid: Schema.String,
    resourceVersion: Schema.String.check(Schema.isPattern(/^\d{1,20}$/)),
    annotations: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
  })
}))

const decodeMetadata = Schema.decodeUnknownEffect(PartialObjectMetadata)

/** The annotation store of the cluster that the transport leads to. @category layers @since 0.1.0 */
export const layer: Layer.Layer<AnnotationStore, never, KubeTransport> = Layer.effect(
  AnnotationStore,
  Effect.gen(function*() {
    const transport = yield* KubeTransport
    const keysLastSeen = makeBoundedMap<ReadonlyArray<string>>(1_024)

    const send = Effect.fnUntraced(function*(request: KubeRequest): Effect.fn.Return<ObjectMetadata, KubeError> {
      const response = yield* transport.request(request)
      const { metadata } = yield* Effect.mapError(
        decodeMetadata(response.body),
        () => KubeError.fromResponse(request, { status: response.status, headers: {}, body: response.body })
      )
      const annotations = metadata.annotations ?? {}
      keysLastSeen.set(request.path, Object.keys(annotations))
      return { uid: metadata.uid, resourceVersion: BigInt(metadata.resourceVersion), annotations }
    })

    return AnnotationStore.of({
      get: (ref) => send(getRequest(ref)),
      edit: Effect.fnUntraced(function*(ref, edits) {
        const keys = keysLastSeen.get(ResourceRef.toPath(ref))
        // Where the edits are right in what they expect to be absent, nothing is left: a lock that was seen held may have been
        // the only annotation.
        const hasNone = edits.every(({ expected }) => expected === undefined) &&
          keys !== undefined && keys.every((key) => edits.some((edit) => edit.key === key))
        return yield* Effect.catchIf(
          send(patchRequest(ref, hasNone ? patchOfNone(edits) : patchOf(edits))),
          isRefusal,
          ({ reason }) =>
            Effect.fail(new AnnotationEdit.EditRefused({ keys: edits.map(({ key }) => key), said: reason.message }))
        )
      })
    })
  })
)

// The API server gives no cause for a failed `test`; it gives one for a value that it would not store.
const isRefusal = (error: AnnotationEdit.EditRefused | KubeError): error is KubeError =>
  isInvalid(error) && error.reason.status === 422 && error.reason.causes.length === 0

/** A map that forgets its oldest entry rather than grow without end. */
const makeBoundedMap = <A>(maxSize: number) => {
  const entries = new Map<string, A>()
  return {
    get: (key: string) => entries.get(key),
    set: (key: string, value: A) => {
      entries.delete(key)
      entries.set(key, value)
      if (entries.size <= maxSize) return
      for (const oldest of entries.keys()) {
        entries.delete(oldest)
        break
      }
    }
  }
}
