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
import { Context, Effect, Equal, Layer, Result, Schema, Stream, SubscriptionRef } from "effect"
import type * as ClockOffset from "./ClockOffset.ts"
import * as JsonPatch from "./internal/JsonPatch.ts"
import { Conflict, Invalid, type InvalidCause, KubeError, type KubeErrorReason, ResourceNotFound } from "./KubeError.ts"
import * as ResourceRef from "./ResourceRef.ts"

/** What is known of an object. @category models @since 0.1.0 */
export interface ObjectMetadata {
  /** Another one after the object was deleted and made again. */
  readonly uid: string
  /** The store gives every write a higher one. */
  readonly resourceVersion: bigint
  /** The empty map where there are none. */
  readonly annotations: AnnotationEdit.Annotations
}

/**
 * What became of an object: it is there, and like this (its `object`: changed, or made again, then with another uid), or it was deleted
 * (by a write that has a `resourceVersion` of its own).
 *
 * @category models
 * @since 0.1.0
 */
export type ObjectChange =
  | { readonly _tag: "Present"; readonly object: ObjectMetadata }
  | { readonly _tag: "Deleted"; readonly resourceVersion: bigint }

/**
 * The resourceVersion of a change: later ones have higher ones, as Kubernetes promises from 1.35 on (KEP-5504).
 *
 * **Example** (Of a deletion)
 *
 * ```ts
 * import { resourceVersionOf } from "@kubelock/kube"
 *
 * resourceVersionOf({ _tag: "Deleted", resourceVersion: 42n }) // => 42n
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const resourceVersionOf = (change: ObjectChange): bigint =>
  change._tag === "Present" ? change.object.resourceVersion : change.resourceVersion

/**
 * A change to any part of an object, or a demand on it, as RFC 6902 has them: an `op` (`test` is the demand), what is meant (`path`,
 * `from`), and the `value` that shall be there, as JSON. `path` and `from` are JSON pointers from the top of the object, as RFC 6901
 * has them: `/data/version`, `/metadata/labels/example.com~1team`.
 *
 * **Details**
 *
 * As an API server does it, a `test` for `null` also holds where a key is absent from a map, `copy` takes `null` from there, and
 * `replace` creates it.
 *
 * @category models
 * @since 0.1.0
 */
export type JsonPatchOperation =
  | { readonly op: "add" | "replace" | "test"; readonly path: string; readonly value: Schema.Json }
  | { readonly op: "remove"; readonly path: string }
  | { readonly op: "move" | "copy"; readonly from: string; readonly path: string }

/**
 * Reads and edits the annotations of one object at a time.
 *
 * All fail with `KubeError` where the API server refuses or does not answer; `get` and `edit` with its reason `ResourceNotFound` where
 * there is no such object, in memory too.
 *
 * **Example** (What was changed meanwhile)
 *
 * ```ts
 * import { AnnotationStore, ResourceRef } from "@kubelock/kube"
 * import { Effect, Stream } from "effect"
 *
 * const deploys = ResourceRef.configMap({ namespace: "prod", name: "deploys" })
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* AnnotationStore
 *   const { resourceVersion } = yield* store.get(deploys)
 *   yield* store.edit(deploys, [{ key: "team", expected: undefined, value: "web" }])
 *   const changes = yield* store.changes(deploys, resourceVersion).pipe(Stream.take(1), Stream.runCollect)
 *   return { changes: changes.map(({ _tag }) => _tag), clockOffset: yield* store.clockOffset }
 * })
 *
 * const seen = await Effect.runPromise(program.pipe(Effect.provide(AnnotationStore.layerMemory([deploys]))))
 * seen // => { changes: ["Present"], clockOffset: undefined }
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class AnnotationStore extends Context.Service<AnnotationStore, {
  /** The object as it is. */
  readonly get: (ref: ResourceRef.ResourceRef) => Effect.Effect<ObjectMetadata, KubeError>
  /**
   * Makes all the edits or none of them, and answers with the object after it. Other people's changes to the same object, also
   * to other annotations, are no conflict.
   *
   * **Details**
   *
   * The operations are part of the same change, and made after the edits, in their order: either all edits and all operations
   * are made, or nothing is. Most are about other parts of the object, and any part of it will do but what names it: a change
   * of its name, namespace or uid is `Invalid`, one of its resourceVersion a `Conflict`; a `test` of them is fine.
   *
   * **Gotchas**
   *
   * `EditRefused` says that the object is not as an edit expected or an operation demanded (a `test` that failed, a path that
   * is not there). Which of the two it was, the store cannot know: an API server does not tell. `get` shows what is there.
   *
   * An operation on an annotation that is also edited undoes the edit.
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
   * `RetryPolicy` gives up, and at once with what is not tried again, as `Forbidden`.
   *
   * **Gotchas**
   *
   * Where the server no longer remembers back to `from`, or to where a connection ended, what was between is left out: the next
   * change tells what the object is by now. It may have been deleted and made again meanwhile: compare the uid.
   */
  readonly changes: (ref: ResourceRef.ResourceRef, from: bigint) => Stream.Stream<ObjectChange, KubeError>
  /**
   * How far this machine's clock is off the store's by now, as far as its answers tell; `undefined` where nothing is known: before
   * the first answer, and in memory always. It asks nothing of the server.
   */
  readonly clockOffset: Effect.Effect<ClockOffset.ClockOffset | undefined>
}>()("@kubelock/kube/AnnotationStore") {
  /**
   * A store in memory that holds these objects, without annotations. Others are made by {@link MemoryObjects}.
   *
   * **Gotchas**
   *
   * - As on a cluster, an object that does not exist cannot be locked: `ResourceNotFound`.
   * - As on a cluster, a lock may take some milliseconds to be had, also where nobody else wants it: after two seconds of having it alone
   *   a process leaves one turn to newcomers. A test that lets time pass at all (`TestClock.adjust`) lets more pass than the sections
   *   take.
   *
   * @category layers
   * @since 0.1.0
   */
  static layerMemory(objects: Iterable<ResourceRef.ResourceRef> = []): Layer.Layer<AnnotationStore | MemoryObjects> {
    return Layer.effectContext(makeMemory(objects))
  }
}

/**
 * A whole object of `layerMemory`, as JSON: what the store knows of it, and its content.
 *
 * @category models
 * @since 0.1.0
 */
export type MemoryObject = Schema.JsonObject & {
  /** What names and versions the object, and its annotations. */
  readonly metadata: Schema.JsonObject & {
    /** That of its `ResourceRef`. */
    readonly name: string
    /** Absent for a cluster-scoped object. */
    readonly namespace?: string
    /** Another one after the object was deleted and made again. */
    readonly uid: string
    /** Decimal digits. */
    readonly resourceVersion: string
    /** Never the empty map: the last annotation takes the map with it. */
    readonly annotations?: AnnotationEdit.Annotations
  }
}

/**
 * What an object has beside its `metadata`, which must be absent here, as JSON: `{ data: { version: "1" } }`.
 *
 * @category models
 * @since 0.1.0
 */
export type MemoryContent = Schema.JsonObject & { readonly metadata?: never }

/**
 * The objects behind `layerMemory`: what a test does to them that is no lock's business, and what it wants to see of them.
 *
 * **Example** (What a change made of an object)
 *
 * ```ts
 * import { AnnotationStore, MemoryObjects, ResourceRef } from "@kubelock/kube"
 * import { Effect } from "effect"
 *
 * const deploys = ResourceRef.configMap({ namespace: "prod", name: "deploys" })
 *
 * const program = Effect.gen(function*() {
 *   const objects = yield* MemoryObjects
 *   yield* objects.put(deploys, { team: "web" }, { data: { version: "1" } })
 *   const store = yield* AnnotationStore
 *   yield* store.edit(deploys, [{ key: "team", expected: "web", value: "web" }], [
 *     { op: "replace", path: "/data/version", value: "2" }
 *   ])
 *   const after = yield* objects.get(deploys)
 *   yield* objects.delete(deploys)
 *   return [after?.["data"], yield* objects.get(deploys)]
 * })
 *
 * const seen = await Effect.runPromise(program.pipe(Effect.provide(AnnotationStore.layerMemory())))
 * seen // => [{ version: "2" }, undefined]
 * ```
 *
 * **Gotchas**
 *
 * There is no schema in memory: a server would refuse a ConfigMap whose data are no strings.
 *
 * @category services
 * @since 0.1.0
 */
export class MemoryObjects extends Context.Service<MemoryObjects, {
  /** The whole object as it is, or `undefined` where there is none. */
  readonly get: (ref: ResourceRef.ResourceRef) => Effect.Effect<MemoryObject | undefined>
  /** Makes the object, or replaces its annotations and its content: both are empty unless given. It keeps its uid. */
  readonly put: (
    ref: ResourceRef.ResourceRef,
    annotations?: AnnotationEdit.Annotations,
    content?: MemoryContent
  ) => Effect.Effect<void>
  /** Deletes the object, if it is there. Made again, it has another uid. */
  readonly delete: (ref: ResourceRef.ResourceRef) => Effect.Effect<void>
}>()("@kubelock/kube/MemoryObjects") {}

interface Memory {
  readonly resourceVersion: bigint
  readonly objects: ReadonlyMap<string, MemoryObject>
  /** What became of each object lately. */
  readonly changes: ReadonlyMap<string, ReadonlyArray<ObjectChange>>
}

const makeMemory = Effect.fnUntraced(function*(objects: Iterable<ResourceRef.ResourceRef>) {
  const memory = yield* SubscriptionRef.make(
    Array.from(objects).reduce((memory, ref) => put(memory, ref, {}, {}), empty)
  )

  return Context.make(AnnotationStore, {
    get: (ref) =>
      Effect.flatMap(
        SubscriptionRef.get(memory),
        (memory) => Effect.fromResult(Result.map(find("GET", memory, ref), metadataOf))
      ),
    edit: (ref, edits, operations = []) =>
      SubscriptionRef.modify(memory, (before) => {
        const after = edit(before, ref, edits, operations)
        return [
          Result.flatMap(after, (after) => Result.map(find("PATCH", after, ref), metadataOf)),
          Result.getOrElse(after, () => before)
        ]
      }).pipe(Effect.flatMap(Effect.fromResult)),
    changes: (ref, from) =>
      Stream.mapAccum(SubscriptionRef.changes(memory), () => from, (seen, memory) => {
        const newer = changesOf(memory, ref).filter((change) => resourceVersionOf(change) > seen)
        return [newer.reduce((_, change) => resourceVersionOf(change), seen), newer]
      }),
    clockOffset: Effect.undefined
  }).pipe(Context.add(MemoryObjects, {
    get: (ref) => Effect.map(SubscriptionRef.get(memory), (memory) => objectOf(memory, ref)),
    put: (ref, annotations = {}, content = {}) =>
      SubscriptionRef.update(memory, (memory) => put(memory, ref, annotations, content)),
    delete: (ref) =>
      SubscriptionRef.update(memory, (memory) => objectOf(memory, ref) === undefined ? memory : deleted(memory, ref))
  }))
})

const put = (
  memory: Memory,
  ref: ResourceRef.ResourceRef,
  annotations: AnnotationEdit.Annotations,
  content: MemoryContent
): Memory => {
  const { name, namespace } = ref
  const uid = objectOf(memory, ref)?.metadata.uid ?? `uid-${memory.resourceVersion + 1n}`
  const metadata = { name, ...(namespace === undefined ? {} : { namespace }), uid, resourceVersion: "", annotations }
  return written(memory, ref, { ...content, metadata })
}

const edit = (
  memory: Memory,
  ref: ResourceRef.ResourceRef,
  edits: ReadonlyArray<AnnotationEdit.AnnotationEdit>,
  operations: ReadonlyArray<JsonPatchOperation>
) =>
  Result.gen(function*() {
    const before = yield* find("PATCH", memory, ref)
    const annotations = yield* AnnotationEdit.apply(before.metadata.annotations ?? {}, edits)
    const edited = edits.length === 0 ? before : { ...before, metadata: { ...before.metadata, annotations } }
    const keys = edits.map(({ key }) => key)
    const patched = yield* Result.mapError(JsonPatch.apply(edited, operations), (failed) => {
      const said = `Or rather, this operation could not be made: ${JsonPatch.describe([failed])}`
      return new AnnotationEdit.EditRefused({ keys, said })
    })
    const after = yield* read(ref, patched)
    yield* checkIdentity(ref, before, after)
    yield* checkSize(ref, after)
    return Equal.equals(before, withoutEmptyMap(after)) ? memory : written(memory, ref, after)
  })

const find = (method: "GET" | "PATCH", memory: Memory, ref: ResourceRef.ResourceRef) =>
  Result.fromNullishOr(objectOf(memory, ref), () => {
    const message = `${ResourceRef.describe(ref)} does not exist.`
    return refused(method, ref, 404, new ResourceNotFound({ missing: "Object", message }))
  })

const decodeObject = Schema.decodeUnknownResult(Schema.suspend(() =>
  Schema.StructWithRest(
    Schema.Struct({
      metadata: Schema.StructWithRest(
        Schema.Struct({
          name: Schema.String,
          namespace: Schema.optionalKey(Schema.String),
          uid: Schema.String,
          resourceVersion: Schema.String,
          annotations: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
        }),
        [Schema.Record(Schema.String, Schema.Json)]
      )
    }),
    [Schema.Record(Schema.String, Schema.Json)]
  )
))

/** What the operations made of an object, if it is still one. */
const read = (ref: ResourceRef.ResourceRef, patched: unknown): Result.Result<MemoryObject, KubeError> =>
  Result.mapError(
    decodeObject(patched),
    ({ message }) => invalid(ref, { field: "patch", reason: "FieldValueInvalid", message })
  )

const checkIdentity = (
  ref: ResourceRef.ResourceRef,
  { metadata: before }: MemoryObject,
  { metadata: after }: MemoryObject
) => {
  const changed = (["name", "namespace", "uid"] as const).find((field) => before[field] !== after[field])
  if (changed !== undefined) {
    return Result.fail(invalid(ref, {
      field: `metadata.${changed}`,
      reason: "FieldValueInvalid",
      message: `Invalid value: ${JSON.stringify(after[changed])}: field is immutable`
    }))
  }
  const [is, given] = [before.resourceVersion, after.resourceVersion]
  const message = `${ResourceRef.describe(ref)} has resourceVersion ${is}, not ${given}.`
  return is === given ? Result.void : Result.fail(refused("PATCH", ref, 409, new Conflict({ message })))
}

const empty: Memory = { resourceVersion: 0n, objects: new Map(), changes: new Map() }

// As a cluster, memory does not remember everything.
const maxChanges = 1_024

const changesOf = ({ changes }: Memory, ref: ResourceRef.ResourceRef): ReadonlyArray<ObjectChange> =>
  changes.get(ResourceRef.toPath(ref)) ?? []

const objectOf = ({ objects }: Memory, ref: ResourceRef.ResourceRef): MemoryObject | undefined =>
  objects.get(ResourceRef.toPath(ref))

const metadataOf = ({ metadata }: MemoryObject): ObjectMetadata => ({
  uid: metadata.uid,
  resourceVersion: BigInt(metadata.resourceVersion),
  annotations: metadata.annotations ?? {}
})

const changed = (memory: Memory, ref: ResourceRef.ResourceRef, change: ObjectChange): Memory => ({
  ...memory,
  resourceVersion: resourceVersionOf(change),
  changes: new Map(memory.changes).set(
    ResourceRef.toPath(ref),
    [...changesOf(memory, ref).slice(1 - maxChanges), change]
  )
})

const written = (memory: Memory, ref: ResourceRef.ResourceRef, written: MemoryObject): Memory => {
  const resourceVersion = String(memory.resourceVersion + 1n)
  const object = withoutEmptyMap({ ...written, metadata: { ...written.metadata, resourceVersion } })
  const objects = new Map(memory.objects).set(ResourceRef.toPath(ref), object)
  return changed({ ...memory, objects }, ref, { _tag: "Present", object: metadataOf(object) })
}

const deleted = (memory: Memory, ref: ResourceRef.ResourceRef): Memory => {
  const objects = new Map(memory.objects)
  objects.delete(ResourceRef.toPath(ref))
  return changed({ ...memory, objects }, ref, { _tag: "Deleted", resourceVersion: memory.resourceVersion + 1n })
}

const withoutEmptyMap = (object: MemoryObject): MemoryObject => {
  const { annotations = {}, ...metadata } = object.metadata
  return Object.keys(annotations).length > 0 ? object : { ...object, metadata }
}

// The API server's limit for all annotations of an object together (apimachinery: TotalAnnotationSizeLimitB).
const maxSizeBytes = 262_144

const sizeBytes = (annotations: AnnotationEdit.Annotations): number =>
  Object.entries(annotations).reduce((bytes, entry) => bytes + new TextEncoder().encode(entry.join("")).length, 0)

const checkSize = (ref: ResourceRef.ResourceRef, { metadata }: MemoryObject) =>
  sizeBytes(metadata.annotations ?? {}) <= maxSizeBytes ? Result.void : Result.fail(invalid(ref, {
    field: "metadata.annotations",
    reason: "FieldValueTooLong",
    message: `Too long: may not be more than ${maxSizeBytes} bytes`
  }))

const refused = (method: "GET" | "PATCH", ref: ResourceRef.ResourceRef, status: number, reason: KubeErrorReason) =>
  new KubeError({ method, path: ResourceRef.toPath(ref), status, reason })

const invalid = (ref: ResourceRef.ResourceRef, cause: InvalidCause) =>
  refused(
    "PATCH",
    ref,
    422,
    new Invalid({
      status: 422,
      causes: [cause],
      message: `${ResourceRef.describe(ref)} is invalid: ${cause.field}: ${cause.message}.`
    })
  )
