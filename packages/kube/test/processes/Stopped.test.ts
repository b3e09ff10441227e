import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { ResourceRef } from "@kubelock/kube"
import { KubeApiServer } from "@kubelock/testing"
import { Effect, Layer } from "effect"
import { apiServerWorld } from "../suites/apiServerWorld.ts"
import { World } from "../suites/World.ts"
import { stopAndContinue } from "./stoppedHolder.ts"

const services = Layer.merge(
  NodeServices.layer,
  Layer.provideMerge(apiServerWorld, KubeApiServer.layer({ tls: true }))
)

layer(services, { excludeTestServices: true })("A process that was stopped past its TTL, and goes on", (it) => {
  it.effect("finds its section interrupted, and its fenced write refused before anything of it is sent", () =>
    Effect.gen(function*() {
      const { kubeconfig, requests } = yield* KubeApiServer
      const { object, read } = yield* World
      const resource = yield* object()
      const worker = "stopped-in-section"
      const { fencingToken, held, holder } = yield* stopAndContinue({ worker, kubeconfig, resource, section: "Write" })

      yield* holder.next("Interrupted")
      const { failure, reason } = yield* holder.next("Ended")
      assert.strictEqual(failure, "LockLost")
      assert.include(["TakenOver", "NotRenewed"], reason)
      assert.strictEqual(yield* holder.exitCode, 0)

      const sent = (yield* requests).filter(({ client, requestBody }) =>
        client === worker && requestBody.includes("\"/data\"")
      )
      assert.deepStrictEqual(sent, [])
      assert.isUndefined(yield* read(resource))
      assert.isAbove(Number(held.fencingToken - fencingToken), 0)
      assert.isTrue(yield* held.isHeld)
    }))

  it.effect("has the fenced write that it was about to send refused by the server", () =>
    Effect.gen(function*() {
      const { kubeconfig, requests } = yield* KubeApiServer
      const { object, read } = yield* World
      const resource = yield* object()
      const worker = "stopped-while-sending"
      const { held, holder } = yield* stopAndContinue({ worker, kubeconfig, resource, section: "SendWrite" })

      assert.strictEqual((yield* holder.next("Answered")).status, 422)
      yield* holder.next("Interrupted")
      const { failure, reason } = yield* holder.next("Ended")
      assert.strictEqual(failure, "LockLost")
      assert.include(["TakenOver", "NotRenewed"], reason)
      assert.strictEqual(yield* holder.exitCode, 0)

      const sent = (yield* requests).filter(({ client, requestBody }) =>
        client === worker && requestBody.includes("\"/data\"")
      )
      assert.deepStrictEqual(
        sent.map(({ method, path, status }) => ({ method, path, status })),
        [{ method: "PATCH", path: ResourceRef.toPath(resource), status: 422 }]
      )
      assert.isUndefined(yield* read(resource))
      assert.isTrue(yield* held.isHeld)
    }))
})
