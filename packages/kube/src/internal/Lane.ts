/**
 * The fibers of one process that want one lock: in order, one at a time. The first contends with other processes; those behind it
 * may be left what it took.
 */
import { Effect, type Scope, Semaphore } from "effect"
import type { Tenure } from "./Tenure.ts"

/** The fibers that want one lock. */
export interface Lane {
  readonly head: Semaphore.Semaphore
  /** How many wait to be the head. */
  waiting: number
  /** What the head holds, or has left to whoever comes next. */
  tenure: Tenure | undefined
}

/** Lanes by some name, each for as long as somebody is in it. */
export const makeLanes = (): (name: string) => Effect.Effect<Lane, never, Scope.Scope> => {
  const lanes = new Map<string, Lane & { users: number }>()
  return (name) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const lane = lanes.get(name) ?? { head: Semaphore.makeUnsafe(1), waiting: 0, tenure: undefined, users: 0 }
        lanes.set(name, lane)
        lane.users++
        return lane
      }),
      (lane) =>
        Effect.sync(() => {
          if (--lane.users === 0) lanes.delete(name)
        })
    )
}

/** Waits to be the head, until the scope is closed. */
export const enter = (lane: Lane): Effect.Effect<void, never, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      // After the head has gone, since whoever was to have what it left may be interrupted meanwhile.
      yield* Effect.addFinalizer(() => releaseLeft(lane))
      lane.waiting++
      yield* Effect.ensuring(
        restore(lane.head.takeScoped(1)),
        Effect.sync(() => {
          lane.waiting--
        })
      )
    })
  )

/** Becomes the head, until the scope is closed, if nobody else is or waits to be. */
export const enterIfEmpty = (lane: Lane): Effect.Effect<boolean, never, Scope.Scope> =>
  Effect.uninterruptible(Effect.gen(function*() {
    if (lane.waiting > 0 || !(yield* lane.head.takeIfAvailable(1))) return false
    yield* Effect.addFinalizer(() => releaseLeft(lane))
    yield* Effect.addFinalizer(() => lane.head.release(1))
    return true
  }))

/** Where nobody is there any more to have it. */
const releaseLeft = (lane: Lane): Effect.Effect<void> =>
  Effect.uninterruptible(Effect.gen(function*() {
    if (lane.tenure === undefined || lane.waiting > 0 || !(yield* lane.head.takeIfAvailable(1))) return
    yield* release(lane)
    yield* lane.head.release(1)
  }))

/** Gives back what the head holds or was left. */
export const release = (lane: Lane): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { tenure } = lane
    lane.tenure = undefined
    return tenure === undefined ? Effect.void : tenure.release
  })
