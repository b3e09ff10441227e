/**
 * The port: the annotations of one object, read, edited and watched. Everything above it is the same on a cluster and in memory.
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
import { Context, Effect, Layer, Result, Stream, SubscriptionRef } from "effect"
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

/**
 * What became of an object: it is there, and like this (changed, or made again: then with another uid), or it was deleted.
 *
 * @category models
 * @since 0.1.0
 */
export type ObjectChange =
  | { readonly _tag: "Present"; readonly object: ObjectMetadata }
  | { readonly _tag: "Deleted"; readonly resourceVersion: bigint }

export type JsonPatchOperation = { readonly op: string; readonly path: string }

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
    edits: ReadonlyArray<AnnotationEdit.AnnotationEdit>,
    operations?: ReadonlyArray<JsonPatchOperation>
  ) => Effect.Effect<ObjectMetadata, AnnotationEdit.EditRefused | KubeError>
  /**
   * What becomes of the object after the resourceVersion that was read, whoever writes it and whatever of it: in order, none
   * twice, until one has seen enough. Resource versions rise from each change to the next.
   *
   * **Details**
   *
   * A connection that ends or falls silent is replaced by another, and nothing is lost by it. The stream fails where
   * `RetryPolicy` gives up, and with `Forbidden` at once.
   *
   * **Gotchas**
   *
   * Where the server no longer remembers back to `from`, or to where a connection ended, what was between is left out: the next
   * change tells what the object is by now. It may have been deleted and made again meanwhile: compare the uid.
   */
  readonly changes: (ref: ResourceRef.ResourceRef, from: bigint) => Stream.Stream<ObjectChange, KubeError>
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
  /** What became of each object lately, the last of it being what it is now. */
  readonly changes: ReadonlyMap<string, ReadonlyArray<ObjectChange>>
}

const makeMemory = Effect.fnUntraced(function*(objects: Iterable<ResourceRef.ResourceRef>) {
  const memory = yield* SubscriptionRef.make(
    Array.from(objects).reduce((memory, ref) => written(memory, ref, {}), empty)
  )

  const find = (method: "GET" | "PATCH", memory: Memory, ref: ResourceRef.ResourceRef) =>
    Result.fromNullishOr(objectOf(memory, ref), () =>
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
    get: (ref) => Effect.flatMap(SubscriptionRef.get(memory), (memory) => Effect.fromResult(find("GET", memory, ref))),
    edit: (ref, edits) =>
      SubscriptionRef.modify(memory, (before) => {
        const after = edit(before, ref, edits)
        return [
          Result.flatMap(after, (after) => find("PATCH", after, ref)),
          Result.getOrElse(after, () => before)
        ]
      }).pipe(Effect.flatMap(Effect.fromResult)),
    changes: (ref, from) =>
      Stream.mapAccum(SubscriptionRef.changes(memory), () => from, (seen, memory) => {
        const newer = changesOf(memory, ref).filter((change) => versionOf(change) > seen)
        return [newer.reduce((_, change) => versionOf(change), seen), newer]
      })
  }).pipe(Context.add(MemoryObjects, {
    put: (ref, annotations = {}) => SubscriptionRef.update(memory, (memory) => written(memory, ref, annotations)),
    delete: (ref) =>
      SubscriptionRef.update(memory, (memory) => objectOf(memory, ref) === undefined ? memory : deleted(memory, ref))
  }))
})

const empty: Memory = { resourceVersion: 0n, changes: new Map() }

// As a cluster, memory does not remember everything.
const maxChanges = 1_024

const changesOf = ({ changes }: Memory, ref: ResourceRef.ResourceRef): ReadonlyArray<ObjectChange> =>
  changes.get(ResourceRef.toPath(ref)) ?? []

const objectOf = (memory: Memory, ref: ResourceRef.ResourceRef): ObjectMetadata | undefined => {
  const last = changesOf(memory, ref).at(-1)
  return last?._tag === "Present" ? last.object : undefined
}

const versionOf = (change: ObjectChange): bigint =>
  change._tag === "Present" ? change.object.resourceVersion : change.resourceVersion

const changed = (memory: Memory, ref: ResourceRef.ResourceRef, change: ObjectChange): Memory => ({
  resourceVersion: versionOf(change),
  changes: new Map(memory.changes).set(
    ResourceRef.toPath(ref),
    [...changesOf(memory, ref).slice(1 - maxChanges), change]
  )
})

const written = (memory: Memory, ref: ResourceRef.ResourceRef, annotations: AnnotationEdit.Annotations): Memory => {
  const resourceVersion = memory.resourceVersion + 1n
  const uid = objectOf(memory, ref)?.uid ?? `uid-${resourceVersion}`
  return changed(memory, ref, { _tag: "Present", object: { uid, resourceVersion, annotations } })
}

const deleted = (memory: Memory, ref: ResourceRef.ResourceRef): Memory =>
  changed(memory, ref, { _tag: "Deleted", resourceVersion: memory.resourceVersion + 1n })

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
