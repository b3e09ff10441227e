import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Rounds from "../src/contenders/Rounds.ts"

const slice = (pairMicros: ReadonlyArray<number>, cpuMillis: number, bytes: number) => ({
  pairMicros,
  cpuMillis,
  bytes,
  attempts: 0,
  failures: {}
})

describe("Rounds", () => {
  it("gives everybody one turn in each round", () => {
    const names = fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 5 })
    fc.assert(fc.property(names, fc.integer({ min: 1, max: 6 }), (names, rounds) => {
      const turns = Rounds.turns(names, rounds)
      assert.lengthOf(turns, names.length * rounds)
      for (let round = 0; round < rounds; round++) {
        assert.sameMembers(turns.slice(round * names.length, (round + 1) * names.length), names)
      }
    }))
  })

  it("lets nobody always come after the same one", () => {
    assert.deepStrictEqual(Rounds.turns(["a", "b", "c"], 2), ["a", "b", "c", "c", "b", "a"])
  })

  it("counts pairs, not rounds", () => {
    const { bytes, cpuMillis, meanMillis, p50Millis } = Rounds.perPair([
      slice([1_000, 2_000, 3_000], 30, 300),
      slice([10_000], 10, 100)
    ])
    assert.deepStrictEqual({ bytes, cpuMillis, meanMillis, p50Millis }, {
      bytes: 100,
      cpuMillis: 10,
      meanMillis: 4,
      p50Millis: 2.5
    })
  })

  it("compares round by round", () => {
    // The second round is slow for both: the totals would say 1.25.
    const ones = [slice([200], 0, 20), slice([1_000], 0, 30), slice([300], 0, 40)]
    const others = [slice([100], 0, 10), slice([1_000], 0, 30), slice([100], 0, 10)]
    assert.strictEqual(Rounds.ratio(Rounds.micros, ones, others).median, 2)
    assert.strictEqual(Rounds.ratio(Rounds.pairsPerSecond, others, ones).median, 2)
    assert.strictEqual(Rounds.ratio(Rounds.bytes, ones, others).median, 2)
  })
})
