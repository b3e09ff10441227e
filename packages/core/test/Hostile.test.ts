import {
  AnnotationEdit,
  InvalidConfig,
  LockName,
  LockRecord,
  LockState,
  Rfc3339,
  Transition,
  Ttl
} from "@kubelock/core"
import { Option, Result } from "effect"
import fc from "fast-check"
import * as NodeFs from "node:fs"
import { afterEach, describe, expect, it } from "vitest"
import * as Effort from "./hostile/effort.ts"
import { assertNothingInherited, inheritedKeys, junk } from "./hostile/junk.ts"
import * as RecordValues from "./hostile/recordValues.ts"

// What others have written: whatever it is, the answer is a value or a typed error, in time, and nothing else is changed by it.

const vectors: { readonly cases: ReadonlyArray<{ readonly input: string }> } = JSON.parse(
  NodeFs.readFileSync(new URL("vectors/kubelock-go-records.json", import.meta.url), "utf8")
)

const anyText = fc.oneof(
  RecordValues.values(vectors.cases.map(({ input }) => input)),
  fc.string({ unit: "binary", maxLength: 50 }),
  fc.constantFrom(...inheritedKeys, "\ufeff{}", "\0", "\ud800", "{\"ttl\":-9223372036854775808}")
)

const nowNanos = fc.oneof(fc.bigInt({ min: -(10n ** 25n), max: 10n ** 25n }), fc.constant(0n))

const lock = Result.getOrThrow(LockName.make("helm"))
const ttl = Result.getOrThrow(Ttl.make("1 minute"))

afterEach(assertNothingInherited)

/** What a person is shown of an error: some line, and not a whole annotation. */
const expectWords = ({ message }: { readonly message: string }) => {
  expect(message).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u)
  expect(message.length).toBeLessThan(2_000)
}

describe("an annotation's value, whatever it is", () => {
  it("is read or refused, and reads the same after it was written anew", () => {
    fc.assert(
      fc.property(anyText, (raw) => {
        const parsed = LockRecord.parse(raw)
        if (Result.isSuccess(parsed)) {
          expect(LockRecord.parse(LockRecord.format(parsed.success))).toEqual(parsed)
          return
        }
        expect(parsed.failure._tag).toBe("MalformedRecord")
        expect(parsed.failure.raw).toBe(raw)
        expectWords(parsed.failure)
      }),
      Effort.of(5_000)
    )
  })

  it("is written as it is read, whatever the owner and the times", () => {
    fc.assert(
      fc.property(RecordValues.records, (record) => {
        expect(LockRecord.parse(LockRecord.format(record))).toEqual(
          Result.succeed({ ...record, owner: record.owner.toWellFormed() })
        )
      }),
      Effort.of(1_000)
    )
  })

  it("is decided on, or the refusal can be told", () => {
    let refusals = 0
    fc.assert(
      fc.property(anyText, fc.string({ unit: "binary", maxLength: 5 }), nowNanos, (raw, owner, nowNanos) => {
        const annotations = { [LockName.toKey(lock)]: raw }
        const now = (nowNanos % (10n ** 20n)) + 10n ** 20n
        const decisions: ReadonlyArray<Result.Result<unknown, { readonly message: string }>> = [
          Transition.acquire(annotations, { lock, owner, ttl }, now),
          Transition.acquireAll(annotations, [{ lock, owner, ttl }], now),
          Transition.renew(annotations, { lock, owner }, now),
          Transition.release(annotations, { lock, owner }, nowNanos),
          Transition.release(annotations, { lock, owner, id: "mine" }, nowNanos),
          Transition.expire(annotations, { lock }, nowNanos),
          Transition.break(annotations, { lock }, nowNanos)
        ]
        for (const decision of decisions) {
          if (Result.isSuccess(decision)) continue
          expectWords(decision.failure)
          refusals++
        }
      }),
      Effort.of(2_000)
    )
    expect(refusals).toBeGreaterThan(0)
  })

  // Twice what an object's annotations may hold: what takes more than linear time, or a deep stack, fails.
  const size = 2 ** 19
  const enoughMillis = 10_000
  const repeated = (text: string) => text.repeat(size / text.length)
  it.each<readonly [name: string, raw: string]>([
    ["nested arrays", `{"x":${"[".repeat(size / 2)}${"]".repeat(size / 2)}}`],
    ["nested objects", `${repeated("{\"x\":")}0${"}".repeat(size / 5)}`],
    ["arrays that do not end", repeated("[")],
    ["members", `{${repeated("\"a\":1,")}"b":2}`],
    ["one member over and over", `{${repeated("\"owner\":\"\",")}"ttl":1}`],
    ["white space", `{${repeated(" ")}}`],
    ["a long owner", `{"owner":"${repeated("x")}"}`],
    ["a long key", `{"${repeated("OWNER")}":1}`],
    ["backslashes", `{"owner":"${repeated("\\\\")}"}`],
    ["half surrogate pairs", `{"owner":"${repeated("\\ud800")}"}`],
    ["half surrogate pairs as they are", `{"owner":"${repeated("\ud800")}"}`],
    ["quotes", repeated("\"")],
    ["digits of a ttl", `{"ttl":${repeated("9")}}`],
    ["zeros before a ttl", `{"ttl":-${repeated("0")}}`],
    ["digits of a second", `{"createdAt":"2026-01-02T03:04:05.${repeated("0")}Z"}`],
    ["digits of a year", `{"createdAt":"${repeated("2026")}"}`],
    ["nulls", repeated("\0")]
  ])("is read or refused in time: %s", (_, raw) => {
    const parsed = LockRecord.parse(raw)
    if (Result.isSuccess(parsed)) expect(LockRecord.parse(LockRecord.format(parsed.success))).toEqual(parsed)
    else expectWords(parsed.failure)
    expect(Option.isNone(Rfc3339.parse(raw))).toBe(true)
    expect(Result.isFailure(LockName.make(raw))).toBe(true)
  }, enoughMillis)
})

describe("an annotation's key, whatever it is", () => {
  const key = fc.oneof(
    fc.constantFrom(...inheritedKeys),
    fc.constantFrom(...inheritedKeys, "helm", "a/b", "", "x".repeat(64)).map((name) => `${LockName.keyPrefix}/${name}`),
    fc.string({ unit: "binary", maxLength: 10 })
  )
  const annotations = fc.array(fc.tuple(key, anyText), { maxLength: 5 }).map((entries) => Object.fromEntries(entries))

  it("is an annotation if the object has it, and none if it inherits it", () => {
    fc.assert(
      fc.property(annotations, key, (annotations, key) => {
        const there = Object.entries(annotations).find(([name]) => name === key)?.[1]
        expect(AnnotationEdit.get(annotations, key)).toBe(there)
        const removed = Result.getOrThrow(
          AnnotationEdit.apply(annotations, [{ key, expected: there, value: undefined }])
        )
        expect(Object.keys(removed)).toEqual(Object.keys(annotations).filter((name) => name !== key))
        const added = Result.getOrThrow(AnnotationEdit.apply(removed, [{ key, expected: undefined, value: "new" }]))
        expect(Object.entries(added)).toContainEqual([key, "new"])
      }),
      Effort.of(1_000)
    )
  })

  // Kubernetes' own rule for the part after the slash, as its validation has it.
  const isKey = /^kubelock\.giantswarm\.io\/(?=.{1,63}$)([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/

  it("is the key of a lock, or of none", () => {
    fc.assert(
      fc.property(annotations, nowNanos, (annotations, nowNanos) => {
        const names = LockState.readAll(annotations, nowNanos).map(([name]) => LockName.toKey(name))
        expect(names).toEqual(
          Object.keys(annotations).filter((key) => isKey.test(key)).toSorted()
        )
        for (const name of inheritedKeys) {
          const lock = LockName.make(name)
          if (Result.isFailure(lock)) continue
          const key = LockName.toKey(lock.success)
          const state = LockState.read(annotations, lock.success, nowNanos)
          expect(state._tag === "Free").toBe(!Object.hasOwn(annotations, key))
        }
      }),
      Effort.of(1_000)
    )
  })
})

describe("a text for a time", () => {
  it("is an instant that has a text, or none", () => {
    let instants = 0
    fc.assert(
      fc.property(fc.oneof(anyText, RecordValues.times), (text) => {
        const parsed = Rfc3339.parse(text)
        if (Option.isNone(parsed)) return
        expect(Rfc3339.parse(Rfc3339.format(parsed.value))).toEqual(parsed)
        instants++
      }),
      Effort.of(2_000)
    )
    expect(instants).toBeGreaterThan(0)
  })
})

describe("what no type lets through", () => {
  const makers: ReadonlyArray<readonly [field: string, make: (value: never) => Result.Result<unknown, InvalidConfig>]> =
    [["lock name", LockName.make], ["ttl", Ttl.make]]

  it.each(makers)("is no %s", (field, make) => {
    fc.assert(
      fc.property(junk, (value) => {
        const made = make(value() as never)
        if (Result.isSuccess(made)) {
          expect(["string", "bigint"]).toContain(typeof made.success)
          return
        }
        expect(made.failure).toBeInstanceOf(InvalidConfig)
        expect(made.failure.field).toBe(field)
        expect(made.failure.value.length).toBeLessThanOrEqual(1_001)
        expectWords(made.failure)
      }),
      Effort.of(1_000)
    )
  })
})
