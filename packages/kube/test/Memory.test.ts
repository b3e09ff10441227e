import { assert, it } from "@effect/vitest"
import { AnnotationStore, type JsonPatchOperation, KubeLock, MemoryObjects, ResourceRef } from "@kubelock/kube"
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

const fresh = Effect.provide(Layer.fresh(AnnotationStore.layerMemory()))

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
  }).pipe(fresh))

it.effect("shows a whole object, and what was made of it", () =>
  Effect.gen(function*() {
    const objects = yield* MemoryObjects
    const store = yield* AnnotationStore
    const ref = ResourceRef.configMap({ namespace: "prod", name: "deploys" })
    assert.isUndefined(yield* objects.get(ref))
    yield* objects.put(ref, { team: "web" }, { data: { version: "1", list: ["a", "b"] } })
    const { uid } = yield* store.get(ref)
    assert.deepStrictEqual(yield* objects.get(ref), {
      metadata: { name: "deploys", namespace: "prod", uid, resourceVersion: "1", annotations: { team: "web" } },
      data: { version: "1", list: ["a", "b"] }
    })
    yield* store.edit(ref, [{ key: "team", expected: "web", value: undefined }], [
      { op: "add", path: "/metadata/labels", value: { tier: "1" } },
      { op: "replace", path: "/data/list/1", value: { c: null } },
      { op: "add", path: "/data/list/-", value: 3 },
      { op: "test", path: "/data/list/2", value: 3 },
      { op: "remove", path: "/data/list/0" }
    ])
    assert.deepStrictEqual(yield* objects.get(ref), {
      metadata: { name: "deploys", namespace: "prod", uid, resourceVersion: "2", labels: { tier: "1" } },
      data: { version: "1", list: [{ c: null }, 3] }
    })
    yield* objects.put(ref)
    assert.deepStrictEqual(yield* objects.get(ref), {
      metadata: { name: "deploys", namespace: "prod", uid, resourceVersion: "3" }
    })
    yield* objects.delete(ref)
    assert.isUndefined(yield* objects.get(ref))
    const node = ResourceRef.node({ name: "n1" })
    yield* objects.put(node)
    assert.hasAllKeys((yield* objects.get(node))?.metadata, ["name", "uid", "resourceVersion"])
  }).pipe(fresh))

it.effect("knows the places of a list, and leaves what it was given alone", () =>
  Effect.gen(function*() {
    const objects = yield* MemoryObjects
    const store = yield* AnnotationStore
    const ref = ResourceRef.configMap({ namespace: "prod", name: "deploys" })
    const data = { list: ["a"], map: { a: "1" } }
    yield* objects.put(ref, {}, { data })
    const impossible: ReadonlyArray<JsonPatchOperation> = [
      { op: "replace", path: "/data/list/-", value: "b" },
      { op: "replace", path: "/data/list/length", value: 0 },
      { op: "replace", path: "/data/list/1", value: "b" },
      { op: "remove", path: "/data/list/-" },
      { op: "copy", from: "/data/list/length", path: "/data/map/b" },
      { op: "test", path: "/data/list/1", value: null },
      { op: "remove", path: "" }
    ]
    for (const operation of impossible) {
      const refused = yield* Effect.flip(
        store.edit(ref, [], [{ op: "add", path: "/data/map/b", value: "2" }, operation])
      )
      assert.strictEqual(refused._tag, "EditRefused", operation.path)
    }
    assert.deepStrictEqual((yield* objects.get(ref))?.["data"], { list: ["a"], map: { a: "1" } })
    const value = { c: "1" }
    yield* store.edit(ref, [], [
      { op: "replace", path: "/data/map", value },
      { op: "add", path: "/data/map/d", value: "2" },
      { op: "copy", from: "/data/toString", path: "/data/map/e" }
    ])
    assert.deepStrictEqual((yield* objects.get(ref))?.["data"], { list: ["a"], map: { c: "1", d: "2", e: null } })
    assert.deepStrictEqual([value, data], [{ c: "1" }, { list: ["a"], map: { a: "1" } }])
  }).pipe(fresh))

it.effect("refuses operations that leave no object", () =>
  Effect.gen(function*() {
    const objects = yield* MemoryObjects
    const store = yield* AnnotationStore
    const ref = ResourceRef.configMap({ namespace: "prod", name: "deploys" })
    yield* objects.put(ref, { team: "web" })
    const before = yield* objects.get(ref)
    const operations: ReadonlyArray<JsonPatchOperation> = [
      { op: "remove", path: "/metadata" },
      { op: "remove", path: "/metadata/name" },
      { op: "replace", path: "/metadata", value: [] }
    ]
    for (const operation of operations) {
      const error = yield* Effect.flip(store.edit(ref, [], [operation]))
      assert.isTrue(error._tag === "KubeError" && error.reason._tag === "Invalid" && error.reason.causes.length > 0)
      assert.include(error.message, "configmaps/deploys in prod")
    }
    assert.deepStrictEqual(yield* objects.get(ref), before)
  }).pipe(fresh))

it.effect("a program that is alone takes a lock again and again, though its test clock stands still", () => {
  const ref = ResourceRef.configMap({ namespace: "default", name: "object" })
  return Effect.gen(function*() {
    const lock = yield* KubeLock.make({ resource: ref, name: "x" })
    let sections = 0
    for (let round = 0; round < 100; round++) {
      yield* lock.withLock(Effect.sync(() => {
        sections++
      }))
    }
    assert.strictEqual(sections, 100)
  }).pipe(Effect.provide(Layer.fresh(Layer.provide(KubeLock.layer, AnnotationStore.layerMemory([ref])))))
})
