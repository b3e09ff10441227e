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
/** The same lock in everything but the turns, to tell what those cost. */
export const turnless: Contender = { name: "this library without turns", strategy: { _tag: "Turnless" } }
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
  /** Before each slice. */
  readonly warmUpMillis: number
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
  /** Before each slice. */
  readonly warmUpMillis: number
}

export interface Plan {
  readonly writes: number
  readonly loads: ReadonlyArray<Load>
  readonly crowds: ReadonlyArray<Crowd>
}

/** How long a section takes where nothing else is said. */
export const holdMillis = 2

const all = [inTurn, atOnce, poll(10), poll(100)]

const inMemory: Contender = { name: "this library, in memory", strategy: { _tag: "InMemory" } }

// Those who have just come find out whose turn it is in about three rounds, so that more of them need longer.
const warmUpMillisOf = (processes: number): number => 600 + 120 * processes

const full: Plan = {
  writes: 60,
  loads: [
    { name: "2 processes", processes: 2, thinkMillisAtMost: 0, rounds: 3, sliceMillis: 2_000, contenders: all },
    {
      name: "8 processes",
      processes: 8,
      thinkMillisAtMost: 0,
      rounds: 3,
      sliceMillis: 3_000,
      contenders: [...all, elect]
    },
    {
      name: "8 processes that think 0–200 ms",
      processes: 8,
      thinkMillisAtMost: 200,
      rounds: 4,
      sliceMillis: 4_000,
      contenders: [inTurn, turnless, atOnce]
    },
    {
      name: "32 processes",
      processes: 32,
      thinkMillisAtMost: 0,
      rounds: 3,
      // Some turns for each: who had three where another had two is no worse off.
      sliceMillis: 10_000,
      contenders: [inTurn, atOnce, poll(100)]
    }
  ].map((load) => ({ ...load, warmUpMillis: warmUpMillisOf(load.processes) })),
  crowds: [
    ...[1, 100, 1_000].map((fibers) => ({ fibers, others: 1, holdMillis, contender: inTurn })),
    ...[0, 1].map((others) => ({ fibers: 1_000, others, holdMillis: 0, contender: inTurn })),
    { fibers: 1_000, others: 0, holdMillis: 0, contender: inMemory }
  ].map((crowd) => ({ ...crowd, rounds: 4, sliceMillis: 2_000, warmUpMillis: warmUpMillisOf(1) }))
}

const quick: Plan = {
  writes: 20,
  loads: full.loads.filter(({ processes }) => processes === 2).map((load) => ({
    ...load,
    rounds: 1,
    sliceMillis: 400,
    warmUpMillis: 200
  })),
  crowds: full.crowds.slice(-2).map((crowd) => ({ ...crowd, rounds: 1, sliceMillis: 400, warmUpMillis: 200 }))
}

export const planOf = (isQuick: boolean): Plan => isQuick ? quick : full

/** How many processes are needed. */
export const processesOf = ({ crowds, loads }: Plan): number =>
  Math.max(2, ...loads.map(({ processes }) => processes), ...crowds.map(({ others }) => 1 + others))

/** Whether a program in Go is what contends so. */
export const isInGo = ({ strategy: { _tag } }: Contender): boolean => _tag === "Poll" || _tag === "Elect"
