/** What was measured, as tables. Pure. */
import type { Findings } from "../Scenario.ts"
import * as Statistics from "../Statistics.ts"
import { figure, spread, type Table } from "../Table.ts"
import type { Cost } from "./Cost.ts"
import { handoverMillis, medianOf, type Outcome, type Slice } from "./Outcome.ts"
import * as Plan from "./Plan.ts"

/** The rounds of one contender under one load. */
export interface Rounds {
  readonly contender: Plan.Contender
  readonly outcomes: ReadonlyArray<Outcome>
}

export interface Measured {
  readonly loads: ReadonlyArray<{
    readonly load: Plan.Load
    readonly outcomes: ReadonlyArray<Rounds>
    /** What was left out, since its program is not there. */
    readonly absent: ReadonlyArray<Plan.Contender>
    /** Of each round. */
    readonly costs: ReadonlyArray<Cost>
  }>
  readonly crowds: ReadonlyArray<{ readonly crowd: Plan.Crowd; readonly slices: ReadonlyArray<Slice> }>
}

const sumOf = ({ eventMillis, patchMillis }: Cost) => patchMillis + eventMillis

const costs = ({ loads }: Measured): Table => ({
  id: "handover-cost",
  title: "What a handover at least consists of, in the same rounds: a patch, and its event at another process",
  columns: ["Processes that watch", "Patch sent → answered, p50 ms", "Patch sent → event, p50 ms", "Sum, ms"],
  rows: loads.filter(({ load }) => load.thinkMillisAtMost === 0).map(({ costs, load }) => [
    String(load.processes - 1),
    figure(Statistics.median(costs.map(({ patchMillis }) => patchMillis))),
    figure(Statistics.median(costs.map(({ eventMillis }) => eventMillis))),
    figure(Statistics.median(costs.map(sumOf)))
  ])
})

/** Of which the third digit still matters; none where nobody got anything. */
const index = (value: number): string => Number.isNaN(value) ? "–" : value.toFixed(3)

const handovers = ({ loads }: Measured): Table => ({
  id: "handover",
  title: "Processes that want one lock, for sections of 2 ms",
  columns: [
    "Processes",
    "Acquisitions/s",
    "Release sent → next section, p50 / p99 ms",
    "Release answered → next section, p50 / p99 ms",
    "Requests each",
    "kB each",
    "CPU ms each, per process",
    "Jain's index",
    "Longest wait / mean"
  ],
  rows: loads.flatMap(({ absent, load, outcomes }) => [
    ...outcomes.map(({ contender, outcomes }) => [
      `${load.name}: ${contender.name}`,
      figure(medianOf(outcomes, "acquisitionsPerSecond")),
      ...(["sentMillis", "answeredMillis"] as const).map((since) =>
        [0.5, 0.99].map((part) => figure(handoverMillis(outcomes, part, since))).join(" / ")
      ),
      figure(medianOf(outcomes, "requestsPerAcquisition")),
      figure(medianOf(outcomes, "kilobytesPerAcquisition")),
      figure(medianOf(outcomes, "cpuMillisPerAcquisition")),
      index(medianOf(outcomes, "jain")),
      figure(medianOf(outcomes, "longestWaitOverMean"))
    ]),
    ...absent.map(({ name }) => [`${load.name}: ${name}`, "left out: KUBELOCK_BENCH_GO names no program"])
  ])
})

/** Round by round: ours, and one other with sections of the same length. */
const ratios = ({ loads }: Measured): Table => ({
  id: "handover-ratios",
  title: "This library's handover against what it consists of, and its acquisitions/s against others'",
  columns: ["Processes", "Ratio"],
  rows: loads.flatMap(({ costs, load, outcomes }) => {
    const ours = outcomes.find(({ contender }) => contender === Plan.inTurn)
    if (ours === undefined) return []
    const ofEach = (outcomes: ReadonlyArray<Outcome>) =>
      outcomes.map(({ acquisitionsPerSecond }) => acquisitionsPerSecond)
    const p50s = ours.outcomes.map((outcome) => handoverMillis([outcome], 0.5, "sentMillis"))
    const others = outcomes.filter((other) => other !== ours && other.contender.holdMillis === undefined)
    return [
      ...load.thinkMillisAtMost > 0
        ? []
        : [[
          `${load.name}: handover p50 / (patch + event)`,
          spread(Statistics.ratioOf(p50s, costs.map(sumOf)))
        ]],
      ...others.map(({ contender, outcomes }) => [
        `${load.name}: acquisitions/s / those of ${contender.name}`,
        spread(Statistics.ratioOf(ofEach(ours.outcomes), ofEach(outcomes)))
      ])
    ]
  })
})

const fibers = ({ crowds }: Measured): Table => ({
  id: "handover-fibers",
  title: "Fibers of one process that want one lock, and at times another process besides",
  columns: [
    "Fibers",
    "Section, ms",
    "Acquisitions/s",
    "Of these from the server",
    "Requests each",
    "CPU ms each",
    "The other process: acquisitions/s",
    "Its mean / longest wait, ms"
  ],
  rows: crowds.map(({ crowd: { contender, fibers, holdMillis, others }, slices }) => {
    const ofCrowd = (figureOf: (slice: Slice, crowd: Slice["contended"][number]) => number) =>
      figure(Statistics.median(slices.map((slice) => figureOf(slice, slice.contended[0]!))))
    const waits = slices.flatMap(({ contended }) => contended.slice(1))
    const served = waits.reduce((sum, { acquisitions }) => sum + acquisitions, 0)
    const waitedMicros = waits.reduce((sum, { waits }) => sum + waits.sumMicros, 0)
    const seconds = slices.reduce((sum, { seconds }) => sum + seconds, 0)
    return [
      `${contender.name}: ${fibers.toLocaleString("en-US")}${others === 0 ? "" : ", and another process"}`,
      String(holdMillis),
      ofCrowd(({ seconds }, { acquisitions }) => acquisitions / seconds),
      ofCrowd(({ seconds }, { turns }) => turns.length / seconds),
      ofCrowd((_, { acquisitions, requests }) => requests / acquisitions),
      ofCrowd(({ contended, cpuMillis }) =>
        cpuMillis / contended.reduce((sum, { acquisitions }) => sum + acquisitions, 0)
      ),
      others === 0 ? "–" : figure(served / seconds),
      others === 0
        ? "–"
        : [waitedMicros / served, Math.max(...waits.map(({ waits }) => waits.longestMicros))]
          .map((micros) => figure(micros / 1_000)).join(" / ")
    ]
  })
})

export const of = (measured: Measured): Findings => ({
  tables: [costs(measured), handovers(measured), ratios(measured), fibers(measured)],
  data: {
    costs: measured.loads.flatMap(({ costs }) => costs.map((cost) => ({ ...cost }))),
    loads: measured.loads.flatMap(({ load, outcomes }) =>
      outcomes.map(({ contender, outcomes }) => ({
        load: load.name,
        processes: load.processes,
        contender: contender.name,
        acquisitionsPerSecond: medianOf(outcomes, "acquisitionsPerSecond"),
        sentMillis: handoverMillis(outcomes, 0.5, "sentMillis"),
        requestsPerAcquisition: medianOf(outcomes, "requestsPerAcquisition")
      }))
    )
  }
})
