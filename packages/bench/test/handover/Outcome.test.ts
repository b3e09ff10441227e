import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Contended, Turn } from "../../src/handover/Message.ts"
import { handovers, outcomeOf } from "../../src/handover/Outcome.ts"

const turn = (askedMicros: number, startedMicros: number, sentMicros: number, answeredMicros: number): Turn => ({
  askedMicros,
  startedMicros,
  sentMicros,
  answeredMicros
})

const contended = (acquisitions: number, waits: Contended["waits"], ...turns: ReadonlyArray<Turn>): Contended => ({
  _tag: "Contended",
  acquisitions,
  waits,
  turns,
  requests: 3 * acquisitions
})

describe("handovers", () => {
  it("are from a release to the next section, whichever processes they are of", () => {
    const turns = [turn(0, 20_000, 22_000, 25_000), turn(0, 10_000, 12_000, 15_000)]
    assert.deepStrictEqual(handovers(turns), [{ sentMillis: 8, answeredMillis: 5 }])
  })

  it("can be over before the release is answered", () => {
    const turns = [turn(0, 10_000, 12_000, 15_000), turn(0, 14_000, 16_000, 18_000)]
    assert.deepStrictEqual(handovers(turns), [{ sentMillis: 2, answeredMillis: -1 }])
  })

  it("are none where nobody waited, or where it never was released", () => {
    assert.deepStrictEqual(handovers([turn(0, 10, 20, 30), turn(21, 40, 50, 60)]), [])
    assert.deepStrictEqual(handovers([{ askedMicros: 0, startedMicros: 10 }, turn(0, 40, 50, 60)]), [])
  })

  it("are one less than the turns where somebody always waits", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1 }), (gaps) => {
      let at = 0
      const turns = gaps.map((gap) => {
        at += gap
        return turn(0, at, at + 1, at + 2)
      })
      const found = handovers(turns.toReversed())
      assert.lengthOf(found, gaps.length - 1)
      // Times are whole microseconds.
      assert.deepStrictEqual(found.map(({ sentMillis }) => Math.round(sentMillis * 1_000) + 1), gaps.slice(1))
    }))
  })
})

describe("an outcome", () => {
  it("is counted per acquisition, and per process where that is said", () => {
    const outcome = outcomeOf({
      seconds: 2,
      contended: [
        contended(30, { sumMicros: 300_000, longestMicros: 20_000 }),
        contended(10, { sumMicros: 500_000, longestMicros: 100_000 })
      ],
      cpuMillis: 160,
      bytes: 400_000
    })
    assert.deepStrictEqual(outcome, {
      acquisitionsPerSecond: 20,
      handovers: [],
      requestsPerAcquisition: 3,
      kilobytesPerAcquisition: 10,
      cpuMillisPerAcquisition: 2,
      jain: 0.8,
      longestWaitMillis: 100,
      longestWaitOverMean: 5
    })
  })
})
