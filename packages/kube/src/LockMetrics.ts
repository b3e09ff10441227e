/**
 * What is counted and measured, for whatever reads Effect's metrics: a dashboard, a test.
 *
 * **Details**
 *
 * Times are in seconds. None carries a lock's name, since there may be any number of them; a program of few locks tells them
 * apart by `Metric.CurrentMetricAttributes`.
 *
 * **Example** (How many locks does this process hold?)
 *
 * ```ts
 * import { LockMetrics } from "@kubelock/kube"
 * import { Effect, Metric } from "effect"
 *
 * const held = Effect.map(Metric.value(LockMetrics.held), ({ value }) => value)
 *
 * await Effect.runPromise(held) // => 0
 * ```
 *
 * **Example** (What a lock's life adds to them)
 *
 * ```ts
 * import { LockMetrics } from "@kubelock/kube"
 * import { type Context, Duration, Effect, Metric } from "effect"
 *
 * const life = Effect.gen(function*() {
 *   yield* LockMetrics.acquired("acquired", Duration.seconds(2))
 *   yield* LockMetrics.holding
 *   yield* LockMetrics.renewed(true)
 *   // Somebody else has changed the object: they took the lock, by whose clock it had expired.
 *   yield* LockMetrics.conflicted
 *   yield* LockMetrics.lost("TakenOver")
 *   yield* LockMetrics.heldFor(Duration.seconds(20))
 *   const { sum } = yield* Metric.value(LockMetrics.holdSeconds)
 *   return { sum, held: (yield* Metric.value(LockMetrics.held)).value }
 * })
 *
 * // With metrics of its own: those of the process are left alone.
 * await Effect.runPromise(Effect.provideService(life, Metric.MetricRegistry, new Map())) // => { sum: 20, held: 0 }
 * ```
 *
 * @since 0.1.0
 */
import { type Context, Duration, Effect, Metric } from "effect"
import type { LossReason } from "./ManagedLockError.ts"

// From a millisecond to about nine hours, each bucket twice the one before.
const boundaries = Metric.exponentialBoundaries({ start: 0.001, factor: 2, count: 26 })

/**
 * How attempts to get a lock have ended: it was `acquired`, or `handed over` by another fiber of this process; it was `unavailable` to
 * who would not wait; waiting `timed out`, was `interrupted`, or `failed`.
 *
 * @category models
 * @since 0.1.0
 */
export type AcquisitionOutcome = "acquired" | "handed over" | "unavailable" | "timed out" | "interrupted" | "failed"

/** Acquisitions of managed locks, by `outcome`: see {@link AcquisitionOutcome}. @category metrics @since 0.1.0 */
export const acquisitions = Metric.counter("kubelock_acquisitions_total", {
  description: "Acquisitions of managed locks by how they ended",
  incremental: true
})

/** How long those who got a lock have waited for it, in seconds. @category metrics @since 0.1.0 */
export const waitSeconds = Metric.histogram("kubelock_wait_seconds", {
  description: "Time from asking for a lock to having it",
  attributes: { unit: "s" },
  boundaries
})

/** How long locks were held, in seconds. @category metrics @since 0.1.0 */
export const holdSeconds = Metric.histogram("kubelock_hold_seconds", {
  description: "Time from having a lock to beginning to release it",
  attributes: { unit: "s" },
  boundaries
})

/** How many locks this process holds now. @category metrics @since 0.1.0 */
export const held = Metric.gauge("kubelock_held", {
  description: "Locks held now",
  // A gauge without a unit is a ratio to what translates OTLP to Prometheus, which would call it `kubelock_held_ratio`.
  attributes: { unit: "{lock}" }
})

/** Renewals, each lock of a request counted, by `outcome`: `renewed` or `failed`. @category metrics @since 0.1.0 */
export const renewals = Metric.counter("kubelock_renewals_total", {
  description: "Renewals of held locks by how they ended",
  incremental: true
})

/** Writes that the server refused, since the lock or its object was not as expected. @category metrics @since 0.1.0 */
export const conflicts = Metric.counter("kubelock_conflicts_total", {
  description: "Writes refused because the lock or its object had changed",
  incremental: true
})

/** Locks that were lost, by `reason`: see `LossReason`. @category metrics @since 0.1.0 */
export const losses = Metric.counter("kubelock_losses_total", {
  description: "Held locks that were lost, by the reason",
  incremental: true
})

/**
 * How far this machine's clock is ahead of the API server's, in seconds, by the best estimate; negative if it is behind.
 *
 * **Gotchas**
 *
 * After one answer the estimate may be off by half a second, and again after a clock was set; it takes a few to come closer. In a
 * program that speaks to several clusters it is the one that answered last.
 *
 * @category metrics
 * @since 0.1.0
 */
export const clockOffsetSeconds = Metric.gauge("kubelock_clock_offset_seconds", {
  description: "How far this machine's clock is ahead of the API server's",
  attributes: { unit: "s" }
})

// A metric of each value finds its series at once; `Metric.withAttributes` would look for it each time.
const by = ({ description, id }: Metric.Metric<number, Metric.CounterState<number>>, attribute: string) => {
  const counters = new Map<string, Metric.Counter<number>>()
  return (value: string): Metric.Counter<number> => {
    const counter = counters.get(value) ??
      Metric.counter(id, { description, incremental: true, attributes: { [attribute]: value } })
    counters.set(value, counter)
    return counter
  }
}

// Several at once, in one step.
const updating = (update: (context: Context.Context<never>) => void): Effect.Effect<void> =>
  Effect.withFiber(({ context }) => {
    update(context)
    return Effect.void
  })

const byOutcome = by(acquisitions, "outcome")

/**
 * An acquisition has ended, after this time where the lock was had: counts {@link acquisitions}, and measures {@link waitSeconds}.
 *
 * @category combinators
 * @since 0.1.0
 */
export const acquired = (outcome: AcquisitionOutcome, waited?: Duration.Duration): Effect.Effect<void> =>
  updating((context) => {
    byOutcome(outcome).updateUnsafe(1, context)
    if (waited !== undefined) waitSeconds.updateUnsafe(Duration.toSeconds(waited), context)
  })

const byRenewal = by(renewals, "outcome")

/** A renewal has ended: counts {@link renewals}. @category combinators @since 0.1.0 */
export const renewed = (isRenewed: boolean): Effect.Effect<void> =>
  Metric.update(byRenewal(isRenewed ? "renewed" : "failed"), 1)

const byReason = by(losses, "reason")

/** A lock was lost: counts {@link losses}. @category combinators @since 0.1.0 */
export const lost = (reason: LossReason["_tag"]): Effect.Effect<void> => Metric.update(byReason(reason), 1)

/** A write was refused: counts {@link conflicts}. @category combinators @since 0.1.0 */
export const conflicted: Effect.Effect<void> = Metric.update(conflicts, 1)

/** Somebody has a lock: {@link held} is one more, until {@link heldFor}. @category combinators @since 0.1.0 */
export const holding: Effect.Effect<void> = Metric.modify(held, 1)

/**
 * Somebody has a lock no more, after this time: {@link held} is one less, and {@link holdSeconds} measures it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const heldFor = (time: Duration.Duration): Effect.Effect<void> =>
  updating((context) => {
    held.modifyUnsafe(-1, context)
    holdSeconds.updateUnsafe(Duration.toSeconds(time), context)
  })
