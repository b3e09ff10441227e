/**
 * Annotation values that nobody would write: real values mutated, and values grown from the corners of JSON and of RFC 3339. And
 * records to write.
 */
import type { LockRecord } from "@kubelock/core"
import * as fc from "fast-check"

/** Picks one of several arbitraries, each with its weight: down to a thousandth. */
const pick = <A>(...choices: ReadonlyArray<readonly [weight: number, arbitrary: fc.Arbitrary<A>]>): fc.Arbitrary<A> =>
  fc.oneof(...choices.map(([weight, arbitrary]) => ({ weight: weight * 1_000, arbitrary })))

const text = (...parts: ReadonlyArray<fc.Arbitrary<string>>): fc.Arbitrary<string> =>
  fc.tuple(...parts).map((texts) => texts.join(""))

const digits = (min: number, max: number): fc.Arbitrary<string> =>
  fc.array(fc.constantFrom(..."0123456789".split("")), { minLength: min, maxLength: max }).map((all) => all.join(""))

const twoDigits = (max: number): fc.Arbitrary<string> =>
  fc.integer({ min: 0, max }).map((n) => String(n).padStart(2, "0"))

/** Any UTF-16 at all: half surrogate pairs, controls, and what Go or JSON treats in its own way. */
const anyString: fc.Arbitrary<string> = fc.array(
  pick(
    [6, fc.string({ unit: "grapheme-ascii", maxLength: 8 })],
    [2, fc.string({ unit: "binary", maxLength: 4 })],
    [2, fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit))],
    [
      1,
      fc.constantFrom("\ud800", "\udbff", "\udc00", "\udfff", "\u2028", "\u2029", "<", ">", "&", "\"", "\\", "/", "'")
    ],
    [
      1,
      fc.constantFrom("\0", "\b", "\t", "\n", "\v", "\f", "\r", "\x1b", "\x7f", "\x85", "\ufeff", "\ufffd", "\uffff")
    ],
    [
      1,
      fc.constantFrom("\\ud800", "\\u003c", "\\\\ufffd", "\\", "\u{1f600}", "\u{10ffff}", "e\u0301", "ſ", "K", "ı", "İ")
    ]
  ),
  { maxLength: 6 }
).map((pieces) => pieces.join(""))

/** What stands between the quotes of a JSON string, now and then wrongly. */
const stringBody: fc.Arbitrary<string> = fc.array(
  pick(
    [12, fc.string({ unit: "grapheme-ascii", maxLength: 6 }).map((plain) => plain.replace(/["\\]/g, ""))],
    [
      3,
      fc.constantFrom(
        "\\\"",
        "\\\\",
        "\\/",
        "\\b",
        "\\f",
        "\\n",
        "\\r",
        "\\t",
        "\\u0000",
        "\\u005a",
        "\\uFFFF",
        "\\uFeFf"
      )
    ],
    [3, fc.integer({ min: 0, max: 0xffff }).map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`)],
    [
      2,
      fc.constantFrom(
        "\\ud83d\\ude00",
        "\\ude00\\ud83d",
        "\\ud83d",
        "\\uDE00",
        "\\ud83dx",
        "\\ud83d\\n",
        "\\ud83d\\ud83d\\ude00"
      )
    ],
    [
      1,
      fc.constantFrom(
        "\ud83d",
        "\ude00",
        "\ud83d\\ude00",
        "\\ud83d\ude00",
        "\u{1f600}",
        "\ufeff",
        "\u2028",
        "\x7f",
        "é"
      )
    ],
    [1, anyString.map((any) => JSON.stringify(any).slice(1, -1))],
    [0.15, fc.constantFrom("\\x41", "\\'", "\\0", "\\u12", "\\u00zz", "\\U0041", "\\", "\n", "\t", "\0", "\x1f", "\"")]
  ),
  { maxLength: 4 }
).map((pieces) => pieces.join(""))

const jsonString = stringBody.map((body) => `"${body}"`)

const jsonNumber = pick(
  [8, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String)],
  [8, fc.constantFrom("0", "-0", "1", "-1", "300000000000", "9007199254740993", "-9007199254740993")],
  [2, fc.constantFrom("9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809")],
  [1, text(fc.constantFrom("", "-"), digits(1, 30))],
  [
    1,
    fc.constantFrom(
      "1e3",
      "1E3",
      "1.0",
      "0.0",
      "-0.0",
      "1e-1",
      "0e0",
      "1e400",
      "5e-324",
      "1E+2",
      "18446744073709551616"
    )
  ],
  [
    1,
    fc.constantFrom(
      "01",
      "00",
      "-01",
      "+1",
      "-",
      ".5",
      "1.",
      "1e",
      "0x10",
      "1_000",
      "NaN",
      "Infinity",
      "-Infinity",
      "१"
    )
  ]
)

const year = pick(
  [6, fc.integer({ min: 1970, max: 2200 }).map(String)],
  [
    3,
    fc.constantFrom(
      "0000",
      "0001",
      "0004",
      "1582",
      "1677",
      "1900",
      "1969",
      "2000",
      "2024",
      "2100",
      "2262",
      "9998",
      "9999"
    )
  ],
  [1, digits(4, 4)],
  [0.2, fc.constantFrom("", "999", "10000", "-001", "+2024", "-2024", "२०२४")]
)
const month = pick(
  [40, fc.integer({ min: 1, max: 12 }).map((n) => String(n).padStart(2, "0"))],
  [2, twoDigits(20)],
  [0.7, fc.constantFrom("1", "9", "", "Jan")]
)
const day = pick(
  [30, fc.integer({ min: 1, max: 28 }).map((n) => String(n).padStart(2, "0"))],
  [6, twoDigits(32)],
  [3, fc.constantFrom("29", "30", "31")],
  [0.7, fc.constantFrom("1", "9", "", "001", " 1")]
)
const hour = pick(
  [40, twoDigits(23)],
  [2, fc.constantFrom("24", "25", "99")],
  [4, digits(1, 1)],
  [0.7, fc.constantFrom("", "003", " 3", "+3", "-3")]
)
const sixty = pick(
  [60, twoDigits(59)],
  [1.5, fc.constantFrom("60", "61", "99")],
  [0.7, digits(1, 1)],
  [0.5, fc.constantFrom("", "+1", " 1", "060")]
)
const fraction = pick(
  [4, fc.constant("")],
  [6, digits(1, 9).map((all) => `.${all}`)],
  [2, digits(8, 14).map((all) => `.${all}`)],
  [2, digits(1, 12).map((all) => `,${all}`)],
  [
    0.5,
    fc.constantFrom(
      ".",
      ",",
      ".,1",
      "..1",
      ".1.2",
      ".1,2",
      ":1",
      ".-1",
      ".+1",
      ".1 ",
      ".e1",
      ".000000000",
      ".9999999999"
    )
  ]
)
const offset = pick(
  [8, fc.constant("Z")],
  [6, text(fc.constantFrom("+", "-"), twoDigits(25), fc.constant(":"), twoDigits(61))],
  [
    2,
    fc.constantFrom("+00:00", "-00:00", "+24:00", "-24:00", "+23:59", "-23:59", "+24:60", "-24:60", "+00:60", "-24:01")
  ],
  [
    0.7,
    fc.constantFrom(
      "z",
      "",
      "+0200",
      "+02",
      "+2:00",
      "+02:0",
      "+02:000",
      "02:00",
      "+02-00",
      "ZZ",
      "Z+00:00",
      " Z",
      "UTC",
      "−02:00",
      "+02:00:00"
    )
  ]
)

/** Texts for times, some of which are none. */
export const times = text(
  year,
  fc.constant("-"),
  month,
  fc.constant("-"),
  day,
  pick([40, fc.constant("T")], [1, fc.constantFrom("t", " ", "", "_", "TT", "\\u0054")]),
  hour,
  fc.constant(":"),
  sixty,
  pick([50, fc.constant(":")], [1, fc.constantFrom("", ".", ";")]),
  sixty,
  fraction,
  offset
)

const deep = fc.tuple(
  fc.integer({ min: 9_998, max: 10_001 }),
  fc.constantFrom<readonly [string, string]>(["[", "]"], ["{\"a\":", "}"])
)
  .map(([depth, [open, close]]) => `${open.repeat(depth)}${open === "[" ? "" : "0"}${close.repeat(depth)}`)

const space = pick(
  [20, fc.constant("")],
  [2, fc.constantFrom(" ", "\t", "\n", "\r", " \r\n\t ")],
  [0.05, fc.constantFrom("\u00a0", "\ufeff", "\v", "\f", "\u2028", "\u2029", "\x85", "\u3000", "\0", "//\n", "/**/")]
)

const { json } = fc.letrec<{ json: string }>((tie) => ({
  json: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom("null", "true", "false", "nul", "NULL", "undefined"),
    jsonNumber,
    jsonString,
    fc.array(tie("json"), { maxLength: 3 }).map((all) => `[${all.join(",")}]`),
    fc.array(text(jsonString, space, fc.constant(":"), space, tie("json")), { maxLength: 3 }).map((all) =>
      `{${all.join(",")}}`
    )
  )
}))

/** A key of ours in any case, here and there as an escape, rarely with a letter that only looks like its own. */
const ourKey = (name: string): fc.Arbitrary<string> =>
  pick(
    [6, fc.constant(name)],
    [
      4,
      fc.tuple(
        ...name.split("").map((letter) =>
          pick(
            [12, fc.constant(letter)],
            [4, fc.constant(letter.toUpperCase())],
            [1, fc.constant(`\\u00${letter.charCodeAt(0).toString(16)}`)],
            // Its full-width form, which compatibility normalization would take for it.
            [0.2, fc.constant(String.fromCharCode(letter.charCodeAt(0) + 0xfee0))],
            [0.1, fc.constantFrom("", " ", "\ufeff", "\\u212a", "\u017f", "\u212a", "\u0307", "\ud800")]
          )
        )
      ).map((letters) => letters.join(""))
    ]
  ).map((body) => `"${body}"`)

const member = (key: fc.Arbitrary<string>, value: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  text(space, key, space, fc.constant(":"), space, value, space)

const nothing = fc.constant("null")
const members = pick(
  [4, member(ourKey("owner"), pick([12, jsonString], [1, nothing], [1, json]))],
  [6, member(ourKey("createdAt"), pick([14, times.map((time) => `"${time}"`)], [1, nothing], [0.7, json]))],
  [4, member(ourKey("ttl"), pick([12, jsonNumber], [1, nothing], [0.7, json]))],
  [1, member(ourKey("id"), pick([3, jsonString], [1, json]))],
  [1, member(jsonString, json)],
  [
    0.2,
    member(fc.constantFrom("\"__proto__\"", "\"toJSON\"", "\"\"", "\"ownerſ\"", "owner", "'owner'", "1", "null"), json)
  ],
  [0.015, member(fc.constantFrom("\"x\"", "\"owner\"", "\"id\""), deep)]
)

const wellKept = fc.tuple(jsonString, times, jsonNumber).map(([owner, time, ttl]) =>
  `{"owner":${owner},"createdAt":"${time}","ttl":${ttl}}`
)

const grown = pick(
  [6, wellKept],
  [8, fc.array(members, { minLength: 1, maxLength: 6 }).map((all) => `{${all.join(",")}}`)],
  [1, text(space, json, space)],
  [0.005, deep]
)

/** What a mutation puts somewhere. */
const tokens = pick(
  [4, fc.constantFrom(..."{}[]:,\"\\ \t\n-+.0123456789eEtTzZ".split(""))],
  [
    2,
    fc.constantFrom(
      "null",
      "true",
      "\"\"",
      "{}",
      "[]",
      "\\u",
      "\\ud800",
      "\\\"",
      "\"owner\":",
      "\"ttl\":",
      "\"createdAt\":",
      "e3",
      ".0"
    )
  ],
  [
    1,
    fc.constantFrom(
      "\0",
      "\x1f",
      "\x7f",
      "\u00a0",
      "\ufeff",
      "\ud800",
      "\udc00",
      "\u017f",
      "\u212a",
      "\u2028",
      "\ufffd",
      "\v"
    )
  ],
  [1, anyString]
)

type Mutation = (value: string) => string

const mutation: fc.Arbitrary<Mutation> = fc.tuple(
  fc.constantFrom("insert", "replace", "delete", "repeat", "swap case", "cut"),
  fc.noBias(fc.integer({ min: 0, max: 999 })),
  fc.integer({ min: 1, max: 6 }),
  tokens
).map(([kind, where, length, token]) => (value) => {
  const at = Math.floor((where / 1_000) * value.length)
  const [before, here, after] = [value.slice(0, at), value.slice(at, at + length), value.slice(at + length)]
  switch (kind) {
    case "insert":
      return before + token + here + after
    case "replace":
      return before + token + after
    case "delete":
      return before + after
    case "repeat":
      return before + here + here + after
    case "swap case":
      return before + (here === here.toUpperCase() ? here.toLowerCase() : here.toUpperCase()) + after
    default:
      return before
  }
})

const mutated = (base: fc.Arbitrary<string>, max: number): fc.Arbitrary<string> =>
  fc.tuple(base, fc.array(mutation, { minLength: 1, maxLength: max })).map(([value, mutations]) =>
    mutations.reduce((mutant, mutate) => mutate(mutant), value)
  )

/** Annotation values: mutations of `real` ones, values grown from the corners, and mutations of those. */
export const values = (real: ReadonlyArray<string>): fc.Arbitrary<string> =>
  pick([5, grown], [2, mutated(fc.constantFrom(...real), 4)], [1, mutated(grown, 2)])

const nanosPerSecond = 1_000_000_000n
const year0Seconds = -62_167_219_200n
const year10000Seconds = 253_402_300_800n

/** Records to write: any owner, any time of the years 0 to 9999, any TTL. */
export const records: fc.Arbitrary<LockRecord.LockRecord> = fc.record({
  owner: anyString,
  createdAtNanos: pick(
    [4, fc.bigInt({ min: year0Seconds * nanosPerSecond, max: year10000Seconds * nanosPerSecond - 1n })],
    [2, fc.bigInt({ min: year0Seconds, max: year10000Seconds - 1n }).map((seconds) => seconds * nanosPerSecond)],
    [
      2,
      fc.tuple(fc.integer({ min: -5, max: 5 }), fc.integer({ min: 0, max: 10 })).map(([n, zeros]) =>
        BigInt(n) * 10n ** BigInt(zeros)
      )
    ],
    [
      1,
      fc.constantFrom(
        year0Seconds * nanosPerSecond,
        year0Seconds * nanosPerSecond + 1n,
        year10000Seconds * nanosPerSecond - 1n,
        -1n,
        -nanosPerSecond,
        951_782_400n * nanosPerSecond
      )
    ]
  ),
  ttlNanos: pick([3, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })], [
    1,
    fc.constantFrom(0n, 1n, -1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n))
  ])
})
