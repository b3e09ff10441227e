/** `npm run fuzz`: the tests of hostile input, with more of it, or with the seed that one of them has printed. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { ChildProcess } from "effect/process"

const tests = [
  "packages/core/test/Hostile.test.ts",
  "packages/kube/test/hostile/",
  "packages/kube/test/RecordFuzz.test.ts"
]

const fuzz = Command.make(
  "fuzz",
  {
    runs: Flag.Int("runs").pipe(
      Flag.withDescription("How many times as much as `npm test` tries; 10 by default"),
      Flag.withDefault(10)
    ),
    seed: Flag.Int("seed").pipe(
      Flag.withDescription("The seed of every property; by default each has one of its own, and prints it if it fails"),
      Flag.optional
    )
  },
  Effect.fnUntraced(function*({ runs, seed }) {
    const child = yield* ChildProcess.make(
      "vitest",
      ["run", "--config", "vitest.workspace.ts", "--testTimeout", String(60_000 * runs), ...tests],
      {
        env: {
          KUBELOCK_FUZZ_RUNS: String(runs),
          KUBELOCK_FUZZ_SEED: Option.match(seed, { onNone: () => "", onSome: String })
        },
        extendEnv: true,
        stdin: "inherit",
        stdout: "inherit",
        stderr: "inherit"
      }
    )
    process.exitCode = yield* child.exitCode
  }, Effect.scoped)
).pipe(
  Command.withDescription(
    "Gives the library what is hostile: annotations, kubeconfigs, answers, options. The records beside Go are among it where " +
      "KUBELOCK_GO_PEER is set."
  )
)

Command.run(fuzz, { version: "0.0.0" }).pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
