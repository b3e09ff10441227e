import { assert, describe, it } from "@effect/vitest"
import { ClockOffset } from "@kubelock/kube"
import * as fc from "fast-check"

/** All there is to know of both clocks at one time. */
interface Instant {
  readonly serverMillis: number
  readonly localMillis: number
  readonly monotonicMillis: number
}

const start: Instant = { serverMillis: 1_000_000, localMillis: 1_000_000, monotonicMillis: 0 }

/** Time passes, on a server whose clock gains so many milliseconds per second on this machine's. */
const later = (instant: Instant, millis: number, gainPerSecond = 0): Instant => ({
  serverMillis: instant.serverMillis + millis * (1 + gainPerSecond / 1_000),
  localMillis: instant.localMillis + millis,
  monotonicMillis: instant.monotonicMillis + millis
})

const setBy = (instant: Instant, millis: number): Instant => ({
  ...instant,
  localMillis: instant.localMillis + millis
})

/** As `later`, but the machine sleeps, and its monotonic clock with it. */
const suspended = (instant: Instant, millis: number): Instant => ({
  ...later(instant, millis),
  monotonicMillis: instant.monotonicMillis
})

const truthAt = ({ localMillis, serverMillis }: Instant): number => localMillis - serverMillis

const read = ({ localMillis, monotonicMillis }: Instant): ClockOffset.ClockReading => ({
  wallMillis: Math.floor(localMillis),
  monotonicMillis
})

const sampleOf = (sent: Instant, stamped: Instant, received: Instant): ClockOffset.Sample => ({
  sent: read(sent),
  received: read(received),
  dateMillis: Math.floor(stamped.serverMillis / 1_000) * 1_000
})

// Of sums of fractions.
const roundingMillis = 1e-6

/** What was said of the offset, and is not true. */
interface Wrong {
  readonly offset: ClockOffset.ClockOffset
  readonly truthMillis: number
}

const wrongIn = (offset: ClockOffset.ClockOffset, truthMillis: number): ReadonlyArray<Wrong> =>
  offset.atLeastMillis <= truthMillis + roundingMillis && truthMillis - roundingMillis <= offset.atMostMillis
    ? []
    : [{ offset, truthMillis }]

const millis = (max: number) => fc.double({ min: 0, max, noNaN: true, noDefaultInfinity: true })

/** A request and its answer. */
interface Exchange {
  readonly pauseMillis: number
  readonly thereMillis: number
  readonly backMillis: number
  readonly gainPerSecond: number
}

const exchange: fc.Arbitrary<Exchange> = fc.record({
  pauseMillis: fc.oneof(millis(50), millis(3_000), millis(100_000)),
  thereMillis: fc.oneof(fc.constant(0), millis(20), millis(3_000)),
  backMillis: fc.oneof(fc.constant(0), millis(20), millis(3_000)),
  gainPerSecond: fc.constant(0)
})

const offsetMillis = fc.oneof(millis(1_500), fc.integer({ min: -100_000, max: 100_000 }))

/** Follows the exchanges, and says what is known and true after them, and what was wrong after any of them. */
const follow = (from: Instant, exchanges: ReadonlyArray<Exchange>, before?: ClockOffset.ClockOffset) => {
  let instant = from
  let offset = before
  const wrong: Array<Wrong> = []
  for (const { backMillis, gainPerSecond, pauseMillis, thereMillis } of exchanges) {
    const sent = later(instant, pauseMillis, gainPerSecond)
    const stamped = later(sent, thereMillis, gainPerSecond)
    instant = later(stamped, backMillis, gainPerSecond)
    offset = ClockOffset.observe(offset, sampleOf(sent, stamped, instant))
    wrong.push(...wrongIn(offset, truthAt(instant)))
  }
  return { instant, offset, wrong }
}

describe("the truth is never left out", () => {
  it("by clocks that go alike, whatever the latency", () => {
    fc.assert(fc.property(offsetMillis, fc.array(exchange, { maxLength: 30 }), (offset, exchanges) => {
      assert.deepStrictEqual(follow(setBy(start, offset), exchanges).wrong, [])
    }))
  })

  it("by clocks that part by up to a millisecond per second, now this way and now that", () => {
    const drifting = fc.record({
      pauseMillis: fc.oneof(millis(3_000), millis(1_000_000)),
      thereMillis: millis(3_000),
      backMillis: millis(3_000),
      gainPerSecond: fc.oneof(fc.constantFrom(-1, 1), fc.double({ min: -1, max: 1, noNaN: true }))
    })
    fc.assert(fc.property(offsetMillis, fc.array(drifting, { maxLength: 30 }), (offset, exchanges) => {
      assert.deepStrictEqual(follow(setBy(start, offset), exchanges).wrong, [])
    }))
  })

  it("by one answer during which a clock was set, or the machine suspended", () => {
    const twist = fc.oneof(
      offsetMillis.map((millis) => (instant: Instant) => setBy(instant, millis)),
      millis(100_000).map((millis) => (instant: Instant) => suspended(instant, millis))
    )
    fc.assert(fc.property(exchange, twist, fc.boolean(), (one, twist, isOnTheWayBack) => {
      const there = later(start, one.thereMillis)
      const stamped = isOnTheWayBack ? there : twist(there)
      const received = later(isOnTheWayBack ? twist(stamped) : stamped, one.backMillis)
      const offset = ClockOffset.observe(undefined, sampleOf(start, stamped, received))
      assert.deepStrictEqual(wrongIn(offset, truthAt(received)), [])
    }))
  })

  it("by a machine that was suspended between two answers, and drifted", () => {
    fc.assert(
      fc.property(fc.array(exchange, { minLength: 1, maxLength: 10 }), millis(10_000_000), (exchanges, slept) => {
        const { instant, offset } = follow(start, exchanges)
        const awake = suspended(instant, slept)
        const drifted = { ...awake, serverMillis: awake.serverMillis + slept / 1_000 }
        assert.deepStrictEqual(follow(drifted, exchanges, offset).wrong, [])
      })
    )
  })

  it("by time that passes without an answer", () => {
    fc.assert(
      fc.property(fc.array(exchange, { minLength: 1, maxLength: 10 }), millis(1_000_000), (exchanges, passed) => {
        const { instant, offset } = follow(start, exchanges)
        const now = later(instant, passed, 1)
        assert.deepStrictEqual(wrongIn(ClockOffset.fade(offset!, read(now)), truthAt(now)), [])
      })
    )
  })
})

describe("a clock that was set", () => {
  const quick = (pauseMillis: number): Exchange => ({ pauseMillis, thereMillis: 1, backMillis: 1, gainPerSecond: 0 })
  // Ten answers, each a tenth of a second later in its second than the one before.
  const round = Array.from({ length: 10 }, () => quick(1_098))

  it("is noticed at the next answer where that contradicts what was known", () => {
    fc.assert(fc.property(
      fc.array(exchange, { maxLength: 10 }),
      fc.integer({ min: 1_300, max: 1_000_000 }),
      fc.constantFrom(1, -1),
      exchange,
      (exchanges, step, sign, next) => {
        const { instant, offset } = follow(start, [...exchanges, ...round])
        const atOnce = { ...next, pauseMillis: 0, thereMillis: 0, backMillis: 0 }
        assert.deepStrictEqual(follow(setBy(instant, sign * step), [atOnce, next], offset).wrong, [])
      }
    ))
  })

  it("is followed to what two rounds of answers tell, however little it was set by", () => {
    fc.assert(fc.property(
      fc.array(exchange, { maxLength: 10 }),
      fc.integer({ min: -3_000, max: 3_000 }),
      (exchanges, step) => {
        const { instant, offset } = follow(start, exchanges)
        const set = setBy(instant, step)
        const after = follow(set, [...round, ...round], offset)
        assert.closeTo(ClockOffset.estimateMillis(after.offset!), truthAt(after.instant), 120)
      }
    ))
  })
})

describe("what is known", () => {
  const reading = (wallMillis: number, monotonicMillis = wallMillis): ClockOffset.ClockReading => ({
    wallMillis,
    monotonicMillis
  })
  const bounds = ({ atLeastMillis, atMostMillis }: ClockOffset.ClockOffset) => [
    Number(atLeastMillis.toFixed(6)),
    Number(atMostMillis.toFixed(6))
  ]

  it("is, after one answer, a second and the round trip", () => {
    const offset = ClockOffset.observe(undefined, { sent: reading(5_000), received: reading(5_040), dateMillis: 3_000 })
    // The clocks may have parted by 0.04 ms meanwhile.
    assert.deepStrictEqual(bounds(offset), [999.96, 2_041.04])
    assert.deepStrictEqual(offset.readAt, reading(5_040))
  })

  it("narrows down to less than the round trips of a few", () => {
    const exchanges = Array.from({ length: 20 }, (_, i) => ({
      pauseMillis: 1_050 + i,
      thereMillis: 2,
      backMillis: 2,
      gainPerSecond: 0
    }))
    const { offset } = follow(setBy(start, 700), exchanges)
    assert.isBelow(offset!.atMostMillis - offset!.atLeastMillis, 120)
  })

  it("fades by a millisecond a second to each side, and never narrows by that", () => {
    const offset: ClockOffset.ClockOffset = { atLeastMillis: 100, atMostMillis: 120, readAt: reading(0) }
    const faded = ClockOffset.fade(offset, reading(10_000))
    assert.deepStrictEqual(bounds(faded), [90, 130])
    assert.deepStrictEqual(faded.readAt, reading(10_000))
    assert.deepStrictEqual(bounds(ClockOffset.fade(offset, reading(0, 10_000))), [90, 130])
    assert.deepStrictEqual(bounds(ClockOffset.fade(offset, reading(-10_000, 0))), [100, 120])
    assert.deepStrictEqual(bounds(ClockOffset.fade(offset, reading(-1, -1))), [100, 120])
  })

  it.each([
    [100, 300, 100, 200],
    [-300, -100, -100, -200],
    [-100, 300, 0, 100],
    [0, 300, 0, 150],
    [-300, 0, 0, -150]
  ])("between %i and %i is certainly %i, and about %i", (atLeastMillis, atMostMillis, certain, estimate) => {
    const offset: ClockOffset.ClockOffset = { atLeastMillis, atMostMillis, readAt: reading(0) }
    assert.strictEqual(ClockOffset.certainMillis(offset), certain)
    assert.strictEqual(ClockOffset.estimateMillis(offset), estimate)
  })
})

describe("answers that leave but one value", () => {
  it("are believed both", () => {
    const at = (dateMillis: number): ClockOffset.Sample => {
      const reading = { wallMillis: 1_000_000, monotonicMillis: 0 }
      return { sent: reading, received: reading, dateMillis }
    }
    // Between them lies just what each of them leaves: a second, and a millisecond of our own clock.
    const { atLeastMillis, atMostMillis } = ClockOffset.observe(
      ClockOffset.observe(undefined, at(1_000_000)),
      at(1_001_001)
    )
    assert.deepStrictEqual([atLeastMillis, atMostMillis], [-1_000, -1_000])
  })
})
