/**
 * The clocks of one process over the clock of a test: a wall clock that is ahead or behind and may be set, a monotonic clock that
 * counts too fast or too slowly, and timers that wait while the process stands still.
 */
import { type Clock, Duration, Effect, Latch } from "effect"

export interface ProcessClock extends Clock.Clock {
  /** How far the wall clock is ahead of the true time. */
  aheadMillis: number
  /** The most that it was ever ahead. */
  readonly mostAheadMillis: () => number
  readonly set: (aheadMillis: number) => void
  /** Waits until the process does not stand still; for ever if it is no more. */
  readonly awake: Effect.Effect<void>
  readonly pause: () => void
  readonly resume: () => void
  /** Nothing of it ever happens again. */
  readonly end: () => void
  readonly isEnded: () => boolean
}

export const make = (truth: Clock.Clock, aheadMillis: number, rate: number): ProcessClock => {
  const running = Latch.makeUnsafe(true)
  let isEnded = false
  let mostAheadMillis = aheadMillis
  const monotonicTimeNanosUnsafe = () => BigInt(Math.floor(Number(truth.monotonicTimeNanosUnsafe()) * rate))
  const currentTimeMillisUnsafe = () => truth.currentTimeMillisUnsafe() + clock.aheadMillis
  const currentTimeNanosUnsafe = () => truth.currentTimeNanosUnsafe() + BigInt(clock.aheadMillis) * 1_000_000n
  const awake: Effect.Effect<void> = Effect.suspend(() =>
    running.isOpen() ? Effect.void : Effect.andThen(running.await, awake)
  )
  const clock: ProcessClock = {
    aheadMillis,
    mostAheadMillis: () => mostAheadMillis,
    set: (millis) => {
      clock.aheadMillis = millis
      mostAheadMillis = Math.max(mostAheadMillis, millis)
    },
    currentTimeMillisUnsafe,
    currentTimeNanosUnsafe,
    monotonicTimeNanosUnsafe,
    currentTimeMillis: Effect.sync(currentTimeMillisUnsafe),
    currentTimeNanos: Effect.sync(currentTimeNanosUnsafe),
    monotonicTimeNanos: Effect.sync(monotonicTimeNanosUnsafe),
    // In whole milliseconds: so everything happens at few times, and much of it at once.
    sleep: (duration) =>
      Effect.andThen(
        truth.sleep(Duration.millis(Math.ceil(Duration.toMillis(duration) / rate))),
        awake
      ),
    awake,
    pause: () => {
      running.closeUnsafe()
    },
    resume: () => {
      if (!isEnded) running.openUnsafe()
    },
    end: () => {
      isEnded = true
      running.closeUnsafe()
    },
    isEnded: () => isEnded
  }
  return clock
}
