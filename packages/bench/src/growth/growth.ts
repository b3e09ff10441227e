/** How cost grows with processes, locks and objects: simulated, with costs that were measured on the server at hand. */
import type { NodeServices } from "@effect/platform-node"
import { KubeTransport } from "@kubelock/kube"
import { Effect } from "effect"
import type { Scenario } from "../Scenario.ts"
import { figure, type Table } from "../Table.ts"
import { type Costs, costsOf, type Measured } from "./Costs.ts"
import { measure } from "./measure.ts"
import { type Options, type Outcome, simulate } from "./Simulation.ts"

const powers = (last: number): ReadonlyArray<number> => Array.from({ length: last }, (_, power) => 10 ** (power + 1))

const cell = figure

const amount = (value: number): string => value.toLocaleString("en-US")

const percent = (part: number): string => `${Math.round(part * 100)} %`

interface Point {
  readonly x: number
  readonly outcome: Outcome
}

const run = (costs: Costs, options: Partial<Options>): Outcome =>
  simulate({
    seed: 1,
    costs,
    clients: 1,
    locks: 1,
    objects: 1,
    holdMillis: 100,
    thinkMillis: 1_000,
    ttlMillis: 30_000,
    lastsMillis: 10_000,
    ...options
  })

/** Where the locks of many processes are, each of which wants one of its own. */
const layouts = [
  { name: "one object", objectsOf: () => 1 },
  { name: "16 objects", objectsOf: () => 16 },
  { name: "an object each", objectsOf: (locks: number) => locks }
]

const ownLocks = (costs: Costs, sizes: ReadonlyArray<number>) =>
  layouts.map(({ name, objectsOf }) => ({
    name,
    points: sizes.map((clients): Point => ({
      x: clients,
      // So long that many of those who wait longest are served more than once.
      outcome: run(costs, {
        clients,
        locks: clients,
        objects: objectsOf(clients),
        lastsMillis: Math.max(10_000, 1.5 * clients)
      })
    }))
  }))

const contended = (costs: Costs, sizes: ReadonlyArray<number>): ReadonlyArray<Point> =>
  sizes.map((clients) => ({
    x: clients,
    outcome: run(costs, { clients, holdMillis: 10, thinkMillis: 0, lastsMillis: 20_000 })
  }))

/** Sixteen locks with so many processes at each. */
const crowds = (costs: Costs, sizes: ReadonlyArray<number>) =>
  [{ name: "16 locks on one object", objects: 1 }, { name: "16 locks, an object each", objects: 16 }].map(
    ({ name, objects }) => ({
      name,
      points: sizes.map((crowd): Point => ({
        x: crowd,
        outcome: run(costs, { clients: 16 * crowd, locks: 16, objects, holdMillis: 10, thinkMillis: 0 })
      }))
    })
  )

const held = (costs: Costs, sizes: ReadonlyArray<number>): ReadonlyArray<Point> =>
  sizes.map((clients) => ({
    x: clients,
    outcome: run(costs, {
      clients,
      locks: clients,
      objects: clients,
      holdMillis: Infinity,
      thinkMillis: 10_000,
      lastsMillis: 120_000
    })
  }))

const first = "processes"

const tablesOf = (
  own: ReturnType<typeof ownLocks>,
  one: ReadonlyArray<Point>,
  crowded: ReturnType<typeof crowds>,
  holding: ReadonlyArray<Point>
): ReadonlyArray<Table> => [
  {
    id: "growth-layout",
    title:
      "Each process with a lock of its own, held for 100 ms every 1.1 s: acquisitions/s, and the median wait in ms",
    columns: [first, ...own.flatMap(({ name }) => [name, "wait"])],
    rows: (own[0]?.points ?? []).map(({ x }, index) => [
      amount(x),
      ...own.flatMap(({ points }) => {
        const { acquisitionsPerSecond = Number.NaN, waitMillis } = points[index]?.outcome ?? {}
        return [cell(acquisitionsPerSecond), cell(waitMillis?.p50 ?? Number.NaN)]
      })
    ])
  },
  {
    id: "growth-contended",
    title: "Processes that all want one lock, for 10 ms each time",
    columns: [
      first,
      "acquisitions/s",
      "handover p50, ms",
      "p99",
      "requests each",
      "requests/s",
      "events/s",
      "kB/s",
      "server busy"
    ],
    rows: one.map(({ outcome, x }) => [
      amount(x),
      cell(outcome.acquisitionsPerSecond),
      cell(outcome.handoverMillis.p50),
      cell(outcome.handoverMillis.p99),
      cell(outcome.requestsPerAcquisition),
      cell(outcome.requestsPerSecond),
      cell(outcome.eventsPerSecond),
      cell(outcome.bytesPerSecond / 1_000),
      percent(outcome.busy)
    ])
  },
  {
    id: "growth-crowds",
    title: "Sixteen locks, each wanted by so many processes for 10 ms each time: acquisitions/s, and events/s",
    columns: ["processes per lock", ...crowded.flatMap(({ name }) => [name, "events/s"])],
    rows: (crowded[0]?.points ?? []).map(({ x }, index) => [
      amount(x),
      ...crowded.flatMap(({ points }) => {
        const { acquisitionsPerSecond = Number.NaN, eventsPerSecond = Number.NaN } = points[index]?.outcome ?? {}
        return [cell(acquisitionsPerSecond), cell(eventsPerSecond)]
      })
    ])
  },
  {
    id: "growth-held",
    title: "Locks that are held for long, by a process each, with a TTL of 30 s",
    columns: ["locks", "renewals/s", "kB/s", "server busy"],
    rows: holding.map(({ outcome, x }) => [
      amount(x),
      cell(outcome.requestsPerSecond),
      cell(outcome.bytesPerSecond / 1_000),
      percent(outcome.busy)
    ])
  }
]

const point = ({ outcome, x }: Point) => ({
  x,
  acquisitionsPerSecond: outcome.acquisitionsPerSecond,
  handoverMillis: Number.isNaN(outcome.handoverMillis.p50) ? null : outcome.handoverMillis.p50,
  requestsPerSecond: outcome.requestsPerSecond,
  eventsPerSecond: outcome.eventsPerSecond
})

/** Tables, and what plots are made of. */
export const findingsOf = (measured: Measured, quick: boolean) => {
  const costs = costsOf(measured)
  const sizes = powers(quick ? 2 : 5)
  const own = ownLocks(costs, sizes)
  const one = contended(costs, [2, 8, 32, ...quick ? [] : [100, 320, 1_000, 3_200, 10_000]])
  const crowded = crowds(costs, quick ? [1, 4] : [1, 2, 4, 8, 16, 32, 64, 128])
  const holding = held(costs, sizes)
  return {
    tables: tablesOf(own, one, crowded, holding),
    data: {
      measured: { ...measured },
      costs: { ...costs },
      own: own.map(({ name, points }) => ({ name, points: points.map(point) })),
      contended: one.map(point),
      crowds: crowded.map(({ name, points }) => ({ name, points: points.map(point) })),
      held: holding.map(point)
    }
  }
}

export const growth: Scenario<NodeServices.NodeServices> = {
  name: "growth",
  run: ({ quick, server }) =>
    Effect.map(measure(quick ? 10 : 300, quick ? 5 : 40), (measured) => findingsOf(measured, quick)).pipe(
      Effect.provide(KubeTransport.layerText(server.kubeconfig)),
      Effect.catchTag("InvalidConfig", Effect.die)
    )
}
