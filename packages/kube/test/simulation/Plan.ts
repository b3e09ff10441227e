/** What one seed draws: who wants the locks, how far their clocks are apart, and what goes wrong on the way. Pure. */
import { Effect, Random } from "effect"

/** A chain of draws that a seed begins: the same draws for the same seed. */
export interface Dice {
  /** From 0 up to, but not, 1. */
  readonly next: () => number
  /** A whole number, both ends included. */
  readonly between: (least: number, most: number) => number
  readonly chance: (probability: number) => boolean
  readonly oneOf: <A>(choices: readonly [A, ...ReadonlyArray<A>]) => A
}

export const diceOf = (seed: string): Dice => {
  const random = Effect.runSync(Random.Random.pipe(Random.withSeed(seed)))
  const next = () => random.nextDoubleUnsafe()
  const between = (least: number, most: number) => least + Math.floor(next() * (most - least + 1))
  return { next, between, chance: (probability) => next() < probability, oneOf: (of) => of[between(0, of.length - 1)]! }
}

/** What can become of a request, besides being answered: for each, how often. */
export const requestFaults = [
  /** The connection breaks before the server has it. */
  "request lost",
  /** The server does as it is told, and the connection breaks. */
  "answer lost",
  /** Nobody ever answers, and the server never has it. */
  "swallowed",
  /** Nobody ever answers, though the server did as it was told. */
  "left unanswered",
  /** The sender gives up, and the server has it long after. */
  "late",
  /** 429, with a time to wait. */
  "throttled",
  /** 503, and nothing is done. */
  "unavailable",
  /** 504, though it was done. */
  "done and 504",
  /** 409, as where etcd was asked too often at once. */
  "conflict",
  /** A GET is sent twice, and either answer is given. */
  "GET twice",
  /** Something on the way sends a PATCH twice, which HTTP forbids it, and gives the second answer. */
  "PATCH twice"
] as const

export type RequestFault = typeof requestFaults[number]

/** What can happen at any time: for each, how often in a minute. */
export const events = [
  /** Every connection of a process breaks, and its watch with them. */
  "watch cut",
  /** A watch says nothing any more. */
  "watch silent",
  /** The server forgets its history: watches cannot begin before now. */
  "history forgotten",
  /** The server is away for a while. */
  "server restart",
  /** A process stands still, and goes on. */
  "pause",
  /** A process is no more; another takes its place. */
  "crash",
  /** A wall clock is set, within what is allowed. */
  "clock set",
  /** A person breaks the lock. */
  "break",
  /** The object is deleted, and made again. */
  "deletion",
  /** A process is told to end, and does; another takes its place. */
  "termination"
] as const

export type EventKind = typeof events[number]

/** What leaves the ways to the server in peace: what happens there must then be known, and made use of, soon. */
const harmless: ReadonlySet<string> = new Set<EventKind>([
  "crash",
  "clock set",
  "break",
  "history forgotten",
  "termination"
])

export interface ClientPlan {
  readonly kind: "ours" | "go"
  readonly name: string
  /** How many fibers, of which each wants locks so often. */
  readonly fibers: number
  readonly sections: number
  /** How far its wall clock is ahead of the server's, at first. */
  readonly aheadMillis: number
  /** How many milliseconds its clocks count in one. */
  readonly rate: number
}

export interface Plan {
  readonly seed: number
  readonly locks: ReadonlyArray<string>
  readonly clients: ReadonlyArray<ClientPlan>
  readonly ttlMillis: number
  readonly safetyMarginMillis: number
  readonly takeoverDelayMillis: number
  readonly localHandoverMillis: number
  /** All processes name the same owner. */
  readonly isOwnerShared: boolean
  readonly watch: boolean
  /** By how much two wall clocks are apart at most. */
  readonly skewMillis: number
  /** By how much the monotonic clocks of two processes part while a lock is valid, at most. */
  readonly driftMillis: number
  /** One way. */
  readonly latencyMillisAtMost: number
  readonly workMillisAtMost: number
  /** For how long a section goes on when it is interrupted, or comes to its end. */
  readonly tidyMillisAtMost: number
  /** How many requests of a thousand. */
  readonly requestFaults: Partial<Record<RequestFault, number>>
  /** How often in a minute. */
  readonly events: Partial<Record<EventKind, number>>
  /** Nothing goes wrong at all: then nobody may notice anything. */
  readonly isCalm: boolean
}

/** What may be asked for besides: clocks that are further apart than allowed. */
export interface Deviation {
  readonly extraSkewMillis?: number
}

export const planOf = (seed: number, { extraSkewMillis = 0 }: Deviation = {}): Plan => {
  const dice = diceOf(`${seed} plan`)
  const weather = dice.next()
  const isCalm = weather < 0.15
  // Where too much goes wrong nobody can say how soon anything must happen.
  const isHarmless = weather < 0.35
  const ttlMillis = dice.between(1_000, 6_000)
  const safetyMarginMillis = dice.oneOf([Math.floor(ttlMillis / 10), Math.floor(ttlMillis / 4)])
  const goClients = dice.chance(0.3) ? dice.between(1, 2) : 0
  // Go's library knows no delay, so that its clock must be borne by the holder's margin alone.
  const takeoverDelayMillis = dice.chance(0.3) ? dice.between(0, 500) : 0
  const allowedMillis = goClients > 0 ? safetyMarginMillis : safetyMarginMillis + takeoverDelayMillis
  const driftPerMilli = dice.oneOf([0, 0, 0.0005, 0.005])
  // The clock of the holder counts too slowly for as long as a lock is valid, and that of the taker too fast.
  const driftMillis = Math.ceil(ttlMillis * driftPerMilli * 2)
  const skewMillis = Math.max(0, (dice.chance(0.3) ? 0 : allowedMillis - driftMillis) + extraSkewMillis)
  const ours = dice.between(2, 4)
  const client = (kind: ClientPlan["kind"], index: number): ClientPlan => ({
    kind,
    name: `${kind === "ours" ? "P" : "G"}${index + 1}`,
    fibers: kind === "ours" ? dice.oneOf([1, 1, 2, 3]) : 1,
    sections: dice.between(1, 4),
    // At the ends most often: there the protocol is tried hardest.
    aheadMillis: dice.oneOf([0, skewMillis, dice.between(0, skewMillis)]),
    rate: 1 + driftPerMilli * dice.oneOf([-1, 0, 1])
  })
  const some = <Kind extends string>(kinds: ReadonlyArray<Kind>, probability: number, most: number) =>
    Object.fromEntries(
      kinds.flatMap((kind) =>
        isCalm || (isHarmless && !harmless.has(kind)) || !dice.chance(probability)
          ? []
          : [[kind, dice.between(1, most)]]
      )
    ) as Partial<Record<Kind, number>>
  return {
    seed,
    isCalm,
    ttlMillis,
    safetyMarginMillis,
    takeoverDelayMillis,
    skewMillis,
    driftMillis,
    locks: dice.chance(0.3) ? ["x", "y"] : ["x"],
    clients: [
      ...Array.from({ length: ours }, (_, index) => client("ours", index)),
      ...Array.from({ length: goClients }, (_, index) => client("go", index))
    ],
    isOwnerShared: dice.chance(0.3),
    localHandoverMillis: dice.oneOf([0, 100, 1_000]),
    watch: dice.chance(0.85),
    latencyMillisAtMost: dice.oneOf([0, 2, 20, Math.floor(ttlMillis / (isCalm ? 100 : 20))]),
    workMillisAtMost: dice.oneOf([10, 300, ttlMillis, 2 * ttlMillis]),
    requestFaults: some(requestFaults, 0.25, 60),
    events: some(events, 0.25, 12),
    tidyMillisAtMost: dice.oneOf([0, 10, safetyMarginMillis])
  }
}

const isPeaceful = ({ events, requestFaults }: Plan): boolean =>
  Object.keys(requestFaults).length === 0 && Object.keys(events).every((kind) => harmless.has(kind))

/** For how long a lock may be free while somebody waits for it; `undefined` where the way to the server may be in the way. */
export const freeMillisAtMost = (plan: Plan): number | undefined =>
  plan.locks.length === 1 && isPeaceful(plan)
    ? plan.takeoverDelayMillis + plan.skewMillis + 8 * plan.latencyMillisAtMost + 1_000
    : undefined

/** For how long after its lock was broken a section may go on; `undefined` where its watch may not see it. */
export const brokenMillisAtMost = (plan: Plan): number | undefined =>
  plan.watch && isPeaceful(plan) ? 8 * plan.latencyMillisAtMost + 100 : undefined
