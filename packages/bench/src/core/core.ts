/** What a decision takes: no request, no clock, only what `@kubelock/core` does. */
import type { NodeServices } from "@effect/platform-node"
import { Effect, Path, Schema } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import process from "node:process"
import { BenchFailed, type Scenario } from "../Scenario.ts"
import { ratioOf, spreadOf } from "../Statistics.ts"
import { figure, spread, type Table } from "../Table.ts"

const Found = Schema.fromJsonString(Schema.Array(Schema.Struct({
  name: Schema.String,
  /** Of the processor, per decision, in each round. */
  nanos: Schema.Array(Schema.Finite),
  /** Allocated per decision. */
  bytes: Schema.Finite
})))

const measure = Effect.fnUntraced(function*(rounds: number) {
  const script = (yield* Path.Path).join(import.meta.dirname, "decide.ts")
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const told = yield* spawner.string(
    ChildProcess.make(process.execPath, ["--expose-gc", script, String(rounds)], { stderr: "inherit" })
  )
  return yield* Schema.decodeEffect(Found)(told)
}, Effect.mapError(({ message }) => new BenchFailed({ message: `No decisions were measured: ${message}` })))

export const core: Scenario<NodeServices.NodeServices> = {
  name: "core",
  run: Effect.fnUntraced(function*({ quick }) {
    const found = yield* measure(quick ? 5 : 200)
    const of = (name: string) => found.find((found) => found.name === name) ?? { nanos: [], bytes: Number.NaN }
    const row = (name: string, title = name) => {
      const { bytes, nanos } = of(name)
      return [title, spread(spreadOf(nanos.map((nanos) => 1e3 / nanos))), spread(spreadOf(nanos)), figure(bytes)]
    }
    const decisions: Table = {
      id: "decisions",
      title: "Decisions on a ConfigMap's annotations, by the processor's time",
      columns: ["decision", "million/s", "ns", "bytes allocated"],
      rows: [
        row("acquire, free"),
        row("acquire, expired"),
        row("renew"),
        row("release"),
        row("acquire, held by another", "acquire, held by another: refused, with an error"),
        row("new Error", "of that, an error of JavaScript alone")
      ]
    }
    const beside = (ours: string, theirs: string) => [
      `\`${ours}\` beside \`${theirs}\``,
      spread(spreadOf(of(ours).nanos)),
      spread(spreadOf(of(theirs).nanos)),
      spread(ratioOf(of(ours).nanos, of(theirs).nanos))
    ]
    const text: Table = {
      id: "record-text",
      title: "A record's text",
      columns: ["", "ns", "JSON alone, ns", "ratio"],
      rows: [beside("LockRecord.parse", "JSON.parse"), beside("LockRecord.format", "JSON.stringify")]
    }
    return { tables: [decisions, text] }
  })
}
