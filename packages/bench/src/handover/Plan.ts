/** What contends with what, and for how long. Pure. */
import type { Strategy } from "./Message.ts"

/** One way to wait for a lock, and what it is called. */
export interface Contender {
  readonly name: string
  readonly strategy: Strategy
  /** How long its sections take, where that is not {@link holdMillis}. */
  readonly holdMillis?: number
}

export const inTurn: Contender = { name: "this library", strategy: { _tag: "InTurn" } }
export const atOnce: Contender = { name: "everyone at once", strategy: { _tag: "AtOnce" } }
export const poll = (everyMillis: number): Contender => ({
  name: `kubelock v4, every ${everyMillis} ms`,
  strategy: { _tag: "Poll", everyMillis }
})

// A section that ends while the election's first renewal is on its way is not released: that is refused, since the renewal lands first.
const elect: Contender = {
  name: "client-go's leader election, sections of 30 ms",
  strategy: { _tag: "Elect", retryMillis: 100 },
  holdMillis: 30
}

/** Processes that want one lock, and the contenders whose rounds alternate there. */
export interface Load {
  readonly name: string
  readonly processes: number
  readonly thinkMillisAtMost: number
  readonly rounds: number
  readonly sliceMillis: number
  readonly contenders: ReadonlyArray<Contender>
}

/** Fibers of one process, and how many processes of one fiber want the lock besides. */
export interface Crowd {
  readonly fibers: number
  readonly others: number
  readonly holdMillis: number
  readonly contender: Contender
  readonly rounds: number
  readonly sliceMillis: number
}

export interface Plan {
  readonly warmUpMillis: number
  readonly writes: number
  readonly loads: ReadonlyArray<Load>
  readonly crowds: ReadonlyArray<Crowd>
}

/** How long a section takes where nothing else is said. */
export const holdMillis = 2

const sparse = "8 processes that think 0–200 ms"

const all = [inTurn, atOnce, poll(10), poll(100)]

const inMemory: Contender = { name: "this library, in memory", strategy: { _tag: "InMemory" } }

const saturated = (processes: number, contenders: Load["contenders"]): Load => ({
  name: `${processes} processes`,
  processes,
  thinkMillisAtMost: 0,
  rounds: 3,
  sliceMillis: 2_000,
  contenders
})

const full: Plan = {
  warmUpMillis: 700,
  writes: 60,
  loads: [
    saturated(2, all),
    saturated(8, [...all, elect]),
    saturated(32, all),
    {
      name: sparse,
      processes: 8,
      thinkMillisAtMost: 200,
      rounds: 6,
      sliceMillis: 3_000,
      contenders: [inTurn, atOnce]
    }
  ],
  crowds: [
    ...[1, 100, 1_000].map((fibers) => ({ fibers, others: 1, holdMillis, contender: inTurn })),
    ...[0, 1].map((others) => ({ fibers: 1_000, others, holdMillis: 0, contender: inTurn })),
    { fibers: 1_000, others: 0, holdMillis: 0, contender: inMemory }
  ].map((crowd) => ({ ...crowd, rounds: 2, sliceMillis: 2_000 }))
}

const quick: Plan = {
  warmUpMillis: 200,
  writes: 20,
  loads: full.loads.filter(({ processes }) => processes === 2).map((load) => ({
    ...load,
    rounds: 1,
    sliceMillis: 400
  })),
  crowds: full.crowds.slice(-2).map((crowd) => ({ ...crowd, rounds: 1, sliceMillis: 400 }))
}

export const planOf = (isQuick: boolean): Plan => isQuick ? quick : full

/** How many processes are needed. */
export const processesOf = ({ crowds, loads }: Plan): number =>
  Math.max(2, ...loads.map(({ processes }) => processes), ...crowds.map(({ others }) => 1 + others))

/** Whether a program in Go is what contends so. */
export const isInGo = ({ strategy: { _tag } }: Contender): boolean => _tag === "Poll" || _tag === "Elect"
