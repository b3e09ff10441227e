import { assert, describe, it } from "@effect/vitest"
import { AnnotationEdit, LockRecord } from "@kubelock/core"
import {
  AnnotationStore,
  Forbidden,
  KubeError,
  KubeLock,
  MemoryObjects,
  ResourceRef,
  Unavailable
} from "@kubelock/kube"
import { Deferred, Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"

const resource = ResourceRef.configMap({ namespace: "default", name: "object" })
const target = { resource, name: "x" }
const key = "kubelock.giantswarm.io/x"

type Place = "before the request is applied" | "after the request is applied"

/** Where a request stops, and what lets it go on. */
interface Stop {
  readonly request: number
  readonly place: Place
  readonly reached: Deferred.Deferred<void>
  readonly goOn: Deferred.Deferred<void>
}

/** How many of the next writes are lost (their answers alone, or before they are made), or sent twice by somebody on the way. */
interface Losses {
  answers: number
  requests: number
  repeated?: number
  /** What of the lost requests arrives after all, and after how many others. */
  arrivesAfter?: number
  /** Refuses every write, whatever it expects. */
  refuses?: boolean
}

/** A store in memory that stops one of its requests, and answers others as a broken connection would. */
const world = (options: { readonly stop?: Stop; readonly losses?: Losses; readonly mayRead?: boolean }) => {
  let requests = 0
  let late: { readonly effect: Effect.Effect<void>; readonly after: number } | undefined
  const losses = options.losses ?? { answers: 0, requests: 0 }
  const lost = (method: string) =>
    new KubeError({
      method,
      path: ResourceRef.toPath(resource),
      reason: new Unavailable({ outcomeUnknown: true, message: "the connection broke" })
    })
  const forbidden = new KubeError({
    method: "GET",
    path: ResourceRef.toPath(resource),
    reason: new Forbidden({ message: "you may not read this" })
  })
  const through = <A, E>(method: string, effect: Effect.Effect<A, E>): Effect.Effect<A, E | KubeError> =>
    Effect.suspend(() => {
      const number = ++requests
      const pauseAt = (place: Place) =>
        options.stop?.request === number && options.stop.place === place
          ? Effect.andThen(Deferred.succeed(options.stop.reached, undefined), Deferred.await(options.stop.goOn))
          : Effect.void
      if (method === "PATCH" && losses.requests > 0) {
        losses.requests--
        late = { effect: Effect.asVoid(Effect.ignore(effect)), after: number + (losses.arrivesAfter ?? Infinity) }
        return Effect.fail(lost(method))
      }
      return Effect.gen(function*() {
        if (late !== undefined && late.after < number) {
          yield* late.effect
          late = undefined
        }
        yield* pauseAt("before the request is applied")
        if (method === "PATCH" && (losses.repeated ?? 0) > 0) {
          losses.repeated!--
          yield* Effect.result(effect)
        }
        const answer = yield* Effect.result(effect)
        yield* pauseAt("after the request is applied")
        if (method === "PATCH" && losses.answers > 0) {
          losses.answers--
          return yield* lost(method)
        }
        return yield* Effect.fromResult(answer)
      })
    })
  const store = Layer.effect(
    AnnotationStore,
    Effect.map(AnnotationStore, (store) => ({
      get: (ref) => options.mayRead === false ? Effect.fail(forbidden) : through("GET", store.get(ref)),
      edit: (ref, edits, operations) =>
        through(
          "PATCH",
          losses.refuses === true
            ? Effect.fail(new AnnotationEdit.EditRefused({ keys: [key], said: "a webhook says no" }))
            : store.edit(ref, edits, operations)
        ),
      changes: store.changes,
      clockOffset: store.clockOffset
    }))
  )
  const memory = Layer.fresh(AnnotationStore.layerMemory([resource]))
  return KubeLock.layer.pipe(Layer.provide(store), Layer.provideMerge(memory))
}

const annotations = Effect.map(
  Effect.flatMap(AnnotationStore, (store) => store.get(resource)),
  ({ annotations }) => annotations
)

const stopAt = (request: number, place: Place) =>
  Effect.map(
    Effect.all([Deferred.make<void>(), Deferred.make<void>()]),
    ([reached, goOn]): Stop => ({ request, place, reached, goOn })
  )

describe("an interrupted operation", () => {
  const expired: AnnotationEdit.Annotations = { [key]: "{}" }
  const places: ReadonlyArray<Place> = ["before the request is applied", "after the request is applied"]
  const cases = [
    { name: "free", before: {}, requests: [1] },
    { name: "expired", before: expired, requests: [1, 2, 3] }
  ].flatMap(({ requests, ...lock }) =>
    requests.flatMap((request) => places.map((place) => ({ ...lock, request, place })))
  )

  it.effect.each(cases)(
    "acquire of a lock that is $name, at request $request, $place",
    ({ before, place, request }) =>
      Effect.gen(function*() {
        const stop = yield* stopAt(request, place)
        yield* Effect.gen(function*() {
          yield* (yield* MemoryObjects).put(resource, before)
          const locks = yield* KubeLock
          const fiber = yield* Effect.forkChild(locks.acquire(target))
          yield* Deferred.await(stop.reached)
          const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
          yield* Effect.yieldNow
          yield* Deferred.succeed(stop.goOn, undefined)
          yield* Fiber.join(interrupting)
          assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
          const { [key]: left } = yield* annotations
          assert.isTrue(left === undefined || left === before[key], left)
        }).pipe(Effect.provide(world({ stop })))
      })
  )

  it.effect("acquire, while it waits to try again after its answer was lost", () =>
    Effect.gen(function*() {
      const locks = yield* KubeLock
      const fiber = yield* Effect.forkChild(locks.acquire(target))
      yield* TestClock.adjust(0)
      assert.isDefined((yield* annotations)[key])
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* annotations, {})
    }).pipe(Effect.provide(world({ losses: { answers: 1, requests: 0 } }))))

  it.effect("at once, while it reads", () =>
    Effect.gen(function*() {
      const stop = yield* stopAt(2, "before the request is applied")
      yield* Effect.gen(function*() {
        yield* (yield* MemoryObjects).put(resource, expired)
        const fiber = yield* Effect.forkChild(Effect.flatMap(KubeLock, (locks) => locks.acquire(target)))
        yield* Deferred.await(stop.reached)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* annotations, expired)
      }).pipe(Effect.provide(world({ stop })))
    }))

  it.effect("renew keeps the lock, whether the renewal was made or not", () =>
    Effect.forEach(places, (place) =>
      Effect.gen(function*() {
        const stop = yield* stopAt(2, place)
        yield* Effect.gen(function*() {
          const locks = yield* KubeLock
          const lease = yield* locks.acquire(target)
          yield* TestClock.adjust("1 second")
          const fiber = yield* Effect.forkChild(locks.renew(lease))
          yield* Deferred.await(stop.reached)
          const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
          yield* Effect.yieldNow
          yield* Deferred.succeed(stop.goOn, undefined)
          yield* Fiber.join(interrupting)
          assert.include((yield* annotations)[key], lease.id)
        }).pipe(Effect.provide(world({ stop })))
      }), { discard: true }))

  it.effect("release is made all the same", () =>
    Effect.gen(function*() {
      const stop = yield* stopAt(2, "before the request is applied")
      yield* Effect.gen(function*() {
        const locks = yield* KubeLock
        const fiber = yield* Effect.forkChild(locks.release(yield* locks.acquire(target)))
        yield* Deferred.await(stop.reached)
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
        yield* Effect.yieldNow
        yield* Deferred.succeed(stop.goOn, undefined)
        yield* Fiber.join(interrupting)
        assert.deepStrictEqual(yield* annotations, {})
      }).pipe(Effect.provide(world({ stop })))
    }))
})

describe("an operation that never gets an answer", () => {
  const ended = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(effect)
      while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("1 second")
      return yield* Fiber.join(fiber)
    })

  it.effect("acquire fails in the end, and says for what", () =>
    Effect.gen(function*() {
      const locks = yield* KubeLock
      const error = yield* Effect.flip(ended(locks.acquire({ ...target, owner: "me" })))
      assert.strictEqual(error._tag === "KubeError" && error.reason._tag, "Unavailable")
      assert.include(error.message, `Could not acquire lock "x" as "me": the connection broke`)
      assert.deepStrictEqual(yield* annotations, {})
    }).pipe(Effect.provide(world({ losses: { answers: 0, requests: 7 } }))))

  it.effect("acquire takes back what it may have left, if reading fails for good", () =>
    Effect.gen(function*() {
      const locks = yield* KubeLock
      const error = yield* Effect.flip(ended(locks.acquire(target)))
      assert.strictEqual(error._tag === "KubeError" && error.reason._tag, "Forbidden")
      assert.isTrue(error._tag === "KubeError" && error.outcomeUnknown)
      assert.include(error.message, "may or may not have been applied")
      assert.deepStrictEqual(yield* annotations, {})
    }).pipe(Effect.provide(world({ losses: { answers: 1, requests: 0 }, mayRead: false }))))

  it.effect("renew fails in the end, and leaves its holder the lock", () => {
    const losses = { answers: 0, requests: 0 }
    return Effect.gen(function*() {
      const locks = yield* KubeLock
      const lease = yield* locks.acquire(target)
      yield* TestClock.adjust("1 second")
      losses.answers = 1
      losses.requests = 0
      const error = yield* Effect.flip(ended(locks.renew(lease)))
      assert.strictEqual(error._tag === "KubeError" && error.reason._tag, "Forbidden")
      assert.include((yield* annotations)[key], lease.id)
    }).pipe(Effect.provide(world({ losses, mayRead: false })))
  })
})

describe("a write that is sent twice on its way", () => {
  const repeated = (repeated: number) => ({ answers: 0, requests: 0, repeated })

  it.effect("acquire succeeds, and knows its own record", () => {
    const losses = repeated(1)
    return Effect.gen(function*() {
      const locks = yield* KubeLock
      const lease = yield* locks.acquire(target)
      assert.include((yield* annotations)[key], lease.id)
      yield* TestClock.adjust("1 second")
      losses.repeated = 1
      const renewed = yield* locks.renew(lease)
      assert.strictEqual(renewed.record.createdAtNanos, lease.record.createdAtNanos + 1_000_000_000n)
      yield* locks.release(renewed)
      assert.deepStrictEqual(yield* annotations, {})
    }).pipe(Effect.provide(world({ losses })))
  })
})

describe("an uncertain write", () => {
  const ended = <A, E, R, E2 = never>(
    effect: Effect.Effect<A, E, R>,
    meanwhile: Effect.Effect<unknown, E2, R> = Effect.void
  ) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(effect)
      yield* TestClock.adjust(0)
      yield* meanwhile
      while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("1 second")
      return yield* Fiber.join(fiber)
    })

  it.effect("that lands late is known again, and not made twice", () =>
    Effect.gen(function*() {
      const locks = yield* KubeLock
      const lease = yield* ended(locks.acquire(target))
      assert.include((yield* annotations)[key], lease.id)
      assert.strictEqual((yield* annotations)[key], LockRecord.format(lease.record))
      yield* locks.release(lease)
      assert.deepStrictEqual(yield* annotations, {})
    }).pipe(Effect.provide(world({ losses: { answers: 0, requests: 1, arrivesAfter: 1 } }))))

  it.effect("whose lock expires before anybody can look has not taken it", () => {
    const losses = { answers: 1, requests: 0 }
    return Effect.gen(function*() {
      const locks = yield* KubeLock
      const lease = yield* ended(locks.acquire({ ...target, ttl: "1 millis" }))
      assert.isAbove(Number(lease.record.createdAtNanos), 0)
      assert.strictEqual((yield* annotations)[key], LockRecord.format(lease.record))
    }).pipe(Effect.provide(world({ losses })))
  })

  const renewedMeanwhile = (
    operate: (locks: KubeLock["Service"]) => Effect.Effect<unknown, { readonly message: string }>
  ) => {
    const losses = { answers: 0, requests: 0 }
    return Effect.gen(function*() {
      const locks = yield* KubeLock
      const lease = yield* locks.acquire({ ...target, owner: "me" })
      yield* TestClock.adjust("1 second")
      losses.requests = 1
      yield* ended(operate(locks), Effect.andThen(TestClock.adjust("10 millis"), locks.renew(lease)))
      assert.deepStrictEqual(yield* annotations, {})
    }).pipe(Effect.provide(world({ losses })))
  }

  it.effect("release by owner frees the lock, though its holder renews in between", () =>
    renewedMeanwhile((locks) => locks.release({ ...target, owner: "me" })))

  it.effect("break frees the lock, though its holder renews in between", () =>
    renewedMeanwhile((locks) => locks.break(target)))

  it.effect("release by owner does not touch the next holder's lock", () => {
    const losses = { answers: 0, requests: 0 }
    return Effect.gen(function*() {
      const locks = yield* KubeLock
      yield* locks.acquire({ ...target, owner: "shared" })
      yield* TestClock.adjust("1 second")
      losses.answers = 1
      let next: string | undefined
      yield* ended(
        locks.release({ ...target, owner: "shared" }),
        Effect.map(locks.acquire({ ...target, owner: "shared" }), ({ id }) => {
          next = id
        })
      )
      assert.include((yield* annotations)[key], next)
    }).pipe(Effect.provide(world({ losses })))
  })

  it.effect("is given up when the server refuses it without end, in the server's words", () =>
    Effect.gen(function*() {
      const locks = yield* KubeLock
      const error = yield* Effect.flip(ended(locks.acquire(target)))
      assert.strictEqual(error._tag === "KubeError" && error.reason._tag, "Conflict")
      assert.include(error.message, "a webhook says no")
    }).pipe(Effect.provide(world({ losses: { answers: 0, requests: 0, refuses: true } }))))
})
