/**
 * The port: the annotations of one object, read and edited. Everything above it is the same on a cluster and in memory.
 *
 * **Details**
 *
 * - `AnnotationStore.layerMemory` keeps objects in memory: for tests of one's own program, without a cluster.
 * - `KubeAnnotationStore.layer` speaks to an API server.
 *
 * Both pass the same suite of tests.
 *
 * **Example** (Annotations without a cluster)
 *
 * ```ts
 * import { AnnotationStore, ResourceRef } from "@kubelock/kube"
 * import { Effect } from "effect"
 *
 * const deploys = ResourceRef.configMap({ namespace: "prod", name: "deploys" })
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* AnnotationStore
 *   yield* store.edit(deploys, [{ key: "team", expected: undefined, value: "web" }])
 *   return (yield* store.get(deploys)).annotations
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(AnnotationStore.layerMemory([deploys])))) // => { team: "web" }
 * ```
 *
 * @since 0.1.0
 */
import { AnnotationEdit } from "@kubelock/core"
import { Context, Effect, Layer, Ref, Result } from "effect"
import { Invalid, KubeError, ResourceNotFound } from "./KubeError.ts"
import * as ResourceRef from "./ResourceRef.ts"

/** What is known of an object. @category models @since 0.1.0 */
export interface ObjectMetadata {
  /** Another one after the object was deleted and made again. */
  readonly uid: string
  /** The store gives every write a higher one. */
  readonly resourceVersion: bigint
  readonly annotations: AnnotationEdit.Annotations
}

/** Reads and edits the annotations of one object at a time. @category services @since 0.1.0 */
export class AnnotationStore extends Context.Service<AnnotationStore, {
  /** The object as it is. */
  readonly get: (ref: ResourceRef.ResourceRef) => Effect.Effect<ObjectMetadata, KubeError>
  /**
   * Makes all the edits or none of them, and answers with the object after it. Other people's changes to the same object, also
   * to other annotations, are no conflict.
   */
  readonly edit: (
    ref: ResourceRef.ResourceRef,
    edits: ReadonlyArray<AnnotationEdit.AnnotationEdit>
  ) => Effect.Effect<ObjectMetadata, AnnotationEdit.EditRefused | KubeError>
}>()("@kubelock/kube/AnnotationStore") {
  /**
   * A store in memory that holds these objects, without annotations. Others are made by {@link MemoryObjects}.
   *
   * **Gotchas**
   *
   * As on a cluster, an object that does not exist cannot be locked: `ResourceNotFound`.
   *
   * @category layers
   * @since 0.1.0
   */
  static layerMemory(objects: Iterable<ResourceRef.ResourceRef> = []): Layer.Layer<AnnotationStore | MemoryObjects> {
    return Layer.effectContext(makeMemory(objects))
  }
}

/**
 * The objects behind `layerMemory`: what a test does to them that is no lock's business.
 *
 * @category services
 * @since 0.1.0
 */
export class MemoryObjects extends Context.Service<MemoryObjects, {
  /** Makes the object, or replaces its annotations. */
  readonly put: (ref: ResourceRef.ResourceRef, annotations?: AnnotationEdit.Annotations) => Effect.Effect<void>
  /** Deletes the object, if it is there. */
  readonly delete: (ref: ResourceRef.ResourceRef) => Effect.Effect<void>
}>()("@kubelock/kube/MemoryObjects") {}

interface Memory {
  readonly resourceVersion: bigint
  readonly objects: ReadonlyMap<string, ObjectMetadata>
}

const makeMemory = Effect.fnUntraced(function*(objects: Iterable<ResourceRef.ResourceRef>) {
  const memory = yield* Ref.make(Array.from(objects).reduce((memory, ref) => written(memory, ref, {}), empty))

  const find = (method: "GET" | "PATCH", { objects }: Memory, ref: ResourceRef.ResourceRef) =>
    Result.fromNullishOr(objects.get(ResourceRef.toPath(ref)), () =>
      new KubeError({
        method,
        path: ResourceRef.toPath(ref),
        status: 404,
        reason: new ResourceNotFound({ missing: "Object", message: `${ResourceRef.describe(ref)} does not exist.` })
      }))

  const edit = (memory: Memory, ref: ResourceRef.ResourceRef, edits: ReadonlyArray<AnnotationEdit.AnnotationEdit>) =>
    Result.gen(function*() {
      const object = yield* find("PATCH", memory, ref)
      const annotations = yield* AnnotationEdit.apply(object.annotations, edits)
      if (sizeBytes(annotations) > maxSizeBytes) return yield* Result.fail(tooLong(ref))
      return edits.every(({ expected, value }) => expected === value) ? memory : written(memory, ref, annotations)
    })

  return Context.make(AnnotationStore, {
    get: (ref) => Effect.flatMap(Ref.get(memory), (memory) => Effect.fromResult(find("GET", memory, ref))),
    edit: (ref, edits) =>
      Ref.modify(memory, (before) => {
        const after = edit(before, ref, edits)
        return [
          Result.flatMap(after, (after) => find("PATCH", after, ref)),
          Result.getOrElse(after, () => before)
        ]
      }).pipe(Effect.flatMap(Effect.fromResult))
  }).pipe(Context.add(MemoryObjects, {
    put: (ref, annotations = {}) => Ref.update(memory, (memory) => written(memory, ref, annotations)),
    delete: (ref) =>
      Ref.update(memory, ({ objects, resourceVersion }) => {
        const left = new Map(objects)
        left.delete(ResourceRef.toPath(ref))
        return { resourceVersion: resourceVersion + 1n, objects: left }
      })
  }))
})

const empty: Memory = { resourceVersion: 0n, objects: new Map() }

const written = (memory: Memory, ref: ResourceRef.ResourceRef, annotations: AnnotationEdit.Annotations): Memory => {
  const resourceVersion = memory.resourceVersion + 1n
  const path = ResourceRef.toPath(ref)
  const uid = memory.objects.get(path)?.uid ?? `uid-${resourceVersion}`
  return { resourceVersion, objects: new Map(memory.objects).set(path, { uid, resourceVersion, annotations }) }
}

// The API server's limit for all annotations of an object together (apimachinery: TotalAnnotationSizeLimitB).
const maxSizeBytes = 262_144

const sizeBytes = (annotations: AnnotationEdit.Annotations): number =>
  Object.entries(annotations).reduce((bytes, entry) => bytes + new TextEncoder().encode(entry.join("")).length, 0)

const tooLong = (ref: ResourceRef.ResourceRef) =>
  new KubeError({
    method: "PATCH",
    path: ResourceRef.toPath(ref),
    status: 422,
    reason: new Invalid({
      status: 422,
      causes: [{
        field: "metadata.annotations",
        reason: "FieldValueTooLong",
        message: `Too long: may not be more than ${maxSizeBytes} bytes`
      }],
      message: `The annotations of ${ResourceRef.describe(ref)} would take more than ${maxSizeBytes} bytes together.`
    })
  })
