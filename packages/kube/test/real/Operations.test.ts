/** What a real API server makes of operations on the data of a ConfigMap, which has a schema. */
import { assert, layer } from "@effect/vitest"
import { AnnotationStore, KubeAnnotationStore, KubeTransport } from "@kubelock/kube"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Effect, Layer } from "effect"
import * as SharedControlPlane from "../../../testing/test/SharedControlPlane.ts"
import { configMaps, realWorld } from "../suites/realWorld.ts"
import { World } from "../suites/World.ts"

const store = Layer.unwrap(
  Effect.map(
    ControlPlane,
    ({ kubeconfig }) => Layer.provide(KubeAnnotationStore.layer, KubeTransport.layerText(kubeconfig))
  )
)

layer(Layer.provide(Layer.merge(realWorld(configMaps), store), SharedControlPlane.layer))(
  "Operations on the data of a ConfigMap",
  (it) => {
    it.effect("that make it no ConfigMap are refused with causes, and the edits with them", () =>
      Effect.gen(function*() {
        const { object, read } = yield* World
        const store = yield* AnnotationStore
        const ref = yield* object({ a: "1" }, { version: "1" })
        const before = yield* store.get(ref)
        const edits = [{ key: "a", expected: "1", value: "2" }]
        for (const value of [2, true, { major: "2" }]) {
          const error = yield* Effect.flip(store.edit(ref, edits, [{ op: "replace", path: "/data/version", value }]))
          assert.isTrue(error._tag === "KubeError" && error.reason._tag === "Invalid" && error.reason.causes.length > 0)
          assert.include(error.message, "data")
        }
        assert.deepStrictEqual(yield* store.get(ref), before)
        assert.deepStrictEqual(yield* read(ref), { version: "1" })
      }))

    it.effect("keep any text, and find it again by itself or in the whole", () =>
      Effect.gen(function*() {
        const { object, read } = yield* World
        const store = yield* AnnotationStore
        const ref = yield* object({ a: "1" })
        const text = "<a href=\"x\">&</a> \u2028\u2029 é😀\u0000\b\f\t\n\\\u007f"
        const written = { text: `${text} \ud83d`, other: "x" }
        yield* store.edit(ref, [], [{ op: "add", path: "/data", value: written }])
        assert.deepStrictEqual(yield* read(ref), { text: `${text} \ufffd`, other: "x" })
        const after = yield* store.edit(ref, [{ key: "a", expected: "1", value: "2" }], [
          { op: "test", path: "/data/text", value: written.text },
          { op: "test", path: "/data/text", value: `${text} \ufffd` },
          { op: "test", path: "/data", value: written }
        ])
        assert.strictEqual(after.annotations["a"], "2")
      }))
  }
)
