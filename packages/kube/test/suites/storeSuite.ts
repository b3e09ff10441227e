import { assert, layer } from "@effect/vitest"
import {
  AnnotationStore,
  type JsonPatchOperation,
  type ObjectChange,
  type ObjectMetadata,
  type ResourceRef
} from "@kubelock/kube"
import { Effect, Fiber, type Layer, Queue, Result, Stream } from "effect"
import { World } from "./World.ts"

const taking = (key: string, value: string) => ({ key, expected: undefined, value })

const present = (object: ObjectMetadata): ObjectChange => ({ _tag: "Present", object })

/** The next changes of an object after a resourceVersion. */
const nextChanges = Effect.fnUntraced(function*(ref: ResourceRef.ResourceRef, from: bigint, count: number) {
  const store = yield* AnnotationStore
  return yield* Stream.runCollect(Stream.take(store.changes(ref, from), count))
})

/** What every `AnnotationStore` does, whatever is behind it. */
export const storeSuite = <E>(name: string, services: Layer.Layer<AnnotationStore | World, E>) =>
  layer(services)(`AnnotationStore: ${name}`, (it) => {
    it.effect("reads an object's annotations, uid and resourceVersion", () =>
      Effect.gen(function*() {
        const { object } = yield* World
        const store = yield* AnnotationStore
        const ref = yield* object({ team: "web", "example.com/x": "" })
        const found = yield* store.get(ref)
        assert.deepStrictEqual(found.annotations, { team: "web", "example.com/x": "" })
        assert.isNotEmpty(found.uid)
        assert.isTrue(found.resourceVersion > 0n)
        assert.deepStrictEqual((yield* store.get(yield* object())).annotations, {})
      }))

    it.effect("answers ResourceNotFound for an object that is not there, reading and writing", () =>
      Effect.gen(function*() {
        const store = yield* AnnotationStore
        const ref = yield* (yield* World).nowhere
        for (const request of [store.get(ref), store.edit(ref, [taking("a", "1")])]) {
          const error = yield* Effect.flip(request)
          assert.strictEqual(error._tag === "KubeError" && error.reason._tag, "ResourceNotFound")
          assert.include(error.message, ref.name)
        }
      }))

    it.effect("adds, replaces and removes an annotation, and leaves the others alone", () =>
      Effect.gen(function*() {
        const store = yield* AnnotationStore
        const ref = yield* (yield* World).object({ team: "web" })
        const added = yield* store.edit(ref, [taking("example.com/a", "1")])
        assert.deepStrictEqual(added.annotations, { team: "web", "example.com/a": "1" })
        const replaced = yield* store.edit(ref, [{ key: "example.com/a", expected: "1", value: "2" }])
        assert.deepStrictEqual(replaced.annotations, { team: "web", "example.com/a": "2" })
        const removed = yield* store.edit(ref, [{ key: "example.com/a", expected: "2", value: undefined }])
        assert.deepStrictEqual(removed.annotations, { team: "web" })
        assert.deepStrictEqual(yield* store.get(ref), removed)
        assert.isTrue(removed.resourceVersion > replaced.resourceVersion)
        assert.isTrue(replaced.resourceVersion > added.resourceVersion)
      }))

    it.effect("takes the first annotation of an object that it has read, and gives the last one back", () =>
      Effect.gen(function*() {
        const store = yield* AnnotationStore
        const ref = yield* (yield* World).object()
        yield* store.get(ref)
        for (const value of ["1", "2"]) {
          assert.deepStrictEqual((yield* store.edit(ref, [taking("a", value)])).annotations, { a: value })
          const removed = yield* store.edit(ref, [{ key: "a", expected: value, value: undefined }])
          assert.deepStrictEqual(removed.annotations, {})
        }
      }))

    it.effect("refuses an edit whose expectation is wrong, and changes nothing", () =>
      Effect.gen(function*() {
        const store = yield* AnnotationStore
        const ref = yield* (yield* World).object({ a: "1", empty: "" })
        const before = yield* store.get(ref)
        const refused = [
          [taking("a", "2")],
          [taking("empty", "2")],
          [{ key: "a", expected: "0", value: "2" }],
          [{ key: "a", expected: "", value: undefined }],
          [{ key: "absent", expected: "1", value: "2" }],
          [{ key: "absent", expected: "1", value: undefined }],
          [taking("b", "1"), taking("a", "2")],
          [{ key: "a", expected: "1", value: "2" }, { key: "empty", expected: "x", value: undefined }]
        ]
        for (const edits of refused) {
          const error = yield* Effect.flip(store.edit(ref, edits))
          assert.strictEqual(error._tag, "EditRefused")
          assert.deepStrictEqual(error._tag === "EditRefused" && error.keys, edits.map(({ key }) => key))
        }
        assert.deepStrictEqual(yield* store.get(ref), before)
      }))

    it.effect("makes several edits as one", () =>
      Effect.gen(function*() {
        const store = yield* AnnotationStore
        const ref = yield* (yield* World).object({ a: "1", b: "1" })
        const after = yield* store.edit(ref, [
          { key: "a", expected: "1", value: undefined },
          { key: "b", expected: "1", value: "2" },
          taking("c", "3")
        ])
        assert.deepStrictEqual(after.annotations, { b: "2", c: "3" })
      }))

    it.effect("does not mind other people's writes to the same object", () =>
      Effect.gen(function*() {
        const { object, put } = yield* World
        const store = yield* AnnotationStore
        const ref = yield* object({ a: "1" })
        yield* store.get(ref)
        yield* put(ref, { a: "1", theirs: "x" })
        const after = yield* store.edit(ref, [{ key: "a", expected: "1", value: "2" }])
        assert.deepStrictEqual(after.annotations, { a: "2", theirs: "x" })
      }))

    it.effect("keeps any text to the letter", () =>
      Effect.gen(function*() {
        const store = yield* AnnotationStore
        const ref = yield* (yield* World).object({ other: "x" })
        const texts = ["", " ", "{\"a\":[1,\"~/\"]}", "<&>\u2028", "é😀\u0000\t\n\\", "null"]
        for (const [index, value] of texts.entries()) {
          const key = `example.com/text-${index}`
          assert.strictEqual((yield* store.edit(ref, [taking(key, value)])).annotations[key], value)
          const after = yield* store.edit(ref, [{ key, expected: value, value: `${value}!` }])
          assert.strictEqual(after.annotations[key], `${value}!`)
        }
      }))

    it.effect("makes edits and operations as one, on data and on other annotations", () =>
      Effect.gen(function*() {
        const { dataPath, object, read } = yield* World
        const store = yield* AnnotationStore
        const ref = yield* object({ team: "web", old: "x" }, { version: "1", from: "a" })
        const before = yield* store.get(ref)
        const after = yield* store.edit(ref, [taking("example.com/a", "1")], [
          { op: "test", path: `${dataPath}/version`, value: "1" },
          { op: "replace", path: `${dataPath}/version`, value: "2" },
          { op: "test", path: `${dataPath}/version`, value: "2" },
          { op: "test", path: `${dataPath}/none`, value: null },
          { op: "test", path: `${dataPath}/toString`, value: null },
          { op: "add", path: `${dataPath}/none`, value: "3" },
          { op: "move", from: `${dataPath}/from`, path: `${dataPath}/to` },
          { op: "copy", from: `${dataPath}/version`, path: `${dataPath}/copy` },
          { op: "replace", path: `${dataPath}/new`, value: "4" },
          { op: "test", path: "/metadata/annotations/example.com~1a", value: "1" },
          { op: "test", path: "/metadata/uid", value: before.uid },
          { op: "add", path: "/metadata/annotations/example.com~1b", value: "5" },
          { op: "remove", path: "/metadata/annotations/old" }
        ])
        assert.deepStrictEqual(after.annotations, { team: "web", "example.com/a": "1", "example.com/b": "5" })
        assert.deepStrictEqual(yield* read(ref), { version: "2", none: "3", to: "a", copy: "2", new: "4" })
        assert.isTrue(after.resourceVersion > before.resourceVersion)
        assert.deepStrictEqual(yield* store.get(ref), after)
        assert.deepStrictEqual(yield* nextChanges(ref, before.resourceVersion, 1), [present(after)])
      }))

    it.effect("makes operations with the first annotation of an object, with the last one, and with none", () =>
      Effect.gen(function*() {
        const { dataPath, object, put, read } = yield* World
        const store = yield* AnnotationStore
        const path = `${dataPath}/version`
        const ref = yield* object({}, { version: "1" })
        yield* store.get(ref)
        const first = yield* store.edit(ref, [taking("a", "1")], [
          { op: "replace", path, value: "2" },
          { op: "add", path: "/metadata/annotations/b", value: "2" },
          { op: "remove", path: "/metadata/annotations/b" }
        ])
        assert.deepStrictEqual(first.annotations, { a: "1" })
        assert.strictEqual((yield* read(ref))?.["version"], "2")
        const last = yield* store.edit(ref, [{ key: "a", expected: "1", value: undefined }], [
          { op: "replace", path, value: "3" },
          { op: "add", path: "/metadata/annotations/b", value: "2" },
          { op: "remove", path: "/metadata/annotations/b" }
        ])
        assert.deepStrictEqual(last.annotations, {})
        assert.strictEqual((yield* read(ref))?.["version"], "3")
        yield* store.edit(ref, [], [{ op: "replace", path, value: "4" }])
        assert.strictEqual((yield* read(ref))?.["version"], "4")
        const noMap = yield* Effect.flip(
          store.edit(ref, [], [{ op: "add", path: "/metadata/annotations/b", value: "1" }])
        )
        assert.strictEqual(noMap._tag, "EditRefused")
        yield* put(ref, { theirs: "x" })
        const alone = yield* store.edit(ref, [], [{ op: "add", path: dataPath, value: { version: "5" } }])
        assert.deepStrictEqual(alone.annotations, { theirs: "x" })
        assert.deepStrictEqual(yield* read(ref), { version: "5" })
      }))

    it.effect("undoes the edits where an operation cannot be made, and says which operations there were", () =>
      Effect.gen(function*() {
        const { dataPath, object, read } = yield* World
        const store = yield* AnnotationStore
        const ref = yield* object({ a: "1" }, { version: "1" })
        const before = yield* store.get(ref)
        const change: JsonPatchOperation = { op: "replace", path: `${dataPath}/version`, value: "2" }
        const impossible: ReadonlyArray<JsonPatchOperation> = [
          { op: "test", path: `${dataPath}/version`, value: "0" },
          { op: "test", path: `${dataPath}/version`, value: null },
          { op: "test", path: `${dataPath}/absent`, value: "1" },
          { op: "test", path: `${dataPath}/absent/below`, value: null },
          { op: "test", path: "/metadata/resourceVersion", value: String(before.resourceVersion + 1n) },
          { op: "test", path: "/metadata/uid", value: "another" },
          { op: "add", path: "/nowhere/version", value: "2" },
          { op: "replace", path: "/nowhere/version", value: "2" },
          { op: "remove", path: `${dataPath}/absent` },
          { op: "remove", path: `${dataPath}/toString` },
          { op: "move", from: `${dataPath}/absent`, path: `${dataPath}/version` },
          { op: "copy", from: "/nowhere/version", path: `${dataPath}/version` },
          { op: "move", from: `${dataPath}/toString`, path: `${dataPath}/version` },
          { op: "add", path: "no-pointer", value: "2" },
          { op: "test", path: "no-pointer", value: null }
        ]
        for (const failing of impossible) {
          for (const operations of [[change, failing], [failing, change]]) {
            const edits = [{ key: "a", expected: "1", value: "2" }, taking("b", "1")]
            const error = yield* Effect.flip(store.edit(ref, edits, operations))
            assert.strictEqual(error._tag, "EditRefused", failing.path)
            assert.deepStrictEqual(error._tag === "EditRefused" && error.keys, ["a", "b"])
            assert.include(error.message, `${failing.op} ${failing.path}`)
          }
        }
        assert.deepStrictEqual(yield* store.get(ref), before)
        assert.deepStrictEqual(yield* read(ref), { version: "1" })
      }))

    it.effect("leaves the operations undone where an edit is refused", () =>
      Effect.gen(function*() {
        const { dataPath, object, read } = yield* World
        const store = yield* AnnotationStore
        const ref = yield* object({ a: "1" }, { version: "1" })
        const before = yield* store.get(ref)
        const operations: ReadonlyArray<JsonPatchOperation> = [
          { op: "add", path: `${dataPath}/version`, value: "2" },
          { op: "add", path: "/metadata/annotations/b", value: "1" }
        ]
        for (const edit of [taking("a", "2"), { key: "a", expected: "0", value: "2" }]) {
          assert.strictEqual((yield* Effect.flip(store.edit(ref, [edit], operations)))._tag, "EditRefused")
        }
        assert.deepStrictEqual(yield* store.get(ref), before)
        assert.deepStrictEqual(yield* read(ref), { version: "1" })
      }))

    it.effect("does not let operations change what an object is", () =>
      Effect.gen(function*() {
        const { dataPath, object, read } = yield* World
        const store = yield* AnnotationStore
        const ref = yield* object({ a: "1" }, { version: "1" })
        const before = yield* store.get(ref)
        const forbidden = [
          ["/metadata/name", "another", "Invalid"],
          // A server drops the namespace that somebody gives to a cluster-scoped object.
          ...(ref.namespace === undefined ? [] : [["/metadata/namespace", "another", "Invalid"] as const]),
          ["/metadata/uid", "another", "Invalid"],
          ["/metadata/resourceVersion", String(before.resourceVersion - 1n), "Conflict"]
        ] as const
        for (const [path, value, reason] of forbidden) {
          const error = yield* Effect.flip(store.edit(ref, [{ key: "a", expected: "1", value: "2" }], [
            { op: "add", path: `${dataPath}/version`, value: "2" },
            { op: "add", path, value }
          ]))
          assert.strictEqual(error._tag === "KubeError" ? error.reason._tag : error.message, reason, path)
        }
        assert.deepStrictEqual(yield* store.get(ref), before)
        assert.deepStrictEqual(yield* read(ref), { version: "1" })
        const after = yield* store.edit(ref, [], [
          { op: "test", path: "/metadata/resourceVersion", value: String(before.resourceVersion) },
          { op: "add", path: "/metadata/resourceVersion", value: String(before.resourceVersion) },
          { op: "add", path: `${dataPath}/version`, value: "2" }
        ])
        assert.strictEqual(after.uid, before.uid)
        assert.isTrue(after.resourceVersion > before.resourceVersion)
      }))

    it.effect("keeps any text of an operation, and finds it again", () =>
      Effect.gen(function*() {
        const store = yield* AnnotationStore
        const ref = yield* (yield* World).object({ a: "1" })
        const texts = [
          ["<a href=\"x\">&</a>", "<a href=\"x\">&</a>"],
          ["\u2028\u2029", "\u2028\u2029"],
          ["é😀\u0000\b\f\t\n\\\u007f", "é😀\u0000\b\f\t\n\\\u007f"],
          ["\\ud800 \\ufffd", "\\ud800 \\ufffd"],
          ["half \ud83d, half \ude00", "half \ufffd, half \ufffd"]
        ] as const
        const path = "/metadata/annotations/text"
        for (const [index, [sent, kept]] of texts.entries()) {
          const written = yield* store.edit(ref, [], [{ op: "add", path, value: sent }])
          assert.strictEqual(written.annotations["text"], kept)
          for (const [step, value] of [sent, kept].entries()) {
            const found = yield* store.edit(ref, [], [
              { op: "test", path, value },
              { op: "add", path: "/metadata/annotations/found", value: `${index} ${step}` }
            ])
            assert.strictEqual(found.annotations["found"], `${index} ${step}`)
          }
        }
      }))

    it.effect("refuses an operation after which an object would be none, and says why", () =>
      Effect.gen(function*() {
        const store = yield* AnnotationStore
        const ref = yield* (yield* World).object({ a: "1" })
        const before = yield* store.get(ref)
        const operations: ReadonlyArray<JsonPatchOperation> = [
          { op: "add", path: "/metadata/annotations/b", value: 1 },
          { op: "add", path: "/metadata/annotations/b", value: { c: "1" } },
          { op: "add", path: "/metadata/annotations/b", value: "x".repeat(262_144) }
        ]
        for (const operation of operations) {
          const error = yield* Effect.flip(
            store.edit(ref, [{ key: "a", expected: "1", value: "2" }], [operation])
          )
          assert.isTrue(error._tag === "KubeError" && error.reason._tag === "Invalid" && error.reason.causes.length > 0)
        }
        assert.deepStrictEqual(yield* store.get(ref), before)
      }))

    it.effect("gives operations that change nothing no new resourceVersion", () =>
      Effect.gen(function*() {
        const { dataPath, object } = yield* World
        const store = yield* AnnotationStore
        const ref = yield* object({ a: "1" }, { version: "1" })
        const before = yield* store.get(ref)
        const after = yield* store.edit(ref, [{ key: "a", expected: "1", value: "1" }], [
          { op: "test", path: `${dataPath}/version`, value: "1" },
          { op: "add", path: `${dataPath}/version`, value: "1" },
          { op: "add", path: `${dataPath}/b`, value: "1" },
          { op: "remove", path: `${dataPath}/b` }
        ])
        assert.deepStrictEqual(after, before)
      }))

    it.effect("gives an edit that changes nothing no new resourceVersion", () =>
      Effect.gen(function*() {
        const store = yield* AnnotationStore
        const ref = yield* (yield* World).object({ a: "1" })
        const before = yield* store.get(ref)
        assert.deepStrictEqual(yield* store.edit(ref, [{ key: "a", expected: "1", value: "1" }]), before)
        const none = yield* (yield* World).object()
        const read = yield* store.get(none)
        assert.deepStrictEqual(yield* store.edit(none, [{ key: "a", expected: undefined, value: undefined }]), read)
      }))

    it.effect("refuses annotations beyond 256 KiB together, and says so", () =>
      Effect.gen(function*() {
        const store = yield* AnnotationStore
        const ref = yield* (yield* World).object({ a: "" })
        yield* store.edit(ref, [taking("k", "x".repeat(262_144 - 2))])
        const error = yield* Effect.flip(store.edit(ref, [{ key: "a", expected: "", value: "1" }]))
        assert.isTrue(error._tag === "KubeError" && error.reason._tag === "Invalid" && error.reason.causes.length > 0)
        assert.include(error.message, "262144")
      }))

    it.effect("tells an object from the one that was deleted before it", () =>
      Effect.gen(function*() {
        const world = yield* World
        const store = yield* AnnotationStore
        const ref = yield* world.object({ a: "1" })
        const before = yield* store.get(ref)
        yield* world.delete(ref)
        assert.strictEqual((yield* Effect.flip(store.get(ref)))._tag, "KubeError")
        yield* world.put(ref, { a: "1" })
        const after = yield* store.get(ref)
        assert.notStrictEqual(after.uid, before.uid)
        assert.isTrue(after.resourceVersion > before.resourceVersion)
      }))

    it.effect("lets exactly one of many racers win", () =>
      Effect.gen(function*() {
        const store = yield* AnnotationStore
        const ref = yield* (yield* World).object({ other: "x" })
        const racers = Array.from({ length: 24 }, (_, index) => String(index))
        const outcomes = yield* Effect.forEach(
          racers,
          (racer) => Effect.result(store.edit(ref, [taking("a", racer)])),
          { concurrency: "unbounded" }
        )
        const winners = racers.filter((_, index) => Result.isSuccess(outcomes[index]!))
        assert.strictEqual(winners.length, 1)
        assert.strictEqual((yield* store.get(ref)).annotations["a"], winners[0])
        for (const outcome of outcomes) {
          if (Result.isFailure(outcome)) assert.strictEqual(outcome.failure._tag, "EditRefused")
        }
      }))

    it.effect("tells every change after a resourceVersion, in order, also those before one began to listen", () =>
      Effect.gen(function*() {
        const store = yield* AnnotationStore
        const ref = yield* (yield* World).object({ other: "x" })
        const read = yield* store.get(ref)
        const written = [yield* store.edit(ref, [taking("a", "0")])]
        const fiber = yield* Effect.forkChild(nextChanges(ref, read.resourceVersion, 20))
        for (let value = 1; value < 20; value++) {
          written.push(yield* store.edit(ref, [{ key: "a", expected: String(value - 1), value: String(value) }]))
        }
        assert.deepStrictEqual(yield* Fiber.join(fiber), written.map(present))
        for (const { uid } of written) assert.strictEqual(uid, read.uid)
        const [, , third] = written
        assert.deepStrictEqual(yield* nextChanges(ref, third!.resourceVersion, 17), written.slice(3).map(present))
      }))

    it.effect("tells what others write to other annotations, and nothing of other objects", () =>
      Effect.gen(function*() {
        const world = yield* World
        const store = yield* AnnotationStore
        const ref = yield* world.object({ a: "1" })
        const other = yield* world.object({ a: "1" })
        const { resourceVersion } = yield* store.get(ref)
        yield* world.put(other, { a: "2" })
        yield* world.put(ref, { a: "1", theirs: "x" })
        yield* world.delete(other)
        yield* world.put(ref, {})
        const changes = yield* nextChanges(ref, resourceVersion, 2)
        assert.deepStrictEqual(
          changes.map((change) => change._tag === "Present" && change.object.annotations),
          [{ a: "1", theirs: "x" }, {}]
        )
        assert.deepStrictEqual(changes.at(-1), present(yield* store.get(ref)))
      }))

    it.effect("tells a deletion, and the object that is made again with its new uid", () =>
      Effect.gen(function*() {
        const world = yield* World
        const store = yield* AnnotationStore
        const ref = yield* world.object({ a: "1" })
        const before = yield* store.get(ref)
        yield* world.delete(ref)
        yield* world.put(ref, { a: "1" })
        const after = yield* store.get(ref)
        const [deleted, made] = yield* nextChanges(ref, before.resourceVersion, 2)
        assert.strictEqual(deleted?._tag, "Deleted")
        assert.isTrue(deleted?._tag === "Deleted" && deleted.resourceVersion > before.resourceVersion)
        assert.isTrue(deleted?._tag === "Deleted" && deleted.resourceVersion < after.resourceVersion)
        assert.deepStrictEqual(made, present(after))
        assert.notStrictEqual(after.uid, before.uid)
      }))

    it.effect("tells each of several listeners everything, at its own pace, and nothing where nothing changes", () =>
      Effect.gen(function*() {
        const store = yield* AnnotationStore
        const ref = yield* (yield* World).object({ a: "0" })
        const { resourceVersion } = yield* store.get(ref)
        const heard = yield* Queue.unbounded<ObjectChange>()
        const quick = yield* store.changes(ref, resourceVersion).pipe(
          Stream.runForEach((change) => Queue.offer(heard, change)),
          Effect.forkChild
        )
        const slow = yield* store.changes(ref, resourceVersion).pipe(
          Stream.tap((change) => Queue.offer(heard, change)),
          Stream.take(1),
          Stream.runCollect,
          Effect.forkChild
        )
        yield* store.edit(ref, [{ key: "a", expected: "0", value: "0" }])
        const first = yield* store.edit(ref, [{ key: "a", expected: "0", value: "1" }])
        assert.deepStrictEqual(yield* Queue.take(heard), present(first))
        assert.deepStrictEqual(yield* Queue.take(heard), present(first))
        assert.deepStrictEqual(yield* Fiber.join(slow), [present(first)])
        const second = yield* store.edit(ref, [{ key: "a", expected: "1", value: "2" }])
        assert.deepStrictEqual(yield* Queue.take(heard), present(second))
        yield* Fiber.interrupt(quick)
      }))
  })
