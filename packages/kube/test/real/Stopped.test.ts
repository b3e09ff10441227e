/** What a real API server says to a holder that was stopped past its TTL. */
import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Effect, Layer } from "effect"
import * as SharedControlPlane from "../../../testing/test/SharedControlPlane.ts"
import { stopAndContinue } from "../processes/stoppedHolder.ts"
import { configMaps, realWorld } from "../suites/realWorld.ts"
import { World } from "../suites/World.ts"

const services = Layer.merge(NodeServices.layer, Layer.provideMerge(realWorld(configMaps), SharedControlPlane.layer))

layer(services, { excludeTestServices: true })("A process that was stopped past its TTL, and goes on", (it) => {
  it.effect("has its fenced write refused by the server, and its section is interrupted", () =>
    Effect.gen(function*() {
      const { kubeconfig } = yield* ControlPlane
      const { object, read } = yield* World
      const resource = yield* object({}, { writer: "nobody" })
      const { held, holder } = yield* stopAndContinue({
        worker: "stopped-while-sending",
        kubeconfig,
        resource,
        section: "SendWrite"
      })
      assert.strictEqual((yield* holder.next("Answered")).status, 422)
      yield* holder.next("Interrupted")
      const { failure, reason } = yield* holder.next("Ended")
      assert.strictEqual(failure, "LockLost")
      assert.include(["TakenOver", "NotRenewed"], reason)
      assert.deepStrictEqual(yield* read(resource), { writer: "nobody" })
      assert.isTrue(yield* held.isHeld)
    }))
})
