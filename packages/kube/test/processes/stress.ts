/** `npm run stress`: processes contend for one lock, many times, and the figures are told. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { KubeTransport } from "@kubelock/kube"
import { KubeApiServer } from "@kubelock/testing"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Console, Effect, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { contend, type Settings } from "./contendProcesses.ts"
import * as Contention from "./Contention.ts"

class ContentionFailed extends Schema.TaggedError<ContentionFailed>()("ContentionFailed", { message: Schema.String }) {}

const atLeastOne = (name: string, maximum: number) =>
  Flag.Int(name).pipe(Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum }))))

const run = Effect.fnUntraced(function*(settings: Settings) {
  const { acquisitions, fibers, processes } = settings
  yield* Console.log(
    `${processes} processes, one of them with ${fibers} fibers; ${acquisitions} acquisitions of one lock.`
  )
  const outcome = yield* contend(settings)
  yield* Console.log(Contention.figures(outcome).join("\n"))
  const problems = Contention.problems({ fibers: processes - 1 + fibers, acquisitions }, outcome)
  if (problems.length > 0) return yield* new ContentionFailed({ message: problems.join("\n") })
  yield* Console.log("No overlap, every fiber served, nothing left behind.")
})

const onEmbedded = (settings: Omit<Settings, "kubeconfig" | "openWatches">) =>
  Effect.flatMap(KubeApiServer, (server) => run({ ...settings, ...server })).pipe(
    Effect.provide(KubeApiServer.layer({ tls: true }))
  )

const openWatchesOfReal = Effect.map(
  Effect.flatMap(
    KubeTransport,
    ({ request }) => request({ method: "GET", path: "/metrics", headers: { accept: "*/*" } })
  ),
  ({ body }) =>
    [...body.matchAll(/^apiserver_longrunning_requests\{[^}]*resource="configmaps"[^}]*\} (\d+)/gm)]
      .reduce((sum, [, count]) => sum + Number(count), 0)
)

const onReal = (settings: Omit<Settings, "kubeconfig" | "openWatches">) =>
  Effect.gen(function*() {
    const { kubeconfig, version } = yield* ControlPlane
    yield* Console.log(`A real kube-apiserver, ${version}.`)
    const openWatches = openWatchesOfReal.pipe(Effect.provide(KubeTransport.layerText(kubeconfig)), Effect.orDie)
    yield* run({ ...settings, kubeconfig, openWatches })
  }).pipe(Effect.provide(ControlPlane.layer()))

const stress = Command.make(
  "stress",
  {
    processes: atLeastOne("processes", 200).pipe(
      Flag.withDescription("How many processes; 8 by default"),
      Flag.withDefault(8)
    ),
    fibers: atLeastOne("fibers", 100_000).pipe(
      Flag.withDescription("How many fibers the first process has; 100 by default. The others have one each"),
      Flag.withDefault(100)
    ),
    acquisitions: atLeastOne("acquisitions", 1_000_000).pipe(
      Flag.withDescription("How many acquisitions, by all together, at least; 1000 by default"),
      Flag.withDefault(1_000)
    ),
    server: Flag.Literals("server", ["embedded", "real"]).pipe(
      Flag.withDescription("Where the lock is; real needs KUBEBUILDER_ASSETS. Embedded by default"),
      Flag.withDefault("embedded")
    )
  },
  Effect.fnUntraced(function*({ server, ...settings }) {
    if (server === "real") yield* onReal(settings)
    else yield* onEmbedded(settings)
  })
).pipe(
  Command.withDescription(
    "Processes contend for one lock on a ConfigMap. At the end: no two sections overlapped, every fiber was served, and no " +
      "annotation, watch or socket is left; if not, it exits with 1."
  )
)

Command.run(stress, { version: "0.0.0" }).pipe(
  Effect.catchTag(
    ["BinariesMissing", "ContentionFailed", "ControlPlaneFailed", "ProcessFailed"],
    (failed) =>
      Effect.andThen(
        Console.error(failed.message),
        Effect.sync(() => {
          process.exitCode = 1
        })
      )
  ),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
