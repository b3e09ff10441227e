import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { tell } from "./History.ts"
import * as Verdict from "./Verdict.ts"

// The library itself on a simulated network: see Simulation.ts. `npm run simulate` goes on from here.

const seeds = Array.from({ length: 200 }, (_, index) => index + 1)

describe("a simulation", () => {
  // In pieces, so that one that fails says soon which seed it was.
  it.effect.each(Array.from({ length: 10 }, (_, piece) => seeds.filter((seed) => seed % 10 === piece)))(
    "has a history in which nothing is wrong, for each of the seeds %j",
    (seeds) =>
      Effect.forEach(
        seeds,
        (seed) =>
          Effect.map(Verdict.ofSeed(seed), ({ problems }) =>
            assert.deepStrictEqual(problems, [], `npm run simulate -- --seed ${seed} --seeds 1 --tell`)),
        {
          discard: true
        }
      )
  )

  it.effect("has one history for one seed", () =>
    Effect.gen(function*() {
      for (const seed of [5, 19, 24]) {
        const [first, second] = yield* Effect.all([Verdict.ofSeed(seed), Verdict.ofSeed(seed)])
        const told = ({ happenings, plan }: Verdict.Verdict) => happenings.map((one) => tell(one, plan.locks))
        assert.isAbove(first.happenings.length, 20)
        assert.deepStrictEqual(told(second), told(first))
      }
    }))

  it.effect("lets two hold a lock at once where their clocks are further apart than margin and delay", () =>
    Effect.gen(function*() {
      for (const seed of seeds) {
        const { problems } = yield* Verdict.ofSeed(seed, { extraSkewMillis: 3_000 })
        if (problems.some((problem) => problem.includes("holds the lock beside"))) return
      }
      assert.fail("nobody held a lock beside another")
    }))

  it.effect("tries everything", () =>
    Effect.gen(function*() {
      const kinds = new Set<string>()
      for (const seed of seeds.slice(0, 80)) {
        const { happenings } = yield* Verdict.ofSeed(seed)
        for (const one of happenings) kinds.add(one._tag === "Fault" ? one.kind : one._tag)
      }
      const others = [
        "Asked",
        "Entered",
        "Worked",
        "Finished",
        "Left",
        "Wrote",
        "Changed",
        "Watched",
        "Deleted",
        "Made",
        "Said",
        "Ended"
      ]
      assert.sameMembers(Array.from(kinds), [...others, ...Verdict.faults])
    }))
})
