import {
  AlreadyExists,
  InvalidConfig,
  isAlreadyExists,
  isInvalidConfig,
  isMalformedRecord,
  isNotFound,
  isOwnerMismatch,
  MalformedRecord,
  NotFound,
  OwnerMismatch
} from "@kubelock/core"
import { describe, expect, it } from "vitest"

const holder = { owner: "alice", createdAtNanos: 0n, ttlNanos: 300_000_000_000n }
const where = { lock: "helm", resource: "configmaps/deploys in prod" }
const nowNanos = 60_000_000_000n

const errors = {
  AlreadyExists: new AlreadyExists({ ...where, holder, nowNanos }),
  OwnerMismatch: new OwnerMismatch({ ...where, owner: "bob", holder, nowNanos }),
  NotFound: new NotFound({ ...where, expired: holder }),
  MalformedRecord: new MalformedRecord({ ...where, raw: "[]", problem: "not a JSON object" }),
  InvalidConfig: new InvalidConfig({ field: "ttl", value: "0", problem: "too short" })
}
const guards = {
  AlreadyExists: isAlreadyExists,
  OwnerMismatch: isOwnerMismatch,
  NotFound: isNotFound,
  MalformedRecord: isMalformedRecord,
  InvalidConfig: isInvalidConfig
}

describe("errors", () => {
  it.each(Object.entries(guards))("is%s knows its own kind alone", (tag, guard) => {
    for (const [name, error] of Object.entries(errors)) expect(guard(error)).toBe(name === tag)
    expect(guard(new Error(tag))).toBe(false)
    expect(guard(undefined)).toBe(false)
  })

  it("is named as it is tagged", () => {
    for (const [name, error] of Object.entries(errors)) expect(error.name).toBe(name)
  })

  it("says who holds what, since when and until when", () => {
    const told = `lock "helm" on configmaps/deploys in prod`
    const term = "since 1970-01-01T00:00:00Z until 1970-01-01T00:05:00Z"
    expect(errors.AlreadyExists.message).toBe(`${told} is already held by "alice" ${term} (4m left)`)
    expect(errors.OwnerMismatch.message).toBe(`${told} is held by "alice", not by "bob", ${term} (4m left)`)
    expect(errors.NotFound.message).toBe(`${told} has expired: "alice" held it ${term}`)
    expect(new NotFound(where).message).toBe(`there is no ${told}`)
    expect(errors.MalformedRecord.message).toContain("break the lock")
    expect(errors.InvalidConfig.message).toBe(`invalid ttl "0": too short`)
  })

  it("says of which lock on which object, as far as that is known", () => {
    expect(new NotFound({ lock: "helm" }).message).toBe(`there is no lock "helm"`)
    expect(new MalformedRecord({ raw: "[]", problem: "not a JSON object" }).message).toBe(
      `a lock has an annotation that is no lock record (not a JSON object): "[]". ` +
        "It is left as it is; break the lock to remove it."
    )
  })

  it("says that the same owner took the lock again since", () => {
    expect(new OwnerMismatch({ ...where, owner: "alice", holder, nowNanos }).message).toContain("a later acquisition")
  })

  it("says so when a record comes from the future by more than clocks that are kept in step differ", () => {
    const ahead = (nanos: bigint) =>
      new OwnerMismatch({ ...where, owner: "bob", holder: { ...holder, createdAtNanos: nowNanos + nanos }, nowNanos })
        .message
    expect(ahead(1_000_000_000n)).not.toContain("future")
    expect(ahead(7_200_000_000_000n)).toContain(
      "renewed 2h in the future by this machine's clock, so one of the two clocks is wrong"
    )
  })

  it("tells times to the millisecond, and shorter ones as they are", () => {
    const at = (leftNanos: bigint) =>
      new AlreadyExists({ ...where, holder, nowNanos: holder.ttlNanos - leftNanos }).message
    expect(at(1_500_000_001n)).toContain("(1s 500ms left)")
    expect(at(999_999n)).toContain("(999999ns left)")
    expect(at(0n)).toContain("(0 left)")
  })

  it("has words for a lock that has expired but is left alone", () => {
    const late = nowNanos + holder.ttlNanos
    expect(new OwnerMismatch({ ...where, owner: "bob", holder, nowNanos: late }).message).toContain("(expired 1m ago)")
  })

  it("has words for a TTL that ends after the last year that can be written", () => {
    const forever = { ...holder, createdAtNanos: 253_402_300_799_000_000_000n, ttlNanos: 2n ** 63n - 1n }
    expect(new AlreadyExists({ ...where, holder: forever, nowNanos }).message).toContain("until after the year 9999")
    const toTheLast = { ...forever, ttlNanos: 999_999_999n }
    expect(new AlreadyExists({ ...where, holder: toTheLast, nowNanos }).message).toContain(
      "until 9999-12-31T23:59:59.999999999Z"
    )
  })

  it("has words for a TTL so negative that it ends before the first year that can be written", () => {
    const never = { ...holder, createdAtNanos: -62_135_596_800_000_000_000n, ttlNanos: -(2n ** 63n) }
    expect(new NotFound({ ...where, expired: never }).message).toContain(
      "since 0001-01-01T00:00:00Z until before the year 0"
    )
  })

  it("has a text for the first and the last instant that there is one for", () => {
    const said = (createdAtNanos: bigint, ttlNanos: bigint) =>
      new NotFound({ ...where, expired: { ...holder, createdAtNanos, ttlNanos } }).message
    expect(said(-62_135_596_800_000_000_000n, -31_622_400_000_000_000n)).toContain("until 0000-01-01T00:00:00Z")
    expect(said(253_402_300_799_999_999_998n, 1n)).toContain("until 9999-12-31T23:59:59.999999999Z")
  })

  it("shows an owner on one line, whoever made it up, and of a long one the beginning", () => {
    const owner = "\u001b\u009b\u202e\u2028".padEnd(100_000, "x")
    const { message } = new AlreadyExists({ ...where, holder: { ...holder, owner }, nowNanos })
    expect(message).toContain(`"\\u001b\\u{9b}\\u{202e}\\u{2028}xxx`)
    expect(message.length).toBeLessThan(500)
  })

  it.each([
    ["x".repeat(100_000), `${"x".repeat(1_000)}…`],
    ["x".repeat(1_000), "x".repeat(1_000)],
    [null, "null"],
    [-0, "-0"],
    [{ seconds: 5n }, `{"seconds":"5"}`],
    [Object.create(null), "{}"],
    [Symbol("x"), "Symbol(x)"],
    [{
      get x(): never {
        throw new Error("hostile")
      }
    }, "(an object that cannot be shown)"],
    [Object.assign(() => 0, { toString: 0 }), "(a function that cannot be shown)"]
  ])("says in an InvalidConfig what was given, whatever it is", (value, shown) => {
    expect(InvalidConfig.of("ttl", value, "").value).toBe(shown)
  })

  it("shows a huge annotation in part, and keeps it whole", () => {
    const raw = "x".repeat(100_000)
    const error = new MalformedRecord({ raw, problem: "not JSON" })
    expect(error.message).toContain(`"${"x".repeat(200)}…"`)
    expect(error.raw).toBe(raw)
    const most = "x".repeat(200)
    expect(new MalformedRecord({ raw: most, problem: "not JSON" }).message).toContain(`"${most}"`)
  })
})
