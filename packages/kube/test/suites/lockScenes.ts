import { AnnotationEdit, LockRecord } from "@kubelock/core"
import {
  AnnotationStore,
  type ClockOffset,
  Forbidden,
  HeldLock,
  Identity,
  KubeError,
  type KubeErrorReason,
  KubeLock,
  type ManagedLockOptions,
  MemoryObjects,
  ResourceRef,
  Unavailable
} from "@kubelock/kube"
import { Clock, Deferred, Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"

// What happens to locks, each scene with a store in memory of its own.

export const resource = ResourceRef.configMap({ namespace: "default", name: "object" })
export const key = "kubelock.giantswarm.io/x"

const asMe: ManagedLockOptions = { resource, name: "x", owner: "me" }

/** What goes wrong with the store, and when. */
export interface Troubles {
  fails?: (method: "GET" | "PATCH" | "WATCH") => KubeErrorReason | undefined
  /** Whether writes are made, though they fail. */
  answersAreLost?: boolean
  hangs?: boolean
  clockOffset?: ClockOffset.ClockOffset
}

const errorOf = (method: "GET" | "PATCH" | "WATCH", reason: KubeErrorReason) =>
  new KubeError({ method: method === "WATCH" ? "GET" : method, path: ResourceRef.toPath(resource), reason })

/** Locks over a store in memory, and the store itself, which nothing happens to. */
const world = (troubles: Troubles) => {
  const through = <A, E>(method: "GET" | "PATCH", effect: Effect.Effect<A, E>): Effect.Effect<A, E | KubeError> =>
    Effect.gen(function*() {
      if (troubles.hangs === true) return yield* Effect.never
      const reason = troubles.fails?.(method)
      if (reason === undefined) return yield* effect
      if (troubles.answersAreLost === true) yield* Effect.ignore(effect)
      return yield* errorOf(method, reason)
    })
  const store = Layer.effect(
    AnnotationStore,
    Effect.map(AnnotationStore, (store) => ({
      get: (ref) => through("GET", store.get(ref)),
      edit: (ref, edits, operations) => through("PATCH", store.edit(ref, edits, operations)),
      changes: (ref, from) =>
        Stream.suspend(() => {
          const reason = troubles.fails?.("WATCH")
          return reason === undefined ? store.changes(ref, from) : Stream.fail(errorOf("WATCH", reason))
        }),
      clockOffset: Effect.sync(() => troubles.clockOffset)
    }))
  )
  return Layer.fresh(KubeLock.layer.pipe(
    Layer.provide(store),
    Layer.provideMerge(AnnotationStore.layerMemory([resource]))
  ))
}

type Services = AnnotationStore | MemoryObjects | KubeLock

const scene = <E>(play: (troubles: Troubles) => Effect.Effect<unknown, E, Services>): Effect.Effect<void, E> =>
  Effect.suspend(() => {
    const troubles: Troubles = {}
    return Effect.asVoid(Effect.provide(play(troubles), world(troubles)))
  })

/** A record of somebody who is no process of this test. */
export const heldBy = (owner: string, createdAtNanos: bigint) =>
  LockRecord.format({ owner, createdAtNanos, ttlNanos: 300_000_000_000n })

const put = (annotations: AnnotationEdit.Annotations) =>
  Effect.flatMap(MemoryObjects, (objects) => objects.put(resource, annotations))

const heldNow = Effect.map(Clock.currentTimeNanos, (nowNanos) => ({ [key]: heldBy("go", nowNanos) }))

const settle = TestClock.adjust(0)

/** A section that is under way, and what becomes of it. */
const underWay = Effect.fnUntraced(
  function*<A, E>(effect: Effect.Effect<A, E, HeldLock>, options?: Partial<ManagedLockOptions>) {
    const lock = yield* KubeLock.make({ ...asMe, ...options })
    const fiber = yield* Effect.forkChild(lock.withLock(effect))
    yield* settle
    return fiber
  }
)

const unavailable = new Unavailable({ outcomeUnknown: false, message: "it is down" })
const uncertain = new Unavailable({ outcomeUnknown: true, message: "the connection broke" })
const forbidden = new Forbidden({ message: "you may not" })

/** A section that ends by itself, after two renewals. */
export const renewed = scene(() =>
  Effect.gen(function*() {
    const fiber = yield* underWay(Effect.withSpan(Effect.sleep("25 seconds"), "work"))
    yield* TestClock.adjust("25 seconds")
    yield* Fiber.join(fiber)
  }).pipe(Effect.withSpan("caller"))
)

/** A section that waits for a minute first. */
export const waited = scene(() =>
  Effect.gen(function*() {
    const held = yield* heldNow
    yield* put(held)
    const fiber = yield* underWay(Effect.void)
    // Some changes of the object beside the lock's.
    for (let change = 1; change <= 20; change++) {
      yield* TestClock.adjust("10 seconds")
      yield* put({ ...held, beside: String(change) })
    }
    yield* put({})
    yield* TestClock.adjust("1 second")
    yield* Fiber.join(fiber)
  })
)

/** Renewals that fail for a while. */
export const notRenewedAtOnce = scene((troubles) =>
  Effect.gen(function*() {
    const fiber = yield* underWay(Effect.sleep("45 seconds"))
    for (let round = 0; round < 2; round++) {
      troubles.fails = (method) => method === "PATCH" ? forbidden : undefined
      yield* TestClock.adjust("13 seconds")
      troubles.fails = () => undefined
      yield* TestClock.adjust("12 seconds")
    }
    yield* Fiber.join(fiber)
  })
)

const lost = (lose: (troubles: Troubles) => Effect.Effect<unknown, unknown, Services>) =>
  scene((troubles) =>
    Effect.gen(function*() {
      const fiber = yield* underWay(Effect.withSpan(Effect.never, "work"))
      yield* lose(troubles)
      yield* TestClock.adjust("40 seconds")
      const error = yield* Effect.flip(Fiber.join(fiber))
      return error
    })
  )

/** Locks that are lost, by the reason. */
export const losses = {
  NotRenewed: lost((troubles) =>
    Effect.sync(() => {
      troubles.fails = () => unavailable
    })
  ),
  TakenOver: lost(() => Effect.flatMap(heldNow, put)),
  Broken: lost(() => Effect.flatMap(KubeLock, (locks) => locks.break({ resource, name: "x" }))),
  ObjectDeleted: lost(() => Effect.flatMap(MemoryObjects, (objects) => objects.delete(resource)))
}

/** A section that outlives the layer which keeps its lock. */
export const layerEnded = Effect.gen(function*() {
  const fiber = yield* Deferred.make<Fiber.Fiber<unknown>>()
  yield* scene(() =>
    Effect.gen(function*() {
      const lock = yield* KubeLock.make(asMe)
      yield* Deferred.succeed(fiber, yield* Effect.forkDetach(Effect.ignore(lock.withLock(Effect.never))))
      yield* settle
    })
  )
  yield* Fiber.join(yield* Deferred.await(fiber))
})

/** A lock that is found lost only when it is released. */
export const lostAtRelease = scene(() =>
  Effect.gen(function*() {
    const fiber = yield* underWay(Effect.sleep("1 second"), { watch: false })
    yield* put({})
    yield* TestClock.adjust("1 second")
    yield* Fiber.join(fiber)
  })
)

/** Locks that cannot be given back. */
export const notReleased = scene((troubles) =>
  Effect.gen(function*() {
    const fiber = yield* underWay(Effect.sleep("1 second"))
    troubles.fails = () => forbidden
    yield* TestClock.adjust("1 second")
    yield* Fiber.join(fiber)
  })
)

/** The same, since no answer comes. */
export const notReleasedInTime = scene((troubles) =>
  Effect.gen(function*() {
    const fiber = yield* underWay(Effect.sleep("1 second"), { requestTimeout: "2 seconds" })
    troubles.fails = (method) => method === "PATCH" ? uncertain : undefined
    yield* TestClock.adjust("1 second")
    troubles.hangs = true
    yield* TestClock.adjust("5 seconds")
    yield* Fiber.join(fiber)
  })
)

/** An acquisition nobody can find out about. */
export const leftBehind = scene((troubles) =>
  Effect.gen(function*() {
    troubles.answersAreLost = true
    troubles.fails = (method) => method === "PATCH" ? uncertain : forbidden
    const locks = yield* KubeLock
    const fiber = yield* Effect.forkChild(Effect.result(locks.acquire(asMe)))
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(fiber)
  })
)

/** Nobody may watch; two who wait do not make it worse. */
export const unwatched = scene((troubles) =>
  Effect.gen(function*() {
    troubles.fails = (method) => method === "WATCH" ? forbidden : undefined
    for (let round = 0; round < 2; round++) {
      const fiber = yield* underWay(Effect.sleep("1 second"))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
    }
  })
)

/** This machine's clock is ten seconds ahead, then right, then ten seconds behind. Locks tolerate one, six and 61. */
export const clockOff = scene((troubles) =>
  Effect.gen(function*() {
    const lock = yield* KubeLock.make(asMe)
    const lessStrict = yield* KubeLock.make({ ...asMe, name: "z", takeoverDelay: "5 seconds" })
    const tolerant = yield* KubeLock.make({ ...asMe, name: "y", takeoverDelay: "1 minute" })
    for (const offMillis of [10_000.123, 10_000, 0, -10_000]) {
      const readAt = { wallMillis: 0, monotonicMillis: 0 }
      troubles.clockOffset = { atLeastMillis: offMillis, atMostMillis: offMillis, readAt }
      yield* lock.withLock(lessStrict.withLock(tolerant.withLock(Effect.void)))
    }
  })
)

/** Acquisitions, however they end. */
export const outcomes = scene(() =>
  Effect.gen(function*() {
    const lock = yield* KubeLock.make({ ...asMe, waitAtMost: "5 seconds" })
    const nowhere = ResourceRef.configMap({ namespace: "default", name: "nowhere" })
    const first = yield* Effect.forkChild(lock.withLock(Effect.sleep("10 millis")))
    yield* settle
    const second = yield* Effect.forkChild(lock.withLock(Effect.void))
    yield* settle
    yield* lock.withLockIfAvailable(Effect.void)
    yield* TestClock.adjust("10 millis")
    yield* Effect.andThen(Fiber.join(first), Fiber.join(second))
    yield* lock.withLockIfAvailable(Effect.void)
    yield* Effect.scoped(lock.tryAcquire)
    yield* Effect.ignore(
      Effect.flatMap(KubeLock.make({ ...asMe, resource: nowhere }), (lock) => lock.withLock(Effect.void))
    )
    yield* put(yield* heldNow)
    const timedOut = yield* Effect.forkChild(Effect.result(lock.withLock(Effect.void)))
    yield* TestClock.adjust("5 seconds")
    yield* Fiber.join(timedOut)
    yield* Fiber.interrupt(yield* underWay(Effect.void))
  })
)

/** Writes under a lock: one that is made, and one that is not. */
export const written = scene(() =>
  Effect.gen(function*() {
    const lock = yield* KubeLock.make(asMe)
    yield* lock.withLock(Effect.gen(function*() {
      const held = yield* HeldLock
      yield* held.write([{ op: "add", path: "/data", value: {} }])
      yield* Effect.ignore(held.write([{ op: "test", path: "/data/version", value: "1" }]))
      yield* held.renew
    }))
  })
)

/** Several locks at once. */
export const several = scene(() =>
  Effect.gen(function*() {
    const locks = yield* KubeLock.makeAll([{ ...asMe, name: "b" }, { ...asMe, name: "a" }])
    yield* locks.withLocks(Effect.void)
  })
)

/** Locks that are renewed together: all, what is left of them after a while in vain, and without one that was broken. */
export const renewedTogether = scene((troubles) =>
  Effect.gen(function*() {
    const fibers = yield* Effect.forEach(
      [{ name: "x" }, { name: "y", owner: "you" }, { name: "z" }],
      (options) => underWay(Effect.ignore(Effect.never), { ...options, watch: false })
    )
    yield* TestClock.adjust("10 seconds")
    troubles.fails = (method) => method === "PATCH" ? unavailable : undefined
    yield* TestClock.adjust("11 seconds")
    troubles.fails = () => undefined
    yield* Fiber.interrupt(fibers[2]!)
    troubles.fails = (method) => method === "PATCH" ? unavailable : undefined
    yield* TestClock.adjust("15 seconds")
    troubles.fails = () => undefined
    yield* TestClock.adjust("5 seconds")
    const { annotations } = yield* Effect.flatMap(AnnotationStore, (store) => store.get(resource))
    const { [key]: _, ...others } = annotations
    yield* put(others)
    yield* TestClock.adjust("10 seconds")
    yield* Effect.forEach(fibers, Fiber.interrupt)
  })
)

/** Single attempts, each of them. */
export const attempts = scene(() =>
  Effect.gen(function*() {
    const locks = yield* KubeLock
    const lease = yield* locks.acquire(asMe)
    yield* Effect.ignore(locks.acquire({ ...asMe, owner: "other" }))
    const renewed = yield* locks.renew(lease)
    yield* locks.inspect(asMe)
    yield* locks.list(resource)
    yield* locks.release(renewed)
    yield* locks.releaseAll(yield* locks.acquireAll({ resource, names: ["a", "b"], owner: "me" }))
    yield* locks.acquire(asMe)
    yield* locks.release(asMe)
    yield* locks.acquire(asMe)
    yield* locks.break(asMe)
  }).pipe(Effect.provideService(Identity.Identity, { owner: "by default", process: "p" }))
)
