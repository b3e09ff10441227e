/** `npm run chaos`: workers want one lock while everything fails that can, and what they did is judged. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Config, Console, Effect, Layer, Option, Random, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as HistoryFile from "./HistoryFile.ts"
import { Toxiproxy } from "./Toxiproxy.ts"
import { run } from "./underFire.ts"

class Missing extends Schema.TaggedError<Missing>()("Missing", { message: Schema.String }) {}

/** What is needed, by the environment variable that says where it is, and what builds it. */
const builds = {
  KUBEBUILDER_ASSETS: ".ci/control-plane/build",
  KUBELOCK_GO_PEER: ".ci/go-peer/build",
  KUBELOCK_TOXIPROXY: ".ci/toxiproxy/build"
} as const
type Variable = keyof typeof builds
const variables: ReadonlyArray<Variable> = ["KUBEBUILDER_ASSETS", "KUBELOCK_GO_PEER", "KUBELOCK_TOXIPROXY"]

const programs = Effect.gen(function*() {
  const found = new Map<Variable, string>()
  for (const variable of variables) {
    const value = yield* Config.option(Config.String(variable))
    if (Option.isSome(value) && value.value !== "") found.set(variable, value.value)
  }
  const missing = variables.filter((variable) => !found.has(variable))
  if (missing.length > 0) {
    return yield* new Missing({
      message: `Not run: it needs ${missing.join(", ")}. With Go 1.26, on Linux: ${
        missing.map((variable) => `${variable}=$(${builds[variable]})`).join(" ")
      } npm run chaos`
    })
  }
  return { goPeer: found.get("KUBELOCK_GO_PEER")!, toxiproxy: found.get("KUBELOCK_TOXIPROXY")! }
})

const between = (name: string, minimum: number, maximum: number) =>
  Flag.Int(name).pipe(Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum, maximum }))))

const chaos = Command.make(
  "chaos",
  {
    seconds: between("seconds", 20, 86_400).pipe(
      Flag.withDescription("For how long things fail, and a little longer where the last must end; 120 by default"),
      Flag.withDefault(120)
    ),
    seed: Flag.Int("seed").pipe(
      Flag.withDescription("Which faults come when; any by default"),
      Flag.optional
    ),
    processes: between("processes", 4, 100).pipe(
      Flag.withDescription("How many workers; every fourth is a Go program; 12 by default"),
      Flag.withDefault(12)
    ),
    history: Flag.Path("history").pipe(
      Flag.withDescription(
        "The file that everything is written to as it happens; one in the temporary folder by default"
      ),
      Flag.optional
    )
  },
  Effect.fnUntraced(function*({ history, processes, seconds, ...flags }) {
    const { goPeer, toxiproxy } = yield* programs
    const seed = Option.isSome(flags.seed) ? flags.seed.value : yield* Random.nextIntBetween(1, 1_000_000)
    const file = Option.getOrElse(history, () => join(tmpdir(), `kubelock-chaos-${seed}.jsonl`))
    yield* Console.log(`${processes} workers, ${seconds} s, --seed ${seed}, history in ${file}`)
    yield* run({ seed, seconds, processes, history: file, goPeer }).pipe(
      Effect.provide(Layer.merge(ControlPlane.layer(), Toxiproxy.layer(toxiproxy)))
    )
    yield* HistoryFile.judge(file)
  })
).pipe(
  Command.withDescription(
    "Processes in TypeScript and Go want one lock on a real kube-apiserver, while they, it, and what is between them fail. At the " +
      "end: no two were in a section at once, nothing stale was accepted, no lock is left; if not, it exits with 1."
  )
)

Command.run(chaos, { version: "0.0.0" }).pipe(
  Effect.catchTag(
    [
      "BinariesMissing",
      "ControlPlaneFailed",
      "Missing",
      "ProcessFailed",
      "RequestRefused",
      "ToxiproxyFailed",
      "Unreadable"
    ],
    HistoryFile.failWith
  ),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
