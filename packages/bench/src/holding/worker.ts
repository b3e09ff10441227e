/** One process of the benchmark, which holds locks. */
import { type HeldLock, KubeAnnotationStore, KubeLock, KubeTransport, ResourceRef } from "@kubelock/kube"
import { Array as Arr, Effect, Layer, Schema } from "effect"
import { argv } from "node:process"
import * as Worker from "../contenders/Worker.ts"
import { type Hold, Order, Settings } from "./Message.ts"

const takingAtOnce = 8

/** By so many in a request, where they are on one object. */
const perRequest = 100

const take = ({ configMaps, locks, renewEveryMillis }: typeof Hold.Type) => {
  const requests = configMaps.flatMap((configMap) => {
    const names = Array.from({ length: locks / configMaps.length }, (_, index) => `lock-${index}`)
    return Arr.chunksOf(names, perRequest).map((names) => ({ configMap, names }))
  })
  return Effect.forEach(
    requests,
    Effect.fnUntraced(function*({ configMap, names }) {
      const managed = yield* KubeLock.makeAll(names.map((name) => ({
        resource: ResourceRef.configMap({ namespace: "default", name: configMap }),
        name,
        owner: "holder",
        renewEvery: renewEveryMillis,
        // What is slow here shall be seen, not lost.
        requestTimeout: "10 seconds"
      })))
      return yield* managed.acquireAll
    }),
    { concurrency: takingAtOnce }
  ).pipe(Effect.map((held) => held.flat()))
}

const main = Effect.gen(function*() {
  const { kubeconfig } = yield* Schema.decodeUnknownEffect(Settings)(argv[2])
  let requests = 0
  const counting = Layer.effect(
    KubeTransport,
    Effect.map(KubeTransport, (transport) => ({
      ...transport,
      request: (request) =>
        Effect.suspend(() => {
          requests++
          return transport.request(request)
        })
    }))
  ).pipe(Layer.provide(KubeTransport.layerText(kubeconfig)))
  let held: ReadonlyArray<HeldLock["Service"]> = []
  const obey = Effect.fnUntraced(function*(order: Order) {
    if (order._tag === "Hold") held = yield* take(order)
    const still = yield* Effect.filter(held, ({ isHeld }) => isHeld)
    return { requests, held: still.length }
  })
  yield* Effect.scoped(Worker.answer(Order, obey)).pipe(
    Effect.provide(Layer.provide(KubeLock.layer, Layer.provide(KubeAnnotationStore.layer, counting)))
  )
})

Worker.run(main)
