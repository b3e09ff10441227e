import * as Deadlines from "#internal/Deadlines"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"

/** What happens to one deadline: set, for so long, and called off, after so long. Times are in milliseconds, and few. */
const Plan = Schema.Struct({
  setAt: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 6 })),
  atMost: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 6 })),
  calledOffAfter: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 6 }))
})

const watched = Effect.gen(function*() {
  const set = yield* Deadlines.make
  const over: Array<readonly [name: number, atMillis: number]> = []
  let nowMillis = 0
  return {
    over,
    set: (name: number, atMostMillis: number) =>
      Effect.withFiber((fiber) =>
        Effect.succeed(set(fiber, Duration.millis(atMostMillis), () => over.push([name, nowMillis])))
      ),
    /** A millisecond passes. */
    pass: Effect.suspend(() => {
      nowMillis++
      return TestClock.adjust("1 millis")
    })
  }
})

describe("deadlines", () => {
  it.effect.prop(
    "are each told once, at their time, unless they were called off before",
    [Schema.Array(Plan).check(Schema.isMaxLength(5))],
    ([plans]) =>
      Effect.gen(function*() {
        const { over, pass, set } = yield* watched
        const callOffs = new Map<number, () => void>()
        for (let millis = 0; millis <= 13; millis++) {
          for (const [name, { atMost, calledOffAfter, setAt }] of plans.entries()) {
            if (setAt === millis) callOffs.set(name, yield* set(name, atMost))
            if (setAt + calledOffAfter === millis) callOffs.get(name)!()
          }
          yield* pass
        }
        const expected = plans.flatMap(({ atMost, calledOffAfter, setAt }, name) =>
          calledOffAfter < atMost ? [] : [[name, setAt + atMost] as const]
        )
        const byTime = (all: ReadonlyArray<readonly [number, number]>) =>
          all.toSorted(([a, first], [b, second]) => first - second || a - b)
        assert.deepStrictEqual(byTime(over), byTime(expected))
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 500 } }
  )

  it.effect("are told in time though the clock was set back while somebody waited for them", () =>
    Effect.gen(function*() {
      const { over, pass, set } = yield* watched
      yield* TestClock.setTime(1_000)
      yield* set(1, 5)
      yield* TestClock.setTime(0)
      yield* set(2, 7)
      for (let millis = 0; millis < 10; millis++) yield* pass
      assert.deepStrictEqual(over, [[1, 5], [2, 7]])
    }).pipe(Effect.scoped))

  it.effect("are not told once they are called off, be it by one that is told at the same time", () =>
    Effect.gen(function*() {
      const { over, pass, set } = yield* watched
      const setDeadline = yield* Deadlines.make
      let callOff = () => {}
      yield* Effect.withFiber((fiber) =>
        Effect.sync(() => {
          setDeadline(fiber, Duration.millis(1), () => callOff())
          callOff = setDeadline(fiber, Duration.millis(1), () => over.push([2, 1]))
        })
      )
      yield* set(3, 1)
      yield* pass
      assert.deepStrictEqual(over, [[3, 1]])
    }).pipe(Effect.scoped))

  it.effect("end with their scope", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { over, pass, set } = yield* Scope.provide(watched, scope)
      yield* set(1, 3)
      yield* set(2, 1)
      yield* Scope.close(scope, Exit.void)
      for (let millis = 0; millis < 5; millis++) yield* pass
      assert.deepStrictEqual(over, [])
    }))

  for (const nanos of [0n, 1n, 100n, 1_000n, 300_100n]) {
    it.effect(`are told once each though the clock cannot count ${nanos} ns`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(Date.UTC(2026, 0, 2))
        const set = yield* Deadlines.make
        const over: Array<string> = []
        const setFor = (name: string, atMost: Duration.Duration) =>
          Effect.withFiber((fiber) => Effect.succeed(set(fiber, atMost, () => over.push(name))))
        yield* setFor("first", Duration.nanos(nanos))
        yield* TestClock.adjust("1 second")
        yield* setFor("second", Duration.seconds(1))
        yield* setFor("third", Duration.nanos(nanos))
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(over, ["first", "third", "second"])
      }).pipe(Effect.scoped))
  }

  it.effect("let nobody sleep who has nothing to wait for, since the process would not end before", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      let sleepers = 0
      const counting: Clock.Clock = {
        ...clock,
        sleep: (duration) =>
          Effect.acquireUseRelease(
            Effect.sync(() => sleepers++),
            () => clock.sleep(duration),
            () => Effect.sync(() => sleepers--)
          )
      }
      const turn = Effect.promise(() => new Promise(setImmediate))
      const scope = yield* Scope.make()
      const { over, pass, set } = yield* Scope.provide(watched, scope)
      const setOne = (name: number) => Effect.provideService(set(name, 3), Clock.Clock, counting)

      const first = yield* setOne(1)
      const second = yield* setOne(2)
      first()
      yield* turn
      assert.strictEqual(sleepers, 1)
      second()
      yield* setOne(3)
      yield* turn
      assert.strictEqual(sleepers, 1)
      for (let millis = 0; millis < 3; millis++) yield* pass
      assert.deepStrictEqual(over, [[3, 3]])

      const fourth = yield* setOne(4)
      fourth()
      yield* turn
      assert.strictEqual(sleepers, 0)

      yield* Scope.close(scope, Exit.void)
      yield* setOne(5)
      assert.strictEqual(sleepers, 0)
    }))
})
