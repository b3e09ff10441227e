/** A holder that is stopped past its TTL and then goes on, in a process of its own. */
import { KubeAnnotationStore, KubeLock, KubeTransport, type ResourceRef } from "@kubelock/kube"
import { Effect, Layer, Schema } from "effect"
import { Message, Orders } from "./Message.ts"
import * as OtherProcess from "./OtherProcess.ts"

// Longer than a busy machine keeps a process from running, and no longer than a test should take.
const ttlMillis = 2_000

/**
 * Stops it in the midst of its section, or right before its fenced write is sent; lets somebody else take the lock; and lets it go
 * on while they have it. Yields what it has told since then, and what the object's annotation still says.
 */
export const stopAndContinue = Effect.fnUntraced(function*(options: {
  readonly worker: string
  readonly kubeconfig: string
  readonly resource: ResourceRef.ResourceRef
  readonly section: "Write" | "SendWrite"
}) {
  const { kubeconfig, resource, section, worker } = options
  // As long as the test, which looks at what the successor holds.
  const locks = yield* Layer.build(
    Layer.provide(KubeLock.layer, Layer.provide(KubeAnnotationStore.layer, KubeTransport.layerText(kubeconfig)))
  )
  return yield* Effect.gen(function*() {
    const lock = yield* KubeLock.make({ resource, name: "x", owner: "successor", waitAtMost: "20 seconds" })
    const holder = yield* OtherProcess.start({
      script: "worker.ts",
      message: Message,
      orders: yield* Schema.encodeEffect(Orders)({
        worker,
        kubeconfig,
        namespace: resource.namespace ?? "",
        configMap: resource.name,
        lock: lock.name,
        ttlMillis,
        section
      })
    })
    yield* holder.next("Asking")
    const { fencingToken } = yield* holder.next("Holding")
    yield* holder.next("Busy")
    yield* holder.signal("SIGSTOP")
    const held = yield* lock.acquire
    yield* holder.signal("SIGCONT")
    return { holder, held, fencingToken: BigInt(fencingToken) }
  }).pipe(Effect.provide(locks))
})
