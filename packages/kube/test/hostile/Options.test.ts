import { assert, describe, it } from "@effect/vitest"
import { InvalidConfig } from "@kubelock/core"
import { AnnotationStore, Identity, KubeLock, KubeTransport, type Lease, ResourceRef } from "@kubelock/kube"
import { Cause, Context, Effect, Exit, Layer } from "effect"
import fc from "fast-check"
import { afterEach } from "vitest"
import * as Effort from "../../../core/test/hostile/effort.ts"
import { assertNothingInherited, junk } from "../../../core/test/hostile/junk.ts"
import * as Fixture from "../KubeTransportFixtures.ts"

// Options that no type lets through: what works, or an InvalidConfig that names what is wrong. Then nothing is sent.

afterEach(assertNothingInherited)

const resource = ResourceRef.configMap({ namespace: "default", name: "locks" })

/** A store in memory that counts what it is asked. */
const makeWorld = Effect.gen(function*() {
  const context = yield* Layer.build(AnnotationStore.layerMemory([resource]))
  const memory = Context.get(context, AnnotationStore)
  const asked = { count: 0 }
  const counted = <A>(answer: A): A => {
    asked.count++
    return answer
  }
  const store = AnnotationStore.of({
    ...memory,
    get: (ref) => Effect.suspend(() => counted(memory.get(ref))),
    edit: (ref, edits, operations) => Effect.suspend(() => counted(memory.edit(ref, edits, operations)))
  })
  const layer = KubeLock.layer.pipe(Layer.provide(Layer.succeed(AnnotationStore, store)))
  return { asked, locks: Context.get(yield* Layer.build(layer), KubeLock) }
})

type World = Effect.Success<typeof makeWorld>

type Attempt = (world: World, value: never) => Effect.Effect<unknown, unknown>

const check = (make: Attempt, numRuns = 25) =>
  Effect.promise(() =>
    fc.assert(
      fc.asyncProperty(junk, async (value) => {
        await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
          const world = yield* makeWorld
          const before = world.asked.count
          const exit = yield* Effect.exit(Effect.suspend(() => make(world, value() as never)))
          if (Exit.isSuccess(exit)) return
          const error = Cause.squash(exit.cause)
          if (Cause.hasDies(exit.cause)) throw new Error(`a defect: ${Cause.pretty(exit.cause)}`)
          if (!(error instanceof InvalidConfig)) return
          assert.strictEqual(world.asked.count, before, "nothing is sent")
          assert.notStrictEqual(error.field, "")
          assert.isBelow(error.message.length, 2_000)
          assert.notMatch(error.message, /[\p{Cc}\u2028\u2029]/u)
        })))
      }),
      Effort.of(numRuns)
    )
  )

const target = { resource, name: "x" }

const lease: Lease = {
  ...target,
  name: "x" as Lease["name"],
  owner: "me",
  id: "1",
  record: { owner: "me", createdAtNanos: 0n, ttlNanos: 1n, id: "1" },
  fencingToken: 1n
}

/** Every property by itself, and the whole. */
const withEach = <A extends object>(
  name: string,
  whole: A,
  make: (world: World, options: A) => Effect.Effect<unknown, unknown>
): ReadonlyArray<readonly [string, Attempt]> => [
  [`${name}(…)`, make],
  ...Object.keys(whole).map((key): readonly [string, Attempt] => [
    `${name}({ ${key}: … })`,
    (world, value) => make(world, { ...whole, [key]: value })
  ])
]

const references = Object.entries({ group: "", version: "v1", resource: "configmaps", namespace: "default", name: "x" })

const managed = {
  ...target,
  owner: undefined,
  ttl: undefined,
  renewEvery: undefined,
  requestTimeout: undefined,
  safetyMargin: undefined,
  takeoverDelay: undefined,
  waitAtMost: undefined,
  localHandover: undefined,
  watch: undefined,
  retryPolicy: undefined
}

type Held = Effect.Success<Effect.Success<ReturnType<World["locks"]["make"]>>["acquire"]>

/** Under a lock. What is sent to take it and to give it back does not count. */
const holding = (use: (held: Held) => Effect.Effect<unknown, unknown>) =>
  Effect.fnUntraced(function*({ asked, locks }: World) {
    let sent = 0
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        asked.count = sent
      })
    )
    const held = yield* (yield* locks.make({ ...target, ttl: "1 hour", watch: false })).acquire
    const before = asked.count
    return yield* Effect.ensuring(
      Effect.suspend(() => use(held)),
      Effect.sync(() => {
        sent = asked.count - before
      })
    )
  }, Effect.scoped)

describe("what no type lets through", () => {
  it.effect.each<readonly [string, Attempt]>([
    ...withEach(
      "acquire",
      { ...target, owner: "me", ttl: "1 minute" },
      ({ locks }, options) => locks.acquire(options as never)
    ),
    ...withEach(
      "acquireAll",
      { resource, names: ["x"], owner: "me", ttl: "1 minute" },
      ({ locks }, options) => locks.acquireAll(options as never)
    ),
    ["acquireAll({ names: [\"x\", …] })", ({ locks }, value) => locks.acquireAll({ resource, names: ["x", value] })],
    ...withEach("renew", lease, ({ locks }, lease) => locks.renew(lease)),
    ...withEach("release", lease, ({ locks }, lease) => locks.release(lease)),
    ...withEach("release", { ...target, owner: "me" }, ({ locks }, target) => locks.release(target)),
    ...withEach("a record", lease.record, ({ locks }, record) => locks.renew({ ...lease, record })),
    ["a record({ others: … })", ({ locks }, others) => locks.renew({ ...lease, record: { ...lease.record, others } })],
    ["releaseAll(…)", ({ locks }, leases) => locks.releaseAll(leases)],
    ["releaseAll([lease, …])", ({ locks }, other) => locks.releaseAll([lease, other])],
    ...withEach("inspect", target, ({ locks }, target) => locks.inspect(target)),
    ...withEach("break", target, ({ locks }, target) => locks.break(target)),
    ["list(…)", ({ locks }, resource) => locks.list(resource)],
    ...references.map(([key]): readonly [string, Attempt] => [
      `a reference({ ${key}: … })`,
      ({ locks }, value) => locks.list({ ...Object.fromEntries(references), [key]: value } as never)
    ]),
    ...withEach("make", managed, ({ locks }, options) => locks.make(options as never)),
    ["makeAll(…)", ({ locks }, all) => locks.makeAll(all)],
    ["makeAll([options, …])", ({ locks }, other) => locks.makeAll([{ ...target }, other])],
    ["Identity.withOwner(…)", ({ locks }, owner) => locks.acquire(target).pipe(Identity.withOwner(owner))],
    ["Identity.asProcess(…)", ({ locks }, name) => locks.acquire(target).pipe(Identity.asProcess(name))],
    ["write(…)", (world, operations) => holding((held) => held.write(operations))(world)],
    ["write([…])", (world, operation) => holding((held) => held.write([operation]))(world)],
    ...["op", "path", "value"].map((key): readonly [string, Attempt] => [
      `write([{ ${key}: … }])`,
      (world, value) =>
        holding((held) => held.write([{ op: "add", path: "/data", value: 1, [key]: value } as never]))(world)
    ]),
    ...["op", "path", "from"].map((key): readonly [string, Attempt] => [
      `write([{ from, ${key}: … }])`,
      (world, value) =>
        holding((held) => held.write([{ op: "copy", path: "/data", from: "/metadata", [key]: value } as never]))(world)
    ])
  ])("%s", ([, make]) => check(make))

  it.effect("is told of in the same order, be it one lock that is asked for or several", () =>
    Effect.gen(function*() {
      const { locks } = yield* makeWorld
      const wrong = { resource: 1, ttl: -1, name: 1, names: 1, owner: 1 }
      const right = { resource, ttl: "1 minute", name: "x", names: ["x"], owner: "me" }
      const fieldsOf = (acquire: (options: never) => Effect.Effect<unknown, { readonly _tag: string }>) =>
        Effect.forEach([{}, { resource }, { resource, ttl: right.ttl }, { ...right, owner: wrong.owner }], (given) =>
          Effect.map(Effect.flip(acquire({ ...wrong, ...given } as never)), (error) => {
            assert.instanceOf(error, InvalidConfig)
            return error.field
          }))
      assert.deepStrictEqual(yield* fieldsOf(locks.acquire), ["resource", "ttl", "lock name", "owner"])
      assert.deepStrictEqual(yield* fieldsOf(locks.acquireAll), ["resource", "ttl", "names", "owner"])
    }))

  const kubeconfig = Fixture.kubeconfig({ server: "http://127.0.0.1:1" })
  const built = (options: unknown) => Effect.scoped(Layer.build(KubeTransport.layerText(kubeconfig, options as never)))

  it.effect.each<readonly [string, Attempt]>([
    ["KubeTransport.layerText(kubeconfig, …)", (_, options) => built(options)],
    ...["context", "requestTimeout", "userAgent"].map((key): readonly [string, Attempt] => [
      `KubeTransport.layerText(kubeconfig, { ${key}: … })`,
      (_, value) => built({ [key]: value })
    ]),
    ["KubeTransport.layer(…)", (_, options) => Effect.scoped(Layer.build(KubeTransport.layer(options)))],
    [
      "KubeTransport.layerInCluster(…)",
      (_, options) => Effect.scoped(Layer.build(KubeTransport.layerInCluster(options)))
    ]
  ])("%s", ([, make]) => check(make, 25))

  it.effect("names what is wrong", () =>
    Effect.scoped(Effect.gen(function*() {
      const { locks } = yield* makeWorld
      const fieldOf = (attempt: Effect.Effect<unknown, unknown>) =>
        Effect.map(Effect.flip(attempt), (error) => error instanceof InvalidConfig ? error.field : error)
      const none = undefined as never
      assert.deepStrictEqual(
        yield* Effect.all([
          fieldOf(locks.acquire(none)),
          fieldOf(locks.acquire({ ...target, owner: 5 as never })),
          fieldOf(locks.acquire({ ...target, owner: "x".repeat(300_000) })),
          fieldOf(locks.acquireAll({ resource, names: "x" as never })),
          fieldOf(locks.renew(none)),
          fieldOf(locks.renew({ ...lease, record: none })),
          fieldOf(locks.renew({ ...lease, record: { ...lease.record, createdAtNanos: 10n ** 30n } })),
          fieldOf(locks.release(none)),
          fieldOf(locks.releaseAll(none)),
          fieldOf(locks.inspect(none)),
          fieldOf(locks.break(none)),
          fieldOf(locks.list(none)),
          fieldOf(locks.list({ ...resource, name: "a\nb" })),
          fieldOf(locks.list(ResourceRef.configMap(none))),
          fieldOf(locks.make(none)),
          fieldOf(locks.makeAll(none)),
          fieldOf(built({ userAgent: "a\r\nx: y" })),
          fieldOf(built({ context: 5 }))
        ]),
        [
          "options",
          "owner",
          "owner",
          "names",
          "lease",
          "lease",
          "lease",
          "lease",
          "leases",
          "options",
          "options",
          "resource",
          "resource name",
          "resource name",
          "options",
          "locks",
          "userAgent",
          "context"
        ]
      )
    })))

  it.effect("is told by its beginning where it is long, also by who refuses it later", () =>
    Effect.scoped(Effect.gen(function*() {
      const { asked, locks } = yield* makeWorld
      const owner = `a\u202e${"x".repeat(262_100)}`
      const { message } = yield* Effect.flip(locks.acquire({ ...target, owner }))
      assert.isAbove(asked.count, 0)
      assert.include(message, "as \"a\\u{202e}xxx")
      assert.isBelow(message.length, 2_000)
    })))

  it.effect("is refused in time, however much it is", () =>
    Effect.scoped(Effect.gen(function*() {
      const { asked, locks } = yield* makeWorld
      const many = Array.from({ length: 100_000 }, (_, index) => `x${index}`)
      yield* Effect.flip(locks.acquireAll({ resource, names: [...many, "x0"] }))
      yield* Effect.flip(locks.makeAll([...many, "x0"].map((name) => ({ resource, name }))))
      yield* Effect.flip(locks.releaseAll([...many, "x0"].map((name) => ({ ...lease, name: name as Lease["name"] }))))
      assert.strictEqual(asked.count, 0)
    })), 20_000)
})
