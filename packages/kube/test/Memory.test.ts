import { assert, it } from "@effect/vitest"
import { AnnotationStore, MemoryObjects, ResourceRef } from "@kubelock/kube"
import { Effect, Layer, Stream } from "effect"
import { kubeLockSuite } from "./suites/kubeLockSuite.ts"
import { storeSuite } from "./suites/storeSuite.ts"
import { World } from "./suites/World.ts"

const world = Layer.effect(
  World,
  Effect.gen(function*() {
    const objects = yield* MemoryObjects
    let made = 0
    const nextRef = Effect.sync(() => ResourceRef.configMap({ namespace: "default", name: `object-${made++}` }))
    return {
      object: (annotations = {}) => Effect.tap(nextRef, (ref) => objects.put(ref, annotations)),
      nowhere: nextRef,
      put: objects.put,
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
