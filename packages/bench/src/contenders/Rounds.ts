/** Contenders side by side: rounds in which each has its turn. */
import { Effect } from "effect"
import type { BenchFailed } from "../Scenario.ts"
import { mean, quantile, ratioOf, type Spread } from "../Statistics.ts"
import type { Contender, Slice } from "./Contender.ts"
import type { Order } from "./Message.ts"

/** A contender, and what it is told each time. */
export interface Entry {
  readonly contender: Contender
  readonly order: Order
}

/** The turns of all rounds: forth and back, so that nobody always comes after the same one. */
export const turns = <A>(entries: ReadonlyArray<A>, rounds: number): ReadonlyArray<A> =>
  Array.from({ length: rounds }, (_, round) => round % 2 === 0 ? entries : entries.toReversed()).flat()

/** What each came to, in its rounds, by its name. */
export const run = Effect.fnUntraced(function*(
  entries: ReadonlyArray<Entry>,
  rounds: number
): Effect.fn.Return<ReadonlyMap<string, ReadonlyArray<Slice>>, BenchFailed> {
  const slices = new Map(entries.map(({ contender }) => [contender.name, new Array<Slice>()]))
  for (const { contender, order } of turns(entries, rounds)) {
    slices.get(contender.name)!.push(yield* contender.run(order))
  }
  return slices
})

/** What one pair takes. */
export interface PerPair {
  readonly meanMillis: number
  readonly p50Millis: number
  readonly p99Millis: number
  readonly bytes: number
  readonly cpuMillis: number
}

const total = (slices: ReadonlyArray<Slice>, of: (slice: Slice) => number) =>
  slices.reduce((sum, slice) => sum + of(slice), 0)

export const perPair = (slices: ReadonlyArray<Slice>): PerPair => {
  const millis = slices.flatMap(({ pairMicros }) => pairMicros).map((micros) => micros / 1_000)
  return {
    meanMillis: mean(millis),
    p50Millis: quantile(millis, 0.5),
    p99Millis: quantile(millis, 0.99),
    bytes: total(slices, ({ bytes }) => bytes) / millis.length,
    cpuMillis: total(slices, ({ cpuMillis }) => cpuMillis) / millis.length
  }
}

/** What a pair took, in each round. */
export type OfRound = (slice: Slice) => number

export const micros: OfRound = ({ pairMicros }) => mean(pairMicros)

export const pairsPerSecond: OfRound = (slice) => 1_000_000 / micros(slice)

export const bytes: OfRound = ({ bytes, pairMicros }) => bytes / pairMicros.length

export const cpuMillis: OfRound = ({ cpuMillis, pairMicros }) => cpuMillis / pairMicros.length

/** How many times that of the others it is, round by round. */
export const ratio = (of: OfRound, slices: ReadonlyArray<Slice>, others: ReadonlyArray<Slice>): Spread =>
  ratioOf(slices.map(of), others.map(of))
