/** The same beside a client that writes to the object all the time, as a controller does that keeps its state there. */
import { KubeTransport } from "@kubelock/kube"
import { Effect, type FileSystem, type Path } from "effect"
import type { ChildProcessSpawner } from "effect/process"
import type { Slice } from "../contenders/Contender.ts"
import * as Contenders from "../contenders/Contenders.ts"
import * as LineProcess from "../contenders/LineProcess.ts"
import type { Resource } from "../contenders/Message.ts"
import * as Objects from "../contenders/Objects.ts"
import * as Rounds from "../contenders/Rounds.ts"
import { BenchFailed, type Scenario } from "../Scenario.ts"
import { figure, spread, type Table } from "../Table.ts"
import { Answer, type Order } from "./Message.ts"

interface Extent {
  readonly warmUpPairs: number
  readonly rounds: number
  readonly pairs: number
}

// Longer than beside nobody, so that many writes fall into each turn.
const extent: Extent = { warmUpPairs: 100, rounds: 20, pairs: 30 }
const quickExtent: Extent = { warmUpPairs: 3, rounds: 1, pairs: 10 }

/** The other client. */
const startWriter = Effect.fnUntraced(function*(kubeconfig: string) {
  const process = yield* LineProcess.start(
    "the writer",
    LineProcess.script(new URL("./writer.ts", import.meta.url), kubeconfig)
  )
  const read = LineProcess.read("the writer", Answer)
  const tell = (order: Order) => Effect.flatMap(process.ask(JSON.stringify(order)), read)
  return {
    /** While it writes to the object; and how often it has. */
    beside: Effect.fnUntraced(function*<A, E, R>(resource: Resource, effect: Effect.Effect<A, E, R>) {
      yield* tell({ resource })
      const result = yield* effect
      const { millis, writes } = yield* tell({})
      return { result, writes, millis }
    })
  }
})

/** A slice, and what the other client did meanwhile. */
interface BusySlice extends Slice {
  readonly requests: number
  readonly writes: number
  readonly writingMillis: number
}

const total = (slices: ReadonlyArray<BusySlice>, of: (slice: BusySlice) => number) =>
  slices.reduce((sum, slice) => sum + of(slice), 0)

/** As `acquire: Conflict 12, release: Conflict 3`. */
const failuresOf = (slices: ReadonlyArray<BusySlice>): string => {
  const counts = new Map<string, number>()
  for (const { failures } of slices) {
    for (const [what, count] of Object.entries(failures)) counts.set(what, (counts.get(what) ?? 0) + count)
  }
  return [...counts].map(([what, count]) => `${what} ${count}`).join(", ") || "none"
}

const rowOf = (name: string, slices: ReadonlyArray<BusySlice>): ReadonlyArray<string> => {
  const { meanMillis, p99Millis } = Rounds.perPair(slices)
  const attempts = total(slices, ({ attempts }) => attempts)
  const failed = total(slices, ({ failures }) => Object.values(failures).reduce((sum, count) => sum + count, 0))
  const requests = total(slices, ({ requests }) => requests) / total(slices, ({ pairMicros }) => pairMicros.length)
  const writesPerSecond = total(slices, ({ writes }) => writes) / total(slices, ({ writingMillis }) => writingMillis) *
    1_000
  return [
    name,
    ...[1_000 / meanMillis, meanMillis, p99Millis, requests].map(figure),
    `${figure(100 * (attempts - failed) / attempts)} %`,
    failuresOf(slices),
    figure(writesPerSecond)
  ]
}

const columns = [
  "",
  "pairs/s",
  "mean ms",
  "p99 ms",
  "API requests",
  "attempts that succeed",
  "attempts that fail, and why",
  "writes/s beside"
]

const tableOf = (
  { pairs, rounds }: Extent,
  slices: ReadonlyMap<string, ReadonlyArray<BusySlice>>,
  leftOut: ReadonlyArray<Contenders.LeftOut>
): Table => ({
  id: "busy",
  title: `On a small object, beside a client that writes to it: one pair, of ${rounds} rounds of ${pairs}; ` +
    "an attempt that fails is made again at once",
  columns,
  rows: [
    ...[...slices].map(([name, slices]) => rowOf(name, slices)),
    ...leftOut.map(Contenders.rowOf)
  ]
})

const run = Effect.fnUntraced(function*(extent: Extent, kubeconfig: string) {
  const entrants = yield* Effect.all([
    Contenders.floor(kubeconfig),
    Contenders.attempts(kubeconfig),
    Contenders.managed(kubeconfig),
    Contenders.kubelock(kubeconfig),
    Contenders.leaseLock(kubeconfig)
  ])
  const writer = yield* startWriter(kubeconfig)
  const count = yield* Objects.countByMetrics
  const entries = yield* Effect.forEach(
    entrants.filter((entrant) => entrant._tag === "Participant"),
    Effect.fnUntraced(function*(contender, index) {
      const kind = contender.kind ?? Objects.small
      const resource = yield* Objects.create(kind, `busy-${index}`)
      return { contender, kind, order: { resource, objectBytes: Objects.bytesOf(kind), pairs: extent.pairs } }
    })
  )
  for (const { contender, order } of entries) yield* contender.run({ ...order, pairs: extent.warmUpPairs })
  const slices = new Map(entries.map(({ contender }) => [contender.name, new Array<BusySlice>()]))
  for (const { contender, kind, order } of Rounds.turns(entries, extent.rounds)) {
    const before = yield* count(kind)
    const { millis, result, writes } = yield* writer.beside(order.resource, contender.run(order))
    const asked = (yield* count(kind)) - before
    slices.get(contender.name)!.push({ ...result, requests: asked - writes, writes, writingMillis: millis })
  }
  const leftOut = entrants.filter((entrant) => entrant._tag === "LeftOut")
  return { tables: [tableOf(extent, slices, leftOut), ratioTable(slices)] }
})

const ratioTable = (slices: ReadonlyMap<string, ReadonlyArray<Slice>>): Table => {
  const { attempts, floor, kubelock, leaseLock, managed } = Contenders.names
  const ratios = [
    { what: "time", of: Rounds.micros, one: attempts, other: floor },
    { what: "time", of: Rounds.micros, one: managed, other: floor },
    { what: "pairs/s", of: Rounds.pairsPerSecond, one: attempts, other: kubelock },
    { what: "pairs/s", of: Rounds.pairsPerSecond, one: managed, other: kubelock },
    { what: "pairs/s", of: Rounds.pairsPerSecond, one: attempts, other: leaseLock }
  ]
  return {
    id: "busy-ratios",
    title: "A pair of the one / of the other beside that client, round by round: the median, and the middle half",
    columns: ["", "small object"],
    rows: ratios.flatMap(({ of, one, other, what }) => {
      const [ones, others] = [slices.get(one), slices.get(other)]
      return ones && others ? [[`${what}: ${one} / ${other}`, spread(Rounds.ratio(of, ones, others))]] : []
    })
  }
}

export const busy: Scenario<ChildProcessSpawner.ChildProcessSpawner | FileSystem.FileSystem | Path.Path> = {
  name: "busy",
  run: ({ quick, server }) =>
    server.kind === "embedded"
      ? Effect.map(Contenders.leaveOut("all, on the real server", "KUBEBUILDER_ASSETS"), (leftOut) => ({
        tables: [tableOf(extent, new Map(), [leftOut])]
      }))
      : run(quick ? quickExtent : extent, server.kubeconfig).pipe(
        Effect.provide(KubeTransport.layerText(server.kubeconfig)),
        Effect.scoped,
        Effect.mapError(({ message }) => new BenchFailed({ message }))
      )
}
