/** What locks leave on an object of a real API server beside their annotations. */
import { assert, layer } from "@effect/vitest"
import { KubeAnnotationStore, KubeLock, KubeTransport, ResourceRef } from "@kubelock/kube"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Effect, Layer, Schema } from "effect"
import * as SharedControlPlane from "../../../testing/test/SharedControlPlane.ts"
import { configMaps, realWorld } from "../suites/realWorld.ts"
import { World } from "../suites/World.ts"

const decodeObject = Schema.decodeUnknownEffect(Schema.Struct({
  metadata: Schema.Struct({ managedFields: Schema.Array(Schema.Struct({ manager: Schema.String })) })
}))

const services = realWorld(configMaps).pipe(Layer.provideMerge(SharedControlPlane.layer))

layer(services)("An object that was locked many times, by many clients", (it) => {
  it.effect("knows one field manager more while it is locked, and none afterwards", () =>
    Effect.gen(function*() {
      const { kubeconfig, request } = yield* ControlPlane
      const resource = yield* (yield* World).object({ other: "x" })
      const managers = Effect.flatMap(request("GET", ResourceRef.toPath(resource)), decodeObject).pipe(
        Effect.map(({ metadata }) => metadata.managedFields.map(({ manager }) => manager))
      )
      const before = yield* managers
      for (let client = 0; client < 4; client++) {
        yield* Effect.gen(function*() {
          const locks = yield* KubeLock
          const leases = [
            yield* locks.acquire({ resource, name: "a" }),
            yield* locks.acquire({ resource, name: "b" })
          ]
          assert.deepStrictEqual((yield* managers).filter((manager) => !before.includes(manager)), ["kubelock"])
          yield* locks.releaseAll(leases)
        }).pipe(Effect.provide(
          Layer.provide(
            KubeLock.layer,
            Layer.provide(
              KubeAnnotationStore.layer,
              KubeTransport.layerText(kubeconfig, {
                userAgent: `client-${client}`
              })
            )
          )
        ))
      }
      assert.deepStrictEqual(yield* managers, before)
    }))
})
