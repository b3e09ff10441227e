/** Many locks of one object of a real API server, renewed together. */
import { assert, layer } from "@effect/vitest"
import { AnnotationStore, KubeAnnotationStore, KubeLock, KubeTransport } from "@kubelock/kube"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as SharedControlPlane from "../../../testing/test/SharedControlPlane.ts"
import { configMaps, realWorld } from "../suites/realWorld.ts"
import { World } from "../suites/World.ts"

const services = realWorld(configMaps).pipe(Layer.provideMerge(SharedControlPlane.layer))

layer(services)("Five hundred locks of one object", (it) => {
  it.effect("are renewed in one request, and none is lost, also while they are given back one by one", () =>
    TestClock.withLive(Effect.gen(function*() {
      const { kubeconfig } = yield* ControlPlane
      const resource = yield* (yield* World).object({ other: "x" })
      const count = 500
      let renewals = 0
      const counting = Layer.effect(
        AnnotationStore,
        Effect.map(AnnotationStore, (store): AnnotationStore["Service"] => ({
          ...store,
          edit: (ref, edits, operations) =>
            Effect.tap(store.edit(ref, edits, operations), () =>
              Effect.sync(() => {
                const isOfAll = edits.every(({ expected, value }) => expected !== undefined && value !== undefined)
                if (isOfAll && edits.length === count) renewals++
              }))
        }))
      ).pipe(Layer.provide(KubeAnnotationStore.layer), Layer.provide(KubeTransport.layerText(kubeconfig)))
      yield* Effect.gen(function*() {
        const locks = yield* KubeLock.makeAll(
          Array.from({ length: count }, (_, index) => ({ resource, name: `l${index}`, ttl: "15 seconds" }))
        )
        yield* Effect.scoped(Effect.gen(function*() {
          const all = yield* locks.acquireAll
          yield* Effect.repeat(Effect.sleep("100 millis"), { until: () => renewals === 2 })
          for (const held of all) {
            assert.isTrue(yield* held.isHeld)
            yield* held.release
          }
        }))
        assert.deepStrictEqual((yield* (yield* AnnotationStore).get(resource)).annotations, { other: "x" })
      }).pipe(Effect.provide(Layer.provideMerge(KubeLock.layer, counting)))
    })))
})
