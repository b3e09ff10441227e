/** A process that wants a lock, and does under it what it is told. */
import { NodeRuntime } from "@effect/platform-node"
import { HeldLock, KubeAnnotationStore, KubeLock, KubeTransport, ResourceRef } from "@kubelock/kube"
import { Cause, Console, Effect, Layer, Logger, Schema } from "effect"
import { argv, hrtime } from "node:process"
import { Message, Orders } from "./Message.ts"

const tell = (message: Message) => Effect.flatMap(Effect.orDie(Schema.encodeEffect(Message)(message)), Console.log)

/** Computes without a pause, and ends as soon as the process goes on after it was stopped for half of the TTL. */
const busyUntilStopped = Effect.fnUntraced(function*(ttlMillis: number) {
  const stoppedNanos = BigInt(ttlMillis) * 500_000n
  // It may be stopped as soon as it has told.
  let before = hrtime.bigint()
  yield* tell({ _tag: "Busy" })
  let now = hrtime.bigint()
  while (now - before < stoppedNanos) [before, now] = [now, hrtime.bigint()]
})

const fencedPath = "/data"

const work = Effect.fnUntraced(function*(orders: typeof Orders.Type) {
  const { configMap, namespace, section, ttlMillis } = orders
  const transport = yield* KubeTransport
  const store = Layer.provide(
    KubeAnnotationStore.layer,
    Layer.succeed(KubeTransport, {
      ...transport,
      request: (request) => {
        if (request.body?.includes(`"${fencedPath}"`) !== true) return transport.request(request)
        const sent = transport.request(request).pipe(
          Effect.tap(({ status }) => tell({ _tag: "Answered", status })),
          Effect.tapError(({ status = 0 }) => tell({ _tag: "Answered", status }))
        )
        return section === "SendWrite" ? Effect.andThen(busyUntilStopped(ttlMillis), sent) : sent
      }
    })
  )

  const underLock = Effect.gen(function*() {
    const held = yield* HeldLock
    yield* tell({ _tag: "Holding", fencingToken: String(held.fencingToken) })
    if (section === "Write") yield* busyUntilStopped(ttlMillis)
    if (section !== "Rest") yield* held.write([{ op: "add", path: fencedPath, value: { writer: orders.worker } }])
    return yield* Effect.never
  }).pipe(Effect.onInterrupt(() => tell({ _tag: "Interrupted" })))

  yield* Effect.gen(function*() {
    const lock = yield* KubeLock.make({
      resource: ResourceRef.configMap({ namespace, name: configMap }),
      name: orders.lock,
      owner: orders.worker,
      ttl: ttlMillis
    })
    yield* tell({ _tag: "Asking" })
    const failure = yield* Effect.flip(lock.withLock(underLock))
    yield* tell({
      _tag: "Ended",
      failure: failure._tag,
      ...(failure._tag === "LockLost" ? { reason: failure.reason._tag } : {})
    })
  }).pipe(Effect.provide(Layer.provide(KubeLock.layer, store)))
})

const main = Effect.gen(function*() {
  const orders = yield* Schema.decodeUnknownEffect(Orders)(argv[2])
  yield* Effect.provide(work(orders), KubeTransport.layerText(orders.kubeconfig, { userAgent: orders.worker }))
})

// Standard output is for messages alone.
main.pipe(
  Effect.onError((cause) => Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logError(cause)),
  Effect.provideService(Logger.LogToStderr, true),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
