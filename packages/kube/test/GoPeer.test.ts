import { assert, layer } from "@effect/vitest"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Effect, Layer } from "effect"
import { type GoLockError, GoPeer, type GoPeerError } from "./GoPeer.ts"

const configMaps = { version: "v1", resource: "configmaps", namespace: "default", lock: "peer" }

layer(Layer.merge(GoPeer.layer, ControlPlane.layer()))("The Go library on a real API server", (it) => {
  it.effect("takes and releases a lock, and says which error it was", () =>
    Effect.gen(function*() {
      const peer = yield* GoPeer
      const { kubeconfig, request } = yield* ControlPlane
      yield* request("POST", "/api/v1/namespaces/default/configmaps", {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "a" }
      })
      const alice = { ...configMaps, kubeconfig, name: "a", owner: "alice" }
      const bob = { ...alice, owner: "bob" }
      const kindOf = (attempt: Effect.Effect<void, GoLockError | GoPeerError>) =>
        Effect.map(Effect.flip(attempt), (error) => error._tag === "GoLockError" ? error.kind : error.message)

      yield* peer.acquire(alice)
      assert.strictEqual(yield* kindOf(peer.acquire(alice)), "alreadyExists")
      assert.strictEqual(yield* kindOf(peer.acquire(bob)), "ownerMismatch")
      assert.strictEqual(yield* kindOf(peer.release(bob)), "ownerMismatch")
      yield* peer.release(alice)
      assert.strictEqual(yield* kindOf(peer.release(alice)), "notFound")
      yield* peer.acquire({ ...bob, ttlNanos: 1n })
      yield* peer.acquire(alice)
      assert.strictEqual(yield* kindOf(peer.acquire({ ...alice, name: "missing" })), "kubernetes: NotFound")
      assert.strictEqual(yield* kindOf(peer.acquire({ ...alice, version: "" })), "invalidConfig")
      assert.strictEqual(yield* kindOf(peer.acquire({ ...alice, kubeconfig: "{}" })), "other")
    }))

  it.effect("takes the lock of a cluster-scoped object, and many at once", () =>
    Effect.gen(function*() {
      const peer = yield* GoPeer
      const { kubeconfig } = yield* ControlPlane
      const lock = { kubeconfig, version: "v1", resource: "namespaces", name: "kube-public", lock: "peer" }
      const attempts = Array.from({ length: 8 }, (_, i) => Effect.exit(peer.acquire({ ...lock, owner: `owner-${i}` })))
      const exits = yield* Effect.all(attempts, { concurrency: "unbounded" })
      assert.lengthOf(exits.filter((exit) => exit._tag === "Success"), 1)
    }))
})
