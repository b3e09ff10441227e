/** Which faults come when, to whom, and for how long: all by a seed. Pure. */
import { Array, Effect, Random } from "effect"
import { type FaultKind, faultKinds } from "./History.ts"

/** A fault to come. */
export interface Fault {
  /** Since the workers began. */
  readonly atMillis: number
  readonly kind: FaultKind
  /** For faults of one worker: whether it is for who holds the lock then, if anybody does. */
  readonly isForHolder: boolean
  /** Who it is for otherwise: the index of a worker, or where that one has a fault already, of the next that has none. */
  readonly worker: number
  /** From 0 to 1: how long it lasts, between the shortest and the longest of its kind; which way it goes. */
  readonly share: number
}

export interface Settings {
  readonly seed: number
  readonly seconds: number
  readonly workers: number
}

/** From the last fault to the end: few last as long, unless others have to end first. */
export const restMillis = 8_000

const pauseMillis = 1_300

/** How often each kind comes, roughly, of their sum. */
const weights: Readonly<globalThis.Record<FaultKind, number>> = {
  Kill: 4,
  Stop: 4,
  Delay: 3,
  Cut: 3,
  HalfClose: 3,
  BlackHole: 4,
  ServerKilled: 0.7,
  EtcdPaused: 1,
  TokenRotated: 1,
  ObjectRemade: 1.5
}
const urn = faultKinds.flatMap((kind) => Array.replicate(kind, Math.round(weights[kind] * 10)))

/** Each kind comes once at first, in any order, then any. They come evenly on the whole, and at any time. */
export const make = ({ seconds, seed, workers }: Settings): Effect.Effect<ReadonlyArray<Fault>> =>
  Effect.gen(function*() {
    const spanMillis = seconds * 1_000 - restMillis
    const count = Math.max(faultKinds.length, Math.floor(spanMillis / pauseMillis))
    const first = yield* Random.shuffle(faultKinds)
    return yield* Effect.forEach(
      Array.makeBy(count, (index) => index),
      Effect.fnUntraced(function*(index) {
        const kind = first[index] ?? urn[yield* Random.nextIntBetween(0, urn.length, { halfOpen: true })]!
        return {
          atMillis: Math.floor((index + (yield* Random.next)) * spanMillis / count),
          kind,
          isForHolder: (yield* Random.next) < 0.5,
          worker: yield* Random.nextIntBetween(0, workers, { halfOpen: true }),
          share: yield* Random.next
        }
      })
    )
  }).pipe(Random.withSeed(seed))
