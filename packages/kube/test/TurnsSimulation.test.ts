import { assert, describe, it } from "@effect/vitest"
import { everyoneAtOnce, jain, type Options, type Outcome, type Process, simulate } from "./TurnsSimulation.ts"

const seed = Number(process.env["KUBELOCK_SIMULATION_SEED"] ?? 1)
const acquisitions = 3_000

/** So many processes, those with something the matter with them first. */
const crowd = (size: number, ...special: ReadonlyArray<Process>): ReadonlyArray<Process> => [
  ...special,
  ...Array.from({ length: size - special.length }, () => ({}))
]

const sparse = { thinkMillisAtMost: () => 200 }

const run = (load: string, options: Omit<Options, "seed" | "acquisitions">): Outcome => {
  const outcome = simulate({ seed, acquisitions, ...options })
  console.log(
    `seed ${seed}, ${load}: ${outcome.acquisitionsPerSecond.toFixed(1)} acquisitions/s,`,
    `${outcome.requestsPerAcquisition.toFixed(2)} requests each, Jain ${jain(outcome.acquisitions).toFixed(4)},`,
    `longest waits ${Math.max(...outcome.longestWaits)} acquisitions, ${outcome.longestGapMillis.toFixed(0)} ms`
  )
  return outcome
}

const both = (load: string, options: Omit<Options, "seed" | "acquisitions">) => ({
  inTurn: run(load, options),
  atOnce: run(`${load}, everyone at once`, { ...options, tryAtMillis: everyoneAtOnce })
})

/** Without the first so many processes. */
const others = (count: number, { acquisitions }: Outcome) => acquisitions.slice(count)

describe("saturated", () => {
  it.each([
    { size: 2, requestsAtMost: 2.1 },
    { size: 8, requestsAtMost: 2.2 },
    { size: 32, requestsAtMost: 3 }
  ])("$size processes have equal shares, none waits long, and few ask in vain", ({ requestsAtMost, size }) => {
    const { atOnce, inTurn } = both(`${size} saturated`, { processes: crowd(size) })
    assert.isAtLeast(jain(inTurn.acquisitions), 0.99)
    assert.isAtMost(inTurn.requestsPerAcquisition, requestsAtMost)
    // The first to come have no list yet.
    assert.isAtMost(Math.max(...inTurn.longestWaits), 8 * size)
    assert.isAtLeast(atOnce.requestsPerAcquisition, size)
  })

  it("once all have been served, nobody waits longer than a round, and a turn that was lost", () => {
    for (const size of [2, 8, 32]) {
      const { longestWaits } = run(`${size} saturated for long`, { processes: crowd(size), warmUp: 500 })
      assert.isAtMost(Math.max(...longestWaits), 2 * size)
    }
  })

  it("a slow server gives nobody more, and has no more to do", () => {
    const outcome = run("32 saturated, 3 times slower", { processes: crowd(32), slowness: 3 })
    assert.isAtLeast(jain(outcome.acquisitions), 0.99)
    assert.isAtMost(outcome.requestsPerAcquisition, 3)
  })

  it("processes that are late by more than a slot take each other's turns, but not all at once", () => {
    const late = { processes: crowd(24), slowness: 3, showMillis: 0.27, holdMillis: 30 }
    const outcome = run("24 on one machine", late)
    assert.isAtMost(outcome.requestsPerAcquisition, 4.5)
    assert.isAtLeast(jain(outcome.acquisitions), 0.98)
  })

  it("turns are found again after a time when few wanted the lock", () => {
    const warmUp = 1_000
    const { acquisitions, requestsPerAcquisition } = run("32 sparse, then saturated", {
      processes: crowd(32),
      warmUp,
      thinkMillisAtMost: (acquisitions) => acquisitions < warmUp - 100 ? 2_000 : 0
    })
    assert.isAtLeast(jain(acquisitions), 0.99)
    assert.isAtMost(requestsPerAcquisition, 3)
  })
})

describe("sparse", () => {
  it.each([2, 8])("%d processes get no less than a tenth less than if everyone tried at once", (size) => {
    const { atOnce, inTurn } = both(`${size} sparse`, { processes: crowd(size), ...sparse })
    assert.isAtLeast(inTurn.acquisitionsPerSecond, 0.9 * atOnce.acquisitionsPerSecond)
    assert.isAtMost(inTurn.requestsPerAcquisition, 1.02 * atOnce.requestsPerAcquisition)
    assert.isAtLeast(jain(inTurn.acquisitions), 0.99)
    assert.isAtMost(Math.max(...inTurn.longestWaits), 3 * size)
  })

  it("nor much less if the server is slow, so that a slot lost is long", () => {
    const { atOnce, inTurn } = both("8 sparse, 3 times slower", { processes: crowd(8), ...sparse, slowness: 3 })
    assert.isAtLeast(inTurn.acquisitionsPerSecond, 0.85 * atOnce.acquisitionsPerSecond)
    assert.isAtMost(inTurn.requestsPerAcquisition, atOnce.requestsPerAcquisition)
  })
})

describe("a process with something the matter with it", () => {
  const slotMillisAtLeast = 5
  const healthy = run("8 saturated", { processes: crowd(8) })
  const roundMillis = 8 * 1_000 / healthy.acquisitionsPerSecond

  /** A round with one slot more is this many times slower. */
  const costsASlotPerRound = roundMillis / (roundMillis + slotMillisAtLeast)

  it("costs a slot once if it is dead", () => {
    const { acquisitions, acquisitionsPerSecond, longestGapMillis, longestWaits } = run("2 of 8 dead", {
      processes: crowd(8, { diesAfter: 1_000 }, { diesAfter: 1_000 })
    })
    const [first, second, ...living] = acquisitions
    assert.approximately(first!, 125, 15)
    assert.approximately(second!, 125, 15)
    assert.isAtLeast(jain(living), 0.99)
    assert.isAtMost(Math.max(...longestWaits.slice(2)), 8 * 8)
    assert.isAtLeast(acquisitionsPerSecond, 0.99 * healthy.acquisitionsPerSecond)
    assert.isAtMost(longestGapMillis, healthy.longestGapMillis + 2 * slotMillisAtLeast)
  })

  it("costs at most a slot per round if its watch lags, and is served where it hits a free lock", () => {
    const lagging = run("1 of 8 lags by 3 s", { processes: crowd(8, { lagMillis: 3_000 }) })
    assert.isAtLeast(lagging.acquisitionsPerSecond, costsASlotPerRound * healthy.acquisitionsPerSecond)
    assert.isAtMost(lagging.requestsPerAcquisition, 2.5)
    assert.isAtLeast(jain(others(1, lagging)), 0.99)
    assert.isAbove(lagging.acquisitions[0]!, 0)
  })

  it("starves nowhere if its way to the server is longer, though it loses every tie", () => {
    const { atOnce, inTurn } = both("1 of 8 is a millisecond away", { processes: crowd(8, { slowMillis: 1 }) })
    assert.isAtMost(atOnce.acquisitions[0]!, 10)
    assert.isAtLeast(jain(inTurn.acquisitions), 0.99)
    assert.isAtMost(Math.max(...inTurn.longestWaits), 8 * 8)

    const far = run("1 of 8 is five milliseconds away", { processes: crowd(8, { slowMillis: 5 }) })
    assert.isAtLeast(jain(others(1, far)), 0.99)
    assert.isAtMost(far.longestWaits[0]!, 16 * 8)
  })

  it("disturbs nobody's turn if it pauses now and then", () => {
    for (const [size, thinksMillisAtMost] of [[8, 150], [16, 300], [32, 600]] as const) {
      const processes = crowd(size, { thinksMillisAtMost })
      const outcome = run(`1 of ${size} pauses`, { processes, warmUp: 500 })
      assert.isAtMost(Math.max(...outcome.longestWaits), 3 * size)
      assert.isAtMost(outcome.requestsPerAcquisition, 2.2)
      assert.isAtLeast(jain(others(1, outcome)), 0.99)
    }
    const pausing = Array.from({ length: 8 }, () => ({ thinksMillisAtMost: 600 }))
    const many = run("8 of 32 pause", { processes: crowd(32, ...pausing), warmUp: 500 })
    assert.isAtMost(many.requestsPerAcquisition, 4)
    assert.isAtLeast(jain(others(8, many)), 0.99)
  })

  it("is served if it polls as a Go program does, and disturbs nobody's turn", () => {
    const processes = crowd(8, { pollsEveryMillis: 10 })
    const saturated = run("1 of 8 polls", { processes })
    assert.isAbove(saturated.acquisitions[0]!, 0)
    assert.isAtLeast(jain(others(1, saturated)), 0.99)
    const sparsely = run("1 of 8 polls, sparse", { processes, ...sparse })
    assert.isAtLeast(jain(sparsely.acquisitions), 0.99)
    assert.isAtMost(sparsely.longestWaits[0]!, 5 * 8)
  })

  it("is served if it has just come, and so have all others", () => {
    const processes = crowd(8).map(() => ({ servesOnce: true }))
    const { atOnce, inTurn } = both("8 who come once, saturated", { processes })
    assert.isAtMost(inTurn.requestsPerAcquisition, 0.6 * atOnce.requestsPerAcquisition)
    assert.isAtLeast(jain(inTurn.acquisitions), 0.97)
    const sparsely = both("8 who come once, sparse", { processes, ...sparse })
    assert.isAtLeast(sparsely.inTurn.acquisitionsPerSecond, 0.9 * sparsely.atOnce.acquisitionsPerSecond)
    assert.isAtMost(Math.max(...sparsely.inTurn.longestWaits), 5 * 8)
  })
})
