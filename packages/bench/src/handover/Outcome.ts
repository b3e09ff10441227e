/** What is made of a contention: figures of one slice of time, and of the slices of many rounds. Pure. */
import * as Statistics from "../Statistics.ts"
import type { Contended, Turn } from "./Message.ts"

/** One slice of time, in which all processes were told to contend. */
export interface Slice {
  readonly seconds: number
  readonly contended: ReadonlyArray<Contended>
  /** Of all the processes together. */
  readonly cpuMillis: number
  readonly bytes: number
}

/** From a release to the next section, in milliseconds. */
export interface Handover {
  readonly sentMillis: number
  readonly answeredMillis: number
}

/** The figures of a slice. */
export interface Outcome {
  readonly acquisitionsPerSecond: number
  readonly handovers: ReadonlyArray<Handover>
  readonly requestsPerAcquisition: number
  readonly kilobytesPerAcquisition: number
  readonly cpuMillisPerAcquisition: number
  readonly jain: number
  readonly longestWaitMillis: number
  readonly longestWaitOverMean: number
}

const sum = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0)

/** Those to somebody who waited already: else it was nobody's delay. */
export const handovers = (turns: ReadonlyArray<Turn>): ReadonlyArray<Handover> => {
  const inOrder = turns.toSorted((left, right) => left.startedMicros - right.startedMicros)
  return inOrder.flatMap(({ answeredMicros, sentMicros }, index) => {
    const next = inOrder[index + 1]
    if (answeredMicros === undefined || sentMicros === undefined) return []
    if (next === undefined || next.askedMicros > sentMicros) return []
    return [{
      sentMillis: (next.startedMicros - sentMicros) / 1_000,
      answeredMillis: (next.startedMicros - answeredMicros) / 1_000
    }]
  })
}

export const outcomeOf = ({ bytes, contended, cpuMillis, seconds }: Slice): Outcome => {
  const shares = contended.map(({ acquisitions }) => acquisitions)
  const acquisitions = sum(shares)
  const longestMicros = Math.max(...contended.map(({ waits }) => waits.longestMicros))
  const meanMicros = sum(contended.map(({ waits }) => waits.sumMicros)) / acquisitions
  return {
    acquisitionsPerSecond: acquisitions / seconds,
    handovers: handovers(contended.flatMap(({ turns }) => turns)),
    requestsPerAcquisition: sum(contended.map(({ requests }) => requests)) / acquisitions,
    kilobytesPerAcquisition: bytes / 1_000 / acquisitions,
    cpuMillisPerAcquisition: cpuMillis / acquisitions / contended.length,
    jain: Statistics.jain(shares),
    longestWaitMillis: longestMicros / 1_000,
    longestWaitOverMean: longestMicros / meanMicros
  }
}

/** A figure's median over the rounds. */
export const medianOf = (
  outcomes: ReadonlyArray<Outcome>,
  figure: Exclude<keyof Outcome, "handovers">
): number => Statistics.median(outcomes.map((outcome) => outcome[figure]))

/** Of the handovers of all rounds, in milliseconds. */
export const handoverMillis = (outcomes: ReadonlyArray<Outcome>, part: number, since: keyof Handover): number =>
  Statistics.quantile(outcomes.flatMap(({ handovers }) => handovers.map((handover) => handover[since])), part)
