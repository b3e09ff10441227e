import { LockRecord } from "@kubelock/core"
import { Result } from "effect"
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import vectors from "./vectors/kubelock-go-records.json" with { type: "json" }

// Read, not imported: the bundler refuses the lone surrogates that it is about.
const found: { readonly cases: ReadonlyArray<Omit<(typeof vectors.cases)[number], "inputBase64">> } = JSON.parse(
  readFileSync(new URL("vectors/found-by-fuzzing.json", import.meta.url), "utf8")
)

// What the Go library's own type makes of each annotation value; `about` in each file says how it was made.
const cases = [
  ...vectors.cases.map((vector) => ({ ...vector, raw: Buffer.from(vector.inputBase64, "base64").toString("utf8") })),
  ...found.cases.map((vector) => ({ ...vector, raw: vector.input }))
]

describe("Go's annotation values", () => {
  it("is the whole collection", () => {
    expect(vectors.cases.length).toBeGreaterThanOrEqual(49)
  })

  for (const { raw, ...vector } of cases) {
    it(`${vector.ok ? "reads" : "refuses"} ${JSON.stringify(raw).slice(0, 80)}`, () => {
      const parsed = LockRecord.parse(raw)
      expect(Result.isSuccess(parsed)).toBe(vector.ok)
      if (Result.isFailure(parsed)) {
        expect(parsed.failure.raw).toBe(raw)
        return
      }
      const { createdAtNanos, owner, ttlNanos } = parsed.success
      expect({ owner, createdAtNanos, ttlNanos }).toEqual({
        owner: vector.owner,
        createdAtNanos: BigInt(vector.createdAtUnixSec) * 1_000_000_000n + BigInt(vector.createdAtNsec),
        ttlNanos: BigInt(vector.ttlNanos)
      })
      expect(LockRecord.format({ owner, createdAtNanos, ttlNanos })).toBe(vector.reencodedUTC)
    })
  }
})
