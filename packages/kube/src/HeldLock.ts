/**
 * A lock while it is held: what a section of work can ask of it, and do under it.
 *
 * **Details**
 *
 * It is valid until its TTL is over, counted on this process's monotonic clock from before the last successful renewal was sent,
 * less the safety margin. Renewals happen by themselves. `withLock` interrupts the section when the lock is lost; where a lock is
 * acquired into a scope, `lost` tells.
 *
 * **Gotchas**
 *
 * What cannot be interrupted goes on although the lock is lost: a synchronous computation, an uninterruptible region, a request
 * that another machine is already working on. {@link HeldLock} `write` is refused then, by the API server itself. For anything
 * else than the locked object, hand over the `fencingToken`, and let its receiver refuse lower ones.
 *
 * **Example** (A section that knows its lock)
 *
 * ```ts
 * import { AnnotationStore, HeldLock, KubeLock, MemoryObjects, ResourceRef } from "@kubelock/kube"
 * import { Effect, Layer } from "effect"
 *
 * const resource = ResourceRef.configMap({ namespace: "prod", name: "deploys" })
 *
 * const deploy = Effect.gen(function*() {
 *   const held = yield* HeldLock
 *   yield* held.write([{ op: "add", path: "/data/version", value: "5.3.0" }])
 * })
 *
 * const program = Effect.gen(function*() {
 *   const objects = yield* MemoryObjects
 *   yield* objects.put(resource, {}, { data: { team: "web" } })
 *   const lock = yield* KubeLock.make({ resource, name: "helm" })
 *   yield* lock.withLock(deploy)
 *   return (yield* objects.get(resource))?.["data"]
 * })
 *
 * const layer = KubeLock.layer.pipe(Layer.provideMerge(AnnotationStore.layerMemory()))
 *
 * await Effect.runPromise(program.pipe(Effect.provide(layer))) // => { team: "web", version: "5.3.0" }
 * ```
 *
 * @since 0.1.0
 */
import type { InvalidConfig, LockName, LockRecord } from "@kubelock/core"
import { Context, type Duration, type Effect } from "effect"
import type { JsonPatchOperation, ObjectMetadata } from "./AnnotationStore.ts"
import type { KubeError } from "./KubeError.ts"
import type { LockLost, OperationsRefused } from "./ManagedLockError.ts"
import type { ResourceRef } from "./ResourceRef.ts"

/**
 * The lock that the section at hand holds; of several, the innermost.
 *
 * **Example** (A lock that is held until a scope is closed)
 *
 * ```ts
 * import { AnnotationStore, KubeLock, ResourceRef } from "@kubelock/kube"
 * import { Duration, Effect, Layer } from "effect"
 *
 * const resource = ResourceRef.configMap({ namespace: "prod", name: "deploys" })
 *
 * const program = Effect.gen(function*() {
 *   const lock = yield* KubeLock.make({ resource, name: "helm", owner: "alice", ttl: "30 seconds" })
 *   const held = yield* lock.acquire
 *   // Nobody interrupts this but us.
 *   const done = yield* Effect.raceFirst(Effect.succeed("deployed"), held.lost)
 *   yield* held.renew
 *   const { owner } = yield* held.record
 *   const before = [yield* held.isHeld, Duration.isGreaterThan(yield* held.remaining, Duration.seconds(10))]
 *   yield* held.release
 *   return [done, owner, ...before, yield* held.isHeld]
 * })
 *
 * const layer = KubeLock.layer.pipe(Layer.provide(AnnotationStore.layerMemory([resource])))
 *
 * const seen = await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(layer)))
 * seen // => ["deployed", "alice", true, true, false]
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class HeldLock extends Context.Service<HeldLock, {
  /** The object that carries the lock. */
  readonly resource: ResourceRef
  /** The lock's name on it. */
  readonly name: LockName.LockName
  /** Who holds it, for people and for Go programs. */
  readonly owner: string
  /**
   * Unique to this acquisition, and in the record on the object. Sections that take over from one another within a process share
   * one acquisition: see `localHandover`.
   */
  readonly id: string
  /** Higher for every later acquisition of the lock, whoever makes it. Renewals keep it. */
  readonly fencingToken: bigint
  /** What the annotation says, as of the last renewal. */
  readonly record: Effect.Effect<LockRecord.LockRecord>
  /** Whether the lock is held for certain, now. */
  readonly isHeld: Effect.Effect<boolean>
  /** For how long it is held for certain if no renewal succeeds any more; zero if it is lost or released. */
  readonly remaining: Effect.Effect<Duration.Duration>
  /** Fails with `LockLost` when the lock is lost, and not before; never succeeds. Releasing a lock is not losing it. */
  readonly lost: Effect.Effect<never, LockLost>
  /**
   * Renews now. That happens by itself; this is for a section that is about to do what takes long and cannot be interrupted.
   *
   * Fails with `LockLost` if the lock is lost, or released, and with `KubeError` if it could not be renewed but may still be held.
   */
  readonly renew: Effect.Effect<void, LockLost | KubeError>
  /**
   * Gives the lock back before the section ends, and does nothing if it is lost or given back already. What could not be
   * removed from the object is logged, and expires.
   */
  readonly release: Effect.Effect<void>
  /**
   * Changes the locked object under the lock, in one request that the API server refuses if the lock is no longer held: a
   * **fenced write**. It renews the lock, and answers with the object after it.
   *
   * **Details**
   *
   * All operations are made or none. Each write leaves a record of its own, so that one whose answer was lost is found out about
   * and made exactly once. Writes and renewals take turns.
   *
   * Fails with `OperationsRefused` if the lock is held and the operations cannot be made, with `LockLost` if it is not held, with
   * `InvalidConfig` if they touch the lock's own annotation or are no JSON Patch, and with `KubeError` `Invalid` if the server would not store the
   * result.
   *
   * **Gotchas**
   *
   * - JSON Patch makes no maps on the way: `add` of `/data/version` is refused where the object has no `/data`. `add` of `/data`
   *   or `/metadata/labels` itself replaces all that is in it.
   * - After a `KubeError` whose `outcomeUnknown` is true the write may have been made; after a `LockLost` too, if an answer was
   *   lost before.
   */
  readonly write: (
    operations: ReadonlyArray<JsonPatchOperation>
  ) => Effect.Effect<ObjectMetadata, LockLost | OperationsRefused | InvalidConfig | KubeError>
}>()("@kubelock/kube/HeldLock") {}
