/** One worker process of the demo: a read-modify-write on a ConfigMap, again and again, under the lock or without it. */
import { NodeRuntime } from "@effect/platform-node"
import { KubeAnnotationStore, KubeLock, type KubeResponse, KubeTransport, ResourceRef } from "@kubelock/kube"
import { Clock, Console, Effect, Layer, Logger, Random, Ref, Result, Schedule, Schema } from "effect"
import { argv } from "node:process"
import { type Cluster, type Cost, Message, Orders, type Section } from "./Message.ts"

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
  const counting = Layer.succeed(KubeTransport, {
    ...transport,
    request: (request) => Effect.andThen(Ref.update(requests, (count) => count + 1), transport.request(request))
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

  const operations: Record<string, { times: number; requests: number }> = {}
  const costed = <A, E>(effect: Effect.Effect<A, E>, name: (result: Result.Result<A, E>) => string) =>
    Effect.gen(function*() {
      const before = yield* Ref.get(requests)
      const result = yield* Effect.result(effect)
      const cost = operations[name(result)] ??= { times: 0, requests: 0 }
      cost.times++
      cost.requests += (yield* Ref.get(requests)) - before
      return yield* Effect.fromResult(result)
    })

  const lockedSection = Effect.gen(function*() {
    const locks = yield* KubeLock
    const attempt = locks.acquire({ resource, name: "demo", owner: orders.worker, ttl: "30 seconds" })
    // One attempt is what may not be interrupted; the waiting between two of them may be.
    return yield* Effect.acquireUseRelease(
      costed(attempt, (result) => Result.isSuccess(result) ? "acquire" : "acquire, refused"),
      ({ fencingToken }) => Effect.map(section, (done) => ({ ...done, fencingToken: String(fencingToken) })),
      (lease) => Effect.ignore(costed(locks.release(lease), () => "release"))
    ).pipe(
      Effect.retry({
        schedule: Schedule.jittered(Schedule.spaced("25 millis")),
        while: (error) => error._tag === "OwnerMismatch"
      })
    )
  })

  const rounds = Effect.gen(function*() {
    for (let round = 0; round < orders.rounds; round++) {
      const done: Section = yield* orders.withLock ? lockedSection : section
      yield* tell(done)
      yield* Effect.sleep(yield* Random.nextBetween(0, 20))
    }
  })
  yield* Effect.provide(rounds, Layer.provide(KubeLock.layer, Layer.provide(KubeAnnotationStore.layer, counting)))
  const cost: Cost = { _tag: "Cost", worker: orders.worker, operations }
  yield* tell(cost)
})

const main = Effect.gen(function*() {
  const orders = yield* Schema.decodeUnknownEffect(Orders)(argv[2])
  yield* Effect.provide(work(orders), transportOf(orders.cluster))
})

// Standard output is for messages alone.
NodeRuntime.runMain(Effect.provide(main, Logger.layer([Logger.withConsoleError(Logger.defaultLogger)])))
