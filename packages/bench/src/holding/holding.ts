/** What locks cost that are held, and nothing more. */
import type { NodeServices } from "@effect/platform-node"
import { KubeTransport } from "@kubelock/kube"
import { Effect, Schema } from "effect"
import * as LineProcess from "../contenders/LineProcess.ts"
import * as Objects from "../contenders/Objects.ts"
import * as Usage from "../contenders/Usage.ts"
import { BenchFailed, type Findings, type Scenario, type Server } from "../Scenario.ts"
import { Counted, Order, Settings } from "./Message.ts"
import * as Plan from "./Plan.ts"
import { type Measured, tableOf, type Used } from "./Report.ts"

const makingAtOnce = 8

/** A process that holds its locks, and how to see what it has used. */
const start = Effect.fnUntraced(
  function*(holder: Plan.Holder, renewEveryMillis: number, server: Server) {
    const { locks, objects } = holder
    const configMaps = Array.from({ length: objects }, (_, object) => `holding-${locks}-${objects}-${object}`)
    yield* Effect.forEach(configMaps, (name) => Objects.create(Objects.small, name), {
      concurrency: makingAtOnce,
      discard: true
    })
    const settings = yield* Effect.orDie(Schema.encodeEffect(Settings)({ kubeconfig: server.kubeconfig }))
    const name = `the holder of ${holder.name}`
    const worker = yield* LineProcess.start(name, LineProcess.script(new URL("worker.ts", import.meta.url), settings))
    const ask = (order: Order) =>
      Effect.orDie(Schema.encodeEffect(Schema.fromJsonString(Order))(order)).pipe(
        Effect.flatMap(worker.ask),
        Effect.flatMap(LineProcess.read(name, Counted))
      )
    yield* ask({ _tag: "Hold", locks, configMaps, renewEveryMillis })
    const used = Effect.gen(function*() {
      const { held, requests } = yield* ask({ _tag: "Count" })
      const used: Used = {
        held,
        requests,
        ...yield* Usage.of(worker.pid),
        ...yield* Usage.held(worker.pid)
      }
      return used
    })
    return { holder, used }
  }
)

const measure = Effect.fnUntraced(
  function*(holders: ReadonlyArray<Plan.Holder>, { millis, renewEveryMillis }: Plan.Plan, server: Server) {
    const started = yield* Effect.forEach(holders, (holder) => start(holder, renewEveryMillis, server))
    const all = Effect.forEach(started, ({ used }) => used)
    const before = yield* all
    yield* Effect.sleep(millis)
    const after = yield* all
    return started.map(({ holder }, index): Measured => ({ holder, before: before[index]!, after: after[index]! }))
  },
  Effect.scoped
)

/** What it costs to go on holding. */
export const holding: Scenario<NodeServices.NodeServices> = {
  name: "holding",
  run: Effect.fnUntraced(
    function*({ quick, server }) {
      const plan = Plan.planOf(quick)
      const measured = yield* Effect.forEach(plan.groups, (holders) => measure(holders, plan, server))
      const findings: Findings = { tables: [tableOf(plan, measured.flat())] }
      return findings
    },
    (run, { server }) =>
      run.pipe(
        Effect.provide(KubeTransport.layerText(server.kubeconfig)),
        Effect.catchTag("InvalidConfig", ({ message }) => Effect.fail(new BenchFailed({ message })))
      )
  )
}
