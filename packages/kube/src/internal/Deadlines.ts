/** Until when what is under way may take: one sleeping fiber for all of it, since one for each request takes as long as deciding on it. */
import { Clock, Duration, Effect, Fiber, type Scope } from "effect"

/**
 * Calls `onOver` once so much time is over by the fiber's clock; before it returns, where there is no time left. What it returns calls that
 * off.
 */
export type Deadlines = (
  fiber: Fiber.Fiber<unknown, unknown>,
  atMost: Duration.Duration,
  onOver: () => void
) => () => void

interface Deadline {
  readonly atNanos: bigint
  readonly onOver: () => void
  isCalledOff: boolean
}

/** Who looks after the deadlines by one clock. */
interface Keeper {
  readonly deadlines: Set<Deadline>
  readonly sleepsSinceMillis: number
  readonly wakesAtNanos: bigint
  /** Absent until it sleeps: a clock may let it wake at once. */
  fiber: Fiber.Fiber<void> | undefined
}

/** Deadlines that are all called off when the scope closes. */
export const make: Effect.Effect<Deadlines, never, Scope.Scope> = Effect.gen(function*() {
  // Nearly always one: a test may give its fibers clocks of their own.
  const keepers = new Map<Clock.Clock, Keeper>()
  let isClosed = false
  yield* Effect.addFinalizer(() => {
    isClosed = true
    return Fiber.interruptAll([...keepers.values()].flatMap(({ fiber }) => fiber ?? []))
  })

  const keep = (clock: Clock.Clock, deadlines: Set<Deadline>, fiber: Fiber.Fiber<unknown, unknown>): void => {
    const wakesAtNanos = earliest(deadlines)
    const sleeping = Effect.andThen(
      clock.sleep(Duration.nanos(wakesAtNanos - clock.monotonicTimeNanosUnsafe())),
      Effect.sync(() => {
        // A clock that counts milliseconds in floating point wakes whoever sleeps some nanoseconds too soon.
        const clockNanos = clock.monotonicTimeNanosUnsafe()
        const nowNanos = clockNanos < wakesAtNanos ? wakesAtNanos : clockNanos
        const over = [...deadlines].filter(({ atNanos }) => atNanos <= nowNanos)
        for (const deadline of over) deadlines.delete(deadline)
        if (deadlines.size > 0) keep(clock, deadlines, fiber)
        else keepers.delete(clock)
        // By one of those before it, perhaps.
        for (const deadline of over) if (!deadline.isCalledOff) deadline.onOver()
      })
    )
    const keeper: Keeper = {
      deadlines,
      sleepsSinceMillis: clock.currentTimeMillisUnsafe(),
      wakesAtNanos,
      fiber: undefined
    }
    keepers.set(clock, keeper)
    keeper.fiber = Effect.runForkWith(fiber.context)(sleeping)
  }

  // Who sleeps keeps the process from ending. Not at once: mostly the next request comes before.
  let isToStop = false
  const stopIdle = () => {
    isToStop = false
    for (const [clock, { deadlines, fiber }] of keepers) {
      if (deadlines.size > 0) continue
      keepers.delete(clock)
      fiber?.interruptUnsafe()
    }
  }

  return (fiber, atMost, onOver) => {
    // Nor is there anything to wait for then: connections end with the scope too.
    if (isClosed) return () => {}
    const clock = fiber.getRef(Clock.Clock)
    const atNanos = clock.monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(atMost)
    const deadline: Deadline = { atNanos, onOver, isCalledOff: false }
    const keeper = keepers.get(clock)
    const deadlines = keeper?.deadlines ?? new Set()
    deadlines.add(deadline)
    if (keeper === undefined || deadline.atNanos < keeper.wakesAtNanos || wasSetBack(clock, keeper)) {
      keeper?.fiber?.interruptUnsafe()
      keep(clock, deadlines, fiber)
    }
    return () => {
      deadline.isCalledOff = true
      deadlines.delete(deadline)
      if (deadlines.size > 0 || isToStop) return
      isToStop = true
      setImmediate(stopIdle)
    }
  }
})

/** Who sleeps by a clock that is set back, as Effect's `TestClock` lets one, sleeps for so much longer. */
const wasSetBack = (clock: Clock.Clock, { sleepsSinceMillis }: Keeper): boolean =>
  clock.currentTimeMillisUnsafe() < sleepsSinceMillis

const earliest = (deadlines: Set<Deadline>): bigint => {
  let first: bigint | undefined
  for (const { atNanos } of deadlines) if (first === undefined || atNanos < first) first = atNanos
  return first ?? 0n
}
