import * as Lane from "#internal/Lane"
import type { Tenure } from "#internal/Tenure"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scheduler } from "effect"

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

const enter = (lanes: Lane.Lanes, key = "x") => Effect.uninterruptibleMask((restore) => Lane.enter(lanes, key, restore))
const enterIfEmpty = (lanes: Lane.Lanes) => Effect.uninterruptible(Lane.enterIfEmpty(lanes, "x"))

/** Somebody who waits behind the head. */
const waiter = (lanes: Lane.Lanes) => Effect.forkChild(enter(lanes), { startImmediately: true })

describe("lanes", () => {
  it.effect("are one for each key, as long as it has a head", () =>
    Effect.gen(function*() {
      const lanes = Lane.make()
      assert.isUndefined(Lane.find(lanes, "x"))
      const lane = yield* enter(lanes)
      assert.strictEqual(Lane.find(lanes, "x"), lane)
      const other = yield* enter(lanes, "y")
      assert.notStrictEqual(other, lane)
      yield* Lane.leave(other)
      assert.strictEqual(Lane.find(lanes, "x"), lane)
      yield* Lane.leave(lane)
      assert.isUndefined(Lane.find(lanes, "x"))
    }))

  it.effect("that are closed interrupt who waits, and who comes, and leave nothing behind", () =>
    Effect.gen(function*() {
      const lanes = Lane.make()
      const tenure = makeTenure()
      const head = yield* enter(lanes)
      head.tenure = kept(tenure)
      const waiting = yield* Effect.forEach([1, 2], () => waiter(lanes))
      yield* Lane.close(lanes)
      for (const fiber of waiting) assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(yield* waiter(lanes))))
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(yield* Effect.forkChild(enterIfEmpty(lanes)))))
      assert.strictEqual(tenure.released, 0)
      yield* Lane.leave(head)
      assert.strictEqual(tenure.released, 1)
      assert.isUndefined(Lane.find(lanes, "x"))
    }))

  it.effect("that are closed while the head goes give back what it left", () =>
    Effect.gen(function*() {
      const lanes = Lane.make()
      const tenure = makeTenure()
      const head = yield* enter(lanes)
      head.tenure = kept(tenure)
      const next = yield* waiter(lanes)
      yield* Lane.leave(head)
      yield* Lane.close(lanes)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(next)))
      assert.strictEqual(tenure.released, 1)
      assert.isUndefined(Lane.find(lanes, "x"))
    }))
})

describe("a lane", () => {
  it.effect("has one head at a time, in the order in which they came", () =>
    Effect.gen(function*() {
      const lanes = Lane.make()
      const first = yield* enter(lanes)
      const second = yield* waiter(lanes)
      const third = yield* waiter(lanes)
      assert.isUndefined(yield* enterIfEmpty(lanes))
      yield* Lane.leave(first)
      const lane = yield* Fiber.join(second)
      assert.isUndefined(third.pollUnsafe())
      assert.isUndefined(yield* enterIfEmpty(lanes))
      yield* Lane.leave(lane)
      yield* Lane.leave(yield* Fiber.join(third))
      const alone = yield* enterIfEmpty(lanes)
      assert.isDefined(alone)
      assert.isUndefined(yield* enterIfEmpty(lanes))
    }))

  it.effect("gives back once what is held", () =>
    Effect.gen(function*() {
      const lane = yield* enter(Lane.make())
      const tenure = makeTenure()
      lane.tenure = kept(tenure)
      yield* Lane.release(lane)
      yield* Lane.release(lane)
      assert.strictEqual(tenure.released, 1)
      assert.isUndefined(lane.tenure)
    }))

  it.effect("lets nobody in while what is left is given back", () =>
    Effect.gen(function*() {
      const lanes = Lane.make()
      const lane = yield* enter(lanes)
      let next: Fiber.Fiber<Lane.Lane> | undefined
      const tenure = {
        release: Effect.gen(function*() {
          assert.isUndefined(yield* enterIfEmpty(lanes))
          next = yield* Effect.forkDetach(enter(lanes), { startImmediately: true })
          yield* Effect.yieldNow
          assert.isUndefined(next.pollUnsafe())
        })
      }
      lane.tenure = tenure as unknown as Tenure
      yield* Lane.leave(lane)
      assert.strictEqual(yield* Fiber.join(next!), lane)
    }))

  it.effect.each([true, false])(
    "what was left to one who is interrupted, at whatever step, is given back (head came to an empty lane: %s)",
    (wasEmpty) =>
      Effect.gen(function*() {
        const interrupted = Effect.fnUntraced(function*(steps: number) {
          const lanes = Lane.make()
          const tenure = makeTenure()
          const lane = (yield* wasEmpty ? enterIfEmpty(lanes) : enter(lanes))!
          lane.tenure = kept(tenure)
          // As a section does: whoever is the head leaves the lane.
          const next = yield* Effect.forkChild(
            Effect.uninterruptibleMask((restore) => Effect.flatMap(Lane.enter(lanes, "x", restore), Lane.leave))
          )
          while (lane.queue.size === 0) yield* Effect.yieldNow
          // As a holder decides: to leave it to who waits, if anybody does.
          const leaving = yield* Effect.forkChild(
            Effect.suspend(() =>
              Effect.andThen(lane.queue.size === 0 ? Lane.release(lane) : Effect.void, Lane.leave(lane))
            )
          )
          for (let step = 0; step < steps; step++) yield* Effect.yieldNow
          yield* Fiber.interrupt(next)
          yield* Fiber.join(leaving)
          return { isLeft: lane.tenure !== undefined, isThere: lanes.byKey.size > 0, released: tenure.released }
        })
        // Where a fiber goes so many operations before another has its turn.
        for (let operations = 3; operations < 10; operations++) {
          for (let steps = 0; steps < 20; steps++) {
            const outcome = yield* Effect.provideService(interrupted(steps), Scheduler.MaxOpsBeforeYield, operations)
            assert.deepStrictEqual(
              outcome,
              { isLeft: false, isThere: false, released: 1 },
              `${operations} operations, ${steps} steps`
            )
          }
        }
      })
  )

  it.effect("keeps what was left for the next who waits, whoever else goes", () =>
    Effect.gen(function*() {
      const lanes = Lane.make()
      const tenure = makeTenure()
      const head = yield* enter(lanes)
      head.tenure = kept(tenure)
      const [first, second] = yield* Effect.forEach([1, 2], () => waiter(lanes))
      yield* Fiber.interrupt(first!)
      assert.strictEqual(head.queue.size, 1)
      yield* Lane.leave(head)
      const lane = yield* Fiber.join(second!)
      assert.strictEqual(tenure.released, 0)
      assert.strictEqual(lane.tenure, kept(tenure))
      yield* Lane.leave(lane)
      assert.strictEqual(tenure.released, 1)
      assert.isDefined(yield* enterIfEmpty(lanes))
    }))
})
