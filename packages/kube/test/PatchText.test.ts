import { assert, it } from "@effect/vitest"
import { type AnnotationEdit, GoJson } from "@kubelock/core"
import {
  AnnotationStore,
  type JsonPatchOperation,
  KubeAnnotationStore,
  type KubeRequest,
  KubeTransport,
  ResourceRef
} from "@kubelock/kube"
import { Effect, Layer, Stream } from "effect"
import fc from "fast-check"

// A patch is put together as text. It must be what Go's JSON of its operations is: a server compares its tests to the byte.

const ref = ResourceRef.configMap({ namespace: "prod", name: "a" })

type Edits = ReadonlyArray<AnnotationEdit.AnnotationEdit>
type Operations = ReadonlyArray<JsonPatchOperation>

/** The patch that is sent for an object, as it was seen before. */
const patchFor = Effect.fnUntraced(function*(
  annotations: Record<string, string> | undefined,
  edits: Edits,
  operations: Operations
) {
  const sent: Array<KubeRequest> = []
  const body = JSON.stringify({ metadata: { uid: "u", resourceVersion: "1", annotations } })
  const transport = Layer.succeed(KubeTransport, {
    request: (request) =>
      Effect.sync(() => {
        sent.push(request)
        return { status: 200, body, dateMillis: undefined }
      }),
    stream: () => Stream.empty
  })
  yield* Effect.flatMap(AnnotationStore, (store) => Effect.andThen(store.get(ref), store.edit(ref, edits, operations)))
    .pipe(Effect.provide(Layer.provide(KubeAnnotationStore.layer, transport)))
  return sent[1]?.body
})

const pointer = (key: string) => `/metadata/annotations/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`

const operationsFor = (edits: Edits): Operations => [
  ...edits.map(({ expected, key }) => ({ op: "test" as const, path: pointer(key), value: expected ?? null })),
  ...edits.flatMap(({ expected, key, value }): Operations => {
    if (value !== undefined) return [{ op: expected === undefined ? "add" : "replace", path: pointer(key), value }]
    return expected === undefined ? [] : [{ op: "remove", path: pointer(key) }]
  })
]

const operationsForNone = (edits: Edits): Operations => [
  { op: "test", path: "/metadata/annotations", value: null },
  {
    op: "add",
    path: "/metadata/annotations",
    value: Object.fromEntries(edits.flatMap(({ key, value }) => value === undefined ? [] : [[key, value]]))
  }
]

// What is written otherwise than it is, and where it would be taken for something else.
const text = fc.oneof(
  fc.string(),
  fc.constantFrom(
    "<>&",
    "\u2028",
    "\ud800",
    "\ude00",
    "\ud83d\ude00",
    "\\ud800",
    "\"\\",
    "~1/~0",
    "__proto__",
    "1",
    ""
  ),
  fc.array(fc.constantFrom("<", "\ud83d", "\ude00", "\"", "\\", "~", "/", "ud8", "\n"), { maxLength: 6 }).map((all) =>
    all.join("")
  )
)
const maybe = fc.option(text, { nil: undefined })
const edits = (expected: fc.Arbitrary<string | undefined>) =>
  fc.array(fc.record({ key: fc.oneof(text, fc.constantFrom("a", "1")), expected, value: maybe }), {
    minLength: 1,
    maxLength: 3
  })
const wellFormed = text.map((text) => text.toWellFormed())
const operations = fc.array(
  fc.oneof(
    fc.record({ op: fc.constant("add" as const), path: wellFormed, value: wellFormed }),
    fc.record({ op: fc.constant("copy" as const), from: wellFormed, path: wellFormed })
  ),
  { maxLength: 2 }
)

it.effect("is Go's JSON of its operations, for an object that has annotations", () =>
  Effect.promise(() =>
    fc.assert(fc.asyncProperty(edits(maybe), operations, async (edits, operations) => {
      const patch = await Effect.runPromise(patchFor({ "some other": "x" }, edits, operations))
      assert.strictEqual(patch, GoJson.stringify([...operationsFor(edits), ...operations]))
    }))
  ))

it.effect("is Go's JSON of its operations, for an object that has none", () =>
  Effect.promise(() =>
    fc.assert(fc.asyncProperty(edits(fc.constant(undefined)), operations, async (edits, operations) => {
      const patch = await Effect.runPromise(patchFor(undefined, edits, operations))
      assert.strictEqual(patch, GoJson.stringify([...operationsForNone(edits), ...operations]))
    }))
  ))
