/**
 * Locks on Kubernetes objects: taken, renewed, given back and looked at, one attempt at a time.
 *
 * **Details**
 *
 * On a free lock `acquire`, and `renew` and `release` of a {@link Lease}, are one request each. A refused `acquire` is two. A
 * conflict, a throttled request and a lost answer are tried again as `RetryPolicy` says; after a lost answer the object is read
 * first, so that a write which did land is not made twice, nor taken for a failure.
 *
 * **Gotchas**
 *
 * - This service holds nothing for you: a lease that is not renewed expires after its TTL, whatever your program is doing.
 * - Expiry is judged by wall clocks: this machine's against the time that the holder's machine wrote down.
 * - A write that is on its way is not abandoned when the fiber is interrupted, since nobody could say then whether it landed.
 *   Its answer is awaited, at most for the transport's request timeout; a lock that it took is given back.
 *
 * **Example** (Taking and releasing a lock)
 *
 * ```ts
 * import { AnnotationStore, KubeLock, ResourceRef } from "@kubelock/kube"
 * import { Effect, Layer } from "effect"
 *
 * const resource = ResourceRef.configMap({ namespace: "prod", name: "deploys" })
 *
 * const program = Effect.gen(function*() {
 *   const locks = yield* KubeLock
 *   const lease = yield* locks.acquire({ resource, name: "helm", owner: "alice", ttl: "30 seconds" })
 *   const other = yield* Effect.flip(locks.acquire({ resource, name: "helm", owner: "bob" }))
 *   yield* locks.release(lease)
 *   return other._tag
 * })
 *
 * const layer = KubeLock.layer.pipe(Layer.provide(AnnotationStore.layerMemory([resource])))
 *
 * await Effect.runPromise(program.pipe(Effect.provide(layer))) // => "OwnerMismatch"
 * ```
 *
 * @since 0.1.0
 */
import {
  type AlreadyExists,
  clockWarning,
  InvalidConfig,
  LockName,
  LockRecord,
  LockState,
  type MalformedRecord,
  type NotFound,
  type OwnerMismatch,
  Transition,
  Ttl
} from "@kubelock/core"
import { Clock, Context, Duration, Effect, flow, Layer, Predicate, Result, Tracer } from "effect"
import { AnnotationStore } from "./AnnotationStore.ts"
import type { HeldLock } from "./HeldLock.ts"
import { Identity, nextAcquisitionId } from "./Identity.ts"
import * as Attempts from "./internal/Attempts.ts"
import { forPurpose } from "./internal/Attempts.ts"
import * as Attributes from "./internal/Attributes.ts"
import * as Given from "./internal/Given.ts"
import * as Holding from "./internal/Holding.ts"
import * as Settings from "./internal/Settings.ts"
import { believedOf, requestOf } from "./internal/Tasks.ts"
import * as Tracing from "./internal/Tracing.ts"
import type { KubeError } from "./KubeError.ts"
import type { AcquireAllOptions, AcquireOptions, Lease, LockInfo, LockTarget, OwnerTarget } from "./Lease.ts"
import type { ManagedLock, ManagedLockOptions, ManagedLocks } from "./ManagedLock.ts"
import * as ResourceRef from "./ResourceRef.ts"

type Refused = InvalidConfig | MalformedRecord | KubeError

/** One for each, so that what is got is known to be as long as what was given. */
type OptionsOf<Locks extends ReadonlyArray<unknown>> = { readonly [Index in keyof Locks]: ManagedLockOptions }
type HeldOf<Locks extends ReadonlyArray<unknown>> = { readonly [Index in keyof Locks]: HeldLock["Service"] }
type LeasesOf<Names extends ReadonlyArray<string>> = { readonly [Index in keyof Names]: Lease }

/**
 * Takes, renews, gives back and shows locks, one attempt each.
 *
 * All fail with `InvalidConfig` if what is given cannot work, and then nothing is sent; and with `KubeError` where the API server
 * refuses, or fails for longer than the `RetryPolicy` says, or where there is no such object (`ResourceNotFound`). What decides on a
 * lock (`acquire`, `renew`, `release` and the like) fails with `MalformedRecord` if its annotation is no record: `break` removes it,
 * nothing else will.
 *
 * **Example** (Several locks of one object, looked at and broken)
 *
 * ```ts
 * import { AnnotationStore, KubeLock, ResourceRef } from "@kubelock/kube"
 * import { Effect, Layer } from "effect"
 *
 * const resource = ResourceRef.configMap({ namespace: "prod", name: "deploys" })
 *
 * const program = Effect.gen(function*() {
 *   const locks = yield* KubeLock
 *   const [database, cache] = yield* locks.acquireAll({ resource, names: ["database", "cache"], owner: "alice" })
 *   const renewed = yield* locks.renew(database)
 *   const held = (yield* locks.list(resource)).map(({ name, owner }) => `${name} by ${owner}`)
 *   yield* locks.break({ resource, name: "cache" })
 *   // Of the two only one is there to be released.
 *   const error = yield* Effect.flip(locks.releaseAll([renewed, cache]))
 *   const { state } = yield* locks.inspect({ resource, name: "database" })
 *   return [...held, error._tag, state._tag]
 * })
 *
 * const layer = KubeLock.layer.pipe(Layer.provide(AnnotationStore.layerMemory([resource])))
 *
 * const seen = await Effect.runPromise(program.pipe(Effect.provide(layer)))
 * seen // => ["cache by alice", "database by alice", "NotFound", "Free"]
 * ```
 *
 * **Example** (Managed locks for a service that has a `KubeLock` already)
 *
 * ```ts
 * import { AnnotationStore, KubeLock, ResourceRef } from "@kubelock/kube"
 * import { Effect, Layer } from "effect"
 *
 * const resource = ResourceRef.configMap({ namespace: "prod", name: "deploys" })
 *
 * const makeDeployer = Effect.gen(function*() {
 *   const locks = yield* KubeLock
 *   const helm = yield* locks.make({ resource, name: "helm" })
 *   const everything = yield* locks.makeAll([{ resource, name: "helm" }, { resource, name: "database" }])
 *   return {
 *     deploy: helm.withLock(Effect.succeed("deployed")),
 *     migrate: everything.withLocks(Effect.succeed("migrated"))
 *   }
 * })
 *
 * const program = Effect.flatMap(makeDeployer, ({ deploy, migrate }) => Effect.all([deploy, migrate]))
 * const layer = KubeLock.layer.pipe(Layer.provide(AnnotationStore.layerMemory([resource])))
 *
 * await Effect.runPromise(program.pipe(Effect.provide(layer))) // => ["deployed", "migrated"]
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class KubeLock extends Context.Service<KubeLock, {
  /**
   * Takes the lock if it is free or expired.
   *
   * Fails with `AlreadyExists` if the same owner holds it and with `OwnerMismatch` if another does.
   */
  readonly acquire: (options: AcquireOptions) => Effect.Effect<Lease, AlreadyExists | OwnerMismatch | Refused>
  /**
   * Takes several locks of one object, all or none, in one request. Their leases come in the order of the names.
   *
   * Fails with `AlreadyExists` or `OwnerMismatch` for the first that cannot be taken.
   */
  readonly acquireAll: <const Names extends ReadonlyArray<string>>(
    options: AcquireAllOptions<Names>
  ) => Effect.Effect<LeasesOf<Names>, AlreadyExists | OwnerMismatch | Refused>
  /**
   * Starts the TTL anew. Use the lease it returns from then on.
   *
   * Fails with `NotFound` if the lock has expired or is gone, and with `OwnerMismatch` if somebody has taken it since.
   */
  readonly renew: (lease: Lease) => Effect.Effect<Lease, NotFound | OwnerMismatch | Refused>
  /**
   * Gives the lock back: a {@link Lease} of one's own, or, as the Go library does, whatever the owner holds (one request more).
   *
   * Fails with `NotFound` if the lock is gone (or, given an owner alone, has expired), and with `OwnerMismatch` if somebody
   * else has it.
   */
  readonly release: (held: Lease | OwnerTarget) => Effect.Effect<void, NotFound | OwnerMismatch | Refused>
  /**
   * Gives back several locks of one object in one request. If some are lost already, the others are released all the same.
   *
   * Fails with `NotFound` or `OwnerMismatch` for the first that was lost, after the others are released; with `InvalidConfig`, and
   * releases nothing, if they are of several objects or two of them are of one lock.
   */
  readonly releaseAll: (leases: ReadonlyArray<Lease>) => Effect.Effect<void, NotFound | OwnerMismatch | Refused>
  /** The lock as it is now: who has it, since when, until when. Changes nothing. A free lock is no failure. */
  readonly inspect: (target: LockTarget) => Effect.Effect<LockInfo, InvalidConfig | KubeError>
  /** Every lock on an object, free ones excepted, in the order of their names. Changes nothing. */
  readonly list: (
    resource: ResourceRef.ResourceRef
  ) => Effect.Effect<ReadonlyArray<LockInfo>, InvalidConfig | KubeError>
  /**
   * Removes the lock without asking its owner, also one that cannot be read, and answers with what it was.
   *
   * Fails with `NotFound` if there is none. **The holder is not asked**: make sure that it is dead, or can bear it.
   */
  readonly break: (target: LockTarget) => Effect.Effect<LockInfo, NotFound | InvalidConfig | KubeError>
  /** As the static `make`, for whoever has the service already. Fails with `InvalidConfig` alone. */
  readonly make: (options: ManagedLockOptions) => Effect.Effect<ManagedLock, InvalidConfig>
  /** As the static `makeAll`, for whoever has the service already. Fails with `InvalidConfig` alone. */
  readonly makeAll: <const Locks extends ReadonlyArray<unknown>>(
    options: OptionsOf<Locks>
  ) => Effect.Effect<ManagedLocks<HeldOf<Locks>>, InvalidConfig>
}>()("@kubelock/kube/KubeLock") {
  /**
   * Locks over any store: that of a cluster (`KubeAnnotationStore.layer`), or one in memory (`AnnotationStore.layerMemory`).
   *
   * **Gotchas**
   *
   * What keeps managed locks lives in this layer. When it ends, they are lost to sections that still work: provide it to the whole
   * program.
   *
   * @category layers
   * @since 0.1.0
   */
  static readonly layer: Layer.Layer<KubeLock, never, AnnotationStore> = Layer.effect(
    KubeLock,
    Effect.suspend(() => make)
  )

  /**
   * A lock that is waited for, kept for as long as the work takes, and released at its end: see {@link ManagedLock}. Makes no
   * request.
   *
   * Fails with `InvalidConfig` if an option cannot work, alone or beside the others.
   *
   * **Example** (Options that do not go together)
   *
   * ```ts
   * import { AnnotationStore, KubeLock, ResourceRef } from "@kubelock/kube"
   * import { Effect, Layer } from "effect"
   *
   * const resource = ResourceRef.configMap({ namespace: "prod", name: "deploys" })
   * const make = KubeLock.make({ resource, name: "helm", ttl: "10 seconds", renewEvery: "20 seconds" })
   *
   * const layer = KubeLock.layer.pipe(Layer.provide(AnnotationStore.layerMemory([resource])))
   *
   * const error = await Effect.runPromise(Effect.flip(make).pipe(Effect.provide(layer)))
   * error.field // => "renewEvery"
   * ```
   *
   * @category constructors
   * @since 0.1.0
   */
  static make(options: ManagedLockOptions): Effect.Effect<ManagedLock, InvalidConfig, KubeLock> {
    return Effect.flatMap(KubeLock, (locks) => locks.make(options))
  }

  /**
   * Several locks that are waited for and kept together. Makes no request.
   *
   * **Details**
   *
   * Those of one object are taken in one request, all or none; objects one after the other, in an order that is the same for all who
   * use this, so that nobody waits for somebody who waits for them. The shortest `waitAtMost` holds for all together. What was
   * taken is released if the rest cannot be had. Once taken, each is lost and released by itself.
   *
   * Fails with `InvalidConfig` if an option cannot work, or a lock is named twice.
   *
   * **Gotchas**
   *
   * A section under some locks that asks for further ones leaves that order: two such sections can wait for each other for ever.
   *
   * **Example** (Locks on two objects)
   *
   * ```ts
   * import { AnnotationStore, KubeLock, ResourceRef } from "@kubelock/kube"
   * import { Effect, Layer } from "effect"
   *
   * const [eu, us] = ["eu", "us"].map((name) => ResourceRef.configMap({ namespace: "prod", name }))
   *
   * const program = Effect.gen(function*() {
   *   const locks = yield* KubeLock.makeAll([{ resource: eu!, name: "helm" }, { resource: us!, name: "helm" }])
   *   return yield* Effect.succeed("deployed everywhere").pipe(locks.withLocks)
   * })
   *
   * const layer = KubeLock.layer.pipe(Layer.provide(AnnotationStore.layerMemory([eu!, us!])))
   *
   * await Effect.runPromise(program.pipe(Effect.provide(layer))) // => "deployed everywhere"
   * ```
   *
   * @category constructors
   * @since 0.1.0
   */
  static makeAll<const Locks extends ReadonlyArray<unknown>>(
    options: OptionsOf<Locks>
  ): Effect.Effect<ManagedLocks<HeldOf<Locks>>, InvalidConfig, KubeLock> {
    return Effect.flatMap(KubeLock, (locks) => locks.makeAll(options))
  }
}

const make = Effect.gen(function*() {
  const store = yield* AnnotationStore
  const attempts = Attempts.make(store)
  const holding = yield* Holding.make(store, attempts)

  const settingsOf = (options: ManagedLockOptions) =>
    Effect.flatMap(
      Identity,
      (identity) =>
        Effect.fromResult(Result.flatMap(ownerOf(options, identity), (owner) => Settings.make(options, owner)))
    )

  // Every acquisition comes through here, so it takes no more steps than it must.
  const acquireWanted = (
    spanName: string,
    wantedOf: (identity: Identity) => Result.Result<Wanted, InvalidConfig>
  ): Effect.Effect<ReadonlyArray<Lease>, AlreadyExists | OwnerMismatch | Refused> =>
    Identity.use((identity) => {
      const wanted = wantedOf(identity)
      if (Result.isFailure(wanted)) return spanned(spanName, () => ({}), () => Effect.fail(wanted.failure))
      const { locks, owner, resource, ttl } = wanted.success
      if (locks.length === 0) return spanned(spanName, () => ({}), () => Effect.succeed([]))
      return spanned(
        spanName,
        () => Attributes.ofLocks(locks.map((name) => ({ resource, name, owner }))),
        (span) =>
          Effect.flatMap(nextAcquisitionId, (id) => {
            const requests = locks.map((lock) => ({ lock, resource: ResourceRef.describe(resource), owner, id, ttl }))
            return Effect.map(attempts.acquire({ resource, requests, believed: {} }), (taken) => {
              const leases = taken.map(({ lease }) => asTaken(lease))
              if (span !== undefined) Attributes.setToken(span, leases)
              return leases
            })
          })
      )
    })

  const releaseHeld = (
    spanName: string,
    held: Result.Result<ReadonlyArray<Lease>, InvalidConfig>
  ): Effect.Effect<void, NotFound | OwnerMismatch | Refused> => {
    if (Result.isFailure(held)) return spanned(spanName, () => ({}), () => Effect.fail(held.failure))
    const [first] = held.success
    if (first === undefined) return spanned(spanName, () => ({}), () => Effect.void)
    return spanned(
      spanName,
      () => Attributes.ofHeld(held.success),
      () => Effect.asVoid(attempts.release(first.resource, held.success))
    )
  }

  const releaseOwned = Effect.fnUntraced(function*(target: OwnerTarget) {
    const { lock, resource } = yield* Effect.fromResult(validateTarget(target))
    const request = {
      lock,
      resource: ResourceRef.describe(resource),
      owner: yield* Effect.fromResult(ownerOf(target, yield* Identity))
    }
    yield* Effect.annotateCurrentSpan(Attributes.ofLocks([{ resource, name: lock, owner: request.owner }]))
    yield* attempts.perform({
      resource,
      decide: (annotations, { wallNanos }) =>
        Result.map(Transition.release(annotations, request, wallNanos), (edit) => [edit])
    }).pipe(forPurpose("release", [lock], request.owner))
  }, Effect.withSpan("KubeLock.release", {}, Attributes.withoutStack))

  const inspect = Effect.fnUntraced(function*(target: LockTarget) {
    const { lock, resource } = yield* Effect.fromResult(validateTarget(target))
    yield* Effect.annotateCurrentSpan(Attributes.ofLocks([{ resource, name: lock }]))
    const { annotations } = yield* attempts.read(resource).pipe(forPurpose("inspect", [lock]))
    const nowNanos = yield* Clock.currentTimeNanos
    return infoOf(resource, lock, LockState.read(annotations, lock, nowNanos), nowNanos)
  })

  // The types say how many come back, which none of what is called here tells the compiler.
  function makeAll<const Locks extends ReadonlyArray<unknown>>(
    options: OptionsOf<Locks>
  ): Effect.Effect<ManagedLocks<HeldOf<Locks>>, InvalidConfig>
  function makeAll(options: ReadonlyArray<ManagedLockOptions>): Effect.Effect<ManagedLocks, InvalidConfig> {
    return Effect.gen(function*() {
      const all = yield* Effect.forEach(yield* Effect.fromResult(arrayOf("locks", options)), settingsOf)
      const twice = firstTwice(all, ({ key }) => key)
      if (twice !== undefined) {
        return yield* new InvalidConfig({ field: "locks", value: twice.name, problem: "it is asked for twice" })
      }
      return holding.locksOf(all)
    })
  }

  function acquireAll<const Names extends ReadonlyArray<string>>(
    options: AcquireAllOptions<Names>
  ): Effect.Effect<LeasesOf<Names>, AlreadyExists | OwnerMismatch | Refused>
  function acquireAll(
    options: AcquireAllOptions
  ): Effect.Effect<ReadonlyArray<Lease>, AlreadyExists | OwnerMismatch | Refused> {
    return acquireWanted("KubeLock.acquireAll", (identity) =>
      Result.flatMap(
        Given.read("options", options, ({ names, owner, resource, ttl }) => ({ names, owner, resource, ttl })),
        (asked) => wantedOf(asked, identity)
      ))
  }

  return KubeLock.of({
    make: (options) => Effect.map(settingsOf(options), holding.lockOf),
    makeAll,
    acquire: (options) =>
      Effect.map(
        acquireWanted("KubeLock.acquire", (identity) =>
          Result.flatMap(
            Given.read(
              "options",
              options,
              ({ name, owner, resource, ttl }) => ({ names: [name], owner, resource, ttl })
            ),
            (asked) => wantedOf(asked, identity)
          )),
        (leases) => leases[0]!
      ),
    acquireAll,
    renew: Effect.fnUntraced(function*(given) {
      const lease = yield* Effect.fromResult(validateLease(given))
      yield* Effect.annotateCurrentSpan(Attributes.ofHeld([lease]))
      const { edits } = yield* attempts.perform({
        resource: lease.resource,
        believed: believedOf([lease]),
        decide: (annotations, { wallNanos }) =>
          Result.map(Transition.renew(annotations, requestOf(lease), wallNanos), (edit) => [edit])
      }).pipe(forPurpose("renew", [lease.name], lease.owner))
      return asTaken({ ...lease, record: edits[0]!.record })
    }, Effect.withSpan("KubeLock.renew", {}, Attributes.withoutStack)),
    release: (held) =>
      Effect.suspend(() => {
        const lease = Given.read("lease", held, (held) => "record" in held ? held : undefined)
        if (Result.isSuccess(lease) && lease.success === undefined) return releaseOwned(held)
        return releaseHeld(
          "KubeLock.release",
          Result.flatMap(lease, (lease) => Result.map(validateLease(lease!), (lease) => [lease]))
        )
      }),
    releaseAll: (leases) => Effect.suspend(() => releaseHeld("KubeLock.releaseAll", leasesOf(leases))),
    inspect: flow(inspect, Effect.withSpan("KubeLock.inspect", {}, Attributes.withoutStack)),
    list: Effect.fnUntraced(function*(given) {
      const resource = yield* Effect.fromResult(ResourceRef.validate(given))
      yield* Effect.annotateCurrentSpan(Attributes.ofObject(resource))
      const { annotations } = yield* attempts.read(resource).pipe(forPurpose("list", []))
      const nowNanos = yield* Clock.currentTimeNanos
      return LockState.readAll(annotations, nowNanos).map(([lock, state]) => infoOf(resource, lock, state, nowNanos))
    }, Effect.withSpan("KubeLock.list", {}, Attributes.withoutStack)),
    break: Effect.fnUntraced(function*(target) {
      const { lock, resource } = yield* Effect.fromResult(validateTarget(target))
      const request = { lock, resource: ResourceRef.describe(resource) }
      yield* Effect.annotateCurrentSpan(Attributes.ofLocks([{ resource, name: lock }]))
      let broken = infoOf(resource, lock, { _tag: "Free" }, 0n)
      yield* attempts.perform({
        resource,
        decide: (annotations, { wallNanos }) => {
          broken = infoOf(resource, lock, LockState.read(annotations, lock, wallNanos), wallNanos)
          return Result.map(Transition.break(annotations, request, wallNanos), (edit) => [edit])
        }
      }).pipe(forPurpose("break", [lock]))
      yield* Effect.logWarning("A lock was broken").pipe(
        Effect.annotateLogs(Attributes.ofLocks([broken]))
      )
      return broken
    }, Effect.withSpan("KubeLock.break", {}, Attributes.withoutStack))
  })
})

/** Within a span, and without the frame of a stack that `Effect.withSpan` would put beside it. */
const spanned = <A, E, R>(
  name: string,
  attributes: () => Record<string, string>,
  use: (span: Tracer.Span | undefined) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Tracing.spanned(
    name,
    () => ({ attributes: attributes() }),
    (span) => span === undefined ? use(span) : Effect.provideService(use(span), Tracer.ParentSpan, span)
  )

// The API server's limit for all annotations of an object together: a longer one can never be written.
const longestOwner = 262_144

const ownerOf = (
  options: { readonly owner?: string | undefined },
  identity: Identity
): Result.Result<string, InvalidConfig> =>
  Result.flatMap(Given.read("options", options, ({ owner }) => owner), (given) => checkOwner(given, identity))

const checkOwner = (given: string | undefined, identity: Identity): Result.Result<string, InvalidConfig> => {
  const owner = given === undefined ? identity.owner : given
  return typeof owner === "string" && owner.length <= longestOwner
    ? Result.succeed(owner)
    : Result.fail(
      InvalidConfig.of("owner", owner, `it must be a string of at most ${longestOwner} characters, or left out`)
    )
}

/** Locks of one object that are to be taken. */
interface Wanted {
  readonly resource: ResourceRef.ResourceRef
  readonly locks: ReadonlyArray<LockName.LockName>
  readonly owner: string
  readonly ttl: Ttl.Ttl
}

// In plain steps, since every acquisition comes through here.
const wantedOf = (asked: AcquireAllOptions, identity: Identity): Result.Result<Wanted, InvalidConfig> => {
  const resource = ResourceRef.validate(asked.resource)
  if (Result.isFailure(resource)) return Result.fail(resource.failure)
  const ttl = Ttl.make(asked.ttl)
  if (Result.isFailure(ttl)) return Result.fail(ttl.failure)
  const names = arrayOf("names", asked.names)
  if (Result.isFailure(names)) return Result.fail(names.failure)
  const locks = Result.all(names.success.map(LockName.make))
  if (Result.isFailure(locks)) return Result.fail(locks.failure)
  return Result.map(
    checkOwner(asked.owner, identity),
    (owner): Wanted => ({ resource: resource.success, locks: locks.success, owner, ttl: ttl.success })
  )
}

const arrayOf = <A>(field: string, given: ReadonlyArray<A>): Result.Result<ReadonlyArray<A>, InvalidConfig> =>
  Result.flatMap(
    Given.read(field, given, (given) => Array.isArray(given) ? Array.from(given) : undefined),
    (read) =>
      read === undefined ? Result.fail(InvalidConfig.of(field, given, "it must be an array")) : Result.succeed(read)
  )

/** The first whose key another before it has. */
const firstTwice = <A>(all: ReadonlyArray<A>, keyOf: (one: A) => string): A | undefined => {
  const keys = new Set<string>()
  return all.find((one) => {
    const key = keyOf(one)
    if (keys.has(key)) return true
    keys.add(key)
    return false
  })
}

const validateTarget = (target: LockTarget) =>
  Result.gen(function*() {
    const { name, resource } = yield* Given.read("options", target, ({ name, resource }) => ({ name, resource }))
    return { resource: yield* ResourceRef.validate(resource), lock: yield* LockName.make(name) }
  })

/** Leases that were taken here and stay as they are. */
const taken = new WeakSet<Lease>()

const asTaken = (lease: Lease): Lease => {
  Object.freeze(lease.record.others)
  Object.freeze(lease.record)
  taken.add(Object.freeze(lease))
  return lease
}

const validateLease = (given: Lease): Result.Result<Lease, InvalidConfig> =>
  taken.has(given) ? Result.succeed(given) : checkLease(given)

/** Leases of one object, each of another lock. */
const leasesOf = (given: ReadonlyArray<Lease>): Result.Result<ReadonlyArray<Lease>, InvalidConfig> =>
  Result.flatMap(
    arrayOf("leases", given),
    (given) => Result.flatMap(Result.all(given.map(validateLease)), checkTogether)
  )

const checkTogether = (leases: ReadonlyArray<Lease>): Result.Result<ReadonlyArray<Lease>, InvalidConfig> => {
  const [first] = leases
  if (first === undefined) return Result.succeed(leases)
  const twice = firstTwice(leases, ({ name }) => name)
  if (twice !== undefined) return refuse("leases", twice.name, "two of them are of this lock")
  const path = ResourceRef.toPath(first.resource)
  const elsewhere = leases.find((lease) => ResourceRef.toPath(lease.resource) !== path)
  return elsewhere === undefined
    ? Result.succeed(leases)
    : refuse(
      "leases",
      ResourceRef.describe(elsewhere.resource),
      `all leases must be of one object; the first is of ${ResourceRef.describe(first.resource)}`
    )
}

const refuse = (field: string, value: string, problem: string): Result.Result<never, InvalidConfig> =>
  Result.fail(new InvalidConfig({ field, value, problem }))

/** A lease is a value, and may have been stored and read badly on its way back. */
const checkLease = (given: Lease): Result.Result<Lease, InvalidConfig> =>
  Result.gen(function*() {
    const lease = yield* Given.read("lease", given, ({ fencingToken, id, name, owner, record, resource }) => ({
      resource,
      name,
      owner,
      id,
      record: { ...record },
      fencingToken
    }))
    const resource = yield* ResourceRef.validate(lease.resource)
    const name = yield* LockName.make(lease.name)
    if (!Result.getOrElse(Result.try(() => isWhole(lease)), () => false)) {
      return yield* refuse(
        "lease",
        name,
        "it is not as acquire or renew returned it: times and the fencing token must be bigint, id and owner strings"
      )
    }
    return { ...lease, resource, name }
  })

const isWhole = ({ fencingToken, id, owner, record }: Omit<Lease, "name">): boolean =>
  [record.createdAtNanos, record.ttlNanos, fencingToken].every(Predicate.isBigInt) &&
  [owner, id, record.owner, record.id ?? ""].every(Predicate.isString) &&
  (record.others === undefined || (Array.isArray(record.others) && record.others.every(Predicate.isString))) &&
  // Not every instant has a text.
  LockRecord.format(record) !== ""

const infoOf = (
  resource: ResourceRef.ResourceRef,
  name: LockName.LockName,
  state: LockState.LockState,
  nowNanos: bigint
): LockInfo => {
  if (state._tag === "Free" || state._tag === "Malformed") return { resource, name, state }
  const remainingNanos = LockRecord.expiresAtNanos(state.record) - nowNanos
  const warning = clockWarning(state.record, nowNanos)
  return {
    resource,
    name,
    state,
    owner: state.record.owner,
    age: Duration.nanos(nowNanos - state.record.createdAtNanos),
    remaining: Duration.nanos(remainingNanos > 0n ? remainingNanos : 0n),
    ...(warning === undefined ? undefined : { warning })
  }
}
