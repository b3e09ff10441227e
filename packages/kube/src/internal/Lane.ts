/**
 * The fibers of one process that want one lock: in order, one at a time. The first contends with other processes; those behind it
 * may be left what it took.
 *
 * All this is for where nothing but `restore` lets interruption in.
 */
import { Effect, Latch } from "effect"
import type { Restore } from "./Attempts.ts"
import type { ObjectView } from "./ObjectView.ts"
import type { Tenure } from "./Tenure.ts"

/** The lanes of a layer, each there for as long as it has a head. */
export interface Lanes {
  readonly byKey: Map<string, Lane>
  /** Nobody gets a lock any more. */
  isClosed: boolean
}

/** The fibers that want one lock. */
export interface Lane {
  readonly lanes: Lanes
  readonly key: string
  /** Those who wait to be the head, in the order in which they came. */
  readonly queue: Set<Latch.Latch>
  /** What the head holds, or has left to whoever comes next. */
  tenure: Tenure | undefined
  /** Where the head sees who else has the lock. */
  view: ObjectView | undefined
}

/** Lanes with nobody in them. */
export const make = (): Lanes => ({ byKey: new Map(), isClosed: false })

/** Interrupts all who wait, and whoever comes from now on. */
export const close = (lanes: Lanes): Effect.Effect<void> =>
  Effect.suspend(() => {
    lanes.isClosed = true
    const turns = [...lanes.byKey.values()].flatMap(({ queue }) => [...queue])
    return Effect.forEach(turns, (turn) => turn.open, { discard: true })
  })

/** Who is in a lane, if anybody is. */
export const find = ({ byKey }: Lanes, key: string): Lane | undefined => byKey.get(key)

/** Comes to be the head of a lane; whoever is must `leave`. */
export const enter = (lanes: Lanes, key: string, restore: Restore): Effect.Effect<Lane> =>
  Effect.suspend(() => {
    if (lanes.isClosed) return Effect.interrupt
    const lane = lanes.byKey.get(key)
    if (lane === undefined) return Effect.succeed(open(lanes, key))
    const turn = Latch.makeUnsafe(false)
    lane.queue.add(turn)
    // Who is interrupted may have been made the head meanwhile.
    const giveUp = () => lane.queue.delete(turn) ? Effect.void : leave(lane)
    return Effect.matchCauseEffect(restore(turn.await), {
      onFailure: (cause) => Effect.andThen(giveUp(), Effect.failCause(cause)),
      onSuccess: () => lanes.isClosed ? Effect.andThen(giveUp(), Effect.interrupt) : Effect.succeed(lane)
    })
  })

/** The same where nobody is in the lane. */
export const enterIfEmpty = (lanes: Lanes, key: string): Effect.Effect<Lane | undefined> =>
  Effect.suspend(() => {
    if (lanes.isClosed) return Effect.interrupt
    return lanes.byKey.has(key) ? Effect.undefined : Effect.succeed(open(lanes, key))
  })

const open = (lanes: Lanes, key: string): Lane => {
  const lane: Lane = { lanes, key, queue: new Set(), tenure: undefined, view: undefined }
  lanes.byKey.set(key, lane)
  return lane
}

/** The head goes, and the next one is it. What it has left is given back where nobody is there any more to have it. */
export const leave = (lane: Lane): Effect.Effect<void> =>
  Effect.suspend(() => lane.queue.size === 0 ? Effect.ensuring(release(lane), passOn(lane)) : passOn(lane))

const passOn = (lane: Lane): Effect.Effect<void> =>
  Effect.suspend(() => {
    const [next] = lane.queue
    if (next === undefined) {
      lane.lanes.byKey.delete(lane.key)
      return Effect.void
    }
    lane.queue.delete(next)
    // Not `openUnsafe`, which runs the next one within this one, and so on.
    return next.open
  })

/** Gives back what the head holds or was left. */
export const release = (lane: Lane): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { tenure } = lane
    lane.tenure = undefined
    return tenure === undefined ? Effect.void : tenure.release
  })
