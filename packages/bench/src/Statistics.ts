/** What many measurements say together. Pure. */

/** The value below which this part of them lies, between neighbours by their distance; NaN of none. */
export const quantile = (values: ReadonlyArray<number>, part: number): number => {
  const sorted = values.toSorted((left, right) => left - right)
  const at = part * (sorted.length - 1)
  const lower = sorted[Math.floor(at)] ?? Number.NaN
  const upper = sorted[Math.ceil(at)] ?? Number.NaN
  return lower + (upper - lower) * (at - Math.floor(at))
}

export const median = (values: ReadonlyArray<number>): number => quantile(values, 0.5)

export const mean = (values: ReadonlyArray<number>): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length

/** A median, and between what the middle half of the values lies. */
export interface Spread {
  readonly median: number
  readonly lower: number
  readonly upper: number
}

export const spreadOf = (values: ReadonlyArray<number>): Spread => ({
  median: median(values),
  lower: quantile(values, 0.25),
  upper: quantile(values, 0.75)
})

/** How many times the one is the other, round by round: what slows down a whole round slows down both. */
export const ratioOf = (values: ReadonlyArray<number>, others: ReadonlyArray<number>): Spread =>
  spreadOf(values.map((value, round) => value / (others[round] ?? Number.NaN)))

/** Jain's index of fairness: 1 where all have the same, 1/n where one has everything. */
export const jain = (shares: ReadonlyArray<number>): number => {
  const sum = shares.reduce((sum, share) => sum + share, 0)
  return sum ** 2 / (shares.length * shares.reduce((sum, share) => sum + share ** 2, 0))
}
