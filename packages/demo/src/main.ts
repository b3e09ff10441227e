/** `npm run demo`: several processes share a lock on a ConfigMap. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { type KubeResponse, KubeTransport, ResourceRef } from "@kubelock/kube"
import { KubeApiServer } from "@kubelock/testing"
import { Clock, Console, Effect, Option, Ref, Schema, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import { ChildProcess } from "effect/process"
import { execPath, stdout } from "node:process"
import { fileURLToPath } from "node:url"
import { type Cluster, Message, Orders } from "./Message.ts"
import * as Report from "./Report.ts"

class CheckFailed extends Schema.TaggedError<CheckFailed>()("CheckFailed", { message: Schema.String }) {}

const style: Report.Style = {
  isTerminal: stdout.isTTY && process.env["NO_COLOR"] === undefined,
  columns: Math.min(stdout.columns ?? 100, 120)
}

interface Settings {
  readonly cluster: Cluster
  readonly namespace: string
  readonly workers: number
  readonly rounds: number
  readonly withLock: boolean
}

const ConfigMap = Schema.fromJsonString(Schema.Struct({ data: Schema.Struct({ counter: Schema.FiniteFromString }) }))

/** A ConfigMap with a counter, deleted again at the end, whatever the end is. */
const makeConfigMap = Effect.fnUntraced(function*(namespace: string) {
  const transport = yield* KubeTransport
  const name = `kubelock-demo-${(yield* Clock.currentTimeMillis).toString(36)}`
  const path = ResourceRef.toPath(ResourceRef.configMap({ namespace, name }))
  yield* Effect.acquireRelease(
    transport.request({
      method: "POST",
      path: path.slice(0, path.lastIndexOf("/")),
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: { counter: "0" } })
    }),
    () => Effect.orDie(transport.request({ method: "DELETE", path }))
  )
  const counter = transport.request({ method: "GET", path }).pipe(
    Effect.flatMap(({ body }: KubeResponse) => Schema.decodeEffect(ConfigMap)(body)),
    Effect.map(({ data }) => data.counter)
  )
  return { name, counter }
})

const runWorker = Effect.fnUntraced(
  function*(orders: typeof Orders.Type, told: (message: Message) => Effect.Effect<void>) {
    const handle = yield* ChildProcess.make(
      execPath,
      [fileURLToPath(new URL("worker.ts", import.meta.url)), yield* Schema.encodeEffect(Orders)(orders)],
      { stderr: "inherit", extendEnv: true }
    )
    yield* handle.stdout.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.mapEffect((line) => Schema.decodeEffect(Message)(line)),
      Stream.runForEach(told)
    )
    const exitCode = yield* handle.exitCode
    if (exitCode !== 0) return yield* new CheckFailed({ message: `${orders.worker} ended with exit code ${exitCode}` })
  },
  Effect.scoped
)

const run = Effect.fnUntraced(function*({ cluster, namespace, rounds, withLock, workers }: Settings) {
  const names = Array.from({ length: workers }, (_, index) => `worker-${index + 1}`)
  const { counter, name } = yield* makeConfigMap(namespace)
  yield* Console.log(
    `${workers} processes, ${rounds} rounds each: read a counter in configmaps/${name}, add one, write it back, ` +
      (withLock ? "under one lock.\n" : "WITHOUT a lock.\n")
  )
  const told = yield* Ref.make<ReadonlyArray<Message>>([])
  const listen = Effect.fnUntraced(function*(message: Message) {
    const all = yield* Ref.updateAndGet(told, (before) => [...before, message])
    const first = all.find(({ _tag }) => _tag === "Section")
    if (message._tag === "Section" && first?._tag === "Section") {
      yield* Console.log(Report.line(style, first.fromMicros, names, message))
    }
  })
  yield* Effect.forEach(
    names,
    (worker) => runWorker({ worker, cluster, namespace, configMap: name, rounds, withLock }, listen),
    { concurrency: "unbounded", discard: true }
  )
  const messages = yield* Ref.get(told)
  const sections = messages.filter((message) => message._tag === "Section")
  const costs = Report.costs(messages.filter((message) => message._tag === "Cost"))
  yield* Console.log(`\nWho was in the section when:\n${Report.timeline(style, names, sections).join("\n")}`)
  if (costs.length > 0) yield* Console.log(`\nWhat the lock cost:\n${costs.join("\n")}`)

  const due = workers * rounds
  const found = yield* counter
  const overlaps = Report.overlaps(sections)
  const verdict = `${sections.length} of ${due} sections, ${overlaps} overlapped another; ` +
    `counter ${found} of ${due}: ${due - found} updates lost`
  if (sections.length !== due || overlaps > 0 || found !== due) {
    const why = withLock ? "The lock did not do its work." : "This is what the lock is for: run it without --no-lock."
    return yield* new CheckFailed({ message: `${verdict}. ${why}` })
  }
  yield* Console.log(`\n${verdict}.`)
})

const embedded = Effect.fnUntraced(function*(settings: Omit<Settings, "cluster">) {
  const { kubeconfig, url } = yield* KubeApiServer
  yield* Console.log(`An embedded Kubernetes API server listens on ${url}.`)
  yield* Effect.provide(
    Effect.scoped(run({ ...settings, cluster: { kubeconfig } })),
    KubeTransport.layerText(kubeconfig)
  )
})

const atLeastOne = (name: string, maximum: number) =>
  Flag.Int(name).pipe(Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum }))))

const demo = Command.make("demo", {
  lock: Flag.Boolean("lock").pipe(
    Flag.withDescription("With --no-lock: do the same without it, and see updates get lost (the exit code is then 1)"),
    Flag.withDefault(true)
  ),
  workers: atLeastOne("workers", 32).pipe(
    Flag.withDescription("How many processes; 4 by default"),
    Flag.withDefault(4)
  ),
  rounds: atLeastOne("rounds", 10_000).pipe(
    Flag.withDescription("How often each takes the lock; 6 by default"),
    Flag.withDefault(6)
  ),
  kubeconfig: Flag.String("kubeconfig").pipe(
    Flag.withDescription("Use the cluster of this kubeconfig file instead of the embedded API server"),
    Flag.optional
  ),
  context: Flag.String("context").pipe(
    Flag.withDescription("Which context of the kubeconfig; its current one by default"),
    Flag.optional
  ),
  namespace: Flag.String("namespace").pipe(
    Flag.withDescription("Where to make the ConfigMap, which is deleted again at the end; \"default\" by default"),
    Flag.withDefault("default")
  )
}, ({ context, kubeconfig, lock, namespace, rounds, workers }) => {
  const settings = { namespace, workers, rounds, withLock: lock }
  return Option.match(kubeconfig, {
    onNone: () =>
      Option.isSome(context)
        ? Effect.fail(
          new CheckFailed({ message: "--context says which context of a kubeconfig: give --kubeconfig too" })
        )
        : Effect.provide(embedded(settings), KubeApiServer.layer()),
    onSome: (file) => {
      const cluster = { file, ...(Option.isSome(context) ? { context: context.value } : {}) }
      return Effect.provide(Effect.scoped(run({ ...settings, cluster })), KubeTransport.layerFile(file, cluster))
    }
  })
}).pipe(Command.withDescription(
  "Several processes contend for one lock on a ConfigMap and, inside it, change a counter that loses updates without the " +
    "lock. At the end the demo checks that no two holds overlapped and no update was lost; if not, it exits with 1."
))

// Whoever reads along (`| head`) may have gone: end as on Ctrl-C, so that nothing is left on the cluster.
stdout.on("error", () => process.kill(process.pid, "SIGINT"))

Command.run(demo, { version: "0.0.0" }).pipe(
  Effect.catchTag(
    ["CheckFailed", "InvalidConfig", "KubeError", "PlatformError", "SchemaError", "ServerNotStarted"],
    (failed) =>
      Effect.andThen(
        Console.error(`\n${failed.message}`),
        Effect.sync(() => {
          process.exitCode = 1
        })
      )
  ),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
