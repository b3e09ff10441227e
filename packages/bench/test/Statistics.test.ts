import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Statistics from "../src/Statistics.ts"

const values = fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1 })

describe("Statistics", () => {
  it("has as many values on either side of the median", () => {
    fc.assert(fc.property(values, (values) => {
      const median = Statistics.median(values)
      assert.isAtMost(values.filter((value) => value < median).length, values.length / 2)
      assert.isAtMost(values.filter((value) => value > median).length, values.length / 2)
    }))
  })

  it("takes quantiles between neighbours", () => {
    assert.strictEqual(Statistics.quantile([10, 0], 0.5), 5)
    assert.strictEqual(Statistics.quantile([0, 1, 2, 3, 4], 0.99), 3.96)
    assert.isNaN(Statistics.median([]))
  })

  it("compares round by round", () => {
    assert.deepStrictEqual(Statistics.ratioOf([2, 20, 200], [1, 10, 100]), { median: 2, lower: 2, upper: 2 })
  })

  it("calls it fair where all have the same, and least so where one has everything", () => {
    assert.strictEqual(Statistics.jain([7, 7, 7, 7]), 1)
    assert.strictEqual(Statistics.jain([9, 0, 0]), 1 / 3)
  })
})
