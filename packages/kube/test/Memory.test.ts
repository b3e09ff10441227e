import { assert, it } from "@effect/vitest"
import { AnnotationStore, MemoryObjects, ResourceRef } from "@kubelock/kube"
import { Effect, Layer, Schema, Stream } from "effect"
import { kubeLockSuite } from "./suites/kubeLockSuite.ts"
import { storeSuite } from "./suites/storeSuite.ts"
import { Data, World } from "./suites/World.ts"

const decodeObject = Schema.decodeUnknownEffect(Schema.Struct({ data: Schema.optionalKey(Data) }))

const world = Layer.effect(
  World,
  Effect.gen(function*() {
    const objects = yield* MemoryObjects
    let made = 0
    const nextRef = Effect.sync(() => ResourceRef.configMap({ namespace: "default", name: `object-${made++}` }))
    return {
      object: (annotations = {}, data) =>
        Effect.tap(nextRef, (ref) => objects.put(ref, annotations, data === undefined ? {} : { data })),
      dataPath: "/data",
      read: (ref) => Effect.flatMap(objects.get(ref), decodeObject).pipe(Effect.map(({ data }) => data), Effect.orDie),
      nowhere: nextRef,
      put: (ref, annotations) => objects.put(ref, annotations),
      delete: objects.delete
    }
  })
).pipe(Layer.provideMerge(AnnotationStore.layerMemory()))

storeSuite("in memory", world)
kubeLockSuite("in memory", world)

it.effect("the deletion of what is not there is no change", () =>
  Effect.gen(function*() {
    const objects = yield* MemoryObjects
    const store = yield* AnnotationStore
    const ref = ResourceRef.configMap({ namespace: "default", name: "object" })
    yield* objects.put(ref)
    const { resourceVersion } = yield* store.get(ref)
    yield* objects.delete(ref)
    yield* objects.delete(ref)
    yield* objects.put(ref)
    const changes = yield* Stream.runCollect(Stream.take(store.changes(ref, resourceVersion), 2))
    assert.deepStrictEqual(changes.map(({ _tag }) => _tag), ["Deleted", "Present"])
  }).pipe(Effect.provide(Layer.fresh(AnnotationStore.layerMemory()))))
