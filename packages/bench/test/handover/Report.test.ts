import { assert, describe, it } from "@effect/vitest"
import { costOf } from "../../src/handover/Cost.ts"
import type { Contended } from "../../src/handover/Message.ts"
import { outcomeOf } from "../../src/handover/Outcome.ts"
import * as Plan from "../../src/handover/Plan.ts"
import * as Report from "../../src/handover/Report.ts"

describe("the cost of a write", () => {
  it("is the medians, of events over all who watch, and of those writes that were made then", () => {
    const writes = [
      { resourceVersion: "7", sentMicros: 0, answeredMicros: 4_000 },
      { resourceVersion: "9", sentMicros: 10_000, answeredMicros: 12_000 }
    ]
    const events = [
      [{ resourceVersion: "7", seenMicros: 1_000 }, { resourceVersion: "8", seenMicros: 9_000 }],
      [{ resourceVersion: "9", seenMicros: 15_000 }]
    ]
    assert.deepStrictEqual(costOf(writes, events), { watchers: 2, patchMillis: 3, eventMillis: 3 })
  })
})

/** Sections begin so often, half a millisecond each, and the next one is always waited for. */
const contendedEvery = (micros: number): Contended => {
  const turns = Array.from({ length: 10 }, (_, index) => {
    const startedMicros = index * micros
    return { askedMicros: 0, startedMicros, sentMicros: startedMicros + 500, answeredMicros: startedMicros + 600 }
  })
  return { _tag: "Contended", acquisitions: 10, waits: { sumMicros: 10, longestMicros: 20 }, turns, requests: 21 }
}

const outcomeEvery = (micros: number) =>
  outcomeOf({ seconds: micros / 1e5, contended: [contendedEvery(micros)], cpuMillis: 10, bytes: 1_000 })

describe("a report", () => {
  const load = Plan.planOf(false).loads[0]!
  const missing = Plan.poll(10)
  const { data, tables } = Report.of({
    loads: [{
      load,
      costs: [{ watchers: 1, patchMillis: 1, eventMillis: 1 }, { watchers: 1, patchMillis: 1, eventMillis: 1 }],
      outcomes: [
        { contender: Plan.inTurn, outcomes: [outcomeEvery(4_500), outcomeEvery(4_500)] },
        { contender: Plan.atOnce, outcomes: [outcomeEvery(9_000), outcomeEvery(9_000)] }
      ],
      absent: [missing]
    }],
    crowds: [{
      crowd: Plan.planOf(false).crowds[0]!,
      slices: [{ seconds: 1, contended: [contendedEvery(1_000), contendedEvery(2_000)], cpuMillis: 40, bytes: 0 }]
    }]
  })
  const rowOf = (id: string, name: string) =>
    tables.find((table) => table.id === id)?.rows.find(([first]) => first?.includes(name) === true)

  it("tells of every contender, and of those that were left out", () => {
    assert.deepStrictEqual(rowOf("handover", "this library")?.slice(1, 5), [
      "222",
      "4.00 / 4.00",
      "3.90 / 3.90",
      "2.10"
    ])
    assert.deepStrictEqual(rowOf("handover", missing.name), [
      `${load.name}: ${missing.name}`,
      "left out: KUBELOCK_BENCH_GO names no program"
    ])
  })

  it("holds ours against what it consists of, and against others", () => {
    assert.strictEqual(rowOf("handover-ratios", "patch + event")?.[1], "2.00 (2.00–2.00)")
    assert.strictEqual(rowOf("handover-ratios", Plan.atOnce.name)?.[1], "2.00 (2.00–2.00)")
  })

  it("tells what the fibers of one process had, and what was left to another", () => {
    assert.deepStrictEqual(rowOf("handover-fibers", "another process")?.slice(1), [
      "2",
      "10.0",
      "10.0",
      "2.10",
      "2.00",
      "10.0",
      "0.00100 / 0.0200"
    ])
  })

  it("keeps what plots need", () => {
    assert.deepInclude(data, {
      costs: Array.from({ length: 2 }, () => ({ watchers: 1, patchMillis: 1, eventMillis: 1 }))
    })
  })
})

describe("a plan", () => {
  it.each([true, false])("has processes for all that it asks for (quick: %s)", (isQuick) => {
    const plan = Plan.planOf(isQuick)
    for (const { processes } of plan.loads) assert.isAtMost(processes, Plan.processesOf(plan))
    for (const { others } of plan.crowds) assert.isAtMost(1 + others, Plan.processesOf(plan))
  })
})
