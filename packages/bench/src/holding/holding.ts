/** What locks cost that are held, and nothing more. */
import type { NodeServices } from "@effect/platform-node"
import { KubeTransport } from "@kubelock/kube"
import { Effect, Schema } from "effect"
import * as LineProcess from "../contenders/LineProcess.ts"
import * as Objects from "../contenders/Objects.ts"
import * as Usage from "../contenders/Usage.ts"
import { BenchFailed, type Findings, type Scenario, type Server } from "../Scenario.ts"
import { figure, type Table } from "../Table.ts"
import { Counted, Order, Settings } from "./Message.ts"
import * as Plan from "./Plan.ts"

const makingAtOnce = 8

/** What a process has used so far, and uses now. */
interface Used {
  readonly requests: number
  readonly bytes: number
  readonly cpuMillis: number
  readonly residentBytes: number
  readonly sockets: number
}

/** What was measured of one of them. */
interface Measured {
  readonly holder: Plan.Holder
  readonly before: Used
  readonly after: Used
}

/** A process that holds its locks, and how to see what it has used. */
const start = Effect.fnUntraced(
  function*(holder: Plan.Holder, index: number, renewEveryMillis: number, server: Server) {
    const { locks, objects } = holder
    const configMaps = Array.from({ length: objects }, (_, object) => `holding-${index}-${object}`)
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
      if (held < locks) return yield* new BenchFailed({ message: `${held} of ${locks} locks are still held` })
      const used: Used = {
        requests,
        ...yield* Usage.of(worker.pid),
        ...yield* Usage.held(worker.pid)
      }
      return used
    })
    return { holder, used }
  }
)

const measure = Effect.fnUntraced(function*({ holders, millis, renewEveryMillis }: Plan.Plan, server: Server) {
  // Beside each other, so that it takes no longer than one of them: each is a process of its own, and none has much to do.
  const started = yield* Effect.forEach(holders, (holder, index) => start(holder, index, renewEveryMillis, server))
  const all = Effect.forEach(started, ({ used }) => used)
  const before = yield* all
  yield* Effect.sleep(millis)
  const after = yield* all
  return started.map(({ holder }, index): Measured => ({ holder, before: before[index]!, after: after[index]! }))
})

const tableOf = ({ millis, renewEveryMillis }: Plan.Plan, measured: ReadonlyArray<Measured>): Table => ({
  id: "holding",
  title: `Locks held by one process for ${millis / 1_000} s, each renewed every ${renewEveryMillis / 1_000} s`,
  columns: ["Locks", "Requests/s", "kB/s", "CPU ms/s", "Memory beside none, MB", "Sockets"],
  rows: measured.map(({ after, before, holder }) => {
    const perSecond = (figureOf: (used: Used) => number) =>
      figure((figureOf(after) - figureOf(before)) / (millis / 1_000))
    const none = measured.find(({ holder }) => holder.locks === 0)?.after.residentBytes ?? Number.NaN
    return [
      holder.name,
      perSecond(({ requests }) => requests),
      perSecond(({ bytes }) => bytes / 1_000),
      perSecond(({ cpuMillis }) => cpuMillis),
      figure((after.residentBytes - none) / 1e6),
      String(after.sockets)
    ]
  })
})

/** What it costs to go on holding. */
export const holding: Scenario<NodeServices.NodeServices> = {
  name: "holding",
  servers: ["real", "embedded"],
  run: Effect.fnUntraced(
    function*({ quick, server }) {
      const plan = Plan.planOf(quick)
      const measured = yield* measure(plan, server)
      const findings: Findings = { tables: [tableOf(plan, measured)] }
      return findings
    },
    (run, { server }) =>
      run.pipe(
        Effect.scoped,
        Effect.provide(KubeTransport.layerText(server.kubeconfig)),
        Effect.catchTag("InvalidConfig", ({ message }) => Effect.fail(new BenchFailed({ message })))
      )
  )
}
