/** What requests take on a server that does nothing else, one after the other. */
import { type KubeRequest, KubeTransport } from "@kubelock/kube"
import { Clock, Effect, Queue, Stream } from "effect"
import { availableParallelism } from "node:os"
import { BenchFailed } from "../Scenario.ts"
import { median } from "../Statistics.ts"
import type { Measured } from "./Costs.ts"

const collection = "/api/v1/namespaces/default/configmaps"
const accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
const key = "/metadata/annotations/bench.kubelock.dev~1growth"
const largeKb = 400

const patch = (name: string, operations: ReadonlyArray<object>): KubeRequest => ({
  method: "PATCH",
  path: `${collection}/${name}`,
  query: { fieldManager: "kubelock" },
  headers: { accept, "content-type": "application/json-patch+json" },
  body: JSON.stringify(operations)
})

const create = (name: string, data: object): KubeRequest => ({
  method: "POST",
  path: collection,
  headers: { "content-type": "application/json" },
  body: JSON.stringify({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, annotations: { "bench.kubelock.dev/growth": "0" } },
    data
  })
})

const failed = ({ message }: { readonly message: string }) => new BenchFailed({ message })

export const measure = Effect.fnUntraced(function*(rounds: number, watchers: number) {
  const { request, stream } = yield* KubeTransport
  const millis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)
  let written = 0

  const timed = Effect.fnUntraced(function*<E>(what: Effect.Effect<unknown, E>) {
    const begin = yield* millis
    yield* what
    return (yield* millis) - begin
  })
  const medianOf = <E>(what: Effect.Effect<unknown, E>) =>
    Effect.map(Effect.replicateEffect(timed(what), rounds), (times) => median(times))
  const write = (name: string) =>
    Effect.suspend(() => request(patch(name, [{ op: "replace", path: key, value: String(++written) }])))

  /** What the server's processors have done so far, where it says so among its metrics. */
  const serverMillis = request({ method: "GET", path: "/metrics", headers: { accept: "text/plain" } }).pipe(
    Effect.map(({ body }) => {
      const seconds = /^process_cpu_seconds_total (\S+)$/m.exec(body)?.[1]
      return seconds === undefined ? Number.NaN : Number(seconds) * 1_000
    }),
    Effect.orElseSucceed(() => Number.NaN)
  )

  /** Of the server's processors, for a write that so many watch. */
  const writeShownTo = Effect.fnUntraced(function*(watchers: number) {
    const lines = yield* Queue.unbounded<string>()
    const query = { watch: "true", fieldSelector: "metadata.name=growth" }
    for (let watcher = 0; watcher < watchers; watcher++) {
      yield* stream({ method: "GET", path: collection, query, headers: { accept } }).pipe(
        Stream.runForEach((line) => Queue.offer(lines, line)),
        Effect.forkScoped
      )
    }
    // The state of the object comes first.
    const told = Effect.replicateEffect(Queue.take(lines), watchers)
    yield* told
    const before = yield* serverMillis
    yield* Effect.replicateEffect(Effect.all([write("growth"), told], { concurrency: 2 }), rounds)
    return ((yield* serverMillis) - before) / rounds
  }, Effect.scoped)

  yield* request(create("growth", {}))
  yield* request(create("growth-large", { text: "x".repeat(largeKb * 1_000) }))
  yield* Effect.replicateEffect(write("growth"), Math.min(rounds, 100))
  const showMillis = ((yield* writeShownTo(watchers)) - (yield* writeShownTo(0))) / watchers
  const measured: Measured = {
    processors: availableParallelism(),
    getMillis: yield* medianOf(request({ method: "GET", path: `${collection}/growth`, headers: { accept } })),
    refusedMillis: yield* medianOf(
      Effect.matchEffect(request(patch("growth", [{ op: "test", path: key, value: "never" }])), {
        onFailure: () => Effect.void,
        onSuccess: () => Effect.fail(new BenchFailed({ message: "What no annotation says was found in one." }))
      })
    ),
    patchMillis: yield* medianOf(write("growth")),
    largePatchMillis: yield* medianOf(write("growth-large")),
    largeKb,
    // By a clock of 10 ms, and beside whatever else the server does.
    ...showMillis > 0 && { showMillis }
  }
  return measured
}, (measuring) => Effect.mapError(measuring, failed))
