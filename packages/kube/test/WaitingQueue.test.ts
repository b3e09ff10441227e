import { assert, describe, it } from "@effect/vitest"
import { HeldLock } from "@kubelock/kube"
import { Effect, Exit, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { hold, makeCluster, makeSections, settle } from "./suites/processes.ts"

// The fibers of one process that want one lock: who is served, in which order, and what is left when some no longer want it.

const numbered = (count: number) => Array.from({ length: count }, (_, index) => String(index))

describe("the fibers of a process", () => {
  it.effect("are served in the order in which they came, and only the first of them asks the server", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      const other = yield* hold(yield* (yield* cluster.start("other")).make())
      const sections = makeSections()
      const lock = yield* (yield* cluster.start("p")).make()
      const names = numbered(50)
      const fibers = yield* Effect.forEach(
        names,
        (name) => Effect.forkChild(lock.withLock(sections.by(name, Effect.sleep("1 millis"))))
      )
      yield* TestClock.adjust("10 seconds")
      const asked = () => cluster.requests.filter(({ process }) => process === "p").map(({ method }) => method)
      assert.deepStrictEqual(asked(), ["PATCH", "GET"])
      yield* other.release
      yield* TestClock.adjust("1 second")
      yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(sections.entered, names)
      assert.strictEqual(sections.most(), 1)
      assert.deepStrictEqual(asked(), ["PATCH", "GET", "PATCH", "PATCH"])
    }))

  it.effect("are all served, a thousand of them, for two requests, and nothing is left", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      const sections = makeSections()
      const process = yield* cluster.start("p")
      const lock = yield* process.make()
      const names = numbered(1_000)
      const tokens = new Set<bigint>()
      const fibers = yield* Effect.forEach(names, (name) =>
        Effect.forkChild(
          lock.withLock(sections.by(
            name,
            Effect.gen(function*() {
              tokens.add((yield* HeldLock).fencingToken)
              yield* Effect.yieldNow
            })
          ))
        ))
      yield* TestClock.adjust(0)
      yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(sections.entered, names)
      assert.strictEqual(sections.most(), 1)
      assert.strictEqual(tokens.size, 1)
      assert.deepStrictEqual(cluster.requests.map(({ method }) => method), ["PATCH", "PATCH"])
      assert.deepStrictEqual(yield* cluster.annotations, {})
      assert.strictEqual(cluster.openWatches(), 1)
      yield* process.end
      assert.strictEqual(cluster.openWatches(), 0)
    }))

  it.effect("do not wait behind one another for different locks of one object", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      const process = yield* cluster.start("p")
      const names = numbered(10)
      const fibers = yield* Effect.forEach(names, (name) =>
        Effect.flatMap(process.make({ name }), (lock) =>
          Effect.forkChild(lock.withLock(Effect.sleep("1 second")))))
      yield* TestClock.adjust("1 second")
      yield* Effect.forEach(fibers, Fiber.join)
    }))

  it.effect("that only try do not overtake those who wait, nor wait themselves", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      const lock = yield* (yield* cluster.start("p")).make()
      const tries: Array<string> = []
      const tryOnce = Effect.flatMap(lock.withLockIfAvailable(Effect.void), ({ _tag }) =>
        Effect.sync(() => tries.push(_tag)))
      const first = yield* hold(lock)
      cluster.requests.length = 0
      yield* tryOnce
      const waiting = yield* Effect.forkChild(lock.withLock(tryOnce))
      yield* TestClock.adjust(0)
      yield* first.release
      yield* tryOnce
      yield* Fiber.join(waiting)
      yield* tryOnce
      assert.deepStrictEqual(tries, ["None", "None", "None", "Some"])
    }))
})

const never = -1

/** What a fiber does, and after how many turns of the others it is interrupted. */
const Plan = Schema.Struct({
  startsAfter: Schema.Literals([0, 0, 1, 3]),
  interruptedAfter: Schema.Literals([never, never, 0, 1, 2, 3, 4, 5, 6, 8, 11, 15, 20]),
  stays: Schema.Literals([0, 1, 2, 5]),
  how: Schema.Literals(["withLock", "withLock", "acquire", "try", "two"])
})

const turns = (count: number) => Effect.replicateEffect(Effect.yieldNow, count, { discard: true })

const schedules = Array.from({ length: 40 }, (_, count) => count)

describe("a fiber that is interrupted", () => {
  it.effect.each([0, 1])(
    "just when it is handed the lock, at whichever turn, leaves it to those behind it: %d",
    (behind) =>
      Effect.gen(function*() {
        for (const count of schedules) {
          const cluster = yield* makeCluster({ request: (_, answer) => Effect.andThen(turns(2), answer) })
          const lock = yield* (yield* cluster.start("p")).make()
          const { release } = yield* hold(lock)
          const [first, ...others] = yield* Effect.replicateEffect(
            Effect.tap(Effect.forkChild(lock.withLock(turns(3))), TestClock.adjust(0)),
            1 + behind
          )
          const releasing = yield* Effect.forkChild(release)
          yield* turns(count)
          yield* Fiber.interrupt(first!)
          assert.isTrue(yield* settle([releasing, ...others]), `turn ${count}`)
          yield* TestClock.adjust(0)
          assert.deepStrictEqual(yield* cluster.annotations, {}, `turn ${count}`)
        }
      })
  )

  it.effect.prop(
    "wherever in the queue and whenever, takes neither the lock nor the queue with it",
    [Schema.Array(Plan).check(Schema.isMinLength(2), Schema.isMaxLength(7)), Schema.Literals([0, 100])],
    ([plans, localHandover]) =>
      Effect.gen(function*() {
        const cluster = yield* makeCluster({ request: (_, answer) => Effect.andThen(turns(2), answer) })
        const process = yield* cluster.start("p")
        const lock = yield* process.make({ localHandover })
        const two = yield* process.makeAll([{ localHandover }, { name: "y", localHandover }])
        const sections = makeSections()
        const served: Array<number> = []
        const fibers = yield* Effect.forEach(plans, ({ how, interruptedAfter, startsAfter, stays }, index) =>
          Effect.gen(function*() {
            yield* turns(startsAfter)
            const section = sections.by(
              String(index),
              Effect.andThen(
                turns(stays),
                Effect.sync(() =>
                  served.push(index)
                )
              )
            )
            const work: Effect.Effect<unknown, { readonly _tag: string }> = {
              withLock: lock.withLock(section),
              acquire: Effect.scoped(Effect.andThen(lock.acquire, section)),
              try: lock.withLockIfAvailable(section),
              two: two.withLocks(section)
            }[how]
            const fiber = yield* Effect.forkChild(work)
            if (interruptedAfter !== never) {
              yield* turns(interruptedAfter)
              yield* Fiber.interrupt(fiber)
            }
            return yield* Fiber.await(fiber)
          }).pipe(Effect.forkChild))
        yield* settle(fibers)
        for (const [index, fiber] of fibers.entries()) {
          assert.isDefined(fiber.pollUnsafe(), `fiber ${index} was not served`)
          const exit = yield* Fiber.join(fiber)
          const { how, interruptedAfter } = plans[index]!
          assert.isTrue(Exit.isSuccess(exit) || (interruptedAfter !== never && Exit.hasInterrupts(exit)))
          if (interruptedAfter === never && how !== "try") {
            assert.include(served, index)
          }
        }
        assert.isAtMost(sections.most(), 1)
        assert.deepStrictEqual(yield* cluster.annotations, {})
        yield* process.end
        assert.strictEqual(cluster.openWatches(), 0)
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 150 } }
  )
})
