import { AnnotationStore, MemoryObjects, ResourceRef } from "@kubelock/kube"
import { Effect, Layer } from "effect"
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
