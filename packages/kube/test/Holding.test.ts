import { assert, describe, it } from "@effect/vitest"
import { HeldLock, KubeLock } from "@kubelock/kube"
import { Cause, Context, Deferred, Duration, Effect, Exit, Fiber, Layer, Logger, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import {
  annotations,
  Control,
  fates,
  inWorld,
  lockName,
  overwrite,
  recordOf,
  resource,
  settle,
  takeOver,
  untilEnded
} from "./suites/managedWorld.ts"

const options = { resource, name: lockName, ttl: "30 seconds" } as const
const make = KubeLock.make(options)
const reasonOf = (error: { readonly _tag: string; readonly reason?: { readonly _tag: string } }) =>
  error._tag === "LockLost" ? error.reason?._tag : error._tag

describe("withLock", () => {
  it.effect("runs the section under the lock, answers with its result, and gives the lock back", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* make
      const result = yield* Effect.as(recordOf(), "done").pipe(
        Effect.tap(Effect.map(recordOf(), (record) => assert.strictEqual(record?.owner, "me"))),
        lock.withLock
      )
      assert.strictEqual(result, "done")
      assert.deepStrictEqual(yield* annotations(), {})
      const sent = yield* (yield* Control).sent
      assert.deepStrictEqual(sent.map(({ method }) => method), ["PATCH", "PATCH"])
    })))

  it.effect("passes the section's own services on", () =>
    inWorld(Effect.gen(function*() {
      class Greeting extends Context.Service<Greeting, string>()("test/Greeting") {}
      const lock = yield* make
      const greeting = yield* Effect.provideService(lock.withLock(Greeting), Greeting, "hello")
      assert.strictEqual(greeting, "hello")
    })))

  const ends: Record<string, readonly [Effect.Effect<unknown, string>, Exit.Exit<unknown, string>]> = {
    success: [Effect.succeed(1), Exit.succeed(1)],
    failure: [Effect.fail("no"), Exit.fail("no")],
    "a defect": [Effect.die("oops"), Exit.die("oops")]
  }
  it.effect.each(Object.entries(ends))(
    "gives the lock back after %s",
    ([, [section, expected]]) =>
      inWorld(Effect.gen(function*() {
        const lock = yield* make
        const exit = yield* Effect.exit(lock.withLock(section))
        assert.deepStrictEqual(
          Exit.match(exit, { onSuccess: String, onFailure: (cause) => String(Cause.squash(cause)) }),
          Exit.match(expected, { onSuccess: String, onFailure: (cause) => String(Cause.squash(cause)) })
        )
        assert.deepStrictEqual(yield* annotations(), {})
      }))
  )

  it.effect("gives the lock back after an interruption, when the section has cleaned up", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* make
      let wasHeldAtTheEnd = false
      const cleanUp = Effect.andThen(
        Effect.sleep("1 second"),
        Effect.map(recordOf(), (record) => {
          wasHeldAtTheEnd = record !== undefined
        })
      )
      const fiber = yield* Effect.forkChild(lock.withLock(Effect.onInterrupt(Effect.never, () => cleanUp)))
      yield* settle
      yield* Effect.forkChild(Fiber.interrupt(fiber))
      const exit = yield* untilEnded(fiber)
      assert.isTrue(Exit.hasInterrupts(exit))
      assert.isTrue(wasHeldAtTheEnd)
      assert.deepStrictEqual(yield* annotations(), {})
    })))
})

describe("a lock that somebody else has", () => {
  it.effect("is waited for by withLock and acquire", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* make
      yield* takeOver
      const section = yield* Effect.forkChild(lock.withLock(Effect.succeed("mine")))
      const holder = yield* Effect.forkChild(Effect.scoped(Effect.map(lock.acquire, ({ owner }) => owner)))
      yield* TestClock.adjust("10 minutes")
      assert.isUndefined(section.pollUnsafe())
      assert.isUndefined(holder.pollUnsafe())
      yield* overwrite(undefined)
      assert.deepStrictEqual(yield* untilEnded(section), Exit.succeed("mine"))
      assert.deepStrictEqual(yield* untilEnded(holder), Exit.succeed("me"))
      assert.deepStrictEqual(yield* annotations(), {})
    })))

  it.effect("is not waited for by withLockIfAvailable and tryAcquire", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* make
      const record = yield* takeOver
      assert.deepStrictEqual(yield* lock.withLockIfAvailable(Effect.die("it was not available")), Option.none())
      assert.isTrue(Option.isNone(yield* lock.tryAcquire))
      assert.deepStrictEqual(yield* recordOf(), record)
    })))

  it.effect("nor if that is a fiber of this process, which is asked without a request", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* make
      yield* lock.acquire
      const { length } = yield* (yield* Control).sent
      assert.deepStrictEqual(yield* lock.withLockIfAvailable(Effect.die("it was not available")), Option.none())
      assert.isTrue(Option.isNone(yield* lock.tryAcquire))
      assert.strictEqual((yield* (yield* Control).sent).length, length)
    })))

  it.effect("is had without waiting where it is free, and given back", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* make
      assert.deepStrictEqual(
        yield* lock.withLockIfAvailable(Effect.map(recordOf(), (record) => record?.owner)),
        Option.some("me")
      )
      assert.deepStrictEqual(yield* annotations(), {})
      yield* Effect.scoped(Effect.gen(function*() {
        const held = Option.getOrThrow(yield* lock.tryAcquire)
        assert.isTrue(yield* held.isHeld)
        yield* TestClock.adjust("1 minute")
        assert.isTrue(yield* held.isHeld)
      }))
      assert.deepStrictEqual(yield* annotations(), {})
    })))

  it.effect("is told from one that cannot be had for another reason", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* make
      yield* (yield* Control).nextWrites(fates.forbidden)
      assert.strictEqual((yield* Effect.flip(lock.tryAcquire))._tag, "KubeError")
      yield* overwrite("{")
      assert.strictEqual((yield* Effect.flip(lock.withLockIfAvailable(Effect.void)))._tag, "MalformedRecord")
      yield* overwrite(undefined)
      assert.isTrue(Option.isSome(yield* lock.tryAcquire))
    })))

  it.effect("withLockIfAvailable interrupts the section too when the lock is lost", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* make
      const fiber = yield* Effect.forkChild(lock.withLockIfAvailable(Effect.never))
      yield* settle
      yield* takeOver
      assert.strictEqual(reasonOf(yield* Effect.flip(Fiber.join(fiber))), "TakenOver")
    })))
})

describe("a held lock", () => {
  it.effect("says whose it is, which acquisition, and for how long", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* KubeLock.make({ ...options, owner: "alice" })
      const held = yield* lock.acquire
      const record = yield* recordOf()
      assert.deepStrictEqual(yield* held.record, record)
      assert.deepStrictEqual([held.owner, held.name, held.resource], ["alice", lockName, resource])
      assert.strictEqual(held.id, record?.id)
      assert.isTrue(yield* held.isHeld)
      assert.strictEqual(Duration.toMillis(yield* held.remaining), 29_000)
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(Duration.toMillis(yield* held.remaining), 20_000)
    })))

  it.effect("has a higher fencing token at each acquisition, and keeps it and its id across renewals", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* make
      const tokens: Array<bigint> = []
      const ids = new Set<string>()
      for (let turn = 0; turn < 3; turn++) {
        const fiber = yield* Effect.forkChild(lock.withLock(Effect.gen(function*() {
          const { fencingToken, id, record } = yield* HeldLock
          tokens.push(fencingToken)
          ids.add(id)
          yield* Effect.sleep("1 minute")
          assert.strictEqual((yield* HeldLock).fencingToken, fencingToken)
          assert.strictEqual((yield* record).id, id)
          assert.strictEqual((yield* recordOf())?.id, id)
        })))
        assert.isTrue(Exit.isSuccess(yield* untilEnded(fiber)))
      }
      assert.deepStrictEqual(tokens, tokens.toSorted((left, right) => Number(left - right)))
      assert.strictEqual(new Set(tokens).size, 3)
      assert.strictEqual(ids.size, 3)
    })))

  it.effect("is found in the context: of several, the innermost", () =>
    inWorld(Effect.gen(function*() {
      const [outer, inner] = yield* Effect.all(["outer", "inner"].map((name) => KubeLock.make({ ...options, name })))
      const name = Effect.map(HeldLock, (held) => held.name)
      const names = yield* outer!.withLock(Effect.all([name, inner!.withLock(name), name]))
      assert.deepStrictEqual(names.map(String), ["outer", "inner", "outer"])
    })))

  it.effect("renews when it is asked to", () =>
    inWorld(Effect.gen(function*() {
      const held = yield* Effect.flatMap(make, ({ acquire }) => acquire)
      yield* TestClock.adjust("5 seconds")
      yield* held.renew
      assert.strictEqual(Duration.toMillis(yield* held.remaining), 29_000)
      assert.strictEqual((yield* recordOf())?.createdAtNanos, 5_000_000_000n)
      // The next one follows a third of the TTL after it.
      yield* TestClock.adjust("9999 millis")
      assert.strictEqual((yield* recordOf())?.createdAtNanos, 5_000_000_000n)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* recordOf())?.createdAtNanos, 15_000_000_000n)
    })))
})

describe("releasing early", () => {
  it.effect("gives the lock back while the section goes on", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* make
      const fiber = yield* Effect.forkChild(lock.withLock(Effect.gen(function*() {
        const held = yield* HeldLock
        yield* held.release
        assert.deepStrictEqual(yield* annotations(), {})
        assert.isFalse(yield* held.isHeld)
        assert.strictEqual(Duration.toMillis(yield* held.remaining), 0)
        assert.strictEqual(reasonOf(yield* Effect.flip(held.renew)), "Released")
        assert.strictEqual(reasonOf(yield* Effect.flip(held.write([]))), "Released")
        const { length } = yield* (yield* Control).sent
        yield* held.release
        yield* Effect.sleep("10 minutes")
        assert.strictEqual((yield* (yield* Control).sent).length, length, "nothing more is asked of the server")
        return "went on"
      })))
      assert.deepStrictEqual(yield* untilEnded(fiber), Exit.succeed("went on"))
    })))

  it.effect("is not losing it, whoever takes it next, breaks or loses it", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* make
      const held = yield* lock.acquire
      const losing = yield* Effect.forkChild(held.lost)
      yield* held.release
      const record = yield* takeOver
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* recordOf(), record)
      yield* overwrite("{")
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(losing.pollUnsafe())
    })))

  it.effect("is not losing it where the next section of this process has it, and loses it", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* make
      const [release, end] = yield* Effect.all([Deferred.make<void>(), Deferred.make<void>()])
      const first = yield* Effect.forkChild(lock.withLock(Effect.gen(function*() {
        const held = yield* HeldLock
        yield* Deferred.await(release)
        yield* held.release
        assert.strictEqual(reasonOf(yield* Effect.flip(held.renew)), "Released", "though the next one could")
        assert.strictEqual(reasonOf(yield* Effect.flip(held.write([]))), "Released")
        assert.isFalse(yield* held.isHeld)
        yield* Deferred.await(end)
        return yield* held.isHeld
      })))
      yield* settle
      const second = yield* Effect.forkChild(lock.withLock(Effect.never))
      yield* settle
      yield* Deferred.succeed(release, undefined)
      yield* settle
      assert.strictEqual((yield* (yield* Control).sent).length, 1, "it was left to the second without a request")
      yield* takeOver
      assert.strictEqual(reasonOf(yield* Effect.flip(Fiber.join(second))), "TakenOver")
      assert.isUndefined(first.pollUnsafe())
      yield* Deferred.succeed(end, undefined)
      assert.isFalse(yield* Fiber.join(first))
    })))

  it.effect("does nothing to a lock that is lost, which goes on saying why", () =>
    inWorld(Effect.gen(function*() {
      const held = yield* Effect.flatMap(make, ({ acquire }) => acquire)
      const record = yield* takeOver
      yield* held.release
      assert.deepStrictEqual(yield* recordOf(), record)
      assert.strictEqual(reasonOf(yield* Effect.flip(held.lost)), "TakenOver")
      assert.strictEqual(reasonOf(yield* Effect.flip(held.renew)), "TakenOver")
      assert.strictEqual(reasonOf(yield* Effect.flip(held.write([]))), "TakenOver")
    })))

  it.effect("by closing the scope is the same", () =>
    inWorld(Effect.gen(function*() {
      const lock = yield* make
      const scope = yield* Scope.make()
      const held = yield* Scope.provide(lock.acquire, scope)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* annotations(), {})
      assert.strictEqual(reasonOf(yield* Effect.flip(held.renew)), "Released")
    })))
})

describe("a release that cannot be made", () => {
  const logged = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
    const messages: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      messages.push(`${logLevel} ${String(message)}`)
    })
    const result = yield* Effect.provide(effect, Layer.fresh(Logger.layer([logger])))
    return { result, messages: messages.join("\n") }
  })
  const requestTimeoutMillis = 5_000

  it.effect.each(
    [
      ["hangs", [fates.hang, fates.hang, fates.hang, fates.hang], "could not be released in time"],
      ["fails for good", [fates.forbidden], "could not be released"],
      [
        "is refused until it hangs",
        [fates.unavailable, fates.unavailable, fates.unavailable, fates.unavailable, fates.hang, fates.hang],
        "could not be released in time"
      ]
    ] as const
  )(
    "and %s keeps the section's result, is told of, and bounded",
    ([, writes, message]) =>
      inWorld(Effect.gen(function*() {
        const lock = yield* make
        const control = yield* Control
        const { messages, result } = yield* logged(Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(lock.withLock(Effect.as(control.nextWrites(...writes), "done")))
          yield* TestClock.adjust(2 * requestTimeoutMillis)
          assert.isDefined(fiber.pollUnsafe(), "twice the requestTimeout at most")
          return yield* Fiber.join(fiber)
        }))
        assert.strictEqual(result, "done")
        assert.include(messages, message)
        assert.include(messages, "Warn")
      }))
  )

  /** The first ends while the second waits; what is done then with a server that hangs is over in time. */
  const boundedAfter = (
    second: Effect.Effect<unknown, unknown>,
    meanwhile: (second: Fiber.Fiber<unknown, unknown>) => Effect.Effect<void>
  ) =>
    Effect.gen(function*() {
      const lock = yield* make
      const goOn = yield* Deferred.make<void>()
      const control = yield* Control
      const first = yield* Effect.forkChild(lock.withLock(Deferred.await(goOn)))
      yield* settle
      const waiter = yield* Effect.forkChild(second)
      yield* settle
      yield* control.fate(() => fates.hang)
      yield* Deferred.succeed(goOn, undefined)
      yield* meanwhile(waiter)
      yield* TestClock.adjust(2 * requestTimeoutMillis)
      assert.isDefined(first.pollUnsafe())
      const sent = yield* control.sent
      assert.isAbove(sent.length, 1)
      assert.deepStrictEqual(new Set(sent.map(({ timeoutMillis }) => timeoutMillis)), new Set([requestTimeoutMillis]))
      yield* Fiber.interrupt(waiter)
    })

  it.effect("is bounded too where it was left to a fiber that is interrupted just then", () =>
    Effect.forEach(Array.from({ length: 30 }, (_, index) => index), (turns) =>
      inWorld(Effect.gen(function*() {
        const lock = yield* make
        yield* boundedAfter(lock.withLock(Effect.never), (waiter) =>
          Effect.gen(function*() {
            for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
            yield* Effect.forkChild(Fiber.interrupt(waiter))
          }))
      })), { discard: true }))

  it.effect("is bounded too where it was left to a fiber that has no use for it", () =>
    inWorld(Effect.gen(function*() {
      const other = yield* KubeLock.make({ ...options, ttl: "31 seconds", requestTimeout: "5 seconds" })
      yield* boundedAfter(other.withLock(Effect.never), () => Effect.void)
    })))
})
