import { Rfc3339 } from "@kubelock/core"
import { Option } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"

const second = 1_000_000_000n

describe("Rfc3339.parse", () => {
  const read: Array<[string, bigint]> = [
    ["1970-01-01T00:00:00Z", 0n],
    ["1969-12-31T23:59:59.999999999Z", -1n],
    ["2026-01-02T03:04:05.123456789Z", 1_767_323_045_123_456_789n],
    ["2026-01-02T03:04:05.1234567899Z", 1_767_323_045_123_456_789n],
    ["2026-01-02T03:04:05+02:00", 1_767_315_845n * second],
    ["2026-01-02T03:04:05-07:30", (1_767_323_045n + 27_000n) * second],
    ["2026-01-02T03:04:05-00:00", 1_767_323_045n * second],
    ["0001-01-01T00:00:00Z", Rfc3339.goZeroTimeNanos],
    ["2024-02-29T00:00:00Z", 1_709_164_800n * second],
    // Go's parser accepts these, though RFC 3339 does not.
    ["2026-01-02T3:04:05Z", 1_767_323_045n * second],
    ["2026-01-02T03:04:05,5Z", 1_767_323_045n * second + 500_000_000n],
    ["2026-01-02T03:04:05+24:60", (1_767_323_045n - 90_000n) * second]
  ]
  it.each(read)("reads %s", (text, nanos) => {
    expect(Rfc3339.parse(text)).toEqual(Option.some(nanos))
  })

  it.each([
    "",
    "2026-01-02",
    "2026-01-02T03:04:05",
    "2026-01-02t03:04:05Z",
    "2026-01-02T03:04:05z",
    "2026-01-02 03:04:05Z",
    "2026-01-02T03:04:05.Z",
    "2026-01-02T03:04:60Z",
    "2026-01-02T03:60:05Z",
    "2026-01-02T24:00:00Z",
    "2023-02-29T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-01-02T03:04:05+0200",
    "2026-01-02T03:04:05+02",
    "2026-01-02T03:04:05+25:00",
    "2026-01-02T03:04:05+02:61",
    "2026-01-02T03:4:05Z",
    "12026-01-02T03:04:05Z",
    "-2026-01-02T03:04:05Z",
    " 2026-01-02T03:04:05Z",
    "2026-01-02T03:04:05Z ",
    "2026-01-02T03:04:05Z\n"
  ])("refuses %j", (text) => {
    expect(Rfc3339.parse(text)).toEqual(Option.none())
  })
})

describe("an instant in UTC", () => {
  // Texts of Go's form, or nearly so: each with a flaw at times, in any place.
  const digitOr = (flaw: string) => fc.constantFrom(..."0123456789", flaw)
  const text = fc.tuple(
    fc.constantFrom("2026", "0000", "9999", "202x"),
    fc.constantFrom("-", ":"),
    fc.tuple(fc.constantFrom("0", "1"), digitOr("/")),
    fc.constantFrom("-", "-", "/"),
    fc.tuple(fc.constantFrom("0", "1", "2", "3"), digitOr(":")),
    fc.constantFrom("T", "T", "t"),
    fc.constantFrom("00", "19", "23", "24", "2"),
    fc.constantFrom(":", ":", "."),
    fc.constantFrom("00", "59", "60"),
    fc.constantFrom(":", ":", "-"),
    fc.constantFrom("00", "59", "60", " 0"),
    fc.constantFrom("", ".", ".5", ",5", ".120", ".000000001", ".123456789", ".1234567891", ".12x", "Z")
  ).map((parts) => parts.flat().join(""))

  it("reads the same whether Z says so or an offset of nothing, which is read otherwise", () => {
    fc.assert(
      fc.property(text, (text) => {
        expect(Rfc3339.parse(`${text}Z`)).toEqual(Rfc3339.parse(`${text}+00:00`))
      }),
      { numRuns: 20_000 }
    )
  })
})

describe("Rfc3339.format", () => {
  it("trims trailing zeros of the fraction, and the point", () => {
    expect(Rfc3339.format(5n * second)).toBe("1970-01-01T00:00:05Z")
    expect(Rfc3339.format(5n * second + 120_000_000n)).toBe("1970-01-01T00:00:05.12Z")
    expect(Rfc3339.format(-1n)).toBe("1969-12-31T23:59:59.999999999Z")
  })

  it("writes what cannot be said in UTC with an offset that Go reads", () => {
    const beyond = Option.getOrThrow(Rfc3339.parse("9999-12-31T23:59:59.999999999-01:00"))
    const before = Option.getOrThrow(Rfc3339.parse("0000-01-01T00:00:00+01:00"))
    expect(Rfc3339.parse(Rfc3339.format(beyond))).toEqual(Option.some(beyond))
    expect(Rfc3339.parse(Rfc3339.format(before))).toEqual(Option.some(before))
  })

  it("writes the last nanosecond of the year 9999 and the first of the year 0 in UTC", () => {
    expect(Rfc3339.format(253_402_300_799_999_999_999n)).toBe("9999-12-31T23:59:59.999999999Z")
    expect(Rfc3339.format(-62_167_219_200n * second)).toBe("0000-01-01T00:00:00Z")
  })

  it("throws where no text can say the instant", () => {
    expect(() => Rfc3339.format(10n ** 30n)).toThrow(RangeError)
    expect(() => Rfc3339.format(-(10n ** 30n))).toThrow(RangeError)
  })

  it("ends with the last second that the widest offset can say, and begins with the first", () => {
    const last = 253_402_300_799n * second + 90_000n * second
    const first = -62_167_219_200n * second - 90_000n * second
    expect(Rfc3339.format(last)).toBe("9999-12-31T23:59:59-24:60")
    expect(Rfc3339.format(first)).toBe("0000-01-01T00:00:00+24:60")
    expect(() => Rfc3339.format(last + second)).toThrow(`${last + second} ns since 1970 lies outside the years`)
    expect(() => Rfc3339.format(first - second)).toThrow(`${first - second} ns since 1970 lies outside the years`)
  })

  it("is read back to the nanosecond", () => {
    fc.assert(
      fc.property(fc.bigInt(-62_167_219_200n * second, 253_402_300_799n * second), (nanos) => {
        expect(Rfc3339.parse(Rfc3339.format(nanos))).toEqual(Option.some(nanos))
      })
    )
  })

  it("has the calendar of Date: the same days, and no others", () => {
    const year = fc.oneof(
      fc.integer({ min: 0, max: 9_999 }),
      fc.constantFrom(0, 4, 100, 400, 1600, 1900, 2000, 2024, 9_996)
    )
    const two = (value: number) => String(value).padStart(2, "0")
    fc.assert(
      fc.property(year, fc.integer({ min: 0, max: 13 }), fc.integer({ min: 0, max: 32 }), (year, month, day) => {
        const text = `${String(year).padStart(4, "0")}-${two(month)}-${two(day)}T12:34:56Z`
        const date = new Date(text)
        const isDay = !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text.slice(0, 19))
        const nanos = Rfc3339.parse(text)
        expect(nanos).toEqual(isDay ? Option.some(BigInt(date.getTime()) * 1_000_000n) : Option.none())
        if (isDay) expect(Rfc3339.format(Option.getOrThrow(nanos))).toBe(text)
      }),
      { numRuns: 2_000 }
    )
  })
})
