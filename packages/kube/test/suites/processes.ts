import { type InvalidConfig, LockRecord } from "@kubelock/core"
import {
  AnnotationStore,
  type HeldLock,
  Identity,
  type KubeError,
  KubeLock,
  type ManagedLock,
  type ManagedLockOptions,
  type ManagedLocks,
  MemoryObjects,
  type ObjectChange,
  ResourceRef
} from "@kubelock/kube"
import { Clock, Context, Duration, Effect, Exit, type Fiber, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

/** The object that tests of one object lock. */
export const resource = ResourceRef.configMap({ namespace: "default", name: "object" })

/** The annotation of the lock that tests of one lock want. */
export const key = "kubelock.giantswarm.io/x"

/** What a Go program writes: nothing tells one of its acquisitions from another. */
export const goRecord = (owner: string, createdAtMillis: number, ttlMillis: number): string =>
  LockRecord.format({
    owner,
    createdAtNanos: BigInt(createdAtMillis) * 1_000_000n,
    ttlNanos: BigInt(ttlMillis) * 1_000_000n
  })

/** A request, by whom, and when. */
export interface Request {
  readonly process: string
  readonly method: "GET" | "PATCH"
  readonly atMillis: number
}

/** What comes between a process and the store. */
export interface Between {
  /** Is run instead of a request. */
  readonly request?: <A, E>(request: Request, answer: Effect.Effect<A, E>) => Effect.Effect<A, E | KubeError>
  /** Is followed instead of the changes. */
  readonly watch?: (
    changes: Stream.Stream<ObjectChange, KubeError>,
    process: string
  ) => Stream.Stream<ObjectChange, KubeError>
}

/** A process: its own managed locks over the store that all share. */
export interface Process {
  readonly name: string
  readonly make: (options?: Partial<ManagedLockOptions>) => Effect.Effect<ManagedLock, InvalidConfig>
  readonly makeAll: (options: ReadonlyArray<Partial<ManagedLockOptions>>) => Effect.Effect<ManagedLocks, InvalidConfig>
  /** Closes its layer. */
  readonly end: Effect.Effect<void>
}

/** Starts a process over a store. Its locks are of `resource`, called `x` and owned by `name` unless told otherwise. */
export const startProcess = Effect.fnUntraced(function*(name: string, store: AnnotationStore["Service"]) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const layer = Layer.provide(Layer.fresh(KubeLock.layer), Layer.succeed(AnnotationStore, store))
  const locks = Context.get(yield* Layer.buildWithScope(layer, scope), KubeLock)
  const as = Identity.asProcess(name)
  const complete = (options: Partial<ManagedLockOptions>) => ({ resource, name: "x", ...options })
  return {
    name,
    make: (options = {}) =>
      as(locks.make(complete(options))).pipe(Effect.map((lock): ManagedLock => ({
        ...lock,
        acquire: as(lock.acquire),
        tryAcquire: as(lock.tryAcquire),
        withLock: (section) => as(lock.withLock(section)),
        withLockIfAvailable: (section) => as(lock.withLockIfAvailable(section))
      }))),
    makeAll: (options) =>
      as(locks.makeAll(options.map(complete))).pipe(Effect.map((several): ManagedLocks => ({
        acquireAll: as(several.acquireAll),
        withLocks: (section) => as(several.withLocks(section))
      }))),
    end: Scope.close(scope, Exit.void)
  } satisfies Process
})

/** One store in memory, and everything that processes ask of it. */
export const makeCluster = Effect.fnUntraced(function*(
  { request: between = (_, answer) => answer, watch = (changes) => changes }: Between = {},
  objects: ReadonlyArray<ResourceRef.ResourceRef> = [resource]
) {
  const memory = yield* Layer.build(Layer.fresh(AnnotationStore.layerMemory(objects)))
  const store = Context.get(memory, AnnotationStore)
  const requests: Array<Request> = []
  const watchedFrom: Array<bigint> = []
  let openWatches = 0

  const storeOf = (process: string): AnnotationStore["Service"] => {
    const through = <A, E>(method: Request["method"], answer: Effect.Effect<A, E>) =>
      Effect.flatMap(Clock.currentTimeMillis, (atMillis) => {
        const request = { process, method, atMillis }
        requests.push(request)
        return between(request, answer)
      })
    return {
      get: (ref) => through("GET", store.get(ref)),
      edit: (ref, edits, operations) => through("PATCH", store.edit(ref, edits, operations)),
      changes: (ref, from) =>
        Stream.suspend(() => {
          watchedFrom.push(from)
          openWatches++
          return Stream.ensuring(
            watch(store.changes(ref, from), process),
            Effect.sync(() => {
              openWatches--
            })
          )
        }),
      clockOffset: store.clockOffset
    }
  }

  return {
    /** The store itself, past all that is between. */
    store,
    objects: Context.get(memory, MemoryObjects),
    requests,
    /** From where each watch began. */
    watchedFrom,
    openWatches: () => openWatches,
    start: (name: string) => startProcess(name, storeOf(name)),
    /** What the object's annotations are. */
    annotations: Effect.map(store.get(resource), ({ annotations }) => annotations)
  }
})

/** Sections under one lock: who was in, in order, and whether ever two were at once. */
export const makeSections = () => {
  const entered: Array<string> = []
  let inside = 0
  let most = 0
  return {
    entered,
    /** The most that were inside at once. */
    most: () => most,
    by: <A, E, R>(name: string, body: Effect.Effect<A, E, R>) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          entered.push(name)
          most = Math.max(most, ++inside)
        }),
        () => body,
        () =>
          Effect.sync(() => {
            inside--
          })
      )
  }
}

/** Holds the lock until it is released: the held lock, and how to release it. */
export const hold = Effect.fnUntraced(function*(lock: ManagedLock) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const held: HeldLock["Service"] = yield* Scope.provide(lock.acquire, scope)
  return { held, release: Scope.close(scope, Exit.void) }
})

/**
 * Lets the test clock run until all have ended, for a minute at most; whether they have.
 *
 * In small steps: what `RcMap` keeps for a while never ends where the clock stands between two milliseconds.
 */
export const settle = Effect.fnUntraced(function*(fibers: ReadonlyArray<Fiber.Fiber<unknown, unknown>>) {
  const areDone = () => fibers.every((fiber) => fiber.pollUnsafe() !== undefined)
  for (let step = 0; step < 600 && !areDone(); step++) yield* TestClock.adjust("100 millis")
  return areDone()
})

/**
 * Does it again and again up to this time. Under a test clock nothing must be on its way when a test ends: what waits for an
 * answer cannot be interrupted, and nobody moves the clock any more.
 */
export const until = Effect.fnUntraced(function*<A, E, R>(end: Duration.Input, effect: Effect.Effect<A, E, R>) {
  const endMillis = Duration.toMillis(end)
  while ((yield* Clock.currentTimeMillis) < endMillis) yield* effect
})
