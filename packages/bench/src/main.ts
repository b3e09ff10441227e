/** `npm run bench`: what a lock costs here, and what it costs elsewhere. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { KubeApiServer } from "@kubelock/testing"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Console, Effect, FileSystem, Path } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import process from "node:process"
import * as Document from "./Document.ts"
import * as Results from "./Results.ts"
import { BenchFailed, type Scenario, type Server } from "./Scenario.ts"
import { scenarios } from "./scenarios.ts"
import { toMarkdown } from "./Table.ts"

const embedded = Effect.fnUntraced(function*<A, E, R>(use: (server: Server) => Effect.Effect<A, E, R>) {
  return yield* Effect.flatMap(
    KubeApiServer,
    ({ kubeconfig }) => use({ kind: "embedded", version: "embedded", kubeconfig })
  ).pipe(Effect.provide(KubeApiServer.layer({ tls: true })))
})

const real = Effect.fnUntraced(function*<A, E, R>(use: (server: Server) => Effect.Effect<A, E, R>) {
  return yield* Effect.flatMap(ControlPlane, ({ kubeconfig, version }) => use({ kind: "real", version, kubeconfig }))
    .pipe(
      // As in production, a write is on the disk before it is answered.
      Effect.provide(ControlPlane.layer({ fsync: true }))
    )
})

const chosen = Effect.fnUntraced(function*(names: ReadonlyArray<string>) {
  const unknown = names.find((name) => scenarios.every((scenario) => scenario.name !== name))
  if (unknown !== undefined) {
    const known = scenarios.map(({ name }) => name).join(", ")
    return yield* new BenchFailed({ message: `There is no benchmark "${unknown}", only ${known}.` })
  }
  return names.length === 0 ? scenarios : scenarios.filter(({ name }) => names.includes(name))
})

const document = Effect.map(Path.Path, (path) => path.join(import.meta.dirname, "../../../docs/PERFORMANCE.md"))

const runOne = Effect.fnUntraced(
  function*({ name, run }: Scenario<NodeServices.NodeServices>, server: Server, quick: boolean, isWritten: boolean) {
    yield* Console.log(`\n## ${name} (${server.version})`)
    const findings = yield* run({ quick, server })
    for (const table of findings.tables) yield* Console.log(`\n${table.title}\n\n${toMarkdown(table)}`)
    if (!isWritten) return
    const command = `npm run bench -- ${name} --write`
    const machine = Results.machine(server.kind === "real" ? `kube-apiserver ${server.version}` : "the embedded server")
    yield* Results.write(name, { command, machine, ...findings })
    const files = yield* FileSystem.FileSystem
    const text = yield* files.readFileString(yield* document)
    yield* files.writeFileString(yield* document, Document.withTables(text, findings.tables))
  }
)

const bench = Command.make(
  "bench",
  {
    names: Argument.String("name").pipe(
      Argument.withDescription("Which benchmarks; all by default"),
      Argument.variadic()
    ),
    quick: Flag.Boolean("quick").pipe(
      Flag.withDescription("Only to see that everything runs: the figures mean little"),
      Flag.withDefault(false)
    ),
    write: Flag.Boolean("write").pipe(
      Flag.withDescription("Keep the results, and put the tables into docs/PERFORMANCE.md"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function*({ names, quick, write }) {
    const all = yield* chosen(names)
    const isReal = (process.env["KUBEBUILDER_ASSETS"] ?? "") !== ""
    if (write && (quick || !isReal)) {
      return yield* new BenchFailed({
        message: "What is kept is measured in full, on a real server: leave out --quick, and set KUBEBUILDER_ASSETS."
      })
    }
    if (!isReal) yield* Console.log("Without KUBEBUILDER_ASSETS there is no real server: the embedded one stands in.")
    yield* (isReal ? real : embedded)((server) =>
      Effect.forEach(all, (scenario) => runOne(scenario, server, quick, write), { discard: true })
    )
  })
).pipe(Command.withDescription("What a lock costs here, and what it costs elsewhere, side by side."))

Command.run(bench, { version: "0.0.0" }).pipe(
  Effect.catchTag(["BenchFailed", "BinariesMissing", "ControlPlaneFailed"], ({ message }) =>
    Effect.andThen(
      Console.error(message),
      Effect.sync(() => {
        process.exitCode = 1
      })
    )),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
