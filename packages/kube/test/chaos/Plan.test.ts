import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { faultKinds } from "./History.ts"
import * as Plan from "./Plan.ts"

const settings = { seed: 1, seconds: 120, workers: 12 }

describe("the plan of faults", () => {
  it.effect("is the same for the same seed, and another for another", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Plan.make(settings), yield* Plan.make(settings))
      assert.notDeepEqual(yield* Plan.make(settings), yield* Plan.make({ ...settings, seed: 2 }))
    }))

  it.effect("has every kind, however short it is, in time and in order, for workers that there are", () =>
    Effect.gen(function*() {
      for (let seed = 1; seed <= 100; seed++) {
        for (const seconds of [20, 120]) {
          const plan = yield* Plan.make({ seed, seconds, workers: 4 })
          const times = plan.map(({ atMillis }) => atMillis)
          assert.sameMembers([...new Set(plan.map(({ kind }) => kind))], [...faultKinds])
          assert.deepStrictEqual(times, times.toSorted((one, other) => one - other))
          assert.isBelow(times.at(-1)!, seconds * 1_000 - Plan.restMillis)
          assert.isTrue(plan.every(({ worker }) => Number.isInteger(worker) && worker >= 0 && worker < 4))
        }
      }
    }))
})
