/** Until when what is under way may take: one sleeping fiber for all of it, since one for each request takes as long as deciding on it. */
import { Clock, Duration, Effect, Fiber, type Scope } from "effect"

/** Calls `onOver` once so much time is over by the fiber's clock. What it returns calls that off. */
export type Deadlines = (
  fiber: Fiber.Fiber<unknown, unknown>,
  atMost: Duration.Duration,
  onOver: () => void
) => () => void

interface Deadline {
  readonly atNanos: bigint
  readonly onOver: () => void
}

/** Who looks after the deadlines by one clock. */
interface Keeper {
  readonly deadlines: Set<Deadline>
  readonly sleepsSinceMillis: number
  readonly wakesAtNanos: bigint
  readonly fiber: Fiber.Fiber<void>
}

/** Deadlines that are all called off when the scope closes. */
export const make: Effect.Effect<Deadlines, never, Scope.Scope> = Effect.gen(function*() {
  // Nearly always one: a test may give its fibers clocks of their own.
  const keepers = new Map<Clock.Clock, Keeper>()
  yield* Effect.addFinalizer(() => Fiber.interruptAll([...keepers.values()].map(({ fiber }) => fiber)))

  const keep = (clock: Clock.Clock, deadlines: Set<Deadline>, fiber: Fiber.Fiber<unknown, unknown>): void => {
    const wakesAtNanos = earliest(deadlines)
    const sleeping = Effect.andThen(
      clock.sleep(Duration.nanos(wakesAtNanos - clock.monotonicTimeNanosUnsafe())),
      Effect.sync(() => {
        const nowNanos = clock.monotonicTimeNanosUnsafe()
        const over = [...deadlines].filter(({ atNanos }) => atNanos <= nowNanos)
        for (const deadline of over) deadlines.delete(deadline)
        if (deadlines.size > 0) keep(clock, deadlines, fiber)
        else keepers.delete(clock)
        for (const { onOver } of over) onOver()
      })
    )
    keepers.set(clock, {
      deadlines,
      sleepsSinceMillis: clock.currentTimeMillisUnsafe(),
      wakesAtNanos,
      fiber: Effect.runForkWith(fiber.context)(sleeping)
    })
  }

  return (fiber, atMost, onOver) => {
    const clock = fiber.getRef(Clock.Clock)
    const deadline = { atNanos: clock.monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(atMost), onOver }
    const keeper = keepers.get(clock)
    const deadlines = keeper?.deadlines ?? new Set()
    deadlines.add(deadline)
    if (keeper === undefined || deadline.atNanos < keeper.wakesAtNanos || wasSetBack(clock, keeper)) {
      keeper?.fiber.interruptUnsafe()
      keep(clock, deadlines, fiber)
    }
    return () => void deadlines.delete(deadline)
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
