import * as Lane from "#internal/Lane"
import type { Tenure } from "#internal/Tenure"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scheduler, Scope } from "effect"

/** What the head of a lane has taken; it counts how often it was given back. */
const makeTenure = () => {
  const tenure = {
    released: 0,
    release: Effect.sync(() => {
      tenure.released++
    })
  }
  return tenure
}
const kept = (tenure: ReturnType<typeof makeTenure>) => tenure as unknown as Tenure

const entered = (enter: (lane: Lane.Lane) => Effect.Effect<unknown, never, Scope.Scope>, lane: Lane.Lane) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    yield* Scope.provide(enter(lane), scope)
    return scope
  })
const leave = (scope: Scope.Closeable) => Scope.close(scope, Exit.void)

describe("the lanes of an object", () => {
  it.effect("are one for each name, as long as somebody is in it", () =>
    Effect.gen(function*() {
      const laneOf = Lane.makeLanes()
      const scopes = yield* Effect.forEach([1, 2], () => Scope.make())
      const lanes = yield* Effect.forEach(scopes, (scope) => Scope.provide(laneOf("x"), scope))
      assert.strictEqual(lanes[0], lanes[1])
      assert.notStrictEqual(yield* Effect.scoped(laneOf("y")), lanes[0])
      yield* leave(scopes[0]!)
      assert.strictEqual(yield* Effect.scoped(laneOf("x")), lanes[0])
      yield* leave(scopes[1]!)
      assert.notStrictEqual(yield* Effect.scoped(laneOf("x")), lanes[0])
    }))
})

describe("a lane", () => {
  it.effect("has one head at a time, and counts who waits", () =>
    Effect.gen(function*() {
      const lane = yield* Lane.makeLanes()("x")
      const first = yield* entered(Lane.enter, lane)
      assert.strictEqual(lane.waiting, 0)
      const second = yield* Effect.forkChild(entered(Lane.enter, lane), { startImmediately: true })
      assert.strictEqual(lane.waiting, 1)
      assert.isFalse(yield* Effect.scoped(Lane.enterIfEmpty(lane)))
      yield* leave(first)
      const scope = yield* Fiber.join(second)
      assert.strictEqual(lane.waiting, 0)
      assert.isFalse(yield* Effect.scoped(Lane.enterIfEmpty(lane)))
      yield* leave(scope)
      assert.isTrue(yield* Effect.scoped(Lane.enterIfEmpty(lane)))
      assert.isTrue(yield* Effect.scoped(Lane.enterIfEmpty(lane)))
    }))

  it.effect("is not to be entered where somebody waits, though nobody is the head yet", () =>
    Effect.gen(function*() {
      const lane = yield* Lane.makeLanes()("x")
      lane.waiting = 1
      assert.isFalse(yield* Effect.scoped(Lane.enterIfEmpty(lane)))
      lane.waiting = 0
      assert.isTrue(yield* Effect.scoped(Lane.enterIfEmpty(lane)))
    }))

  it.effect("gives back once what is held", () =>
    Effect.gen(function*() {
      const lane = yield* Lane.makeLanes()("x")
      const tenure = makeTenure()
      lane.tenure = kept(tenure)
      yield* Lane.release(lane)
      yield* Lane.release(lane)
      assert.strictEqual(tenure.released, 1)
      assert.isUndefined(lane.tenure)
    }))

  const ways = { enter: Lane.enter, enterIfEmpty: Lane.enterIfEmpty }

  it.effect.each(Object.entries(ways))(
    "%s: what was left to one who is interrupted, at whatever step, is given back",
    ([, enter]) =>
      Effect.gen(function*() {
        const interrupted = Effect.fnUntraced(function*(steps: number) {
          const lane = yield* Lane.makeLanes()("x")
          const tenure = makeTenure()
          const head = yield* entered(enter, lane)
          lane.tenure = kept(tenure)
          // As a holder decides: to leave it to who waits, if anybody does.
          yield* Scope.addFinalizer(
            head,
            Effect.suspend(() => lane.waiting === 0 ? Lane.release(lane) : Effect.void)
          )
          const waiter = yield* Effect.forkChild(Effect.scoped(Lane.enter(lane)))
          while (lane.waiting === 0) yield* Effect.yieldNow
          const leaving = yield* Effect.forkChild(leave(head))
          for (let step = 0; step < steps; step++) yield* Effect.yieldNow
          yield* Fiber.interrupt(waiter)
          yield* Fiber.join(leaving)
          return { isLeft: lane.tenure !== undefined, released: tenure.released }
        })
        // Where a fiber goes so many operations before another has its turn.
        for (let operations = 3; operations < 10; operations++) {
          for (let steps = 0; steps < 20; steps++) {
            const outcome = yield* Effect.provideService(interrupted(steps), Scheduler.MaxOpsBeforeYield, operations)
            assert.deepStrictEqual(outcome, { isLeft: false, released: 1 }, `${operations} operations, ${steps} steps`)
          }
        }
      })
  )

  it.effect("keeps what was left for the next who waits, whoever else goes", () =>
    Effect.gen(function*() {
      const lane = yield* Lane.makeLanes()("x")
      const tenure = makeTenure()
      const head = yield* entered(Lane.enter, lane)
      lane.tenure = kept(tenure)
      const [first, second] = yield* Effect.forEach(
        [1, 2],
        () => Effect.forkChild(entered(Lane.enter, lane), { startImmediately: true })
      )
      yield* Fiber.interrupt(first!)
      assert.strictEqual(lane.waiting, 1)
      yield* leave(head)
      const scope = yield* Fiber.join(second!)
      assert.strictEqual(tenure.released, 0)
      assert.strictEqual(lane.tenure, kept(tenure))
      yield* leave(scope)
      assert.strictEqual(tenure.released, 1)
      assert.isTrue(yield* Effect.scoped(Lane.enterIfEmpty(lane)))
    }))
})
