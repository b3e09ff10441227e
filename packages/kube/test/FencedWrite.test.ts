import { assert, describe, it } from "@effect/vitest"
import { type HeldLock, type JsonPatchOperation, KubeLock, MemoryObjects } from "@kubelock/kube"
import { Clock, Duration, Effect, Exit, Fiber, Result } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import {
  annotations,
  Control,
  fates,
  inWorld,
  lockName,
  overwrite,
  recordOf,
  resource,
  settableClock,
  settle,
  takeOver
} from "./suites/managedWorld.ts"

const options = { resource, name: lockName, ttl: "30 seconds" } as const
const held = (given: { readonly watch?: boolean } = {}) =>
  Effect.flatMap(KubeLock.make({ ...options, ...given }), ({ acquire }) => acquire)

const objectNow = Effect.flatMap(MemoryObjects, (objects) => objects.get(resource))
const listNow = Effect.map(objectNow, (object) => object?.["list"])
const append = (value: string): JsonPatchOperation => ({ op: "add", path: "/list/-", value })
const withList = Effect.flatMap(MemoryObjects, (objects) => objects.put(resource, {}, { list: [] }))
const patches = Effect.gen(function*() {
  return (yield* (yield* Control).sent).filter(({ method }) => method === "PATCH").length
})

describe("a fenced write", () => {
  it.effect("changes the object in the request that tests the lock, and renews the lock", () =>
    inWorld(Effect.gen(function*() {
      yield* withList
      const lock = yield* held()
      yield* TestClock.adjust("5 seconds")
      const after = yield* lock.write([append("a"), append("b")])
      assert.deepStrictEqual(yield* listNow, ["a", "b"])
      assert.deepStrictEqual(after.annotations, yield* annotations())
      const sent = yield* (yield* Control).sent
      assert.deepStrictEqual(sent.map(({ atMillis, hasOperations, method }) => [method, atMillis, hasOperations]), [
        ["PATCH", 0, false],
        ["PATCH", 5_000, true]
      ])
      assert.strictEqual(sent[1]?.edits[0]?.expected, sent[0]?.edits[0]?.value)
      assert.strictEqual(Duration.toMillis(yield* lock.remaining), 29_000)
      assert.strictEqual((yield* recordOf())?.createdAtNanos, 5_000_000_000n)
      // The next renewal counts from it.
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual((yield* (yield* Control).sent).map(({ atMillis }) => atMillis), [0, 5_000, 15_000])
    })))

  it.effect("is refused by the server after somebody else took the lock: one request that changes nothing", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* held({ watch: false })
      const record = yield* takeOver
      const before = yield* patches
      const error = yield* Effect.flip(lock.write([{ op: "add", path: "/data", value: {} }]))
      assert.strictEqual(error._tag === "LockLost" && error.reason._tag, "TakenOver")
      assert.strictEqual((yield* patches) - before, 1)
      assert.isUndefined((yield* objectNow)?.["data"])
      assert.deepStrictEqual(yield* recordOf(), record)
      assert.isFalse(yield* lock.isHeld)
    })))

  it.effect.each(
    [
      ["broken", overwrite(undefined), "Broken"],
      ["overwritten", overwrite("{"), "Broken"],
      ["gone with its object", Effect.flatMap(MemoryObjects, (objects) => objects.delete(resource)), "ObjectDeleted"]
    ] as const
  )("is refused after the lock was %s", ([, lose, reason]) =>
    inWorld(Effect.gen(function*() {
      const lock = yield* held({ watch: false })
      yield* lose
      const before = yield* patches
      const error = yield* Effect.flip(lock.write([{ op: "add", path: "/data", value: {} }]))
      assert.strictEqual(error._tag === "LockLost" && error.reason._tag, reason)
      assert.strictEqual((yield* patches) - before, 1)
      assert.strictEqual((yield* Effect.flip(lock.lost)).reason._tag, reason)
    })))

  it.effect("whose own test fails is refused, and leaves the lock and the object as they are", () =>
    inWorld(Effect.gen(function*() {
      yield* withList
      const lock = yield* held()
      for (
        const operations of [
          [append("a"), { op: "test", path: "/list", value: ["b"] }],
          [append("a"), { op: "remove", path: "/nowhere" }]
        ] as const
      ) {
        const before = yield* patches
        const object = yield* objectNow
        const error = yield* Effect.flip(lock.write(operations))
        assert.strictEqual(error._tag, "OperationsRefused")
        assert.include(error.message, "configmaps/object in default was not changed, though the lock is held")
        assert.include(error.message, `add /list/-, ${operations[1].op} ${operations[1].path}`)
        assert.strictEqual((yield* patches) - before, 1)
        assert.deepStrictEqual(yield* objectNow, object)
        assert.isTrue(yield* lock.isHeld)
      }
      yield* lock.write([append("a"), { op: "test", path: "/list", value: ["a"] }])
      assert.deepStrictEqual(yield* listNow, ["a"])
    })))

  it.effect("that would leave no object is refused by the server, and the lock held", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* held()
      const error = yield* Effect.flip(lock.write([{ op: "replace", path: "/metadata/name", value: "other" }]))
      assert.strictEqual(error._tag === "KubeError" && error.reason._tag, "Invalid")
      yield* TestClock.adjust("1 minute")
      assert.isTrue(yield* lock.isHeld)
    })))

  const key = "kubelock.giantswarm.io~1x"
  it.effect.each(
    [
      { op: "add", path: "", value: {} },
      { op: "replace", path: "/metadata", value: {} },
      { op: "remove", path: "/metadata/annotations" },
      { op: "remove", path: `/metadata/annotations/${key}` },
      { op: "add", path: `/metadata/annotations/${key}/deeper`, value: "" },
      { op: "move", from: `/metadata/annotations/${key}`, path: "/data" },
      { op: "move", from: "/metadata/annotations", path: "/data" },
      { op: "move", from: "/metadata", path: "/data" },
      { op: "copy", from: "/data", path: `/metadata/annotations/${key}` },
      { op: "move", from: "/data", path: "/metadata/annotations" }
    ] as ReadonlyArray<JsonPatchOperation>
  )("that touches the lock's own annotation is not even sent: %j", (operation) =>
    inWorld(Effect.gen(function*() {
      const lock = yield* held()
      const before = yield* patches
      const error = yield* Effect.flip(lock.write([{ op: "add", path: "/data", value: {} }, operation]))
      assert.strictEqual(error._tag, "InvalidConfig")
      assert.include(error.message, "it would change the annotation of the lock itself")
      assert.strictEqual(yield* patches, before)
    })))

  it.effect("whose path begins without a slash is not sent either", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* held()
      const before = yield* patches
      const error = yield* Effect.flip(lock.write([{ op: "add", path: "data/version", value: "1" }]))
      assert.strictEqual(error._tag, "InvalidConfig")
      assert.include(error.message, `"add data/version": a path begins with a slash`)
      assert.strictEqual(yield* patches, before)
    })))

  it.effect("may look at the lock's own annotation, and change others, also of other locks", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* held()
      yield* lock.write([
        { op: "copy", from: `/metadata/annotations/${key}`, path: "/metadata/annotations/kubelock.giantswarm.io~1xy" },
        { op: "add", path: "/metadata/annotations/kubelock.giantswarm.io~1", value: "a" },
        { op: "add", path: "/metadata/labels", value: { a: "b" } }
      ])
      assert.sameMembers(Object.keys(yield* annotations()), [
        "kubelock.giantswarm.io/x",
        "kubelock.giantswarm.io/xy",
        "kubelock.giantswarm.io/"
      ])
    })))
})

describe("beside a renewal", () => {
  const slow = { before: Effect.sleep("1 second"), after: Effect.sleep("1 second") }

  it.effect.each([9_500, 10_000, 10_500, 11_500, 12_000])(
    "a write at %i ms succeeds, and so does the renewal",
    (atMillis) =>
      inWorld(Effect.gen(function*() {
        yield* withList
        const lock = yield* held()
        yield* (yield* Control).fate(() => slow)
        const write = Effect.andThen(Effect.sleep(atMillis), Effect.exit(lock.write([append("a")])))
        const writing = yield* Effect.forkChild(write)
        yield* TestClock.adjust("16 seconds")
        assert.isTrue(Exit.isSuccess(yield* Fiber.join(writing)))
        assert.deepStrictEqual(yield* listNow, ["a"])
        yield* TestClock.adjust("1 minute")
        assert.isTrue(yield* lock.isHeld)
        const sent = yield* (yield* Control).sent
        assert.isTrue(sent.every(({ method }) => method === "PATCH"), "none of them was refused")
      }))
  )

  it.effect("and beside other writes all succeed, in order", () =>
    inWorld(Effect.gen(function*() {
      yield* withList
      const lock = yield* held()
      yield* (yield* Control).fate(() => slow)
      yield* TestClock.adjust("9 seconds")
      const writing = yield* Effect.forkChild(
        Effect.forEach(["a", "b", "c"], (value) => lock.write([append(value)]), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(writing)
      assert.deepStrictEqual(yield* listNow, ["a", "b", "c"])
    })))
})

describe("a write whose answer is lost", () => {
  const step = fc.record(
    {
      jumpMillis: fc.constantFrom(0, 0, -1_000, 1_000, -3_600_000, 3_600_000),
      passMillis: fc.constantFrom(0, 500, 1_000),
      what: fc.constantFrom("write", "write", "renew"),
      fates: fc.array(
        fc.constantFrom("ok", "answerLost", "requestLost", "hang", "hangMade", "conflict", "throttled", "unreachable"),
        { maxLength: 3 }
      ),
      isGivenUp: fc.boolean()
    } as const
  )

  /** Each value once where its write succeeded, never where it was refused, and once at most where nobody knows. */
  const check = (list: ReadonlyArray<unknown>, outcomes: ReadonlyMap<string, Outcome>, said: string) => {
    assert.strictEqual(new Set(list).size, list.length, said)
    for (const [value, outcome] of outcomes) {
      if (outcome !== "unknown") assert.strictEqual(list.includes(value), outcome === "made", `${value} of ${said}`)
    }
  }
  type Outcome = "made" | "not made" | "unknown"
  const outcomeOf = (exit: Effect.Success<ReturnType<typeof ended>>): Outcome => {
    if (Exit.isSuccess(exit)) return "made"
    const error = Result.getOrUndefined(Exit.findError(exit))
    return error?._tag === "KubeError" && !error.outcomeUnknown ? "not made" : "unknown"
  }
  const ended = (
    fiber: Fiber.Fiber<unknown, Effect.Error<ReturnType<HeldLock["Service"]["write"]>>>,
    isGivenUp: boolean
  ) =>
    Effect.gen(function*() {
      yield* settle
      if (isGivenUp) yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* TestClock.adjust("2 minutes")
      return yield* Fiber.await(fiber)
    })

  it.effect("is made exactly once, whatever is lost, given up, or done to the clock", () =>
    Effect.gen(function*() {
      for (const steps of fc.sample(fc.array(step, { minLength: 1, maxLength: 5 }), { seed: 7, numRuns: 300 })) {
        yield* inWorld(Effect.gen(function*() {
          yield* withList
          const { clock, jump } = yield* settableClock
          const onClock = Effect.provideService(Clock.Clock, clock)
          const lock = yield* onClock(Effect.flatMap(
            KubeLock.make({ ...options, ttl: "2 hours", renewEvery: "1 hour", watch: false }),
            ({ acquire }) => acquire
          ))
          const control = yield* Control
          const outcomes = new Map<string, Outcome>()
          for (const [index, { fates: names, isGivenUp, jumpMillis, passMillis, what }] of steps.entries()) {
            yield* TestClock.adjust(passMillis)
            yield* jump(jumpMillis)
            yield* control.nextWrites(...names.map((name) => fates[name]))
            const doing = what === "write" ? lock.write([append(`value ${index}`)]) : lock.renew
            const exit = yield* ended(yield* Effect.forkChild(onClock(doing)), isGivenUp)
            if (what === "write") outcomes.set(`value ${index}`, outcomeOf(exit))
          }
          const list = yield* listNow
          assert.isTrue(Array.isArray(list))
          if (Array.isArray(list)) check(list, outcomes, JSON.stringify(steps))
        }))
      }
    }))

  it.effect("is not taken for the one before it, which was given up", () =>
    inWorld(Effect.gen(function*() {
      yield* withList
      const { clock, jump } = yield* settableClock
      const onClock = Effect.provideService(Clock.Clock, clock)
      const lock = yield* onClock(held({ watch: false }))
      const control = yield* Control
      yield* jump("1 hour")
      yield* control.nextWrites(fates.answerLost)
      const first = yield* Effect.forkChild(onClock(lock.write([append("first")])))
      yield* settle
      yield* Fiber.interrupt(first)
      yield* jump("-1 hour")
      // The first try is refused, since the record is another by now; the second gets lost.
      yield* control.nextWrites({}, fates.requestLost)
      const second = yield* Effect.forkChild(onClock(lock.write([append("second")])))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(second)
      assert.deepStrictEqual(yield* listNow, ["first", "second"])
    })))

  it.effect("fails where the server does not answer for good, and says that nobody knows", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* held()
      yield* (yield* Control).fate(() => fates.answerLost)
      const fiber = yield* Effect.forkChild(Effect.flip(lock.write([{ op: "add", path: "/data", value: {} }])))
      yield* TestClock.adjust("25 seconds")
      const error = yield* Fiber.join(fiber)
      assert.isTrue(error._tag === "KubeError" && error.outcomeUnknown)
      assert.include(error.message, `write under lock "x" as "me"`)
    })))
})
