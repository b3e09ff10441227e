/** What became of one seed. */
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { type Happening, problemsOf } from "./History.ts"
import {
  brokenMillisAtMost,
  type Deviation,
  events,
  freeMillisAtMost,
  type Plan,
  planOf,
  requestFaults
} from "./Plan.ts"
import { simulate } from "./Simulation.ts"

export interface Verdict {
  readonly plan: Plan
  readonly happenings: ReadonlyArray<Happening>
  readonly simulatedMillis: number
  readonly problems: ReadonlyArray<string>
}

/** Simulates what a seed draws, on a clock of its own, and judges it. */
export const ofSeed = (seed: number, deviation?: Deviation): Effect.Effect<Verdict> =>
  Effect.suspend(() => {
    const plan = planOf(seed, deviation)
    return Effect.map(simulate(plan), (history): Verdict => ({
      plan,
      happenings: history.happenings,
      simulatedMillis: history.endedAtMillis,
      problems: problemsOf(history, {
        ...plan,
        freeMillisAtMost: freeMillisAtMost(plan),
        brokenMillisAtMost: brokenMillisAtMost(plan)
      })
    }))
  }).pipe(Effect.provide(TestClock.layer()))

/** Everything that a seed may draw to go wrong. */
export const faults: ReadonlyArray<string> = [...requestFaults, ...events]
