/**
 * How long to wait before trying again, by the reason of the failure. What is not named here is not tried again.
 *
 * **Details**
 *
 * Every schedule of {@link defaults} is bounded and jittered. Where the server says how long to wait (`Retry-After`), that is
 * the least; if it asks for more than `retryAfterAtMost`, the error is returned at once.
 *
 * **Gotchas**
 *
 * The policy is read from the context of whoever calls `acquire` and the others, each time: provide it to the program, not to
 * the layer of `KubeLock`. A managed lock may have one of its own: its option `retryPolicy`.
 *
 * **Example** (Giving up at the first conflict)
 *
 * ```ts
 * import { RetryPolicy } from "@kubelock/kube"
 * import { Effect, Schedule } from "effect"
 *
 * const impatient = { ...RetryPolicy.defaults, conflict: Schedule.recurs(0) }
 *
 * const conflicts = Effect.map(RetryPolicy.RetryPolicy, ({ conflict }) => conflict === impatient.conflict)
 * await Effect.runPromise(Effect.provideService(conflicts, RetryPolicy.RetryPolicy, impatient)) // => true
 * ```
 *
 * @since 0.1.0
 */
import { Clock, Context, Duration, Effect, Pull, Schedule } from "effect"
import type { KubeError, KubeErrorReason } from "./KubeError.ts"

/** One schedule per reason; each operation runs them afresh. @category models @since 0.1.0 */
export interface RetryPolicy {
  /** Somebody else wrote in between, again and again. */
  readonly conflict: Schedule.Schedule<unknown>
  /** The server has too much to do (429). */
  readonly throttled: Schedule.Schedule<unknown>
  /** The server failed, or the connection to it. */
  readonly unavailable: Schedule.Schedule<unknown>
  /** No answer in time. */
  readonly timeout: Schedule.Schedule<unknown>
  /** The longest `Retry-After` that is waited for, whatever the reason. */
  readonly retryAfterAtMost: Duration.Duration
}

const atMost = (times: number, first: Duration.Input): Schedule.Schedule<unknown> =>
  Schedule.exponential(first).pipe(Schedule.jittered, Schedule.upTo({ times }))

/**
 * Conflict: 8 times from 10 ms. Throttled: 5 times from 500 ms. Unavailable: 6 times from 100 ms. Timeout: 3 times from
 * 100 ms. Each doubles from one try to the next. `Retry-After` up to 30 s.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaults: RetryPolicy = {
  conflict: atMost(8, "10 millis"),
  throttled: atMost(5, "500 millis"),
  unavailable: atMost(6, "100 millis"),
  timeout: atMost(3, "100 millis"),
  retryAfterAtMost: Duration.seconds(30)
}

/** The policy in force; {@link defaults} unless provided otherwise. @category services @since 0.1.0 */
export const RetryPolicy: Context.Reference<RetryPolicy> = Context.Reference<RetryPolicy>(
  "@kubelock/kube/RetryPolicy",
  {
    defaultValue: () => defaults
  }
)

/**
 * Waits until the next try is due, or fails with the error where there shall be none, which then says how often and for how long it
 * was tried again. It counts: use another for the next operation.
 *
 * @category models
 * @since 0.1.0
 */
export type Backoff = (error: KubeError) => Effect.Effect<void, KubeError>

type ScheduleName = Exclude<keyof RetryPolicy, "retryAfterAtMost">

const schedules: Partial<Record<KubeErrorReason["_tag"], ScheduleName>> = {
  Conflict: "conflict",
  Throttled: "throttled",
  Unavailable: "unavailable",
  Timeout: "timeout"
}

/**
 * The backoff of one operation, by the policy in force. Fails with the `KubeError` that it was given, where there shall be no next try.
 *
 * **Example** (How often a conflict is tried again)
 *
 * ```ts
 * import { KubeError, RetryPolicy } from "@kubelock/kube"
 * import { Effect, Schedule } from "effect"
 *
 * const conflict = KubeError.fromResponse(
 *   { method: "PATCH", path: "/api/v1/namespaces/prod/configmaps/deploys" },
 *   { status: 409, headers: {}, body: "" }
 * )
 *
 * const retries = Effect.gen(function*() {
 *   const backoff = yield* RetryPolicy.start
 *   let retries = 0
 *   while (yield* Effect.isSuccess(backoff(conflict))) retries++
 *   return retries
 * })
 *
 * const patient = { ...RetryPolicy.defaults, conflict: Schedule.recurs(20) }
 * await Effect.runPromise(Effect.provideService(retries, RetryPolicy.RetryPolicy, patient)) // => 20
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const start: Effect.Effect<Backoff> = Effect.withFiber((fiber) =>
  Effect.succeed(backoffOf(fiber.getRef(RetryPolicy)))
)

const backoffOf = (policy: RetryPolicy): Backoff => {
  // Most operations never fail: a schedule is started at the first failure that asks for it.
  const steps = new Map<ScheduleName, Step>()
  let retries = 0
  let failedFirstAtMillis: number | undefined
  return (failed) =>
    Effect.gen(function*() {
      const nowMillis = Math.round(Number(yield* Clock.monotonicTimeNanos) / 1e6)
      failedFirstAtMillis ??= nowMillis
      const error = failed.withRetries(retries, Duration.millis(nowMillis - failedFirstAtMillis))
      const name = schedules[error.reason._tag]
      const retryAfter = Duration.millis(error.retryAfterMillis ?? 0)
      if (name === undefined || Duration.isGreaterThan(retryAfter, policy.retryAfterAtMost)) return yield* error
      const step = steps.get(name) ?? (yield* Schedule.toStep(policy[name]))
      steps.set(name, step)
      const [, delay] = yield* step(yield* Clock.currentTimeMillis, error).pipe(
        Pull.catchDone(() => Effect.fail(error))
      )
      retries++
      yield* Effect.sleep(Duration.max(delay, retryAfter))
    })
}

type Step = Effect.Success<ReturnType<typeof Schedule.toStep<unknown, unknown, never, never>>>
