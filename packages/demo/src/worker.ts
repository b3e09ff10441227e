/** One worker process of the demo: a read-modify-write on a ConfigMap, again and again, under the lock or without it. */
import { NodeRuntime } from "@effect/platform-node"
import { HeldLock, KubeAnnotationStore, KubeLock, type KubeResponse, KubeTransport, ResourceRef } from "@kubelock/kube"
import { Cause, Clock, Console, Effect, Layer, Logger, Random, Ref, Schema, Stream } from "effect"
import { argv } from "node:process"
import { type Cluster, Message, Orders, type Section } from "./Message.ts"

const ConfigMap = Schema.fromJsonString(Schema.Struct({ data: Schema.Struct({ counter: Schema.FiniteFromString }) }))

const transportOf = (cluster: Cluster) =>
  "kubeconfig" in cluster
    ? KubeTransport.layerText(cluster.kubeconfig)
    : KubeTransport.layerFile(cluster.file, cluster)

const micros = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos / 1_000n))

const tell = (message: Message) => Effect.flatMap(Schema.encodeEffect(Message)(message), Console.log)

const work = Effect.fnUntraced(function*(orders: typeof Orders.Type) {
  const requests = yield* Ref.make(0)
  const transport = yield* KubeTransport
  const count = Ref.update(requests, (count) => count + 1)
  const counting = Layer.succeed(KubeTransport, {
    request: (request) => Effect.andThen(count, transport.request(request)),
    stream: (request) => Stream.unwrap(Effect.as(count, transport.stream(request)))
  })
  const resource = ResourceRef.configMap({ namespace: orders.namespace, name: orders.configMap })
  const path = ResourceRef.toPath(resource)

  const read = transport.request({ method: "GET", path }).pipe(
    Effect.flatMap(({ body }: KubeResponse) => Schema.decodeEffect(ConfigMap)(body)),
    Effect.map(({ data }) => data.counter)
  )
  // A merge patch overwrites whatever is there: without a lock, that is somebody else's update.
  const write = (counter: number) =>
    transport.request({
      method: "PATCH",
      path,
      headers: { "content-type": "application/merge-patch+json" },
      body: JSON.stringify({ data: { counter: String(counter) } })
    })
  const section = Effect.gen(function*() {
    const fromMicros = yield* micros
    const before = yield* read
    yield* Effect.sleep(yield* Random.nextBetween(4, 12))
    yield* write(before + 1)
    return { _tag: "Section", worker: orders.worker, before, fromMicros, toMicros: yield* micros } as const
  })

  const lockedSection = Effect.gen(function*() {
    const { fencingToken } = yield* HeldLock
    return { ...yield* section, fencingToken: String(fencingToken) }
  })

  const rounds = Effect.gen(function*() {
    const lock = yield* KubeLock.make({ resource, name: "demo", owner: orders.worker, ttl: "30 seconds" })
    for (let round = 0; round < orders.rounds; round++) {
      const done: Section = yield* orders.withLock ? lock.withLock(lockedSection) : section
      yield* tell(done)
      yield* Effect.sleep(yield* Random.nextBetween(0, 20))
    }
  })
  yield* Effect.provide(rounds, Layer.provide(KubeLock.layer, Layer.provide(KubeAnnotationStore.layer, counting)))
  if (!orders.withLock) return
  yield* tell({ _tag: "Cost", worker: orders.worker, acquisitions: orders.rounds, requests: yield* Ref.get(requests) })
})

const main = Effect.gen(function*() {
  const orders = yield* Schema.decodeUnknownEffect(Orders)(argv[2])
  yield* Effect.provide(work(orders), transportOf(orders.cluster))
})

// Standard output is for messages alone.
main.pipe(
  Effect.onError((cause) => Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logError(cause)),
  Effect.provideService(Logger.LogToStderr, true),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
