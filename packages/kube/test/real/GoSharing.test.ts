/** Programs in Go and in TypeScript share locks: on a real API server, with the Go library itself. */
import { assert, layer } from "@effect/vitest"
import { LockRecord } from "@kubelock/core"
import {
  AnnotationStore,
  KubeAnnotationStore,
  KubeLock,
  KubeTransport,
  type Lease,
  type ResourceRef
} from "@kubelock/kube"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import vectors from "../../../core/test/vectors/kubelock-go-records.json" with { type: "json" }
import * as SharedControlPlane from "../../../testing/test/SharedControlPlane.ts"
import { type GoLockError, GoPeer, type GoPeerError } from "../GoPeer.ts"
import { clusterWidgets, configMaps, nodes, realWorld, widgets } from "../suites/realWorld.ts"
import { World } from "../suites/World.ts"

const locks = Layer.unwrap(
  Effect.map(ControlPlane, ({ kubeconfig }) =>
    KubeLock.layer.pipe(
      Layer.provideMerge(KubeAnnotationStore.layer),
      Layer.provide(KubeTransport.layerText(kubeconfig))
    ))
)

const name = "shared"
const key = `kubelock.giantswarm.io/${name}`
const minute = 60_000
const nanosPerMilli = 1_000_000n

/** What Go decides by. Ours decides by the test's clock, which can be set to any time beside it. */
const wallClock = Effect.sync(() => Date.now())

const setOurClock = (offsetMillis: number) => Effect.flatMap(wallClock, (now) => TestClock.setTime(now + offsetMillis))

/** The Go library on one object's lock. Failures become the kind of error that they are. */
const goOn = Effect.fnUntraced(
  function*({ group, namespace, name: object, resource, version }: ResourceRef.ResourceRef) {
    const { kubeconfig } = yield* ControlPlane
    const peer = yield* GoPeer
    const request = (owner: string) => ({
      kubeconfig,
      group,
      version,
      resource,
      ...(namespace === undefined ? {} : { namespace }),
      name: object,
      lock: name,
      owner
    })
    const kindOf = (attempt: Effect.Effect<void, GoLockError | GoPeerError>) =>
      attempt.pipe(
        Effect.as("done"),
        Effect.catchTag("GoLockError", ({ kind }) => Effect.succeed(kind))
      )
    return {
      acquire: (owner: string, ttlMillis = 5 * minute) =>
        kindOf(peer.acquire({ ...request(owner), ttlNanos: BigInt(ttlMillis) * nanosPerMilli })),
      release: (owner: string) => kindOf(peer.release(request(owner)))
    }
  }
)

const outcomeOf = <A, E extends { readonly _tag: string }, R>(attempt: Effect.Effect<A, E, R>) =>
  Effect.match(attempt, { onFailure: ({ _tag }): string => _tag, onSuccess: () => "done" })

/** Our library on one object's lock, in the same words as {@link goOn}. */
const oursOn = Effect.fnUntraced(function*(resource: ResourceRef.ResourceRef) {
  const locks = yield* KubeLock
  const target = { resource, name }
  return {
    take: (owner: string, ttlMillis = 5 * minute) => locks.acquire({ ...target, owner, ttl: ttlMillis }),
    acquire: (owner: string) => outcomeOf(locks.acquire({ ...target, owner })),
    release: (owner: string) => outcomeOf(locks.release({ ...target, owner })),
    renewLease: (lease: Lease) => outcomeOf(locks.renew(lease)),
    releaseLease: (lease: Lease) => outcomeOf(locks.release(lease)),
    inspect: locks.inspect(target)
  }
})

const annotationOf = (resource: ResourceRef.ResourceRef) =>
  Effect.flatMap(AnnotationStore, (store) => Effect.map(store.get(resource), ({ annotations }) => annotations[key]))

const both = Effect.gen(function*() {
  const resource = yield* (yield* World).object()
  return { resource, go: yield* goOn(resource), ours: yield* oursOn(resource) }
})

const group = "go-sharing.example.com"

for (const carrier of [configMaps, nodes, widgets(group), clusterWidgets(group)]) {
  const services = Layer.mergeAll(GoPeer.layer, realWorld(carrier), locks).pipe(
    Layer.provideMerge(SharedControlPlane.layer)
  )
  layer(services)(`Go and TypeScript share locks on ${carrier.resource}`, (it) => {
    it.effect("taken by Go: refused to us, seen by us, and free for us once Go has released it", () =>
      Effect.gen(function*() {
        const { go, ours, resource } = yield* both
        yield* setOurClock(0)
        assert.strictEqual(yield* go.acquire("alice"), "done")
        assert.strictEqual(yield* ours.acquire("alice"), "AlreadyExists")
        assert.strictEqual(yield* ours.acquire("bob"), "OwnerMismatch")
        assert.strictEqual(yield* ours.release("bob"), "OwnerMismatch")
        const { owner, state } = yield* ours.inspect
        assert.deepStrictEqual([state._tag, owner], ["Held", "alice"])
        assert.strictEqual(yield* go.release("alice"), "done")
        assert.strictEqual(yield* ours.release("alice"), "NotFound")
        assert.strictEqual(yield* ours.acquire("bob"), "done")
        assert.include(yield* annotationOf(resource), `"owner":"bob"`)
      }))

    it.effect("taken by us: refused to Go, and free for Go once we have released it", () =>
      Effect.gen(function*() {
        const { go, ours } = yield* both
        yield* setOurClock(0)
        const lease = yield* ours.take("alice")
        assert.strictEqual(yield* go.acquire("alice"), "alreadyExists")
        assert.strictEqual(yield* go.acquire("bob"), "ownerMismatch")
        assert.strictEqual(yield* go.release("bob"), "ownerMismatch")
        assert.strictEqual(yield* ours.releaseLease(lease), "done")
        assert.strictEqual(yield* go.release("alice"), "notFound")
        assert.strictEqual(yield* go.acquire("bob"), "done")
      }))

    it.effect("released by the other side by its owner: who held it finds out", () =>
      Effect.gen(function*() {
        const { go, ours } = yield* both
        yield* setOurClock(0)
        const lease = yield* ours.take("alice")
        assert.strictEqual(yield* go.release("alice"), "done")
        assert.strictEqual(yield* ours.renewLease(lease), "NotFound")
        assert.strictEqual(yield* ours.releaseLease(lease), "NotFound")
        assert.strictEqual(yield* go.acquire("alice"), "done")
        assert.strictEqual(yield* ours.release("alice"), "done")
        assert.strictEqual(yield* go.release("alice"), "notFound")
      }))

    it.effect("renewed by us: still held for Go, which would have taken it over otherwise", () =>
      Effect.gen(function*() {
        for (const isRenewed of [false, true]) {
          const { go, ours } = yield* both
          yield* setOurClock(-20 * minute)
          const lease = yield* ours.take("alice", 15 * minute)
          yield* setOurClock(-6 * minute)
          if (isRenewed) assert.strictEqual(yield* ours.renewLease(lease), "done")
          assert.strictEqual(yield* go.acquire("bob"), isRenewed ? "ownerMismatch" : "done")
        }
      }))

    it.effect("taken over by Go after it expired: we find out, and leave it alone", () =>
      Effect.gen(function*() {
        for (const taker of ["alice", "bob"]) {
          const { go, ours, resource } = yield* both
          yield* setOurClock(-20 * minute)
          const lease = yield* ours.take("alice", 15 * minute)
          assert.strictEqual(yield* go.acquire(taker), "done")
          const taken = yield* annotationOf(resource)
          // By our clock we still hold it.
          yield* setOurClock(-6 * minute)
          assert.strictEqual(yield* ours.renewLease(lease), "OwnerMismatch")
          assert.strictEqual(yield* ours.releaseLease(lease), "OwnerMismatch")
          assert.strictEqual(yield* annotationOf(resource), taken)
          assert.strictEqual(yield* go.release(taker), "done")
          assert.strictEqual(yield* ours.renewLease(lease), "NotFound")
          assert.strictEqual(yield* ours.releaseLease(lease), "NotFound")
        }
      }))

    it.effect("taken over by us after it expired: Go finds out, and leaves it alone", () =>
      Effect.gen(function*() {
        const { go, ours } = yield* both
        assert.strictEqual(yield* go.acquire("alice", 5 * minute), "done")
        yield* setOurClock(6 * minute)
        const lease = yield* ours.take("bob")
        assert.strictEqual(yield* go.release("alice"), "ownerMismatch")
        assert.strictEqual(yield* go.acquire("alice"), "ownerMismatch")
        assert.strictEqual(yield* ours.renewLease(lease), "done")
      }))

    it.effect("a token of ours is higher than that of any holder before it, Go's included", () =>
      Effect.gen(function*() {
        const { go, ours } = yield* both
        yield* setOurClock(0)
        let last = 0n
        for (let round = 0; round < 3; round++) {
          const lease = yield* ours.take("alice")
          assert.isTrue(lease.fencingToken > last)
          last = lease.fencingToken
          yield* ours.releaseLease(lease)
          yield* go.acquire("bob")
          yield* go.release("bob")
        }
      }))
  })
}

const services = Layer.mergeAll(GoPeer.layer, realWorld(configMaps), locks).pipe(
  Layer.provideMerge(SharedControlPlane.layer)
)

layer(services)("Go and TypeScript read the same", (it) => {
  // Go's clock cannot be stopped: what lies between the instants before and after it was asked, it may see either way.
  it.effect("a lock expires for both at the same instant", () =>
    Effect.gen(function*() {
      const seen = new Set<string>()
      const offsets = [-3_600_000, -1_000, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 40, 1_000, 3_600_000]
      for (const offsetMillis of offsets) {
        const ttlNanos = 90_000_000_123n
        const expiresAtMillis = (yield* wallClock) + offsetMillis
        const text = LockRecord.format({
          owner: "alice",
          createdAtNanos: BigInt(expiresAtMillis) * nanosPerMilli - ttlNanos,
          ttlNanos
        })
        const resource = yield* (yield* World).object({ [key]: text })
        const before = yield* wallClock
        const goSays = yield* (yield* goOn(resource)).acquire("bob")
        const after = yield* wallClock
        if (expiresAtMillis < before) assert.strictEqual(goSays, "done")
        if (expiresAtMillis > after) assert.strictEqual(goSays, "ownerMismatch")
        seen.add(goSays)
        // Ours is exact, at the very instant, and a millisecond later.
        for (
          const [nowMillis, outcome] of [[expiresAtMillis, "OwnerMismatch"], [expiresAtMillis + 1, "done"]] as const
        ) {
          const resource = yield* (yield* World).object({ [key]: text })
          yield* TestClock.setTime(nowMillis)
          assert.strictEqual(yield* (yield* oursOn(resource)).acquire("bob"), outcome)
        }
      }
      assert.deepStrictEqual(Array.from(seen).sort(), ["done", "ownerMismatch"])
    }))

  const inGoWords: Readonly<Record<string, string>> = {
    AlreadyExists: "alreadyExists",
    OwnerMismatch: "ownerMismatch",
    NotFound: "notFound",
    MalformedRecord: "other"
  }

  it.effect("every recorded value has the same consequences for both, whatever is asked", () =>
    Effect.gen(function*() {
      yield* setOurClock(0)
      const values: ReadonlyArray<readonly [text: string, owner: string]> = [
        ...vectors.cases.map(({ inputBase64, owner }) =>
          [Buffer.from(inputBase64, "base64").toString("utf8"), owner] as const
        ),
        // Written by neither library: what a JSON Patch says of these is compared letter by letter.
        [`{"owner":"<a>&\u2028","createdAt":"2020-01-01T00:00:00Z","ttl":1}`, "<a>&\u2028"],
        [`{"owner":"<a>&\u2028","createdAt":"2020-01-01T00:00:00Z","ttl":${2n ** 63n - 1n}}`, "<a>&\u2028"],
        ["<html>", ""]
      ]
      for (const [value, itsOwner] of values) {
        for (const owner of [itsOwner, "somebody else"]) {
          for (const verb of ["acquire", "release"] as const) {
            const [forGo, forUs] = yield* Effect.replicateEffect((yield* World).object({ [key]: value, other: "x" }), 2)
            const goSays = yield* (yield* goOn(forGo!))[verb](owner)
            const weSay = yield* (yield* oursOn(forUs!))[verb](owner)
            assert.strictEqual(inGoWords[weSay] ?? weSay, goSays, `${verb} as "${owner}" of ${value}`)
            const [left, ourLeft] = yield* Effect.all([annotationOf(forGo!), annotationOf(forUs!)])
            assert.strictEqual(ourLeft === undefined, left === undefined)
            if (goSays !== "done") assert.strictEqual(ourLeft, left)
          }
        }
      }
    }))
})
