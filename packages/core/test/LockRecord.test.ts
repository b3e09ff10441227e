import { isMalformedRecord, LockRecord } from "@kubelock/core"
import { Result } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"

const read = (raw: string) => Result.getOrThrow(LockRecord.parse(raw))
const refused = (raw: string) => Result.isFailure(LockRecord.parse(raw))

describe("LockRecord.parse", () => {
  it("matches keys whatever their ASCII case, also escaped ones; the last one wins", () => {
    expect(read(`{"OWNER":"a","oWnEr":"b"}`).owner).toBe("b")
    expect(read(`{"\\u006fwner":"c"}`).owner).toBe("c")
  })

  it("keeps what it has when a null follows", () => {
    const record = read(
      `{"owner":"a","ttl":7,"createdAt":"1970-01-01T00:00:00Z","owner":null,"ttl":null,"createdAt":null}`
    )
    expect(record).toEqual({ owner: "a", ttlNanos: 7n, createdAtNanos: 0n })
  })

  it("takes no member from a prototype, nor a key that only looks like one", () => {
    expect(read(`{"__proto__":{"owner":"evil"}}`).owner).toBe("")
    expect(read(`{"owner ":"x"}`).owner).toBe("")
  })

  it.each(["9223372036854775807", "-9223372036854775808", "-0", "0"])("reads a ttl of %s", (ttl) => {
    expect(read(`{"ttl":${ttl}}`).ttlNanos).toBe(BigInt(ttl))
  })

  it.each([
    "9223372036854775808",
    "-9223372036854775809",
    "1e3",
    "1E3",
    "1.0",
    "01",
    "+1",
    "\"5\"",
    "true",
    "[]",
    "{}",
    "9".repeat(100_000)
  ])("refuses a ttl of %.30s", (ttl) => {
    expect(refused(`{"ttl":${ttl}}`)).toBe(true)
  })

  it.each([
    "\ufeff{}",
    "{} {}",
    "{\"owner\":\"a\"}\u0000",
    "{\"owner\":\"\t\"}",
    "{\"owner\":\"\\x41\"}",
    "{'owner':'a'}",
    "{\"owner\":\"a\"",
    "\u00a0{}",
    "undefined",
    "{\"createdAt\":\"2026-01-02T03:04:05\\u005a\"}",
    "{\"createdAt\":1}",
    "{\"owner\":[]}"
  ])("refuses %j", (raw) => {
    expect(refused(raw)).toBe(true)
  })

  it("refuses what nests deeper than Go reads, in any member", () => {
    const nested = (depth: number) => `{"x":${"[".repeat(depth)}${"]".repeat(depth)}}`
    expect(refused(nested(9_999))).toBe(false)
    expect(refused(nested(10_000))).toBe(true)
  })

  it("reads a lone surrogate as U+FFFD", () => {
    expect(read(`{"owner":"\\ud800x"}`).owner).toBe("\ufffdx")
    expect(read(`{"owner":"\\ud83d\\ude00"}`).owner).toBe("😀")
    expect(read(`{"owner":"\\ud83d\ude00"}`).owner).toBe("\ufffd\ufffd")
    expect(read(`{"owner":"\ud83d\\ude00","x":"\ud83d"}`)).toMatchObject({
      owner: "\ufffd\ufffd",
      others: [`"x":"\ufffd"`]
    })
  })

  it.each([
    ["{", "not JSON"],
    ["[]", "not a JSON object"],
    [`{"x":${"[".repeat(10_000)}${"]".repeat(10_000)}}`, "nested deeper than 10000"],
    [`{"owner":5}`, "owner is not a string"],
    [`{"createdAt":5}`, "createdAt is not an RFC 3339 time"],
    [`{"ttl":1.5}`, "ttl is not an integer"],
    [`{"ttl":9223372036854775808}`, "ttl does not fit into 64 bits"]
  ])("says what is wrong with %.30s, with the raw value", (raw, problem) => {
    const failure = Result.getOrThrow(Result.flip(LockRecord.parse(raw)))
    expect(isMalformedRecord(failure)).toBe(true)
    expect(failure).toMatchObject({ raw, problem })
    expect(failure.message).toContain(`(${problem})`)
  })

  it("reads our id; what is no string is another's member", () => {
    expect(read(`{"id":"x"}`).id).toBe("x")
    expect(read(`{"id":"x","id":"y"}`).id).toBe("y")
    expect(read(`{ "note" : [ 1 ] }`).others).toEqual([`"note":[ 1 ]`])
    expect(read(`{"ID":"x"}`)).toMatchObject({ others: [`"ID":"x"`] })
    expect(read(`{"id":5}`)).toMatchObject({ others: [`"id":5`] })
    expect(read(`{"id":"x"}`)).not.toHaveProperty("others")
    expect(read(`{"id":5}`)).not.toHaveProperty("id")
  })
})

describe("LockRecord.format", () => {
  it("escapes what Go escapes, and nothing else", () => {
    const owner = "<&>\u2028\u2029\u0000\b\f\n\r\t\u001f\u007f\"\\/é😀\ufffd"
    expect(LockRecord.format({ owner, createdAtNanos: 0n, ttlNanos: 1n })).toBe(
      `{"owner":"\\u003c\\u0026\\u003e\\u2028\\u2029\\u0000\\b\\f\\n\\r\\t\\u001f\u007f\\"\\\\/é😀\ufffd",` +
        `"createdAt":"1970-01-01T00:00:00Z","ttl":1}`
    )
  })

  it("writes a lone surrogate as Go writes invalid UTF-8, and leaves a backslash alone", () => {
    const text = (owner: string) => LockRecord.format({ owner, createdAtNanos: 0n, ttlNanos: 1n })
    expect(text("\ud800")).toContain(`"owner":"\\ufffd"`)
    expect(text("\\ud800")).toContain(`"owner":"\\\\ud800"`)
    expect(text("\\\ud800")).toContain(`"owner":"\\\\\\ufffd"`)
  })

  it("keeps members that neither side knows, to the byte", () => {
    const raw = `{"owner":"a","createdAt":"2026-01-02T03:04:05Z","ttl":1,"id":"i",` +
      `"fence":1.00,"big":12345678901234567890,"nested":{ "x" : [1, "},:"] },"a":"\\u0041"}`
    expect(LockRecord.format(read(raw))).toBe(raw)
  })
})

describe("LockRecord.holderOf", () => {
  it("is the record without what neither side knows", () => {
    const holder = { owner: "a", createdAtNanos: 1n, ttlNanos: 2n }
    expect(LockRecord.holderOf({ ...holder, others: [`"x":1`] })).toStrictEqual(holder)
    expect(LockRecord.holderOf({ ...holder, id: "i", others: [`"x":1`] })).toStrictEqual({ ...holder, id: "i" })
  })
})

const record: fc.Arbitrary<LockRecord.LockRecord> = fc.record({
  owner: fc.string({
    unit: fc.oneof(
      fc.constantFrom("<", "\\", "\"", "u", "\u2028", "\u0000"),
      fc.string({ unit: "binary", maxLength: 1 })
    )
  }),
  createdAtNanos: fc.bigInt(-62_167_219_200_000_000_000n, 253_402_300_799_999_999_999n),
  ttlNanos: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)
}).chain((fields) =>
  fc.record({
    id: fc.option(fc.string(), { nil: undefined }),
    others: fc.option(fc.array(fc.jsonValue().map((json) => `"x":${JSON.stringify(json)}`), { minLength: 1 }), {
      nil: undefined
    })
  }).map(({ id, others }) => ({
    ...fields,
    ...(id === undefined ? undefined : { id }),
    ...(others === undefined ? undefined : { others })
  }))
)

describe("a record", () => {
  it("survives being written and read", () => {
    fc.assert(fc.property(record, (record) => {
      expect(read(LockRecord.format(record))).toEqual(record)
    }))
  })

  it("is never a surprise: any text is read or refused, and what is read is written the same for ever after", () => {
    const text = fc.oneof(fc.json(), fc.string(), record.map(LockRecord.format))
    fc.assert(fc.property(text, (raw) => {
      const parsed = LockRecord.parse(raw)
      if (Result.isFailure(parsed)) return
      const once = LockRecord.format(parsed.success)
      expect(read(once)).toEqual(parsed.success)
    }))
  })

  it("says the same with white space around it, where none of it can be read in one go", () => {
    const text = fc.oneof(
      record.map(LockRecord.format),
      fc.tuple(record.map(LockRecord.format), fc.nat(120), fc.constantFrom(..."\\\"{},:<0-1TZ\0", "\ud800", "🔒", ""))
        .map(
          ([text, at, piece]) => text.slice(0, at) + piece + text.slice(at + 1)
        )
    )
    fc.assert(
      fc.property(text, (raw) => {
        expect(Result.getOrUndefined(LockRecord.parse(raw))).toEqual(
          Result.getOrUndefined(LockRecord.parse(` ${raw} `))
        )
      }),
      { numRuns: 1_000 }
    )
  })
})
