import { assert, describe, it } from "@effect/vitest"
import {
  type HeldLock,
  KubeLock,
  type Lease,
  type ManagedLockOptions,
  type ManagedLocks,
  MemoryObjects,
  type NotAcquired,
  ResourceRef
} from "@kubelock/kube"
import { Deferred, Effect, Exit, Fiber, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { expectTypeOf } from "vitest"
import {
  annotations,
  asProcess,
  Control,
  fates,
  inWorldOf,
  keyOf,
  overwrite,
  recordOf,
  settle,
  untilEnded
} from "./suites/managedWorld.ts"

const a = ResourceRef.configMap({ namespace: "default", name: "a" })
const b = ResourceRef.configMap({ namespace: "default", name: "b" })
const c = ResourceRef.configMap({ namespace: "default", name: "c" })
const inWorld = <A, E, R>(effect: Effect.Effect<A, E, R>) => inWorldOf([a, b, c])(asProcess("me")(effect))

const lock = (resource: ResourceRef.ResourceRef, name: string, more: Partial<ManagedLockOptions> = {}) => ({
  resource,
  name,
  ttl: "30 seconds" as const,
  ...more
})
const foreign = `{"owner":"somebody else","createdAt":"1970-01-01T00:00:00Z","ttl":3600000000000}`
const patches = Effect.gen(function*() {
  return (yield* (yield* Control).sent).filter(({ method }) => method === "PATCH")
})
const isClean = Effect.gen(function*() {
  for (const ref of [a, b, c]) {
    for (const [key, text] of Object.entries(yield* annotations(ref))) assert.strictEqual(text, foreign, key)
  }
})

describe("several locks, to the compiler", () => {
  it.effect("are as many as were given, and a list's are a list", () =>
    inWorld(Effect.gen(function*() {
      const { acquireAll } = yield* KubeLock.makeAll([lock(a, "x"), { ...lock(a, "y"), ttl: "9 seconds" }])
      expectTypeOf(acquireAll).toEqualTypeOf<
        Effect.Effect<readonly [HeldLock["Service"], HeldLock["Service"]], NotAcquired, Scope.Scope>
      >()
      const list = yield* KubeLock.makeAll([a, b].map((resource) => lock(resource, "x")))
      expectTypeOf(list).toEqualTypeOf<ManagedLocks>()
      const locks = yield* KubeLock
      const leases = yield* locks.acquireAll({ resource: a, names: ["x", "y"] })
      expectTypeOf(leases).toEqualTypeOf<readonly [Lease, Lease]>()
      // @ts-expect-error: an option's name is misspelt
      yield* KubeLock.makeAll([{ ...lock(a, "x"), tll: "9 seconds" }])
    })))
})

describe("several locks of one object", () => {
  it.effect("are taken in one request, and each is kept and given back by itself", () =>
    inWorld(Effect.gen(function*() {
      const locks = yield* KubeLock.makeAll([lock(a, "y"), lock(a, "x", { owner: "alice" })])
      yield* Effect.scoped(Effect.gen(function*() {
        const [y, x] = yield* locks.acquireAll
        assert.deepStrictEqual([y.name, x.name].map(String), ["y", "x"], "as they were given")
        assert.deepStrictEqual([y.owner, x.owner], ["me", "alice"])
        assert.strictEqual((yield* patches).length, 1)
        assert.sameMembers(Object.keys(yield* annotations(a)), [keyOf("x"), keyOf("y")])
        yield* x.release
        assert.sameMembers(Object.keys(yield* annotations(a)), [keyOf("y")])
        yield* TestClock.adjust("1 minute")
        assert.isTrue(yield* y.isHeld)
        assert.isFalse(yield* x.isHeld)
      }))
      yield* isClean
    })))

  // A proxy sends the request twice and answers with the refusal of the second, or the answer is lost: either way the
  // acquisition has records of its own on the object that it does not know of.
  it.effect.each(["refused", "answerLost"] as const)(
    "that were taken unknown to the taker, and one of them broken, are all given back: %s",
    (answer) =>
      inWorld(Effect.gen(function*() {
        const objects = yield* MemoryObjects
        const breakOne = Effect.flatMap(
          annotations(a),
          (before) => objects.put(a, { ...before, [keyOf("x")]: foreign })
        ).pipe(Effect.provideService(MemoryObjects, objects))
        yield* (yield* Control).nextWrites({ after: breakOne, instead: fates[answer].instead })
        const locks = yield* KubeLock.makeAll([lock(a, "x"), lock(a, "y")])
        const waiting = yield* Effect.forkChild(Effect.scoped(locks.acquireAll))
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(yield* annotations(a), { [keyOf("x")]: foreign }, "y is held by nobody")
        yield* Fiber.interrupt(waiting)
        yield* isClean
      }))
  )

  it.effect("are all waited for, and none taken before", () =>
    inWorld(Effect.gen(function*() {
      yield* overwrite(foreign, "y", a)
      const locks = yield* KubeLock.makeAll([lock(a, "x"), lock(a, "y")])
      const fiber = yield* Effect.forkChild(locks.withLocks(Effect.succeed("both")))
      for (let minute = 0; minute < 5; minute++) {
        yield* TestClock.adjust("1 minute")
        assert.isUndefined(yield* recordOf("x", a))
      }
      yield* overwrite(undefined, "y", a)
      assert.deepStrictEqual(yield* untilEnded(fiber), Exit.succeed("both"))
      yield* isClean
    })))
})

describe("locks of several objects", () => {
  const orders = [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]]
  it.effect.each(orders.map((given) => ({ given, names: given.map(({ name }) => name).join(", ") })))(
    "are taken in one order, whatever order they are given in: $names",
    ({ given }) =>
      inWorld(Effect.gen(function*() {
        const locks = yield* KubeLock.makeAll(given.map((resource) => lock(resource, "x")))
        const held = yield* locks.acquireAll
        assert.deepStrictEqual((yield* patches).map(({ path }) => path), [a, b, c].map(ResourceRef.toPath))
        assert.deepStrictEqual(held.map(({ resource }) => resource), given)
      }))
  )

  it.effect("are released when it is interrupted at any of its requests, before or after that is made", () =>
    Effect.forEach(
      [1, 2, 3, 4, 5, 6],
      (request) =>
        Effect.forEach(["before", "after"], (place) =>
          inWorld(Effect.gen(function*() {
            const reached = yield* Deferred.make<void>()
            const goOn = yield* Deferred.make<void>()
            const pause = Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(goOn))
            yield* (yield* Control).fate(({ number }) => number === request ? { [place]: pause } : undefined)
            const locks = yield* KubeLock.makeAll([a, b, c].map((resource) => lock(resource, "x")))
            const fiber = yield* Effect.forkChild(locks.withLocks(Effect.void))
            yield* Deferred.await(reached)
            const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
            yield* settle
            yield* Deferred.succeed(goOn, undefined)
            yield* Fiber.join(interrupting)
            yield* isClean
          }))),
      { discard: true }
    ))

  it.effect("are released when a later one fails", () =>
    inWorld(Effect.gen(function*() {
      const control = yield* Control
      const locks = yield* KubeLock.makeAll([lock(b, "x"), lock(a, "x"), lock(a, "y")])
      yield* control.fate(({ path }) => path === ResourceRef.toPath(b) ? fates.forbidden : undefined)
      const error = yield* Effect.flip(locks.withLocks(Effect.die("nobody has them")))
      assert.strictEqual(error._tag, "KubeError")
      yield* isClean
      assert.isAbove((yield* patches).length, 2)
    })))

  it.effect("are released when a later one is not to be had in time, and its holder is named", () =>
    inWorld(Effect.gen(function*() {
      yield* overwrite(foreign, "x", b)
      const locks = yield* KubeLock.makeAll([
        lock(a, "x", { waitAtMost: "1 minute" }),
        lock(b, "x", { waitAtMost: "3 seconds" })
      ])
      // Into a scope that stays open.
      const fiber = yield* Effect.forkChild(Effect.flip(locks.acquireAll))
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      assert.strictEqual((yield* recordOf("x", a))?.owner, "me")
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error._tag, "WaitTimeout")
      assert.include(error.message, "configmaps/b in default")
      assert.include(error.message, `"somebody else"`)
      yield* isClean
    })))

  it.effect("are released when waiting for a later one is interrupted", () =>
    inWorld(Effect.gen(function*() {
      yield* overwrite(foreign, "x", b)
      const locks = yield* KubeLock.makeAll([lock(a, "x"), lock(b, "x")])
      const fiber = yield* Effect.forkChild(locks.withLocks(Effect.never))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* recordOf("x", a))?.owner, "me", "it is renewed meanwhile")
      yield* Fiber.interrupt(fiber)
      yield* isClean
    })))

  it.effect("end the section when one of them is lost, and the others are released", () =>
    inWorld(Effect.gen(function*() {
      const locks = yield* KubeLock.makeAll([lock(a, "x"), lock(b, "x"), lock(b, "y")])
      const fiber = yield* Effect.forkChild(locks.withLocks(Effect.never))
      yield* settle
      yield* overwrite(foreign, "y", b)
      yield* settle
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert.strictEqual(error._tag === "LockLost" && error.lock, "y")
      yield* isClean
    })))

  it.effect("never let two wait for each other, in one process or two", () =>
    Effect.forEach([["me", "me"], ["me", "other"]], ([first, second]) =>
      inWorldOf([a, b, c])(Effect.gen(function*() {
        const worker = (process: string, resources: ReadonlyArray<ResourceRef.ResourceRef>) =>
          asProcess(process)(Effect.gen(function*() {
            const locks = yield* KubeLock.makeAll(resources.map((resource) => lock(resource, "x")))
            const turn = locks.withLocks(Effect.andThen(
              Effect.sleep("100 millis"),
              Effect.sync(() => {
                turns++
              })
            ))
            return yield* Effect.forkChild(Effect.repeat(turn, { times: 4 }))
          }))
        let turns = 0
        const workers = yield* Effect.all([worker(first!, [a, b, c]), worker(second!, [c, b, a])])
        for (const fiber of workers) assert.isTrue(Exit.isSuccess(yield* untilEnded(fiber)))
        assert.strictEqual(turns, 10)
        yield* isClean
      })), { discard: true }))
})

it.effect("no locks at all are had at once", () =>
  inWorld(Effect.gen(function*() {
    const locks = yield* KubeLock.makeAll([])
    assert.strictEqual(yield* locks.withLocks(Effect.succeed("done")), "done")
    assert.deepStrictEqual(yield* (yield* Control).sent, [])
  })))
