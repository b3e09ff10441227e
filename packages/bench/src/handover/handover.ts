/** From the end of one section to the beginning of the next, where many want one lock. */
import type { NodeServices } from "@effect/platform-node"
import { KubeTransport } from "@kubelock/kube"
import { Clock, Effect, Fiber, Schema } from "effect"
import process from "node:process"
import * as LineProcess from "../contenders/LineProcess.ts"
import * as Objects from "../contenders/Objects.ts"
import { turns } from "../contenders/Rounds.ts"
import * as Usage from "../contenders/Usage.ts"
import { BenchFailed, type Findings, type Scenario, type Server } from "../Scenario.ts"
import * as Cost from "./Cost.ts"
import { Answer, type Contend, type Contended, Order, Settings } from "./Message.ts"
import { type Outcome, outcomeOf } from "./Outcome.ts"
import * as Plan from "./Plan.ts"
import * as Report from "./Report.ts"

/** One of the processes. */
interface Contender {
  readonly pid: number
  readonly ask: (order: Order) => Effect.Effect<Answer, BenchFailed>
}

// A process takes most of a second of processor time to load everything.
const startingAtOnce = 2

/** From being told to the beginning. */
const leadMicros = 250_000

const micros = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos / 1_000n))

const sleepUntil = Effect.fnUntraced(function*(atMicros: number) {
  yield* Effect.sleep(Math.max(0, atMicros - (yield* micros)) / 1_000)
})

const start = Effect.fnUntraced(function*(name: string, program: LineProcess.Program, count: number) {
  const one = Effect.map(LineProcess.start(name, program), ({ ask, pid }): Contender => ({
    pid,
    ask: (order) =>
      Effect.orDie(Schema.encodeEffect(Schema.fromJsonString(Order))(order)).pipe(
        Effect.flatMap(ask),
        Effect.flatMap(LineProcess.read(name, Answer))
      )
  }))
  return yield* Effect.all(Array.from({ length: count }, () => one), { concurrency: startingAtOnce })
})

const toldAs = <Tag extends Answer["_tag"]>(tag: Tag, asked: Effect.Effect<Answer, BenchFailed>) =>
  Effect.filterOrFail(
    asked,
    (answer): answer is Extract<Answer, { readonly _tag: Tag }> => answer._tag === tag,
    (answer) => new BenchFailed({ message: `A process answered ${answer._tag} instead of ${tag}` })
  )

/** What is the same for all that contend in a slice. */
type Terms = Pick<typeof Contend.Type, "strategy" | "configMap" | "holdMillis" | "thinkMillisAtMost">

/** One slice of time. The first process has so many fibers, the others one each. */
const contendFor = Effect.fnUntraced(function*(
  contenders: ReadonlyArray<Contender>,
  terms: Terms,
  { fibers = 1, millis, warmUpMillis }: {
    readonly fibers?: number
    readonly millis: number
    readonly warmUpMillis: number
  }
) {
  const beginMicros = (yield* micros) + leadMicros
  const fromMicros = beginMicros + warmUpMillis * 1_000
  const untilMicros = fromMicros + millis * 1_000
  const contending = yield* Effect.forkChild(Effect.forEach(contenders, ({ ask, pid }, index) =>
    toldAs(
      "Contended",
      ask({
        _tag: "Contend",
        ...terms,
        contender: `contender-${pid}`,
        fibers: index === 0 ? fibers : 1,
        beginMicros,
        fromMicros,
        untilMicros
      })
    ), { concurrency: "unbounded" }))
  const usage = Effect.map(Effect.forEach(contenders, ({ pid }) => Usage.of(pid)), (used) => ({
    cpuMillis: used.reduce((sum, { cpuMillis }) => sum + cpuMillis, 0),
    bytes: used.reduce((sum, { bytes }) => sum + bytes, 0)
  }))
  yield* sleepUntil(fromMicros)
  const before = yield* usage
  yield* sleepUntil(untilMicros)
  const after = yield* usage
  const contended: ReadonlyArray<Contended> = yield* Fiber.join(contending)
  return {
    seconds: millis / 1_000,
    contended,
    cpuMillis: after.cpuMillis - before.cpuMillis,
    bytes: after.bytes - before.bytes
  }
})

/** A write takes no longer than so. */
const atMostMicros = 40_000

/** One process writes, the others watch. */
const costFor = Effect.fnUntraced(function*(contenders: ReadonlyArray<Contender>, configMap: string, times: number) {
  const [writer, ...watchers] = contenders
  // As those do who hand over a lock: the next write comes when a section is over.
  const everyMillis = Plan.holdMillis
  const untilMicros = (yield* micros) + leadMicros + times * atMostMicros
  const watching = yield* Effect.forkChild(
    Effect.forEach(
      watchers,
      ({ ask }) => toldAs("Watched", ask({ _tag: "Watch", configMap, untilMicros })),
      { concurrency: "unbounded" }
    )
  )
  yield* Effect.sleep(leadMicros / 1_000)
  const { writes } = yield* toldAs("Written", writer!.ask({ _tag: "Write", configMap, times, everyMillis }))
  const watched = yield* Fiber.join(watching)
  return Cost.costOf(writes, watched.map(({ events }) => events))
})

const measure = Effect.fnUntraced(function*(plan: Plan.Plan, server: Server) {
  const settings = yield* Effect.orDie(Schema.encodeEffect(Settings)({ kubeconfig: server.kubeconfig }))
  const worker = LineProcess.script(new URL("worker.ts", import.meta.url), settings)
  const turnless = ["--import", new URL("turnless.ts", import.meta.url).href]
  const ours = yield* start("a worker", { ...worker, args: [...turnless, ...worker.args] }, Plan.processesOf(plan))
  const program = process.env["KUBELOCK_BENCH_GO"] ?? ""
  if (program === "" && process.env["KUBELOCK_REQUIRE_CONTROL_PLANE"] === "1") {
    return yield* new BenchFailed({
      message: "KUBELOCK_BENCH_GO is to say where .ci/go-bench/build has put its program."
    })
  }
  const theirs = program === ""
    ? []
    : yield* start("the Go program", { command: program, args: ["handover", settings] }, Plan.processesOf(plan))
  const isThere = (contender: Plan.Contender) => program !== "" || !Plan.isInGo(contender)

  // What was never run is slow at first, and opens connections. Of ours, few are to be fast: the others are there to be many.
  yield* Objects.create(Objects.small, "handover-warm-up")
  const warmUp = (contenders: ReadonlyArray<Contender>, { strategy }: Plan.Contender, millis: number) =>
    contendFor(
      contenders,
      { strategy, configMap: "handover-warm-up", holdMillis: 0, thinkMillisAtMost: 0 },
      { millis, warmUpMillis: 0 }
    )
  yield* warmUp(ours, Plan.atOnce, plan.loads[0]!.warmUpMillis)
  yield* warmUp(ours.slice(0, 8), Plan.inTurn, 2 * plan.loads[0]!.sliceMillis)
  yield* warmUp(theirs, Plan.poll(10), plan.loads[0]!.warmUpMillis)

  yield* Objects.create(Objects.small, "handover-cost")
  const loads = yield* Effect.forEach(plan.loads, (load, index) =>
    Effect.gen(function*() {
      const configMap = `handover-${index}`
      yield* Objects.create(Objects.small, configMap)
      const { processes, sliceMillis: millis, thinkMillisAtMost, warmUpMillis } = load
      const present = load.contenders.filter(isThere)
      const outcomes = present.map((contender) => ({ contender, outcomes: new Array<Outcome>() }))
      const costs: Array<Cost.Cost> = []
      for (let round = 0; round < load.rounds; round++) {
        costs.push(yield* costFor(ours.slice(0, processes), "handover-cost", plan.writes))
        for (
          const entry of turns(outcomes, load.rounds).slice(round * outcomes.length, (round + 1) * outcomes.length)
        ) {
          const slice = yield* contendFor(
            (Plan.isInGo(entry.contender) ? theirs : ours).slice(0, processes),
            {
              strategy: entry.contender.strategy,
              configMap,
              holdMillis: entry.contender.holdMillis ?? Plan.holdMillis,
              thinkMillisAtMost
            },
            { millis, warmUpMillis }
          )
          entry.outcomes.push(outcomeOf(slice))
        }
      }
      return { load, costs, outcomes, absent: load.contenders.filter((contender) => !isThere(contender)) }
    }))

  const crowds = yield* Effect.forEach(plan.crowds, (crowd, index) =>
    Effect.gen(function*() {
      const configMap = `handover-crowd-${index}`
      yield* Objects.create(Objects.small, configMap)
      const { contender: { strategy }, fibers, holdMillis, others, sliceMillis: millis, warmUpMillis } = crowd
      const slices = yield* Effect.forEach(Array.from({ length: crowd.rounds }), () =>
        contendFor(
          ours.slice(0, 1 + others),
          { strategy, configMap, holdMillis, thinkMillisAtMost: 0 },
          { fibers, millis, warmUpMillis }
        ))
      return { crowd, slices }
    }))
  return { loads, crowds }
})

/** How the lock passes from one to the next. */
export const handover: Scenario<NodeServices.NodeServices> = {
  name: "handover",
  run: Effect.fnUntraced(
    function*({ quick, server }) {
      const findings: Findings = Report.of(yield* measure(Plan.planOf(quick), server))
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
