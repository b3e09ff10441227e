/**
 * Who this process is, where the caller does not say: the default owner of its locks, and what tells its acquisitions from
 * everybody else's.
 *
 * **Details**
 *
 * The default is made once per process from the host's name (in a Pod, the Pod's name), the process id and randomness. So two
 * processes never share it, and a person who reads it knows where to look.
 *
 * **Gotchas**
 *
 * It is read from the context of whoever calls `acquire`, `release` or `KubeLock.make`, each time: provide another to the program,
 * not to the layer of `KubeLock`.
 *
 * **Example** (A program that names its owner once)
 *
 * ```ts
 * import { Identity } from "@kubelock/kube"
 * import { Effect } from "effect"
 *
 * const program = Effect.map(Identity.Identity, ({ owner }) => owner)
 *
 * await Effect.runPromise(program.pipe(Identity.withOwner("operator-5.3.0"))) // => "operator-5.3.0"
 * ```
 *
 * @since 0.1.0
 */
import { Context, Effect, Random } from "effect"
import { hostname } from "node:os"

/** What a process is called where nobody says otherwise. @category models @since 0.1.0 */
export interface Identity {
  /** The owner of a lock that was acquired without naming one. */
  readonly owner: string
  /** Stands before every acquisition's `id`: of this process alone, also where processes share an owner. */
  readonly process: string
}

const sixLetters = (random: Random.Random): string =>
  Math.floor(random.nextDoubleUnsafe() * 36 ** 6).toString(36).padStart(6, "0")

const randomText = (random: Random.Random): string => sixLetters(random) + sixLetters(random)

/** The identity in force: made once per process unless provided otherwise. @category services @since 0.1.0 */
export const Identity: Context.Reference<Identity> = Context.Reference<Identity>("@kubelock/kube/Identity", {
  defaultValue: () => {
    const text = randomText(Effect.runSync(Random.Random))
    // The global one: an import of `node:process` reads all that is in it, and with that opens stdin.
    return { owner: `${hostname()}-${process.pid}-${text}`, process: text }
  }
})

/** The same process under another default owner, which other processes may share. @category combinators @since 0.1.0 */
export const withOwner = (owner: string) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Identity, (identity) => Effect.provideService(self, Identity, { ...identity, owner }))

/**
 * Another process, in a test of several: its default owner has the same name.
 *
 * **Details**
 *
 * To the library, fibers under one name are of one process, which share its turn and pass a lock on without a request; fibers under
 * another are not. Processes that share an owner get it inside: `program.pipe(Identity.withOwner("shared"), Identity.asProcess("second"))`.
 *
 * **Example** (A lock that another process has)
 *
 * ```ts
 * import { AnnotationStore, Identity, KubeLock, ResourceRef } from "@kubelock/kube"
 * import { Effect, Layer, Option } from "effect"
 *
 * const resource = ResourceRef.configMap({ namespace: "prod", name: "deploys" })
 *
 * const program = Effect.gen(function*() {
 *   const lock = yield* KubeLock.make({ resource, name: "helm" })
 *   yield* Effect.flatMap(KubeLock, (locks) => locks.acquire({ resource, name: "helm" })).pipe(Identity.asProcess("second"))
 *   return yield* lock.withLockIfAvailable(Effect.void)
 * })
 *
 * const layer = KubeLock.layer.pipe(Layer.provide(AnnotationStore.layerMemory([resource])))
 *
 * await Effect.runPromise(program.pipe(Effect.provide(layer))) // => Option.none()
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const asProcess = (name: string) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(self, Identity, { owner: name, process: name })

/**
 * An `id` that no other acquisition has: the process, a hyphen, and chance.
 *
 * **Example** (Whose acquisition it is)
 *
 * ```ts
 * import { Identity, Turns } from "@kubelock/kube"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const { owner, process } = yield* Identity.Identity
 *   const id = yield* Identity.nextAcquisitionId
 *   return Turns.processOf({ owner, id }) === process
 * })
 *
 * await Effect.runPromise(program) // => true
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const nextAcquisitionId: Effect.Effect<string> = Effect.withFiber((fiber) =>
  Effect.succeed(`${fiber.getRef(Identity).process}-${randomText(fiber.getRef(Random.Random))}`)
)
