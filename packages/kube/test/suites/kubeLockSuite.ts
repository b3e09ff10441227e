import { assert, layer } from "@effect/vitest"
import { LockRecord } from "@kubelock/core"
import { AnnotationStore, Identity, KubeLock, type Lease, ResourceRef } from "@kubelock/kube"
import { Clock, Duration, Effect, Fiber, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import { withoutPauses, World } from "./World.ts"

const key = "kubelock.giantswarm.io/x"
const go = (owner: string, ttlNanos: bigint) => LockRecord.format({ owner, createdAtNanos: 0n, ttlNanos })

/** What `KubeLock` does, whatever store is behind it. */
export const kubeLockSuite = <E>(name: string, services: Layer.Layer<AnnotationStore | World, E>) =>
  layer(Layer.provideMerge(KubeLock.layer, services))(`KubeLock: ${name}`, (it) => {
    const test = (name: string, body: () => Effect.Effect<void, unknown, AnnotationStore | KubeLock | World>) =>
      it.effect(name, () => withoutPauses(body()))

    const annotation = (resource: ResourceRef.ResourceRef) =>
      Effect.map(Effect.flatMap(AnnotationStore, (store) => store.get(resource)), ({ annotations }) => annotations[key])

    test("acquires, renews and releases, and leaves the object as it was", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        for (const before of [{ team: "web" }, {}]) {
          const resource = yield* (yield* World).object(before)
          const lease = yield* locks.acquire({ resource, name: "x", owner: "a", ttl: "30 seconds" })
          assert.strictEqual(lease.owner, "a")
          assert.strictEqual(lease.record.ttlNanos, 30_000_000_000n)
          assert.strictEqual(yield* annotation(resource), LockRecord.format(lease.record))
          yield* TestClock.adjust("20 seconds")
          const renewed = yield* locks.renew(lease)
          assert.strictEqual(renewed.record.createdAtNanos, lease.record.createdAtNanos + 20_000_000_000n)
          assert.strictEqual(renewed.id, lease.id)
          assert.strictEqual(renewed.record.id, lease.id)
          assert.strictEqual(renewed.fencingToken, lease.fencingToken)
          assert.strictEqual(yield* annotation(resource), LockRecord.format(renewed.record))
          yield* locks.release(renewed)
          const { annotations } = yield* (yield* AnnotationStore).get(resource)
          assert.deepStrictEqual(annotations, before)
        }
      }))

    test("holds for 5 minutes and as the process itself unless told otherwise", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        const resource = yield* (yield* World).object()
        const lease = yield* locks.acquire({ resource, name: "x" })
        assert.strictEqual(lease.record.ttlNanos, 300_000_000_000n)
        assert.strictEqual(lease.owner, (yield* Identity.Identity).owner)
        yield* locks.release({ resource, name: "x" })
        assert.isUndefined(yield* annotation(resource))
      }))

    test("refuses a held lock: AlreadyExists to its owner, OwnerMismatch to others, with the holder", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        const resource = yield* (yield* World).object()
        yield* locks.acquire({ resource, name: "x", owner: "a", ttl: "1 minute" })
        const text = yield* annotation(resource)
        const mine = yield* Effect.flip(locks.acquire({ resource, name: "x", owner: "a" }))
        const theirs = yield* Effect.flip(locks.acquire({ resource, name: "x", owner: "b" }))
        assert.strictEqual(mine._tag, "AlreadyExists")
        assert.strictEqual(theirs._tag, "OwnerMismatch")
        assert.include(theirs.message, `held by "a", not by "b"`)
        assert.include(theirs.message, ResourceRef.describe(resource))
        assert.strictEqual(yield* annotation(resource), text)
      }))

    test("takes the empty owner, and odd ones, for owners like any other", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        const resource = yield* (yield* World).object()
        for (const owner of ["", " ", "é😀\u2028<&>", "\"\\\n", "\ud800"]) {
          const lease = yield* locks.acquire({ resource, name: "x", owner })
          assert.strictEqual((yield* Effect.flip(locks.acquire({ resource, name: "x", owner })))._tag, "AlreadyExists")
          yield* locks.release(yield* locks.renew(lease))
        }
      }))

    test("still refuses at the very end of the TTL, and takes over a nanosecond's clock tick later", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        const resource = yield* (yield* World).object()
        const first = yield* locks.acquire({ resource, name: "x", owner: "a", ttl: "10 seconds" })
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(
          (yield* Effect.flip(locks.acquire({ resource, name: "x", owner: "b" })))._tag,
          "OwnerMismatch"
        )
        yield* TestClock.adjust("1 millis")
        const second = yield* locks.acquire({ resource, name: "x", owner: "b" })
        assert.isTrue(second.fencingToken > first.fencingToken)
        assert.strictEqual((yield* Effect.flip(locks.renew(first)))._tag, "OwnerMismatch")
        assert.strictEqual((yield* Effect.flip(locks.release(first)))._tag, "OwnerMismatch")
        assert.strictEqual(yield* annotation(resource), LockRecord.format(second.record))
      }))

    test("judges an old lease by what is there, not by what it says", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        const resource = yield* (yield* World).object({ other: "x" })
        const old = yield* locks.acquire({ resource, name: "x", ttl: "10 seconds" })
        yield* TestClock.adjust("8 seconds")
        yield* locks.renew(old)
        yield* TestClock.adjust("4 seconds")
        const renewed = yield* locks.renew(old)
        assert.strictEqual(renewed.record.createdAtNanos, old.record.createdAtNanos + 12_000_000_000n)
        yield* locks.release(old)
        assert.isUndefined(yield* annotation(resource))
      }))

    test("does not renew what has expired, even if nobody took it", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        const resource = yield* (yield* World).object()
        const lease = yield* locks.acquire({ resource, name: "x", owner: "a", ttl: "10 seconds" })
        yield* TestClock.adjust("11 seconds")
        const error = yield* Effect.flip(locks.renew(lease))
        assert.strictEqual(error._tag, "NotFound")
        assert.include(error.message, "has expired")
      }))

    test("releases by owner as Go does: held by one's owner, not another's, not when expired or absent", () =>
      Effect.gen(function*() {
        const { put, ...world } = yield* World
        const locks = yield* KubeLock
        const resource = yield* world.object({ [key]: go("a", 10n ** 18n) })
        const as = (owner: string) =>
          Effect.map(Effect.flip(locks.release({ resource, name: "x", owner })), ({ _tag }) => _tag)
        assert.strictEqual(yield* as("b"), "OwnerMismatch")
        yield* locks.release({ resource, name: "x", owner: "a" })
        assert.isUndefined(yield* annotation(resource))
        assert.strictEqual(yield* as("a"), "NotFound")
        yield* TestClock.adjust("1 second")
        yield* put(resource, { [key]: go("a", 1n) })
        assert.strictEqual(yield* as("a"), "NotFound")
        assert.strictEqual(yield* as("b"), "NotFound")
        assert.strictEqual(yield* annotation(resource), go("a", 1n))
      }))

    test("takes over an expired lock of a Go program, and releases it", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        yield* TestClock.adjust("1 second")
        const resource = yield* (yield* World).object({ [key]: go("go", 1n) })
        yield* locks.release(yield* locks.acquire({ resource, name: "x", owner: "a" }))
        assert.isUndefined(yield* annotation(resource))
      }))

    test("says in words that a record comes from the future, to whoever looks and to whoever is refused", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        const nowNanos = yield* Clock.currentTimeNanos
        const written = (createdAtNanos: bigint) =>
          LockRecord.format({ owner: "fast", createdAtNanos, ttlNanos: 30_000_000_000n })
        const ahead = yield* (yield* World).object({ [key]: written(nowNanos + 7_200_000_000_000n) })
        const inStep = yield* (yield* World).object({ [key]: written(nowNanos + 1_000_000_000n) })
        const told = "2h in the future by this machine's clock"
        assert.include((yield* locks.inspect({ resource: ahead, name: "x" })).warning, told)
        assert.include((yield* locks.list(ahead))[0]?.warning, told)
        assert.include((yield* Effect.flip(locks.acquire({ resource: ahead, name: "x" }))).message, told)
        assert.isUndefined((yield* locks.inspect({ resource: inStep, name: "x" })).warning)
      }))

    test("tells its own acquisition from a later one of the same owner", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        const resource = yield* (yield* World).object()
        const first = yield* locks.acquire({ resource, name: "x", owner: "shared", ttl: "1 second" })
        yield* TestClock.adjust("2 seconds")
        const second = yield* locks.acquire({ resource, name: "x", owner: "shared", ttl: "1 minute" })
        assert.strictEqual((yield* Effect.flip(locks.release(first)))._tag, "OwnerMismatch")
        assert.strictEqual(yield* annotation(resource), LockRecord.format(second.record))
      }))

    test("removes its own expired record when it releases: nobody else can have had the lock", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        const resource = yield* (yield* World).object()
        const lease = yield* locks.acquire({ resource, name: "x", ttl: "1 second" })
        yield* TestClock.adjust("2 seconds")
        yield* locks.release(lease)
        assert.isUndefined(yield* annotation(resource))
        assert.strictEqual((yield* Effect.flip(locks.release(lease)))._tag, "NotFound")
      }))

    test("leaves a value alone that it cannot read, shows it, and breaks it", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        const resource = yield* (yield* World).object({ [key]: "not json" })
        const target = { resource, name: "x" }
        const attempts: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string; readonly raw?: string }>> = [
          locks.acquire(target),
          locks.release(target)
        ]
        for (const attempt of attempts) {
          const error = yield* Effect.flip(attempt)
          assert.strictEqual(error._tag, "MalformedRecord")
          assert.strictEqual(error.raw, "not json")
        }
        assert.strictEqual((yield* locks.inspect(target)).state._tag, "Malformed")
        assert.strictEqual((yield* locks.break(target)).state._tag, "Malformed")
        assert.strictEqual((yield* locks.inspect(target)).state._tag, "Free")
      }))

    test("keeps members that it does not know across a renewal, and drops them when it takes over", () =>
      Effect.gen(function*() {
        const { put, ...world } = yield* World
        const locks = yield* KubeLock
        const resource = yield* world.object()
        const lease = yield* locks.acquire({ resource, name: "x", owner: "a", ttl: "1 minute" })
        const annotated = LockRecord.format(lease.record).replace(/}$/, `,"note":{"by": 7.0}}`)
        yield* put(resource, { [key]: annotated })
        yield* TestClock.adjust("1 second")
        const renewed = yield* locks.renew(lease)
        assert.include(yield* annotation(resource), `,"note":{"by": 7.0}}`)
        yield* TestClock.adjust("2 minutes")
        yield* locks.acquire({ resource, name: "x", owner: "b" })
        assert.notInclude(yield* annotation(resource), "note")
        assert.strictEqual((yield* Effect.flip(locks.release(renewed)))._tag, "OwnerMismatch")
      }))

    test("shows who has a lock, for how long already and for how long still", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        const resource = yield* (yield* World).object({
          other: "x",
          "kubelock.giantswarm.io/a": "{}",
          "kubelock.giantswarm.io/b": "[]"
        })
        yield* locks.acquire({ resource, name: "x", owner: "me", ttl: "1 minute" })
        yield* TestClock.adjust("20 seconds")
        const found = yield* locks.list(resource)
        assert.deepStrictEqual(found.map(({ name, state }) => [String(name), state._tag]), [
          ["a", "Expired"],
          ["b", "Malformed"],
          ["x", "Held"]
        ])
        const held = yield* locks.inspect({ resource, name: "x" })
        assert.deepStrictEqual(held, found[2])
        assert.strictEqual(held.owner, "me")
        assert.strictEqual(Duration.toSeconds(held.age!), 20)
        assert.strictEqual(Duration.toSeconds(held.remaining!), 40)
        assert.strictEqual(Duration.toSeconds(found[0]!.remaining!), 0)
        const free = yield* locks.inspect({ resource, name: "free" })
        assert.strictEqual(free.state._tag, "Free")
        assert.isUndefined(free.owner)
      }))

    test("breaks a held lock, says whose it was, and its holder finds out", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        const resource = yield* (yield* World).object()
        const target = { resource, name: "x" }
        const lease = yield* locks.acquire({ ...target, owner: "a" })
        assert.strictEqual((yield* locks.break(target)).owner, "a")
        assert.strictEqual((yield* Effect.flip(locks.renew(lease)))._tag, "NotFound")
        assert.strictEqual((yield* Effect.flip(locks.release(lease)))._tag, "NotFound")
        assert.strictEqual((yield* Effect.flip(locks.break(target)))._tag, "NotFound")
      }))

    test("takes several locks of one object, all or none, and releases them together", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        const resource = yield* (yield* World).object()
        const held = yield* locks.acquire({ resource, name: "b", owner: "other" })
        const refused = yield* Effect.flip(locks.acquireAll({ resource, names: ["a", "b", "c"], owner: "me" }))
        assert.strictEqual(refused._tag, "OwnerMismatch")
        assert.strictEqual((yield* locks.list(resource)).length, 1)
        yield* locks.release(held)
        const leases = yield* locks.acquireAll({ resource, names: ["a", "b", "c"], owner: "me" })
        assert.deepStrictEqual(leases.map(({ name }) => String(name)), ["a", "b", "c"])
        assert.deepStrictEqual((yield* locks.list(resource)).map(({ owner }) => owner), ["me", "me", "me"])
        yield* locks.releaseAll(leases)
        assert.deepStrictEqual(yield* locks.list(resource), [])
        assert.deepStrictEqual(yield* locks.acquireAll({ resource, names: [] }), [])
        yield* locks.releaseAll([])
      }))

    test("releases what is left of several locks when one of them is lost, and says so", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        const resource = yield* (yield* World).object()
        const leases = yield* locks.acquireAll({ resource, names: ["a", "b", "c"], owner: "me" })
        yield* locks.break({ resource, name: "b" })
        const error = yield* Effect.flip(locks.releaseAll(leases))
        assert.strictEqual(error._tag, "NotFound")
        assert.include(error.message, `"b"`)
        assert.deepStrictEqual(yield* locks.list(resource), [])
      }))

    test("refuses leases that cannot be meant, and touches nothing", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        const resource = yield* (yield* World).object()
        const elsewhere = yield* (yield* World).object()
        const lease = yield* locks.acquire({ resource, name: "x" })
        const other = yield* locks.acquire({ resource: elsewhere, name: "x" })
        const read: Lease = JSON.parse(
          JSON.stringify(lease, (_, part) => (typeof part === "bigint" ? String(part) : part))
        )
        const bad: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>> = [
          locks.releaseAll([lease, lease]),
          locks.releaseAll([lease, other]),
          locks.release(read),
          locks.renew(read),
          locks.renew({ ...lease, resource: { ...resource, namespace: "../../x" } }),
          locks.release({ ...lease, resource: { ...resource, name: "" } }),
          locks.release({ ...lease, name: "a/b" as Lease["name"] })
        ]
        for (const attempt of bad) {
          const error = yield* Effect.flip(attempt)
          assert.strictEqual(error._tag, "InvalidConfig")
        }
        assert.strictEqual(yield* annotation(resource), LockRecord.format(lease.record))
        assert.strictEqual(yield* annotation(elsewhere), LockRecord.format(other.record))
      }))

    test("refuses bad input before it sends anything", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        const resource = ResourceRef.configMap({ namespace: "nowhere", name: "nothing" })
        const lease = { name: "x", owner: "a" }
        // What a program without types may pass.
        const untyped = (value: unknown) => value as string
        const bad: ReadonlyArray<
          [string, Effect.Effect<unknown, { readonly _tag: string; readonly message: string }>]
        > = [
          ["lock name", locks.acquire({ resource, name: "no spaces" })],
          ["lock name", locks.acquire({ resource, name: untyped(undefined) })],
          ["lock name", locks.acquire({ resource, name: untyped(null) })],
          ["lock name", locks.inspect({ resource, name: untyped(["a"]) })],
          ["lock name", locks.inspect({ resource, name: untyped({}) })],
          ["owner", locks.acquire({ resource, name: "x", owner: untyped(null) })],
          ["owner", locks.release({ resource, name: "x", owner: untyped(5) })],
          ["ttl", locks.acquire({ resource, name: "x", ttl: { nanoseconds: -5 } })],
          ["ttl", locks.acquire({ resource, name: "x", ttl: -0 })],
          ["resource version", locks.acquire({ resource: { ...resource, version: untyped(undefined) }, name: "x" })],
          ["resource type", locks.list({ ...resource, resource: untyped(undefined) })],
          ["resource group", locks.list({ ...resource, group: untyped(undefined) })],
          ["resource name", locks.list({ ...resource, name: untyped(undefined) })],
          ["resource namespace", locks.list({ ...resource, namespace: untyped(null) })],
          ["lock name", locks.inspect({ resource, name: "" })],
          ["lock name", locks.break({ resource, name: "a/b" })],
          ["lock name", locks.release({ resource, name: "-" })],
          ["ttl", locks.acquire({ resource, name: "x", ttl: 0 })],
          ["ttl", locks.acquire({ resource, name: "x", ttl: "Infinity" })],
          ["locks", locks.acquireAll({ resource, names: ["x", "x"] })],
          ["resource name", locks.acquire({ resource: { ...resource, name: "../x" }, name: "x" })],
          ["resource name", locks.list({ ...resource, name: "" })],
          ["resource namespace", locks.acquire({ resource: { ...resource, namespace: "" }, name: "x" })],
          ["resource version", locks.acquire({ resource: { ...resource, version: "" }, name: "x" })],
          ["resource type", locks.release({ resource: { ...resource, resource: "ConfigMap" }, ...lease })],
          ["resource group", locks.break({ resource: { ...resource, group: "a/b" }, name: "x" })]
        ]
        for (const [field, attempt] of bad) {
          const error = yield* Effect.flip(attempt)
          assert.strictEqual(error._tag, "InvalidConfig")
          assert.include(error.message, `invalid ${field} `)
        }
      }))

    test("says that the object is not there", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        const resource = yield* (yield* World).nowhere
        const target = { resource, name: "x" }
        const attempts: ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string; readonly message: string }>> = [
          locks.acquire(target),
          locks.inspect(target),
          locks.release(target)
        ]
        for (const attempt of attempts) {
          const error = yield* Effect.flip(attempt)
          assert.strictEqual(error._tag, "KubeError")
          assert.include(error.message, resource.name)
        }
      }))

    test("lets exactly one of many racers have the lock, with and without other annotations", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        for (const before of [{}, { other: "x" }]) {
          const resource = yield* (yield* World).object(before)
          const outcomes = yield* Effect.forEach(
            Array.from({ length: 16 }, (_, index) => `owner-${index}`),
            (owner) => Effect.result(locks.acquire({ resource, name: "x", owner })),
            { concurrency: "unbounded" }
          )
          assert.strictEqual(outcomes.filter(Result.isSuccess).length, 1)
          for (const outcome of outcomes) {
            if (Result.isFailure(outcome)) assert.strictEqual(outcome.failure._tag, "OwnerMismatch")
          }
        }
      }))

    test("gives every acquisition a higher fencing token than the one before", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        const resource = yield* (yield* World).object()
        let last = 0n
        for (let round = 0; round < 5; round++) {
          const lease = yield* locks.acquire({ resource, name: "x" })
          assert.isTrue(lease.fencingToken > last)
          last = lease.fencingToken
          yield* locks.release(yield* locks.renew(lease))
        }
      }))

    test("leaves nothing behind when it is interrupted, wherever that is", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        for (let steps = 0; steps < 40; steps++) {
          const resource = yield* (yield* World).object()
          const fiber = yield* Effect.forkChild(locks.acquire({ resource, name: "x" }))
          for (let step = 0; step < steps; step++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
          const exit = yield* Fiber.await(fiber)
          assert.strictEqual((yield* annotation(resource)) === undefined, exit._tag === "Failure")
        }
      }))
  })
