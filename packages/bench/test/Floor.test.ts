import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { KubeTransport } from "@kubelock/kube"
import { KubeApiServer } from "@kubelock/testing"
import { Effect, Layer } from "effect"
import * as Contenders from "../src/contenders/Contenders.ts"
import * as Objects from "../src/contenders/Objects.ts"

const transport = Layer.unwrap(Effect.map(KubeApiServer, ({ kubeconfig }) => KubeTransport.layerText(kubeconfig)))
const world = Layer.mergeAll(
  transport.pipe(Layer.provideMerge(KubeApiServer.layer({ tls: true }))),
  NodeServices.layer
)

/** What is different in each acquisition. */
const withoutChance = (body: string) =>
  body.replaceAll(/(createdAt\\":\\")[^\\]+/g, "$1…").replaceAll(/(id\\":\\")[^\\]+/g, "$1…")

layer(world)("the floor", (it) => {
  // As a floor it is worth something only as long as it asks for the same.
  it.effect("asks what the library asks", () =>
    Effect.gen(function*() {
      const { clearRequests, kubeconfig, requests } = yield* KubeApiServer
      const resource = yield* Objects.create(Objects.small, "a")
      const asked = Effect.fnUntraced(function*({ run }: Contenders.Participant) {
        yield* clearRequests
        yield* run({ resource, objectBytes: 0, pairs: 2 })
        return (yield* requests).map(({ client, method, path, query, requestBody, responseBytes, status }) => ({
          client,
          method,
          path,
          query,
          body: withoutChance(requestBody),
          responseBytes: responseBytes > 0,
          status
        }))
      })
      const ours = yield* asked(yield* Contenders.attempts(kubeconfig))
      assert.lengthOf(ours, 4)
      assert.deepStrictEqual(yield* asked(yield* Contenders.floor(kubeconfig)), ours)
    }))
})
