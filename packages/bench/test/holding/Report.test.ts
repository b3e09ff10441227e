import { assert, describe, it } from "@effect/vitest"
import * as Plan from "../../src/holding/Plan.ts"
import { tableOf, type Used } from "../../src/holding/Report.ts"

const nothing: Used = { held: 0, requests: 0, bytes: 0, cpuMillis: 0, residentBytes: 0, sockets: 0 }

describe("the table of those who hold locks", () => {
  const plan = { ...Plan.planOf(false), millis: 10_000, renewEveryMillis: 5_000 }

  it("tells what holding takes each second, and what there is beside a process without locks", () => {
    const { rows } = tableOf(plan, [
      {
        holder: { name: "none", locks: 0, objects: 0 },
        before: nothing,
        after: { ...nothing, residentBytes: 50e6, sockets: 1 }
      },
      {
        holder: { name: "two", locks: 2, objects: 1 },
        before: { ...nothing, requests: 100, bytes: 5_000, cpuMillis: 700 },
        after: { held: 1, requests: 120, bytes: 25_000, cpuMillis: 750, residentBytes: 80e6, sockets: 3 }
      }
    ])
    assert.deepStrictEqual(rows, [
      ["none", "0", "0", "0", "0", "1", "0"],
      ["two", "2.00", "2.00", "5.00", "30.0", "3", "1"]
    ])
  })
})

describe("the plan of those who hold locks", () => {
  it.each([true, false])("puts all locks on one object, or one on each (quick: %s)", (isQuick) => {
    for (const { locks, objects } of Plan.planOf(isQuick).groups.flat()) assert.include([1, locks], objects)
  })
})
