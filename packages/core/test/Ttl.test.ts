import { defaultTtl, isInvalidConfig, Ttl } from "@kubelock/core"
import { Duration, Result } from "effect"
import { describe, expect, it } from "vitest"

describe("Ttl.make", () => {
  it("is 5 minutes unless something else is asked for", () => {
    expect(Ttl.make()).toEqual(Result.succeed(300_000_000_000n))
    expect(Duration.toMinutes(defaultTtl)).toBe(5)
  })

  it("loses no nanosecond, also past 2^53", () => {
    expect(Ttl.make(Duration.nanos(2n ** 53n + 1n))).toEqual(Result.succeed(9_007_199_254_740_993n))
    expect(Ttl.make(Duration.nanos(Ttl.maxTtlNanos))).toEqual(Result.succeed(Ttl.maxTtlNanos))
    expect(Ttl.make(1n)).toEqual(Result.succeed(1n))
  })

  it.each(
    [
      [0, "0"],
      [-0, "-0"],
      [-1, "-1"],
      [Number.NaN, "NaN"],
      [0n, "0"],
      ["Infinity", "Infinity"],
      ["-Infinity", "-Infinity"],
      [Duration.nanos(Ttl.maxTtlNanos + 1n), "106751d 23h 47m 16s 854ms 775808ns"],
      [{ seconds: -5 }, `{"seconds":-5}`],
      [{ seconds: -5n as unknown as number }, `{"seconds":"-5"}`],
      ["five minutes" as "5 minutes", "five minutes"]
    ] satisfies Array<[Duration.Input, string]>
  )("refuses %s", (input, shown) => {
    const failure = Result.getOrThrow(Result.flip(Ttl.make(input)))
    expect(isInvalidConfig(failure)).toBe(true)
    expect(failure.field).toBe("ttl")
    expect(failure.value).toBe(shown)
    expect(failure.problem).toContain(`"30 seconds" or a number of milliseconds`)
    expect(failure.problem).toContain("at least 1 nanosecond and at most 9223372036854775807 nanoseconds")
  })
})
