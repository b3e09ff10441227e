import fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as Report from "../src/Report.ts"

const plain: Report.Style = { isTerminal: false, columns: 34 }
const section = (worker: string, fromMicros: number, toMicros: number) =>
  ({ _tag: "Section", worker, fromMicros, toMicros, before: 0 }) as const

describe("Report", () => {
  it("finds the sections that began before another was over", () => {
    expect(Report.overlaps([])).toBe(0)
    expect(Report.overlaps([section("a", 0, 10), section("b", 10, 20)])).toBe(0)
    expect(Report.overlaps([section("b", 9, 20), section("a", 0, 10)])).toBe(1)
    expect(Report.overlaps([section("a", 0, 100), section("b", 1, 2), section("b", 3, 4)])).toBe(2)
  })

  it("finds an overlap exactly where some two sections share an instant", () => {
    const sections = fc.array(
      fc.tuple(fc.nat(20), fc.integer({ min: 1, max: 5 })).map(([from, length]) => section("a", from, from + length)),
      { maxLength: 5 }
    )
    fc.assert(fc.property(sections, (sections) => {
      const shared = sections.some((one, index) =>
        sections.slice(index + 1).some((other) => one.fromMicros < other.toMicros && other.fromMicros < one.toMicros)
      )
      expect(Report.overlaps(sections) > 0).toBe(shared)
    }))
  })

  it("draws a row per worker", () => {
    expect(Report.timeline(plain, ["a", "b"], [section("a", 0, 1_000), section("b", 3_000, 3_999)])).toEqual([
      "  a          ######..............",
      "  b          ...............#####",
      "             0 ms            4 ms"
    ])
    expect(Report.timeline(plain, ["a"], [])).toEqual([])
  })

  it("colours nothing where there is no terminal", () => {
    const shown = (isTerminal: boolean) => Report.line({ isTerminal, columns: 80 }, 0, ["a"], section("a", 0, 1_500))
    expect(shown(false)).toBe("    0.0 ms  a          no lock, counter 0 → 1, for 1.5 ms")
    expect(shown(true)).toContain("\u001b[")
  })

  it("adds up what the lock cost", () => {
    const cost = (acquisitions: number, requests: number) =>
      ({ _tag: "Cost", worker: "a", acquisitions, requests }) as const
    expect(Report.costs([cost(3, 7), cost(1, 3)])).toEqual([
      "  acquired 4 times, 2.50 requests each, watches and releases included"
    ])
    expect(Report.costs([])).toEqual([])
  })
})
