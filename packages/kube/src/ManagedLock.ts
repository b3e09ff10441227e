/**
 * A lock that is waited for, kept for as long as the work takes, and released at its end, whatever the end is.
 *
 * **Details**
 *
 * `KubeLock.make` makes one, without a request. Every option has a default, and the options are checked against each other there.
 *
 * - Waiting: least recently served first among the processes that use this library, and whoever is quickest where few want the
 *   lock; in order within a process. Nothing is written while waiting.
 * - Holding: the record is renewed every `renewEvery`, and the object watched. As soon as the lock is or may be lost, the section
 *   is interrupted.
 * - Releasing: one request, tried again for at most `requestTimeout`, so bounded by twice that.
 *
 * **Gotchas**
 *
 * - A lock is not re-entrant: a section that asks for its own lock waits for itself.
 * - Two holders at once need clocks that are apart by more than `safetyMargin` and `takeoverDelay` together, or a section that
 *   cannot be interrupted. `HeldLock` says what to do about those.
 *
 * **Example** (A deployment at a time)
 *
 * ```ts
 * import { AnnotationStore, KubeLock, ResourceRef } from "@kubelock/kube"
 * import { Effect, Layer } from "effect"
 *
 * const resource = ResourceRef.configMap({ namespace: "prod", name: "deploys" })
 *
 * const program = Effect.gen(function*() {
 *   const lock = yield* KubeLock.make({ resource, name: "helm", ttl: "30 seconds", waitAtMost: "5 minutes" })
 *   return yield* Effect.succeed("deployed").pipe(lock.withLock)
 * })
 *
 * const layer = KubeLock.layer.pipe(Layer.provide(AnnotationStore.layerMemory([resource])))
 *
 * await Effect.runPromise(program.pipe(Effect.provide(layer))) // => "deployed"
 * ```
 *
 * @since 0.1.0
 */
import type { LockName, MalformedRecord } from "@kubelock/core"
import type { Duration, Effect, Option, Scope } from "effect"
import type { HeldLock } from "./HeldLock.ts"
import type { KubeError } from "./KubeError.ts"
import type { OwnerTarget } from "./Lease.ts"
import type { LockLost, WaitTimeout } from "./ManagedLockError.ts"
import type { ResourceRef } from "./ResourceRef.ts"
import type { RetryPolicy } from "./RetryPolicy.ts"

/**
 * How a lock is waited for and kept. Durations are Effect's: `"30 seconds"`, or a number of milliseconds.
 *
 * @category options
 * @since 0.1.0
 */
export interface ManagedLockOptions extends OwnerTarget {
  /**
   * How long the record is valid without a renewal: after a crash, others wait for so long. At least 100 ms. Default: 30 seconds,
   * shorter than the 5 minutes of a single attempt, since this one is renewed.
   */
  readonly ttl?: Duration.Input | undefined
  /**
   * How often the record is renewed: every 10 ms at most. Default: a third of `ttl`.
   *
   * Each renewal is one request. Locks that one process holds on one object share it, where their times, `watch` and `retryPolicy`
   * are the same: a thousand of them cost as many requests as one.
   */
  readonly renewEvery?: Duration.Input | undefined
  /**
   * How long one request of this lock may take; the transport's own limit holds where it is shorter. `renewEvery` and this must
   * fit into what `safetyMargin` leaves of `ttl`. Default: half of `renewEvery`, at most 10 seconds, and at most what fits.
   */
  readonly requestTimeout?: Duration.Input | undefined
  /**
   * How long before the end of its TTL the lock counts as lost. Protects from clocks that are apart, and is all the time that a section has for
   * what it does when it is interrupted. Default: a tenth of `ttl`, at most a second.
   */
  readonly safetyMargin?: Duration.Input | undefined
  /**
   * How long an expired lock is left alone, whoever had it. Protects from clocks that are apart, also where the holder is a Go
   * program, which knows no margin. Default: 0 seconds, as in the Go library.
   */
  readonly takeoverDelay?: Duration.Input | undefined
  /**
   * How long to wait for the lock before `WaitTimeout`, as `"5 minutes"`; a request that is on its way is waited for in addition. An
   * API server that is away for longer than `retryPolicy` says ends it sooner, with `KubeError`. To not wait at all, use
   * `withLockIfAvailable` or `tryAcquire`. Default: for ever.
   */
  readonly waitAtMost?: Duration.Input | undefined
  /**
   * For how long after this process took the lock it may pass from one of its fibers to the next without a request. 0 turns that
   * off. Default: 100 ms.
   *
   * Sections that take over so share one acquisition: one `id`, one fencing token, one record. Other processes wait for that much
   * longer at each turn of this one, at most.
   */
  readonly localHandover?: Duration.Input | undefined
  /**
   * Whether a holder watches its object, so that a broken lock, a takeover or a deletion is noticed within an event rather than
   * at the next renewal. It costs a connection and a small request every 30 seconds per object, whatever the number of locks.
   * Default: true.
   */
  readonly watch?: boolean | undefined
  /** When requests of this lock are tried again. Default: the `RetryPolicy` of whoever uses the lock. */
  readonly retryPolicy?: RetryPolicy | undefined
}

/**
 * Why a lock could not be had: it was not free in time, its annotation cannot be read, or the API server could not be asked.
 *
 * @category errors
 * @since 0.1.0
 */
export type NotAcquired = WaitTimeout | MalformedRecord | KubeError

/**
 * Waits for a lock, keeps it, gives it back. Make one with `KubeLock.make`, once, and use it as often as you like.
 *
 * All fail with `KubeError` where the API server refuses, or fails for longer than the `RetryPolicy` says, and with `MalformedRecord`
 * where the lock's annotation is no record; those that wait fail with `WaitTimeout` after `waitAtMost`.
 *
 * **Example** (Waiting, not waiting, and holding until a scope is closed)
 *
 * ```ts
 * import { AnnotationStore, KubeLock, ResourceRef } from "@kubelock/kube"
 * import { Effect, Layer, Option } from "effect"
 *
 * const resource = ResourceRef.configMap({ namespace: "prod", name: "deploys" })
 *
 * const program = Effect.gen(function*() {
 *   const lock = yield* KubeLock.make({ resource, name: "helm" })
 *   const other = yield* KubeLock.make({ resource, name: "helm" })
 *   const held = yield* lock.acquire
 *   const whileHeld = [
 *     yield* other.withLockIfAvailable(Effect.succeed("worked")),
 *     Option.map(yield* other.tryAcquire, ({ id }) => id)
 *   ]
 *   yield* held.release
 *   return [...whileHeld, yield* other.withLockIfAvailable(Effect.succeed("worked"))]
 * })
 *
 * const layer = KubeLock.layer.pipe(Layer.provide(AnnotationStore.layerMemory([resource])))
 *
 * const seen = await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layer)))
 * seen // => [Option.none(), Option.none(), Option.some("worked")]
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export interface ManagedLock {
  /** The object that carries the lock. */
  readonly resource: ResourceRef
  /** The lock's name on it. */
  readonly name: LockName.LockName
  /** For whom it is waited and held. */
  readonly owner: string
  /**
   * Waits for the lock and runs the section under it. The section is interrupted when the lock is lost: then `LockLost` is the
   * failure. It finds its lock in the context: {@link HeldLock}.
   */
  readonly withLock: <A, E, R>(
    section: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | LockLost | NotAcquired, Exclude<R, HeldLock>>
  /**
   * The same without waiting: `None`, and nothing run, if somebody has the lock, or waits for it within this process. Fails with
   * `LockLost` as well, if the lock is lost while the section runs.
   */
  readonly withLockIfAvailable: <A, E, R>(
    section: Effect.Effect<A, E, R>
  ) => Effect.Effect<Option.Option<A>, E | LockLost | Exclude<NotAcquired, WaitTimeout>, Exclude<R, HeldLock>>
  /**
   * Waits for the lock and holds it until the scope is closed. Nothing is interrupted when it is lost: see `lost` of
   * {@link HeldLock}.
   */
  readonly acquire: Effect.Effect<HeldLock["Service"], NotAcquired, Scope.Scope>
  /** The same without waiting: `None` if somebody has the lock, or waits for it within this process. */
  readonly tryAcquire: Effect.Effect<
    Option.Option<HeldLock["Service"]>,
    Exclude<NotAcquired, WaitTimeout>,
    Scope.Scope
  >
}

/**
 * Waits for several locks, keeps them, gives them back. Make one with `KubeLock.makeAll`.
 *
 * Both fail with `WaitTimeout` if not all could be had in time, with `MalformedRecord` if the annotation of one is no record, and with
 * `KubeError` where the API server refuses, or fails for longer than the `RetryPolicy` says. What was taken by then is given back.
 *
 * **Example** (A database and its cache)
 *
 * ```ts
 * import { AnnotationStore, KubeLock, ResourceRef } from "@kubelock/kube"
 * import { Effect, Layer } from "effect"
 *
 * const resource = ResourceRef.configMap({ namespace: "prod", name: "deploys" })
 *
 * const program = Effect.gen(function*() {
 *   const locks = yield* KubeLock.makeAll([{ resource, name: "database" }, { resource, name: "cache" }])
 *   yield* Effect.void.pipe(locks.withLocks)
 *   const [database, cache] = yield* locks.acquireAll
 *   return [database.name, cache.name]
 * })
 *
 * const layer = KubeLock.layer.pipe(Layer.provide(AnnotationStore.layerMemory([resource])))
 *
 * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layer))) // => ["database", "cache"]
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export interface ManagedLocks<Held extends ReadonlyArray<HeldLock["Service"]> = ReadonlyArray<HeldLock["Service"]>> {
  /**
   * Waits for all the locks and runs the section under them. It is interrupted when one of them is lost: then `LockLost` is the
   * failure, and the others are released. No {@link HeldLock} is in its context, since there are several: where the section needs
   * them, use `acquireAll`.
   */
  readonly withLocks: <A, E, R>(section: Effect.Effect<A, E, R>) => Effect.Effect<A, E | LockLost | NotAcquired, R>
  /**
   * Waits for all the locks and holds them until the scope is closed; in the order in which they were given to `makeAll`, and as many
   * to the compiler too.
   */
  readonly acquireAll: Effect.Effect<Held, NotAcquired, Scope.Scope>
}
