import * as Attempts from "#internal/Attempts"
import * as ObjectView from "#internal/ObjectView"
import * as Waiting from "#internal/Waiting"
import { assert, describe, it } from "@effect/vitest"
import { LockName, Ttl } from "@kubelock/core"
import { Clock, Duration, Effect, Fiber, Random, Result } from "effect"
import { TestClock } from "effect/testing"
import { goRecord, key, makeCluster, resource } from "./suites/processes.ts"

const makeWorld = Effect.gen(function*() {
  const { store } = yield* makeCluster()
  const attempts = Attempts.make(store)
  const view = yield* ObjectView.make({ attempts, store, resource, process: "p", sayUnwatched: () => Effect.void })
  return { attempts, store, view }
})
const makeView = Effect.map(makeWorld, ({ view }) => view)

describe("who waits until something is seen", () => {
  // A slot may be shorter than any clock can count.
  it.effect.each([0, 1e-9, 3.7])(
    "looks again after %s ms, and no sooner where nothing is due",
    (millis) =>
      Effect.gen(function*() {
        const view = yield* makeView
        const looks: Array<boolean> = []
        const look: ObjectView.Look<string> = (isTimeUp) => {
          looks.push(isTimeUp)
          return isTimeUp ? { found: "time is up" } : { waitAtMost: Duration.millis(millis), isDue: () => false }
        }
        const fiber = yield* Effect.forkChild(view.until(look), { startImmediately: true })
        yield* view.follow({ uid: "u", resourceVersion: 1n, annotations: {} })
        yield* TestClock.adjust(Math.ceil(millis))
        assert.strictEqual(yield* Fiber.join(fiber), "time is up")
        assert.deepStrictEqual(looks, [false, true])
      }).pipe(Effect.scoped)
  )

  /** Waits and finds nothing. What it answers grows with each look. */
  const waitWith = Effect.fnUntraced(function*(
    view: ObjectView.ObjectView,
    waitMillisOf: (look: number) => number,
    isDueAfter: (latest: ReturnType<ObjectView.ObjectView["latest"]>) => boolean
  ) {
    const clock = yield* Clock.Clock
    const looks: Array<readonly [isTimeUp: boolean, atMillis: number]> = []
    const look: ObjectView.Look<never> = (isTimeUp) => {
      const latest = view.latest()
      const waitAtMost = Duration.millis(waitMillisOf(looks.length))
      looks.push([isTimeUp, clock.currentTimeMillisUnsafe()])
      return { waitAtMost, isDue: () => isDueAfter(latest) }
    }
    return { fiber: yield* Effect.forkChild(view.until(look), { startImmediately: true }), looks }
  })

  it.effect("looks at each change after which it is due, and at the time that was asked for last; then no more", () =>
    Effect.gen(function*() {
      const view = yield* makeView
      const { fiber, looks } = yield* waitWith(view, () => 10, (latest) => view.latest() !== latest)
      yield* TestClock.adjust(4)
      yield* view.follow({ uid: "u", resourceVersion: 1n, annotations: {} })
      yield* TestClock.adjust(16)
      assert.isUndefined(fiber.pollUnsafe())
      assert.deepStrictEqual(looks, [[false, 0], [false, 4], [true, 14]])
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(looks, 3)
    }).pipe(Effect.scoped))

  it.effect("looks no more where another, who was told of the same change, has interrupted it", () =>
    Effect.gen(function*() {
      const view = yield* makeView
      let looks = 0
      const isDue = () => true
      const first = yield* Effect.forkChild(
        view.until(() => view.latest() === undefined ? { waitAtMost: Duration.minutes(1), isDue } : { found: "first" }),
        { startImmediately: true }
      )
      const second = yield* Effect.forkChild(
        view.until<never>(() => {
          looks++
          return { waitAtMost: Duration.seconds(1), isDue }
        }),
        { startImmediately: true }
      )
      first.addObserver(() => second.interruptUnsafe())
      yield* view.follow({ uid: "u", resourceVersion: 1n, annotations: {} })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(looks, 1)
    }).pipe(Effect.scoped))

  it.effect("looks at the time that was asked for last, though its time was up at once before", () =>
    Effect.gen(function*() {
      const view = yield* makeView
      const { looks } = yield* waitWith(view, (look) => look === 0 ? 0 : 10, () => true)
      yield* TestClock.adjust(4)
      yield* view.follow({ uid: "u", resourceVersion: 1n, annotations: {} })
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(looks, [[false, 0], [true, 0], [false, 4], [true, 14]])
    }).pipe(Effect.scoped))
})

describe("the turns of a lock", () => {
  const lock = Result.getOrThrow(LockName.make("x"))
  const ttl = Result.getOrThrow(Ttl.make("30 seconds"))

  it.effect.each(["is had", "is given up"] as const)(
    "know whether this process waits, until it %s",
    (how) =>
      Effect.gen(function*() {
        const { attempts, store, view } = yield* makeWorld
        const value = goRecord("other", 0, 3_600_000)
        yield* store.edit(resource, [{ key, expected: undefined, value }])
        const isWaiting = () => view.turnsOf(lock, 0n).isWaiting
        assert.isFalse(isWaiting())
        const requests = [{ lock, resource: "configmaps/object", owner: "me", ttl, id: "p-1" }]
        const fiber = yield* Effect.forkChild(
          Effect.uninterruptibleMask((restore) => Waiting.acquire({ attempts, view, resource, requests, restore })),
          { startImmediately: true }
        )
        yield* TestClock.adjust("1 second")
        assert.isTrue(isWaiting())
        if (how === "is had") {
          yield* store.edit(resource, [{ key, expected: value, value: undefined }])
          yield* TestClock.adjust("1 second")
          yield* Fiber.join(fiber)
        } else yield* Fiber.interrupt(fiber)
        assert.isFalse(isWaiting())
      }).pipe(Effect.scoped)
  )

  it.effect("are drawn for once after a release, though other annotations change meanwhile", () =>
    Effect.gen(function*() {
      const { attempts, store, view } = yield* makeWorld
      const value = goRecord("other", 0, 3_600_000)
      yield* store.edit(resource, [{ key, expected: undefined, value }])
      const draws = [0.5, 0.9]
      const random = { nextIntUnsafe: () => 0, nextDoubleUnsafe: () => draws.shift() ?? 0.9 }
      const requests = [{ lock, resource: "configmaps/object", owner: "me", ttl, id: "p-1" }]
      const fiber = yield* Effect.forkChild(
        Effect.uninterruptibleMask((restore) => Waiting.acquire({ attempts, view, resource, requests, restore })).pipe(
          Effect.provideService(Random.Random, random)
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 second")
      // So that it draws among eight slots.
      for (let refusals = 0; refusals < 3; refusals++) view.observe(lock, { _tag: "Refused", resourceVersion: -1n })
      yield* store.edit(resource, [{ key, expected: value, value: undefined }])
      const { slotMillis } = view.turnsOf(lock, 0n)
      yield* TestClock.adjust(2 * slotMillis)
      yield* store.edit(resource, [{ key: "note", expected: undefined, value: "1" }])
      yield* TestClock.adjust(2 * slotMillis - 1)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isDefined(fiber.pollUnsafe())
    }).pipe(Effect.scoped))
})
