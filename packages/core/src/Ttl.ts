/**
 * How long a record is valid if nobody renews it.
 *
 * **Details**
 *
 * The Go library keeps it as int64 nanoseconds, so it reaches from one nanosecond to about 292 years.
 *
 * **Gotchas**
 *
 * Go takes a TTL of 0 for "the default". Here 0 is refused: leave the TTL out to get the default.
 *
 * **Example** (A TTL from a duration)
 *
 * ```ts
 * import { Ttl } from "@kubelock/core"
 * import { Result } from "effect"
 *
 * Ttl.make("30 seconds") // => Result.succeed(30_000_000_000n)
 * Result.isFailure(Ttl.make("Infinity")) // => true
 * ```
 *
 * @since 0.1.0
 */
import { type Brand, Duration, Option, Result } from "effect"
import { InvalidConfig } from "./LockError.ts"

/** A valid TTL, in nanoseconds. @category models @since 0.1.0 */
export type Ttl = bigint & Brand.Brand<"@kubelock/core/Ttl">

/** 5 minutes, as `DefaultTTL` of the Go library. @category constants @since 0.1.0 */
export const defaultTtl: Duration.Duration = Duration.minutes(5)

/** The longest TTL that Go can read: 2^63 - 1 nanoseconds, about 292 years. @category constants @since 0.1.0 */
export const maxTtlNanos = 9_223_372_036_854_775_807n

const isTtl = (nanos: bigint): nanos is Ttl => nanos > 0n && nanos <= maxTtlNanos

/**
 * The TTL in nanoseconds, or `InvalidConfig`. Without a duration: {@link defaultTtl}. A number is milliseconds.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (ttl: Duration.Input = defaultTtl): Result.Result<Ttl, InvalidConfig> => {
  const nanos = Option.getOrElse(Duration.toNanos(ttl), () => 0n)
  return isTtl(nanos)
    ? Result.succeed(nanos)
    : Result.fail(
      InvalidConfig.of(
        "ttl",
        ttl,
        `it must be a duration, as "30 seconds" or a number of milliseconds, of at least 1 nanosecond and at most ${maxTtlNanos} nanoseconds (about 292 years)`
      )
    )
}
