/**
 * Several locks at once, without deadlock.
 *
 * `makeAll` takes the locks of one object in one request, all or none, and goes from object to object in an order that is the same for all
 * who use it. So two sections that name the same locks in opposite order do not wait for each other for ever.
 *
 * Here one moves stock from east to west and another from west to east, at the same time.
 *
 * Run it: node docs/examples/several-locks.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { KubeAnnotationStore, KubeLock, KubeTransport, ResourceRef } from "@kubelock/kube"
import { KubeApiServer } from "@kubelock/testing"
import { Console, Effect, Layer, Ref } from "effect"

const east = ResourceRef.configMap({ namespace: "default", name: "east" })
const west = ResourceRef.configMap({ namespace: "default", name: "west" })

const program = Effect.gen(function*() {
  const server = yield* KubeApiServer
  for (const { name } of [east, west]) {
    yield* server.put({ apiVersion: "v1", kind: "ConfigMap", metadata: { namespace: "default", name } })
  }

  const stock = yield* Ref.make({ east: 10, west: 10 })
  const move = (amount: number) =>
    Effect.gen(function*() {
      const before = yield* Ref.get(stock)
      yield* Effect.sleep("10 millis")
      yield* Ref.set(stock, { east: before.east - amount, west: before.west + amount })
      yield* Console.log(`moved ${Math.abs(amount)} to the ${amount > 0 ? "west" : "east"}`)
    })

  const eastFirst = yield* KubeLock.makeAll([{ resource: east, name: "stock" }, { resource: west, name: "stock" }])
  const westFirst = yield* KubeLock.makeAll([{ resource: west, name: "stock" }, { resource: east, name: "stock" }])
  yield* Effect.all([eastFirst.withLocks(move(3)), westFirst.withLocks(move(-1))], { concurrency: "unbounded" })

  const after = yield* Ref.get(stock)
  yield* Console.log(`east ${after.east}, west ${after.west}`)
})

const onServer = Layer.unwrap(Effect.map(KubeApiServer, ({ kubeconfig }) =>
  KubeLock.layer.pipe(
    Layer.provide(KubeAnnotationStore.layer),
    Layer.provide(KubeTransport.layerText(kubeconfig))
  )))

program.pipe(Effect.provide(Layer.provideMerge(onServer, KubeApiServer.layer())), NodeRuntime.runMain)
