import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Random, Stream } from "effect"
import { TestClock } from "effect/testing"
import { makeCluster, makeSections, until } from "./suites/processes.ts"
import { jain } from "./TurnsSimulation.ts"

// Processes that want one lock of one object, each with managed locks of its own: whom they serve, and what it costs. The way to
// the store and back takes about as long as to a real API server on loopback.

const seed = Number(process.env["KUBELOCK_SIMULATION_SEED"] ?? 1)

const millis = (least: number, more: number) =>
  Effect.flatMap(Random.next, (random) => Effect.sleep(Duration.millis(least - Math.log(1 - random) * more)))

const loopback = Effect.gen(function*() {
  return yield* makeCluster({
    request: (_, answer) =>
      millis(0.6, 0.2).pipe(
        Effect.andThen(answer),
        Effect.tap(millis(0.6, 0.2)),
        Effect.tapError(() => millis(0.6, 0.2))
      ),
    watch: (changes, process) => Stream.tap(changes, () => millis(process === "lagging" ? 20 : 0.3, 0.2))
  })
})

interface Contender {
  readonly name: string
  /** In milliseconds of the test's time. */
  readonly from?: number
  readonly to?: number
}

/** Each takes the lock, holds it for 2 ms and gives it back, again and again; the second half of the time is counted. */
const contend = Effect.fnUntraced(
  function*(what: string, contenders: ReadonlyArray<Contender>, lasts: number) {
    const cluster = yield* loopback
    const sections = makeSections()
    const startedAt: Array<number> = []
    const processes = yield* Effect.forEach(contenders, ({ from = 0, name, to = lasts }) =>
      Effect.gen(function*() {
        const process = yield* cluster.start(name)
        const lock = yield* process.make({ ttl: "30 seconds" })
        const section = Effect.gen(function*() {
          startedAt.push(yield* Clock.currentTimeMillis)
          yield* Effect.sleep("2 millis")
        })
        yield* until(Duration.millis(to), lock.withLock(sections.by(name, section))).pipe(
          Effect.delay(Duration.millis(from)),
          Effect.forkChild
        )
        return process
      }))
    yield* TestClock.adjust(lasts + 2_000)
    assert.strictEqual(sections.most(), 1)
    assert.deepStrictEqual(yield* cluster.annotations, {})
    yield* Effect.forEach(processes, ({ end }) => end)
    assert.strictEqual(cluster.openWatches(), 0)

    const first = startedAt.findIndex((at) => at >= lasts / 2)
    const last = startedAt.findIndex((at) => at >= lasts)
    const counted = sections.entered.slice(first, last === -1 ? undefined : last)
    const times = startedAt.slice(first, last === -1 ? undefined : last)
    const requests = cluster.requests.filter(({ atMillis }) => atMillis >= lasts / 2 && atMillis < lasts).length
    const living = contenders.filter(({ to = lasts }) => to === lasts).map(({ name }) => name)
    const outcome = {
      counted,
      shares: living.map((name) => counted.filter((entered) => entered === name).length),
      requestsPerAcquisition: requests / counted.length,
      /** How many acquisitions by others one of the living waited for at most. */
      longestWait: Math.max(...living.map((name) => longestRunWithout(name, counted))),
      longestGapMillis: Math.max(...times.slice(1).map((at, index) => at - times[index]!))
    }
    console.log(
      `seed ${seed}, ${what}: ${(counted.length * 2_000 / lasts).toFixed(1)} acquisitions/s,`,
      `${outcome.requestsPerAcquisition.toFixed(2)} requests each, Jain ${jain(outcome.shares).toFixed(4)},`,
      `longest waits ${outcome.longestWait} acquisitions, ${outcome.longestGapMillis.toFixed(0)} ms`
    )
    return outcome
  },
  Effect.scoped,
  Random.withSeed(seed)
)

const longestRunWithout = (name: string, entered: ReadonlyArray<string>): number => {
  const at = entered.flatMap((entered, index) => entered === name ? [index] : [])
  return Math.max(...[...at, entered.length].map((index, nth) => index - (at[nth - 1] ?? -1) - 1))
}

const crowd = (size: number): ReadonlyArray<Contender> =>
  Array.from({ length: size }, (_, index) => ({ name: `p${index}` }))

describe("processes that always want the lock", () => {
  it.effect.each([2, 4, 8])(
    "have equal shares, none waits long, and few ask in vain: %d of them",
    (size) =>
      Effect.gen(function*() {
        const outcome = yield* contend(`${size} saturated`, crowd(size), 3_000)
        assert.isAtLeast(jain(outcome.shares), 0.99)
        assert.isAtMost(outcome.longestWait, 2 * size)
        // One takes it and one gives it back. A herd would ask once per process.
        assert.isAtMost(outcome.requestsPerAcquisition, 2.5)
      })
  )

  it.effect("lose a slot by one that is no more, and have equal shares of the rest", () =>
    Effect.gen(function*() {
      const lasts = 3_000
      const outcome = yield* contend("2 of 6 go", [
        ...crowd(4),
        { name: "dead 1", to: 0.6 * lasts },
        { name: "dead 2", to: 0.7 * lasts }
      ], lasts)
      assert.isAtLeast(jain(outcome.shares), 0.99)
      assert.isAtMost(outcome.longestGapMillis, 40)
    }))

  it.effect("lose no more than slots by one whose watch falls further and further behind", () =>
    Effect.gen(function*() {
      const { longestGapMillis, requestsPerAcquisition, shares } = yield* contend("1 of 5 lags", [
        ...crowd(4),
        { name: "lagging" }
      ], 3_000)
      assert.isAtLeast(jain(shares.slice(0, 4)), 0.99)
      assert.isAtMost(requestsPerAcquisition, 2.5)
      assert.isAtMost(longestGapMillis, 40)
    }))

  it.effect("let in one that comes later", () =>
    Effect.gen(function*() {
      const lasts = 3_000
      const outcome = yield* contend("1 of 5 comes late", [...crowd(4), { name: "late", from: lasts / 2 }], lasts)
      assert.isAtMost(outcome.counted.indexOf("late"), 40)
      assert.isAtLeast(jain(outcome.shares), 0.98)
    }))
})
