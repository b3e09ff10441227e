/** One process of the benchmark, which holds locks. */
import { type HeldLock, KubeAnnotationStore, KubeLock, KubeTransport, ResourceRef } from "@kubelock/kube"
import { Effect, Layer, Schema } from "effect"
import { argv } from "node:process"
import * as Worker from "../contenders/Worker.ts"
import { type Hold, Order, Settings } from "./Message.ts"

const takingAtOnce = 8

const take = Effect.fnUntraced(function*({ configMaps, locks, renewEveryMillis }: typeof Hold.Type) {
  return yield* Effect.forEach(
    Array.from({ length: locks }, (_, index) => index),
    Effect.fnUntraced(function*(index) {
      const configMap = configMaps[index % configMaps.length]!
      const lock = yield* KubeLock.make({
        resource: ResourceRef.configMap({ namespace: "default", name: configMap }),
        name: `lock-${index}`,
        owner: "holder",
        renewEvery: renewEveryMillis,
        // What is slow here shall be seen, not lost.
        requestTimeout: "10 seconds"
      })
      return yield* lock.acquire
    }),
    { concurrency: takingAtOnce }
  )
})

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
