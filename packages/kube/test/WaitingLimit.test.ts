import { assert, describe, it } from "@effect/vitest"
import { ResourceRef, WaitTimeout } from "@kubelock/kube"
import { Deferred, Duration, Effect, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { goRecord, hold, key, makeCluster, resource } from "./suites/processes.ts"

// Waiting at most so long: what the error says, and that nothing is left.

/** What a wait fails with when its time is over. */
const failure = Effect.fnUntraced(function*<A, E extends { readonly _tag: string }>(waiting: Effect.Effect<A, E>) {
  const error = yield* Effect.flip(waiting)
  return error instanceof WaitTimeout ? error : yield* Effect.die(error)
})

/** The same, after five seconds and not before. */
const timeout = Effect.fnUntraced(function*<A, E extends { readonly _tag: string }>(waiting: Effect.Effect<A, E>) {
  const fiber = yield* Effect.forkChild(failure(waiting))
  yield* TestClock.adjust("4999 millis")
  assert.isUndefined(fiber.pollUnsafe())
  yield* TestClock.adjust("1 millis")
  return yield* Fiber.join(fiber)
})

const said = ({ holder, lock, owner, resource, waited }: WaitTimeout) => ({
  lock,
  resource,
  owner,
  waited: Duration.format(waited),
  holder: holder?.owner
})

describe("who has waited as long as it would", () => {
  it.effect("is told for what, for how long, and who holds it", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      yield* cluster.objects.put(resource, { [key]: goRecord("alice", 0, 60_000) })
      const lock = yield* (yield* cluster.start("bob")).make({ waitAtMost: "5 seconds" })
      const error = yield* timeout(lock.withLock(Effect.void))
      assert.deepStrictEqual(said(error), {
        lock: "x",
        resource: "configmaps/object in default",
        owner: "bob",
        waited: "5s",
        holder: "alice"
      })
      assert.strictEqual(
        error.message,
        `"bob" has waited 5s for lock "x" on configmaps/object in default in vain: it is held by "alice" ` +
          `since 1970-01-01T00:00:00Z until 1970-01-01T00:01:00Z (55s left)`
      )
    }))

  it.effect("is told of the holder as it is by then, not as it was first seen", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      yield* cluster.objects.put(resource, { [key]: goRecord("alice", 0, 60_000) })
      const lock = yield* (yield* cluster.start("bob")).make({ waitAtMost: "5 seconds" })
      const waiting = yield* Effect.forkChild(failure(lock.withLock(Effect.void)))
      yield* TestClock.adjust("1 second")
      yield* cluster.objects.put(resource, { [key]: goRecord("carol", 1_000, 60_000) })
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual((yield* Fiber.join(waiting)).holder?.owner, "carol")
    }))

  it.effect.each([true, false])(
    "is told of a holder in its own process, behind which it has queued; watch: %s",
    (watch) =>
      Effect.gen(function*() {
        const cluster = yield* makeCluster()
        const bob = yield* cluster.start("bob")
        const first = yield* hold(yield* bob.make({ owner: "bob's other half", watch }))
        const lock = yield* bob.make({ waitAtMost: "5 seconds" })
        const error = yield* timeout(lock.withLock(Effect.void))
        assert.strictEqual(error.holder?.owner, "bob's other half")
        assert.strictEqual(error.holder?.id, first.held.id)
        assert.strictEqual(error.owner, "bob")
      })
  )

  it.effect("is told of who took the lock, not of a fiber of its own process that has lost it and goes on", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      const process = yield* cluster.start("bob")
      yield* hold(yield* process.make())
      yield* cluster.objects.put(resource, { [key]: goRecord("alice", 0, 60_000) })
      yield* TestClock.adjust(0)
      const lock = yield* process.make({ waitAtMost: "5 seconds" })
      assert.strictEqual((yield* timeout(lock.withLock(Effect.void))).holder?.owner, "alice")
    }))

  it.effect("is told in words of a holder whose clock is far ahead", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      yield* cluster.objects.put(resource, { [key]: goRecord("alice", 86_400_000, 60_000) })
      const lock = yield* (yield* cluster.start("bob")).make({ waitAtMost: "5 seconds" })
      const { message } = yield* timeout(lock.withLock(Effect.void))
      assert.include(message, "in the future by this machine's clock, so one of the two clocks is wrong")
      assert.include(message, "or when it is broken")
    }))

  it.effect("is told that nobody was seen to hold it, where no answer came", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster({
        request: ({ method }, answer) => method === "GET" ? Effect.never : answer
      })
      yield* cluster.objects.put(resource, { [key]: goRecord("alice", 0, 60_000) })
      const lock = yield* (yield* cluster.start("bob")).make({ waitAtMost: "5 seconds" })
      const error = yield* timeout(lock.withLock(Effect.void))
      assert.isUndefined(error.holder)
      assert.include(error.message, "it was not seen held")
    }))
})

describe("a wait whose time is over", () => {
  it.effect("waits for the request that is on its way, and undoes it", () =>
    Effect.gen(function*() {
      const reached = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const cluster = yield* makeCluster({
        request: ({ method }, answer) =>
          method === "PATCH"
            ? Effect.tap(answer, () => Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(goOn)))
            : answer
      })
      const lock = yield* (yield* cluster.start("bob")).make({ waitAtMost: "1 second" })
      const fiber = yield* Effect.forkChild(Effect.flip(lock.withLock(Effect.die("not to be run"))))
      yield* Deferred.await(reached)
      yield* TestClock.adjust("2 seconds")
      assert.isDefined((yield* cluster.annotations)[key])
      assert.isUndefined(fiber.pollUnsafe())
      yield* Deferred.succeed(goOn, undefined)
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "WaitTimeout")
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))

  it.effect("leaves the queue: whoever came after is served, and nothing is left", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      const bob = yield* cluster.start("bob")
      const first = yield* hold(yield* bob.make())
      const hasty = yield* Effect.forkChild(
        failure((yield* bob.make({ waitAtMost: "5 seconds" })).withLock(Effect.void))
      )
      yield* TestClock.adjust(0)
      const patient = yield* Effect.forkChild((yield* bob.make()).withLock(Effect.succeed("served")))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(hasty)
      yield* first.release
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(yield* Fiber.join(patient), "served")
      assert.deepStrictEqual(yield* cluster.annotations, {})
      yield* TestClock.adjust("11 seconds")
      assert.strictEqual(cluster.openWatches(), 0)
    }))
})

describe("several locks", () => {
  const other = ResourceRef.configMap({ namespace: "default", name: "other" })

  it.effect("are waited for no longer than the shortest of their limits, and the one that was held is named", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      yield* cluster.objects.put(resource, { "kubelock.giantswarm.io/y": goRecord("alice", 0, 60_000) })
      const locks = yield* (yield* cluster.start("bob")).makeAll([
        { name: "x", waitAtMost: "1 minute" },
        { name: "y", waitAtMost: "5 seconds" },
        { name: "z" }
      ])
      const error = yield* timeout(locks.withLocks(Effect.void))
      assert.deepStrictEqual(said(error), {
        lock: "y",
        resource: "configmaps/object in default",
        owner: "bob",
        waited: "5s",
        holder: "alice"
      })
      assert.deepStrictEqual(Object.keys(yield* cluster.annotations), ["kubelock.giantswarm.io/y"])
    }))

  it.effect("of several objects: what was taken before is given back, and the object that was locked is named", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster({}, [resource, other])
      yield* cluster.objects.put(other, { [key]: goRecord("alice", 0, 60_000) })
      const locks = yield* (yield* cluster.start("bob")).makeAll([
        { waitAtMost: "5 seconds" },
        { resource: other, owner: "bob's other half" }
      ])
      const waiting = yield* Effect.forkChild(failure(locks.withLocks(Effect.void)))
      yield* TestClock.adjust("1 second")
      assert.isDefined((yield* cluster.annotations)[key])
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(said(yield* Fiber.join(waiting)), {
        lock: "x",
        resource: "configmaps/other in default",
        owner: "bob's other half",
        waited: "5s",
        holder: "alice"
      })
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))

  it.effect("are given back at once when the rest cannot be had, though the scope that they were asked into goes on", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster({}, [resource, other])
      yield* cluster.objects.put(other, { [key]: goRecord("alice", 0, 60_000) })
      const locks = yield* (yield* cluster.start("bob")).makeAll([{ waitAtMost: "5 seconds" }, { resource: other }])
      const scope = yield* Effect.scope
      yield* timeout(Scope.provide(locks.acquireAll, scope))
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))

  it.effect("name the one that a fiber of the same process holds", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      const bob = yield* cluster.start("bob")
      const { held } = yield* hold(yield* bob.make({ name: "y" }))
      const locks = yield* bob.makeAll([{ name: "x", waitAtMost: "5 seconds" }, { name: "y" }])
      const error = yield* timeout(locks.withLocks(Effect.void))
      assert.deepStrictEqual([error.lock, error.holder?.id], ["y", held.id])
    }))
})
