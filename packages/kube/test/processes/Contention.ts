/** What is said between a contention of processes and each of them, and what is made of it. Pure. */
import { Schema } from "effect"

/** A process's orders, as its one argument. */
export const Orders = Schema.fromJsonString(Schema.Struct({
  contender: Schema.String,
  kubeconfig: Schema.String,
  namespace: Schema.String,
  configMap: Schema.String,
  /** How many fibers want the lock, again and again until it was acquired so often by all together. */
  fibers: Schema.Int,
  acquisitions: Schema.Int,
  /** Where sections meet if they overlap. */
  folder: Schema.String
}))

/** Everything is loaded and connected to; the process goes on when its standard input ends. */
export const Ready = Schema.TaggedStruct("Ready", {})

/** All its fibers were served and have ended. Times are of the machine's monotonic clock, which all its processes share. */
export const Served = Schema.TaggedStruct("Served", {
  contender: Schema.String,
  /** How long each acquisition was waited for. */
  waitsMicros: Schema.Array(Schema.Int),
  /** How often each fiber had the lock. */
  timesPerFiber: Schema.Array(Schema.Int),
  /** How often the lock was taken from the server. */
  turns: Schema.Int,
  requests: Schema.Int,
  watches: Schema.Int,
  overlaps: Schema.Int,
  /** How often a fencing token was not higher than that of an earlier acquisition. */
  tokensOutOfOrder: Schema.Int,
  fromMicros: Schema.Int,
  toMicros: Schema.Int
})
export type Served = typeof Served.Type

/** The layers are closed: the connections that are open all the same. */
export const Closed = Schema.TaggedStruct("Closed", { connections: Schema.Array(Schema.String) })

/** A line on a process's standard output. */
export const Message = Schema.fromJsonString(Schema.Union([Ready, Served, Closed]))
export type Message = typeof Message.Type

/** What was seen of a contention when it was over. */
export interface Outcome {
  readonly served: ReadonlyArray<Served>
  /** Connections that processes had when everything was closed. */
  readonly connectionsLeft: ReadonlyArray<string>
  /** The sections that the shared counter has counted; it loses some where two sections overlap. */
  readonly counted: number
  readonly annotationsLeft: ReadonlyArray<string>
  /** Watches of ConfigMaps, before it all and after. */
  readonly openWatches: readonly [before: number, after: number]
}

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((left, right) => left + right, 0)

const acquisitionsOf = (served: ReadonlyArray<Served>): number =>
  sum(served.map(({ waitsMicros }) => waitsMicros.length))

/** What should not be, in words; empty where all went well. */
export const problems = (asked: { readonly fibers: number; readonly acquisitions: number }, outcome: Outcome) => {
  const { annotationsLeft, counted, openWatches: [before, after], connectionsLeft, served } = outcome
  const acquisitions = acquisitionsOf(served)
  const overlaps = sum(served.map(({ overlaps }) => overlaps))
  const tokens = sum(served.map(({ tokensOutOfOrder }) => tokensOutOfOrder))
  const fibers = served.flatMap(({ timesPerFiber }) => timesPerFiber).filter((times) => times > 0).length
  return [
    overlaps > 0 && `${overlaps} sections overlapped another`,
    tokens > 0 && `${tokens} fencing tokens were not higher than an earlier one`,
    counted !== acquisitions && `the counter says ${counted} after ${acquisitions} acquisitions`,
    acquisitions < asked.acquisitions && `${acquisitions} of ${asked.acquisitions} acquisitions were made`,
    fibers !== asked.fibers && `${fibers} of ${asked.fibers} fibers were served`,
    annotationsLeft.length > 0 && `annotations are left on the object: ${annotationsLeft.join(", ")}`,
    after !== before && `${after} watches are open, before it was ${before}`,
    connectionsLeft.length > 0 && `connections are left open: ${connectionsLeft.join(", ")}`
  ].filter((problem) => problem !== false)
}

/** The smallest of them that is not exceeded by this share of them. */
export const quantile = (numbers: ReadonlyArray<number>, share: number): number => {
  const inOrder = numbers.toSorted((left, right) => left - right)
  return inOrder[Math.max(0, Math.ceil(share * inOrder.length) - 1)] ?? 0
}

/** Jain's index: 1 where all have the same, 1/n where one of n has it all. */
export const jain = (numbers: ReadonlyArray<number>): number =>
  sum(numbers) ** 2 / (numbers.length * sum(numbers.map((number) => number ** 2)))

const millis = (micros: number): string => `${(micros / 1_000).toFixed(1)} ms`

const waits = (who: string, served: ReadonlyArray<Served>): string => {
  const all = served.flatMap(({ waitsMicros }) => waitsMicros)
  const mean = sum(all) / all.length
  return `waits of ${who}: p50 ${millis(quantile(all, 0.5))}, p99 ${millis(quantile(all, 0.99))}, mean ${
    millis(mean)
  }, longest ${millis(quantile(all, 1))} (${(quantile(all, 1) / mean).toFixed(1)} times the mean)`
}

/** The figures, a line each. */
export const figures = ({ served }: Outcome): ReadonlyArray<string> => {
  const acquisitions = acquisitionsOf(served)
  const turns = served.map(({ turns }) => turns)
  const requests = sum(served.map(({ requests }) => requests))
  const watches = sum(served.map(({ watches }) => watches))
  const [first, last] = [
    Math.min(...served.map(({ fromMicros }) => fromMicros)),
    Math.max(...served.map(({ toMicros }) => toMicros))
  ]
  const seconds = (last - first) / 1e6
  const lone = served.filter(({ timesPerFiber }) => timesPerFiber.length === 1)
  const crowds = served.filter(({ timesPerFiber }) => timesPerFiber.length > 1)
  return [
    `acquisitions: ${acquisitions} in ${seconds.toFixed(1)} s, ${(acquisitions / seconds).toFixed(1)}/s`,
    `of these from the server: ${sum(turns)}, ${(sum(turns) / seconds).toFixed(1)}/s`,
    `requests: ${requests}, ${(requests / acquisitions).toFixed(2)} per acquisition, ${
      (requests / sum(turns)).toFixed(2)
    } per one from the server; and ${watches} watches`,
    ...lone.length > 0 ? [waits("processes with one fiber", lone)] : [],
    ...crowds.map((crowd) => waits(`a process with ${crowd.timesPerFiber.length} fibers`, [crowd])),
    `Jain's index of the turns of ${served.length} processes: ${jain(turns).toFixed(3)} (from ${
      Math.min(...turns)
    } to ${Math.max(...turns)})`
  ]
}
