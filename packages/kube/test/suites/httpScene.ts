import { KubeAnnotationStore, KubeLock, KubeTransport, ResourceRef } from "@kubelock/kube"
import { KubeApiServer } from "@kubelock/testing"
import { Clock, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { kubeconfig } from "../KubeTransportFixtures.ts"
import { apiServerWorld, storeOfServer } from "./apiServerWorld.ts"
import * as Scenes from "./lockScenes.ts"
import { World } from "./World.ts"

const turn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))

/** An address at which nothing listens. */
export const unreached = Effect.gen(function*() {
  const resource = ResourceRef.configMap({ namespace: "default", name: "object" })
  const lock = yield* KubeLock.make({ resource, name: "x" })
  const fiber = yield* Effect.forkChild(Effect.flip(lock.withLock(Effect.void)))
  yield* Effect.repeat(Effect.andThen(turn, TestClock.adjust("100 millis")), {
    until: () => fiber.pollUnsafe() !== undefined
  })
  yield* Fiber.join(fiber)
}).pipe(
  Effect.provide(
    Layer.fresh(KubeLock.layer.pipe(
      Layer.provide(KubeAnnotationStore.layer),
      Layer.provide(KubeTransport.layerText(kubeconfig({ server: "http://127.0.0.1:1" })))
    ))
  )
)

/** Over HTTP: a lock that must be waited for, and is held past a renewal. */
export const overHttp = Effect.gen(function*() {
  const { object, put } = yield* World
  const resource = yield* object({ [Scenes.key]: Scenes.heldBy("go", yield* Clock.currentTimeNanos) })
  const server = yield* KubeApiServer
  const lock = yield* KubeLock.make({ resource, name: "x", owner: "me" })
  const requests = (count: number) =>
    Effect.repeat(turn, {
      until: () =>
        Effect.map(server.requests, (all) => all.filter(({ status }) => status !== "pending").length >= count)
    })
  const fiber = yield* Effect.forkChild(lock.withLock(Effect.sleep("15 seconds")))
  yield* Effect.repeat(turn, { until: () => Effect.map(server.openWatches, (open) => open > 0) })
  yield* put(resource, { other: "x" })
  yield* requests(3)
  yield* Effect.repeat(Effect.andThen(turn, TestClock.adjust("100 millis")), {
    until: () => fiber.pollUnsafe() !== undefined
  })
  yield* Fiber.join(fiber)
}).pipe(
  Effect.withSpan("caller"),
  Effect.provide(
    Layer.fresh(KubeLock.layer.pipe(
      Layer.provideMerge(storeOfServer),
      Layer.provideMerge(apiServerWorld),
      Layer.provideMerge(KubeApiServer.layer())
    ))
  )
)
