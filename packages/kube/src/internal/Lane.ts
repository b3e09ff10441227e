/**
 * The fibers of one process that want one lock: in order, one at a time. The first contends with other processes; those behind it
 * may be left what it took.
 */
import { Effect, type Scope, Semaphore } from "effect"

/** What one fiber may leave to the next. */
export interface Leavable {
  readonly release: Effect.Effect<void>
}

/** The fibers that want one lock. */
export interface Lane<A extends Leavable> {
  readonly head: Semaphore.Semaphore
  /** How many wait to be the head. */
  waiting: number
  /** What the last head left to whoever comes next. */
  left: A | undefined
}

/** A lane with nobody in it. */
export const make = <A extends Leavable>(): Lane<A> => ({ head: Semaphore.makeUnsafe(1), waiting: 0, left: undefined })

/** Waits to be the head, until the scope is closed. */
export const enter = <A extends Leavable>(lane: Lane<A>): Effect.Effect<void, never, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      // After the head has gone, since whoever was to have what it left may be interrupted meanwhile.
      yield* Effect.addFinalizer(() => releaseLeft(lane))
      lane.waiting++
      yield* restore(lane.head.takeScoped(1)).pipe(
        Effect.ensuring(Effect.sync(() => {
          lane.waiting--
        }))
      )
    })
  )

/** Becomes the head if nobody else is or waits to be. */
export const enterIfEmpty = <A extends Leavable>(lane: Lane<A>): Effect.Effect<boolean, never, Scope.Scope> =>
  Effect.uninterruptible(Effect.gen(function*() {
    if (lane.waiting > 0 || !(yield* lane.head.takeIfAvailable(1))) return false
    yield* Effect.addFinalizer(() => releaseLeft(lane))
    yield* Effect.addFinalizer(() => lane.head.release(1))
    return true
  }))

/** What the last head left, if anything: for the head alone. */
export const takeLeft = <A extends Leavable>(lane: Lane<A>): A | undefined => {
  const left = lane.left
  lane.left = undefined
  return left
}

/** Where nobody is there any more to have it. */
const releaseLeft = <A extends Leavable>(lane: Lane<A>): Effect.Effect<void> =>
  Effect.uninterruptible(Effect.gen(function*() {
    if (lane.left === undefined || lane.waiting > 0 || !(yield* lane.head.takeIfAvailable(1))) return
    yield* takeLeft(lane)?.release ?? Effect.void
    yield* lane.head.release(1)
  }))
