/** What a real API server says of its clock, which is this machine's. */
import { assert, layer } from "@effect/vitest"
import { AnnotationStore, ClockOffset, KubeAnnotationStore, KubeTransport } from "@kubelock/kube"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
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
  "on a real API server",
  (it) => {
    it.effect("each answer tells of its clock, and that it is right", () =>
      TestClock.withLive(Effect.gen(function*() {
        const { clockOffset, edit, get } = yield* AnnotationStore
        const ref = yield* (yield* World).object({ other: "x" })
        yield* edit(ref, [{ key: "a", expected: undefined, value: "1" }])
        const first = yield* clockOffset
        assert.isDefined(first)
        assert.strictEqual(ClockOffset.certainMillis(first), 0)
        // Over a second, so that what the answers say differs.
        for (let answer = 0; answer < 10; answer++) {
          yield* Effect.sleep("110 millis")
          yield* get(ref)
          assert.strictEqual(ClockOffset.certainMillis((yield* clockOffset)!), 0)
        }
        const last = (yield* clockOffset)!
        assert.isBelow(last.atMostMillis - last.atLeastMillis, first.atMostMillis - first.atLeastMillis)
      })))
  }
)
