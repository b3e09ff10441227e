import { assert, describe, it } from "@effect/vitest"
import type { KubeObject } from "@kubelock/testing/KubeObject"
import * as ObjectStore from "@kubelock/testing/ObjectStore"
import { Result } from "effect"
import fc from "fast-check"

const keyOf = (name: string, namespace = "default"): ObjectStore.Key => ({ resource: "configmaps", namespace, name })

const objectOf = (name: string, annotations?: Record<string, string>): KubeObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: {
    name,
    namespace: "default",
    uid: `uid of ${name}`,
    resourceVersion: "",
    creationTimestamp: "2024-01-01T00:00:00Z",
    ...(annotations === undefined ? {} : { annotations })
  }
})

const versionOf = (store: ObjectStore.ObjectStore, name: string) =>
  ObjectStore.get(store, keyOf(name))?.metadata.resourceVersion

const eventsSince = (store: ObjectStore.ObjectStore, revision: number) =>
  Result.map(
    ObjectStore.since(store, revision),
    (events) => events.map(({ key, revision, type }) => `${type} ${key.name} ${revision}`)
  )

describe("ObjectStore", () => {
  it("counts the writes of all objects with one counter", () => {
    let store = ObjectStore.make()
    const start = store.revision
    store = ObjectStore.put(store, keyOf("a"), objectOf("a"))
    store = ObjectStore.put(store, keyOf("b"), objectOf("b"))
    store = ObjectStore.put(store, keyOf("a"), objectOf("a", { x: "1" }))
    assert.strictEqual(versionOf(store, "a"), String(start + 3))
    assert.strictEqual(versionOf(store, "b"), String(start + 2))
    assert.strictEqual(ObjectStore.remove(store, keyOf("b")).revision, start + 4)
  })

  it("takes what changes nothing for no write", () => {
    const store = ObjectStore.put(ObjectStore.make(), keyOf("a"), objectOf("a", { x: "1", y: "2" }))
    assert.strictEqual(ObjectStore.put(store, keyOf("a"), objectOf("a", { y: "2", x: "1" })), store)
    assert.strictEqual(ObjectStore.remove(store, keyOf("b")), store)
  })

  it("tells what happened since a resourceVersion", () => {
    const start = ObjectStore.make()
    let store = ObjectStore.put(start, keyOf("a"), objectOf("a"))
    store = ObjectStore.put(store, keyOf("a"), objectOf("a", { x: "1" }))
    store = ObjectStore.remove(store, keyOf("a"))
    const first = start.revision + 1
    assert.deepStrictEqual(
      eventsSince(store, start.revision),
      Result.succeed([`ADDED a ${first}`, `MODIFIED a ${first + 1}`, `DELETED a ${first + 2}`])
    )
    assert.deepStrictEqual(eventsSince(store, first + 1), Result.succeed([`DELETED a ${first + 2}`]))
    assert.deepStrictEqual(eventsSince(store, store.revision), Result.succeed([]))
    assert.deepStrictEqual(eventsSince(store, store.revision + 10), Result.succeed([]))
  })

  it("gives a deleted object the resourceVersion of its deletion", () => {
    const store = ObjectStore.put(ObjectStore.make(), keyOf("a"), objectOf("a"))
    const events = Result.getOrThrow(ObjectStore.since(ObjectStore.remove(store, keyOf("a")), store.revision))
    assert.strictEqual(events[0]?.object.metadata.resourceVersion, String(store.revision + 1))
    assert.strictEqual(events[0]?.previous?.metadata.resourceVersion, String(store.revision))
  })

  it("remembers no more events than it was told to", () => {
    let store = ObjectStore.make({ maxHistory: 2 })
    const start = store.revision
    for (const x of ["1", "2", "3"]) store = ObjectStore.put(store, keyOf("a"), objectOf("a", { x }))
    assert.deepStrictEqual(
      eventsSince(store, start + 1),
      Result.succeed([`MODIFIED a ${start + 2}`, `MODIFIED a ${start + 3}`])
    )
    assert.deepStrictEqual(eventsSince(store, start), Result.fail({ requested: start, oldest: start + 1 }))
  })

  it("forgets all history when told to", () => {
    let store = ObjectStore.put(ObjectStore.make(), keyOf("a"), objectOf("a"))
    const before = store.revision
    store = ObjectStore.expireHistory(ObjectStore.put(store, keyOf("b"), objectOf("b")))
    assert.isTrue(Result.isFailure(ObjectStore.since(store, before)))
    assert.deepStrictEqual(eventsSince(store, store.revision), Result.succeed([]))
    assert.strictEqual(versionOf(store, "a"), String(before))
  })

  it("lists by namespace and name, one resource only", () => {
    let store = ObjectStore.make()
    for (const key of [keyOf("b"), keyOf("a"), keyOf("a", "aaa"), { ...keyOf("a"), resource: "secrets" }]) {
      store = ObjectStore.put(store, key, objectOf(`${key.resource}/${key.namespace}/${key.name}`))
    }
    const names = (namespace?: string) => ObjectStore.list(store, "configmaps", namespace).map((o) => o.metadata.name)
    assert.deepStrictEqual(names(), ["configmaps/aaa/a", "configmaps/default/a", "configmaps/default/b"])
    assert.deepStrictEqual(names("default"), ["configmaps/default/a", "configmaps/default/b"])
  })

  it("has a history that replays to what it holds", () => {
    const command = fc.record({
      name: fc.constantFrom("a", "b"),
      write: fc.constantFrom("put 1", "put 2", "remove")
    })
    fc.assert(fc.property(fc.array(command, { maxLength: 8 }), fc.nat(8), (commands, at) => {
      const states = [ObjectStore.make()]
      for (const { name, write } of commands) {
        const store = states[states.length - 1]!
        states.push(
          write === "remove"
            ? ObjectStore.remove(store, keyOf(name))
            : ObjectStore.put(store, keyOf(name), objectOf(name, { x: write }))
        )
      }
      const from = states[Math.min(at, states.length - 1)]!
      const to = states[states.length - 1]!
      const replayed = new Map(["a", "b"].map((name) => [name, ObjectStore.get(from, keyOf(name))]))
      for (const event of Result.getOrThrow(ObjectStore.since(to, from.revision))) {
        replayed.set(event.key.name, event.type === "DELETED" ? undefined : event.object)
      }
      for (const [name, object] of replayed) assert.deepStrictEqual(object, ObjectStore.get(to, keyOf(name)))
    }))
  })
})
