import { assert, describe, it } from "@effect/vitest"
import { AnnotationStore, HeldLock, Identity, KubeLock, type ManagedLockOptions } from "@kubelock/kube"
import { Context, Duration, Effect, Fiber, Layer, Random } from "effect"
import { TestClock } from "effect/testing"
import { hold, key, makeCluster, makeSections, resource, until } from "./suites/processes.ts"

// When a lock passes from one fiber of a process to the next without a request, and what each of them has then.

/** Which sections of these lengths, queued in this order behind one another, shared an acquisition, and what was asked. */
const run = Effect.fnUntraced(function*(
  sections: ReadonlyArray<{ readonly millis: number; readonly options?: Partial<ManagedLockOptions> }>
) {
  const cluster = yield* makeCluster()
  const process = yield* cluster.start("p")
  const fibers = yield* Effect.forEach(sections, ({ millis, options }) =>
    Effect.gen(function*() {
      const lock = yield* process.make(options)
      const section = Effect.gen(function*() {
        const { fencingToken, id } = yield* HeldLock
        yield* Effect.sleep(Duration.millis(millis))
        return { id, fencingToken }
      })
      const fiber = yield* Effect.forkChild(lock.withLock(section))
      yield* TestClock.adjust(0)
      return fiber
    }))
  yield* TestClock.adjust("10 seconds")
  const held = yield* Effect.forEach(fibers, Fiber.join)
  assert.deepStrictEqual(yield* cluster.annotations, {})
  return { held, requests: cluster.requests.map(({ method }) => method) }
})

const distinct = (values: ReadonlyArray<unknown>) => new Set(values).size

describe("a lock passes from one fiber to the next", () => {
  it.effect("without a request, with its id and its fencing token", () =>
    Effect.gen(function*() {
      const { held, requests } = yield* run(Array.from({ length: 5 }, () => ({ millis: 10 })))
      assert.strictEqual(distinct(held.map(({ id }) => id)), 1)
      assert.strictEqual(distinct(held.map(({ fencingToken }) => fencingToken)), 1)
      assert.deepStrictEqual(requests, ["PATCH", "PATCH"])
    }))

  it.effect("for 100 ms after it was taken, and is then given back and contended for anew", () =>
    Effect.gen(function*() {
      const { held } = yield* run([{ millis: 60 }, { millis: 39 }, { millis: 1 }, { millis: 10 }])
      assert.deepStrictEqual(held.map(({ id }) => held.findIndex((other) => other.id === id)), [0, 0, 0, 3])
      assert.isTrue(held[3]!.fencingToken > held[0]!.fencingToken)
    }))

  it.effect("for as long as it is told to", () =>
    Effect.gen(function*() {
      const options = { localHandover: "1 second" } as const
      const { held } = yield* run([600, 399, 1, 10].map((millis) => ({ millis, options })))
      assert.deepStrictEqual(held.map(({ id }) => held.findIndex((other) => other.id === id)), [0, 0, 0, 3])
    }))

  it.effect("never, where that is turned off", () =>
    Effect.gen(function*() {
      const options = { localHandover: 0 }
      const { held, requests } = yield* run(Array.from({ length: 3 }, () => ({ millis: 1, options })))
      assert.strictEqual(distinct(held.map(({ id }) => id)), 3)
      assert.strictEqual(distinct(held.map(({ fencingToken }) => fencingToken)), 3)
      assert.isAtLeast(requests.length, 6)
    }))

  const different: ReadonlyArray<Partial<ManagedLockOptions>> = [
    { owner: "another" },
    { ttl: "31 seconds", renewEvery: "10 seconds", requestTimeout: "5 seconds", safetyMargin: "1 second" },
    { renewEvery: "5 seconds" },
    { safetyMargin: "2 seconds" },
    { requestTimeout: "1 second" },
    { watch: false }
  ]

  it.effect.each(different)("never to one that wants another lease: %o", (options) =>
    Effect.gen(function*() {
      const { held } = yield* run([{ millis: 1 }, { millis: 1, options }, { millis: 1 }])
      assert.strictEqual(distinct(held.map(({ id }) => id)), 3)
    }))

  it.effect("to one that waits for it no longer than so", () =>
    Effect.gen(function*() {
      const { held } = yield* run([{ millis: 1 }, { millis: 1, options: { waitAtMost: "1 second" } }])
      assert.strictEqual(distinct(held.map(({ id }) => id)), 1)
    }))
})

describe("two processes of one layer", () => {
  it.effect("leave one another nothing, and each acquisition names its own", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      const layer = Layer.provide(KubeLock.layer, Layer.succeed(AnnotationStore, cluster.store))
      const locks = Context.get(yield* Layer.build(Layer.fresh(layer)), KubeLock)
      const sections = ["a", "b", "a"].map((process) =>
        Effect.gen(function*() {
          const lock = yield* locks.make({ resource, name: "x", owner: "shared" })
          return yield* lock.withLock(Effect.tap(Effect.map(HeldLock, ({ id }) => id), () => Effect.sleep("10 millis")))
        }).pipe(Identity.withOwner("shared"), Identity.asProcess(process))
      )
      const fibers = yield* Effect.forEach(sections, (section) =>
        Effect.tap(Effect.forkChild(section), () => TestClock.adjust(0)))
      yield* TestClock.adjust("5 seconds")
      const [first, second, third] = yield* Effect.forEach(fibers, Fiber.join)
      assert.match(first!, /^a-/)
      assert.match(second!, /^b-/)
      assert.strictEqual(third, first)
    }))
})

describe("a lock that is not held any more", () => {
  it.effect("is not handed on", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      const lock = yield* (yield* cluster.start("p")).make()
      const first = yield* hold(lock)
      const waiting = yield* Effect.forkChild(hold(lock))
      yield* TestClock.adjust(0)
      const { [key]: text } = yield* cluster.annotations
      yield* cluster.store.edit(resource, [{ key, expected: text, value: undefined }])
      yield* TestClock.adjust(0)
      assert.isFalse(yield* first.held.isHeld)
      yield* first.release
      yield* TestClock.adjust("50 millis")
      const second = yield* Fiber.join(waiting)
      assert.notStrictEqual(second.held.id, first.held.id)
      assert.isTrue(yield* second.held.isHeld)
      yield* second.release
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))
})

describe("the section that has ended", () => {
  const both = Effect.gen(function*() {
    const cluster = yield* makeCluster()
    const lock = yield* (yield* cluster.start("p")).make()
    const first = yield* hold(lock)
    const waiting = yield* Effect.forkChild(hold(lock))
    yield* TestClock.adjust(0)
    yield* first.release
    yield* TestClock.adjust(0)
    const second = yield* Fiber.join(waiting)
    assert.strictEqual(second.held.id, first.held.id)
    return { cluster, first: first.held, second }
  })

  it.effect("has nothing to say about the lock any more, which the next one holds", () =>
    Effect.gen(function*() {
      const { cluster, first, second } = yield* both
      cluster.requests.length = 0
      assert.isFalse(yield* first.isHeld)
      assert.isTrue(Duration.isZero(yield* first.remaining))
      for (const late of [first.renew, Effect.asVoid(first.write([]))]) {
        const error = yield* Effect.flip(late)
        assert.strictEqual(error._tag === "LockLost" && error.reason._tag, "Released")
      }
      yield* first.release
      assert.deepStrictEqual(cluster.requests, [])
      assert.isTrue(yield* second.held.isHeld)
      yield* second.held.renew
      yield* second.held.write([{ op: "add", path: "/data", value: { by: "second" } }])
      yield* second.release
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))

  it.effect("has not lost the lock when the next one loses it", () =>
    Effect.gen(function*() {
      const { cluster, first, second } = yield* both
      const lost = yield* Effect.forEach([first.lost, second.held.lost], (lost) => Effect.forkChild(Effect.flip(lost)))
      yield* TestClock.adjust(0)
      yield* cluster.objects.put(resource)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(lost.map((fiber) => fiber.pollUnsafe() !== undefined), [false, true])
    }))

  it.effect("keeps the next one waiting until it has ended, also where its lock is lost and nothing interrupts it", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      const lock = yield* (yield* cluster.start("p")).make()
      const { release } = yield* hold(lock)
      const waiting = yield* Effect.forkChild(lock.withLock(Effect.void))
      yield* TestClock.adjust(0)
      yield* cluster.objects.put(resource)
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(waiting.pollUnsafe())
      yield* release
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(waiting)
    }))

  it.effect("can still be told that it has lost the lock, if it has", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      const lock = yield* (yield* cluster.start("p")).make()
      const { held, release } = yield* hold(lock)
      const waiting = yield* Effect.forkChild(lock.withLock(Effect.void))
      yield* TestClock.adjust(0)
      yield* cluster.objects.put(resource)
      yield* TestClock.adjust("1 millis")
      yield* release
      assert.strictEqual((yield* Effect.flip(held.lost)).reason._tag, "Broken")
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(waiting)
    }))
})

describe("a section that has given its lock back before its end", () => {
  it.effect("goes on when the next one loses it", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      const lock = yield* (yield* cluster.start("p")).make()
      const early = yield* Effect.forkChild(lock.withLock(Effect.gen(function*() {
        yield* Effect.sleep("1 millis")
        yield* (yield* HeldLock).release
        yield* Effect.sleep("1 second")
        return "to its end"
      })))
      yield* TestClock.adjust(0)
      const next = yield* Effect.forkChild(Effect.flip(lock.withLock(Effect.never)))
      yield* TestClock.adjust("500 millis")
      yield* cluster.objects.put(resource)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(next))._tag, "LockLost")
      assert.strictEqual(yield* Fiber.join(early), "to its end")
    }))
})

describe("other processes", () => {
  it.effect("get their turn, though one has always another fiber that waits", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster({ request: (_, answer) => Effect.delay(answer, "1 millis") })
      const sections = makeSections()
      for (const name of ["a", "b"]) {
        const lock = yield* (yield* cluster.start(name)).make()
        for (let fiber = 0; fiber < 4; fiber++) {
          yield* Effect.forkChild(until("10 seconds", lock.withLock(sections.by(name, Effect.sleep("5 millis")))))
        }
      }
      yield* TestClock.adjust("11 seconds")
      const shares = ["a", "b"].map((name) => sections.entered.filter((entered) => entered === name).length)
      assert.approximately(shares[0]! / shares[1]!, 1, 0.1)
      assert.strictEqual(sections.most(), 1)
    }).pipe(Effect.scoped, Random.withSeed(1)))

  it.effect("do not wait for a lock that was left to a fiber that waits for another one besides", () =>
    Effect.gen(function*() {
      const cluster = yield* makeCluster()
      const process = yield* cluster.start("p")
      const x = yield* hold(yield* process.make({ name: "x" }))
      const y = yield* hold(yield* process.make({ name: "y" }))
      const both = yield* process.makeAll([{ name: "x" }, { name: "y" }])
      const waiting = yield* Effect.forkChild(both.withLocks(Effect.succeed("both")))
      yield* TestClock.adjust(0)
      yield* x.release
      const other = yield* (yield* cluster.start("other")).make({ name: "x" })
      const served = yield* Effect.forkChild(other.withLock(Effect.succeed("other")))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(served), "other")
      yield* y.release
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(waiting), "both")
      assert.deepStrictEqual(yield* cluster.annotations, {})
    }))
})

describe("what is still on its way when a lock is given up", () => {
  /** A cluster whose answers to writes take a second. */
  const slow = makeCluster({
    request: ({ method }, answer) => method === "PATCH" ? Effect.andThen(Effect.sleep("1 second"), answer) : answer
  })

  it.effect("a write that has not had its turn yet is not made under the next section's lock", () =>
    Effect.gen(function*() {
      const cluster = yield* slow
      const lock = yield* (yield* cluster.start("p")).make({ localHandover: "10 seconds" })
      const asking = yield* Effect.forkChild(hold(lock))
      yield* TestClock.adjust("1 second")
      const { held, release } = yield* Fiber.join(asking)
      const next = yield* Effect.forkChild(lock.withLock(Effect.sleep("5 seconds")))
      const renewal = yield* Effect.forkChild(held.renew)
      const write = yield* Effect.forkChild(
        Effect.flip(held.write([{ op: "add", path: "/metadata/labels", value: { by: "the first" } }]))
      )
      yield* TestClock.adjust("500 millis")
      yield* release
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.joinAll([renewal, next])
      const error = yield* Fiber.join(write)
      assert.strictEqual(error._tag === "LockLost" && error.reason._tag, "Released")
      assert.notProperty((yield* cluster.objects.get(resource))?.metadata, "labels")
    }))

  it.effect("whoever releases a second time waits until the first has done so", () =>
    Effect.gen(function*() {
      const cluster = yield* slow
      const asking = yield* Effect.forkChild(hold(yield* (yield* cluster.start("p")).make()))
      yield* TestClock.adjust("1 second")
      const { held } = yield* Fiber.join(asking)
      const first = yield* Effect.forkChild(held.release)
      yield* TestClock.adjust(0)
      const second = yield* Effect.forkChild(held.release)
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual([first.pollUnsafe(), second.pollUnsafe()], [undefined, undefined])
      yield* TestClock.adjust("1 millis")
      yield* Fiber.joinAll([first, second])
      assert.deepStrictEqual(yield* cluster.annotations, {})
      yield* held.release
    }))
})
