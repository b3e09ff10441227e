import { assert, describe, it } from "@effect/vitest"
import { KubeLock, type LockLost, MemoryObjects } from "@kubelock/kube"
import { Clock, type Duration, Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  annotations,
  Control,
  foreignRecord,
  inWorld,
  keyOf,
  lockName,
  overwrite,
  resource,
  settle,
  takeOver,
  untilEnded
} from "./suites/managedWorld.ts"
import { makeCluster } from "./suites/processes.ts"

const options = { resource, name: lockName, ttl: "30 seconds", owner: "me" } as const

const losses: Record<
  string,
  readonly [Effect.Effect<unknown, never, MemoryObjects>, LockLost["reason"]["_tag"], string]
> = {
  "taken over": [takeOver, "TakenOver", `taken over by "somebody else"`],
  // As a Go program would, whose records have no id.
  "taken over by another acquisition of the same owner": [
    Effect.flatMap(
      foreignRecord,
      ({ createdAtNanos }) =>
        overwrite(
          `{"owner":"me","createdAt":"1970-01-01T00:00:0${createdAtNanos / 1_000_000_000n}Z","ttl":30000000000}`
        )
    ),
    "TakenOver",
    `taken over by "me"`
  ],
  "taken by a record that is expired already": [
    overwrite(`{"owner":"go","createdAt":"1960-01-01T00:00:00Z","ttl":1}`),
    "TakenOver",
    `taken over by "go"`
  ],
  "broken": [overwrite(undefined), "Broken", "its record was removed or overwritten"],
  "overwritten with what is no record": [overwrite("{"), "Broken", "its record was removed or overwritten"],
  "deleted with its object": [
    Effect.flatMap(MemoryObjects, (objects) => objects.delete(resource)),
    "ObjectDeleted",
    "the object that carried it was deleted"
  ],
  "deleted with its object, which is there again": [
    Effect.gen(function*() {
      const objects = yield* MemoryObjects
      yield* objects.delete(resource)
      yield* objects.put(resource)
    }),
    "ObjectDeleted",
    "the object that carried it was deleted"
  ],
  "deleted with its object, which is made again from a copy": [
    Effect.gen(function*() {
      const objects = yield* MemoryObjects
      const copy = yield* annotations()
      yield* objects.delete(resource)
      yield* objects.put(resource, copy)
    }),
    "ObjectDeleted",
    "the object that carried it was deleted"
  ]
}

describe("a lock that is", () => {
  it.effect.each(Object.entries(losses))(
    "%s interrupts its section within an event, and says so",
    ([, [lose, reason, message]]) =>
      inWorld(Effect.gen(function*() {
        const lock = yield* KubeLock.make(options)
        let isInterrupted = false
        const section = Effect.onInterrupt(Effect.never, () =>
          Effect.sync(() => {
            isInterrupted = true
          }))
        const fiber = yield* Effect.forkChild(lock.withLock(section))
        yield* TestClock.adjust("5 seconds")
        const control = yield* Control
        const { length } = yield* control.sent
        yield* lose
        yield* settle
        const left = yield* annotations()
        assert.isTrue(isInterrupted)
        const error = yield* Effect.flip(Fiber.join(fiber))
        assert.strictEqual(error._tag === "LockLost" && error.reason._tag, reason)
        assert.include(error.message, `"me" has lost lock "x" on configmaps/object in default: `)
        assert.include(error.message, message)
        assert.strictEqual((yield* control.sent).length, length, "nothing was asked of the server")
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(yield* annotations(), left, "whoever has it now is left alone")
      }))
  )

  it.effect.each(Object.entries(losses))(
    "%s is found out about at the next renewal where the object is not watched",
    ([, [lose, reason]]) =>
      inWorld(Effect.gen(function*() {
        const lock = yield* KubeLock.make({ ...options, watch: false })
        const fiber = yield* Effect.forkChild(lock.withLock(Effect.never))
        yield* TestClock.adjust("5 seconds")
        yield* lose
        yield* TestClock.adjust("4999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        const error = yield* Effect.flip(Fiber.join(fiber))
        assert.strictEqual(error._tag === "LockLost" && error.reason._tag, reason)
        assert.strictEqual(yield* (yield* Control).watches, 0)
      }))
  )
})

it.effect("an object that was made again is another one, though nobody told of the deletion", () =>
  Effect.forEach([
    "deleted with its object, which is there again",
    "deleted with its object, which is made again from a copy"
  ], (name) =>
    inWorld(Effect.gen(function*() {
      yield* (yield* Control).hideDeletions
      const lock = yield* KubeLock.make(options)
      const fiber = yield* Effect.forkChild(lock.withLock(Effect.never))
      yield* settle
      yield* losses[name]![0]
      yield* settle
      assert.isDefined(fiber.pollUnsafe())
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert.strictEqual(error._tag === "LockLost" && error.reason._tag, "ObjectDeleted")
    })), { discard: true }))

describe("a lock is not lost by what others do to", () => {
  it.effect("the rest of its object, and other locks", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* KubeLock.make(options)
      const fiber = yield* Effect.forkChild(lock.withLock(Effect.never))
      yield* settle
      yield* overwrite("a", "other")
      yield* overwrite("{", "another-lock")
      yield* overwrite(undefined, "other")
      const objects = yield* MemoryObjects
      yield* objects.put(resource, yield* annotations(), { data: { version: "1" } })
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(fiber.pollUnsafe())
      assert.isDefined((yield* annotations())[keyOf(lockName)])
    })))

  it.effect("the lock before: what was seen of it comes late", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* KubeLock.make(options)
      yield* lock.withLock(settle)
      yield* takeOver
      yield* overwrite(undefined)
      const fiber = yield* Effect.forkChild(lock.withLock(Effect.never))
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(fiber.pollUnsafe())
    })))
})

it.effect("one watch tells all who hold locks of an object", () =>
  inWorld(Effect.gen(function*() {
    const fibers = yield* Effect.forEach(["a", "b", "c"], (name) =>
      Effect.flatMap(KubeLock.make({ ...options, name }), (lock) =>
        Effect.forkChild(lock.withLock(Effect.never))))
    yield* settle
    assert.strictEqual(yield* (yield* Control).watches, 1)
    yield* overwrite(undefined, "b")
    assert.deepStrictEqual(
      fibers.map((fiber) =>
        fiber.pollUnsafe() === undefined
      ),
      [true, false, true]
    )
  })))

it.effect("nobody looks after a lock that was given back, however many there were", () =>
  Effect.gen(function*() {
    let looks = 0
    const cluster = yield* makeCluster({
      watch: Stream.map((change) =>
        change._tag === "Deleted" ? change : {
          ...change,
          object: {
            ...change.object,
            get annotations() {
              looks++
              return change.object.annotations
            }
          }
        }
      )
    })
    const lock = yield* (yield* cluster.start("p")).make()
    const looksAfter = Effect.fnUntraced(function*(times: number) {
      const sections = Effect.repeat(lock.withLock(Effect.void), { times: times - 1 })
      yield* untilEnded(yield* Effect.forkChild(sections))
      looks = 0
      yield* cluster.objects.put(resource, { other: `after ${times}` })
      yield* settle
      return looks
    })
    const afterOne = yield* looksAfter(1)
    assert.isAbove(afterOne, 0)
    assert.strictEqual(yield* looksAfter(20), afterOne)
  }))

it.effect("nothing sleeps on for a lock that was given back, however many there were", () =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    let asleep = 0
    const counting: Clock.Clock = Object.assign(Object.create(clock), {
      sleep: (duration: Duration.Duration) =>
        Effect.acquireUseRelease(
          Effect.sync(() => {
            asleep++
          }),
          () => clock.sleep(duration),
          () =>
            Effect.sync(() => {
              asleep--
            })
        )
    })
    const asleepAfter = yield* Effect.provideService(
      Effect.gen(function*() {
        const cluster = yield* makeCluster()
        const lock = yield* (yield* cluster.start("p")).make()
        return Effect.fnUntraced(function*(times: number) {
          const sections = Effect.repeat(lock.withLock(Effect.void), { times: times - 1 })
          yield* untilEnded(yield* Effect.forkChild(sections))
          return asleep
        }, Effect.provideService(Clock.Clock, counting))
      }),
      Clock.Clock,
      counting
    )
    const afterOne = yield* asleepAfter(1)
    assert.strictEqual(yield* asleepAfter(20), afterOne)
  }))
