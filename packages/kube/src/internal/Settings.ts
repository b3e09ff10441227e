/** The options of a managed lock, complete and checked against each other. */
import { InvalidConfig, LockName, Ttl } from "@kubelock/core"
import { Duration, Effect, Option, Result, Schedule } from "effect"
import { RequestTimeout } from "../KubeTransport.ts"
import type { ManagedLockOptions } from "../ManagedLock.ts"
import * as ResourceRef from "../ResourceRef.ts"
import { RetryPolicy } from "../RetryPolicy.ts"
import * as Given from "./Given.ts"
import type { Terms } from "./Tenure.ts"

/** What is asked of one lock. */
export interface Settings {
  /** Tells locks apart. */
  readonly key: string
  readonly resource: ResourceRef.ResourceRef
  readonly name: LockName.LockName
  readonly owner: string
  readonly ttl: Ttl.Ttl
  readonly takeoverDelayNanos: bigint
  /** Infinite where there is no limit. */
  readonly waitAtMost: Duration.Duration
  readonly localHandover: Duration.Duration
  readonly terms: Terms
  /** Makes requests as this lock shall. */
  readonly run: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

const defaultTtl = Duration.seconds(30)
// No renewal over a network is sure to be in time below.
const shortestTtl = Duration.millis(100)
const shortestRenewal = Duration.millis(10)
const renewalsPerTtl = 3
const largestDefaultMargin = Duration.seconds(1)
const marginPerTtl = 1 / 10
const largestDefaultTimeout = Duration.seconds(10)
const defaultLocalHandover = Duration.millis(100)

/** For an owner that is known. */
export const make = (given: ManagedLockOptions, owner: string): Result.Result<Settings, InvalidConfig> =>
  Result.gen(function*() {
    const options = yield* Given.read("options", given, (given): ManagedLockOptions => ({
      resource: given.resource,
      name: given.name,
      ttl: given.ttl,
      renewEvery: given.renewEvery,
      requestTimeout: given.requestTimeout,
      safetyMargin: given.safetyMargin,
      takeoverDelay: given.takeoverDelay,
      waitAtMost: given.waitAtMost,
      localHandover: given.localHandover,
      watch: given.watch,
      retryPolicy: given.retryPolicy
    }))
    const resource = yield* ResourceRef.validate(options.resource)
    const name = yield* LockName.make(options.name)
    const ttlNanos = yield* Ttl.make(options.ttl === undefined ? defaultTtl : options.ttl)
    const ttl = Duration.nanos(ttlNanos)
    if (Duration.isLessThan(ttl, shortestTtl)) {
      return yield* invalid(
        "ttl",
        options.ttl,
        `a lock that is kept must be valid for ${Duration.format(shortestTtl)} at least; a number is milliseconds`
      )
    }
    const renewEvery = yield* duration(
      "renewEvery",
      options.renewEvery,
      Duration.nanos(ttlNanos / BigInt(renewalsPerTtl))
    )
    const safetyMargin = yield* duration(
      "safetyMargin",
      options.safetyMargin,
      Duration.min(Duration.times(ttl, marginPerTtl), largestDefaultMargin)
    )
    const spare = Duration.max(Duration.zero, Duration.subtract(Duration.subtract(ttl, safetyMargin), renewEvery))
    const requestTimeout = yield* duration(
      "requestTimeout",
      options.requestTimeout,
      [Duration.times(renewEvery, 1 / 2), spare].reduce(Duration.min, largestDefaultTimeout)
    )
    if (Duration.isLessThan(renewEvery, shortestRenewal)) {
      return yield* invalid(
        "renewEvery",
        options.renewEvery,
        `it must be ${Duration.format(shortestRenewal)} at least, or renewals would follow one another without a pause`
      )
    }
    if (Duration.isZero(requestTimeout) || Duration.isGreaterThan(requestTimeout, spare)) {
      return yield* invalid(
        "renewEvery",
        options.renewEvery ?? renewEvery,
        `a renewal must be answered before the lock counts as lost, and there is no time for that: renewEvery (${
          Duration.format(renewEvery)
        }) and requestTimeout (${Duration.format(requestTimeout)}) together must not exceed ttl (${
          Duration.format(ttl)
        }) less safetyMargin (${Duration.format(safetyMargin)})`
      )
    }
    const takeoverDelay = yield* duration("takeoverDelay", options.takeoverDelay, Duration.zero)
    const localHandover = yield* duration("localHandover", options.localHandover, defaultLocalHandover)
    const waitAtMost = options.waitAtMost === undefined
      ? Duration.infinity
      : Option.getOrElse(Duration.fromInput(options.waitAtMost), () => Duration.zero)
    if (!Duration.isPositive(waitAtMost)) {
      return yield* invalid(
        "waitAtMost",
        options.waitAtMost,
        "a duration longer than nothing is needed, as \"5 minutes\"; to not wait at all, use withLockIfAvailable or tryAcquire"
      )
    }
    const { retryPolicy, watch = true } = options
    if (typeof watch !== "boolean") return yield* invalid("watch", watch, "it must be true or false, or left out")
    const policy = retryPolicy === undefined ? undefined : yield* readRetryPolicy(retryPolicy)
    const limited = Effect.provideService(RequestTimeout, requestTimeout)
    return {
      key: `${ResourceRef.toPath(resource)} ${name}`,
      resource,
      name,
      owner,
      ttl: ttlNanos,
      takeoverDelayNanos: Duration.toNanosUnsafe(takeoverDelay),
      waitAtMost,
      localHandover,
      terms: { renewEvery, requestTimeout, safetyMargin, watch },
      run: policy === undefined
        ? limited
        : (effect) => limited(Effect.provideService(effect, RetryPolicy, policy))
    }
  })

const readRetryPolicy = (given: RetryPolicy): Result.Result<RetryPolicy, InvalidConfig> =>
  Given.read("retryPolicy", given, ({ conflict, retryAfterAtMost, throttled, timeout, unavailable }) => ({
    conflict,
    retryAfterAtMost,
    throttled,
    timeout,
    unavailable
  })).pipe(Result.filterOrFail(
    ({ retryAfterAtMost, ...schedules }) =>
      Duration.isDuration(retryAfterAtMost) && Object.values(schedules).every(Schedule.isSchedule),
    (policy) =>
      InvalidConfig.of(
        "retryPolicy",
        policy,
        "it must have a schedule for each reason and a duration: change those of RetryPolicy.defaults that shall differ"
      )
  ))

const duration = (
  field: string,
  input: Duration.Input | undefined,
  byDefault: Duration.Duration
): Result.Result<Duration.Duration, InvalidConfig> => {
  if (input === undefined) return Result.succeed(byDefault)
  const found = Option.filter(
    Duration.fromInput(input),
    (duration) => Duration.isFinite(duration) && !Duration.isNegative(duration)
  )
  return Option.match(found, {
    onNone: () => invalid(field, input, "a finite duration of nothing or longer is needed, such as \"10 seconds\""),
    onSome: Result.succeed
  })
}

const invalid = (field: string, value: unknown, problem: string): Result.Result<never, InvalidConfig> =>
  Result.fail(InvalidConfig.of(field, value, problem))
