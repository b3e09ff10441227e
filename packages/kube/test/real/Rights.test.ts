/** What a role must allow, and what an error says of what it does not: on a real API server with RBAC. */
import { assert, layer } from "@effect/vitest"
import {
  Identity,
  isForbidden,
  KubeAnnotationStore,
  KubeError,
  KubeLock,
  KubeTransport,
  type LockTarget,
  ResourceRef
} from "@kubelock/kube"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as SharedControlPlane from "../../../testing/test/SharedControlPlane.ts"
import { clusterWidgets, configMaps, nodes, realWorld, widgets } from "../suites/realWorld.ts"
import { observed } from "../suites/telemetry.ts"
import { World } from "../suites/World.ts"

const locksAs = (kubeconfig: string) =>
  Layer.provide(KubeLock.layer, Layer.provide(KubeAnnotationStore.layer, KubeTransport.layerText(kubeconfig)))

let users = 0

/** A user who may do this, and nothing else, to one object. */
const userWith = Effect.fnUntraced(function*(verbs: ReadonlyArray<string>, resource: ResourceRef.ResourceRef) {
  const { makeUser } = yield* ControlPlane
  return locksAs(
    yield* makeUser({
      name: `user-${users++}-of-${resource.name}`,
      ...(resource.namespace === undefined ? {} : { namespace: resource.namespace }),
      rules: [{
        apiGroups: [resource.group],
        resources: [resource.resource],
        resourceNames: [resource.name],
        verbs
      }]
    })
  )
})

/** Everything that can be done with locks, from the beginning to the end. */
const doEverything = Effect.fnUntraced(function*(target: LockTarget) {
  const locks = yield* KubeLock
  const { resource } = target
  const first = yield* locks.acquire({ ...target, owner: "me" })
  assert.strictEqual((yield* Effect.flip(locks.acquire({ ...target, owner: "you" })))._tag, "OwnerMismatch")
  const renewed = yield* locks.renew(first)
  assert.strictEqual((yield* locks.inspect(target)).state._tag, "Held")
  assert.lengthOf(yield* locks.list(resource), 1)
  yield* locks.release(renewed)
  yield* locks.acquire({ ...target, owner: "me" })
  yield* locks.release({ ...target, owner: "me" })
  yield* locks.acquire({ ...target, owner: "you" })
  yield* locks.break(target)
  yield* locks.releaseAll(yield* locks.acquireAll({ resource, names: ["a", "b"] }))
  assert.deepStrictEqual(yield* locks.list(resource), [])
})

/** That it is refused, and that the error names the verb and the object. */
const assertForbidden = Effect.fnUntraced(function*<A, E, R>(
  attempt: Effect.Effect<A, E, R>,
  verb: "get" | "patch",
  { group, name, namespace, resource }: ResourceRef.ResourceRef
) {
  const error = yield* Effect.flip(attempt)
  if (!(error instanceof KubeError) || !isForbidden(error)) return assert.fail(`not Forbidden: ${String(error)}`)
  const type = group === "" ? resource : `${resource}.${group}`
  assert.strictEqual(error.status, 403)
  assert.include(
    error.message,
    `Not allowed to ${verb} ${type} "${name}"${namespace === undefined ? "" : ` in namespace "${namespace}"`}.`
  )
  assert.include(
    error.message,
    `Grant the verb "${verb}" on "${type}" with a ${
      namespace === undefined ? "ClusterRole" : `Role in namespace "${namespace}"`
    }.`
  )
})

const group = "rights.example.com"

for (const carrier of [configMaps, nodes, widgets(group), clusterWidgets(group)]) {
  const services = realWorld(carrier).pipe(Layer.provideMerge(SharedControlPlane.layer))
  layer(services)(`Narrow rights on ${carrier.resource}`, (it) => {
    it.effect("get and patch on one object are enough for everything", () =>
      Effect.gen(function*() {
        for (const annotations of [{}, { other: "x" }]) {
          const resource = yield* (yield* World).object(annotations)
          const user = yield* userWith(["get", "patch"], resource)
          yield* Effect.provide(doEverything({ resource, name: "x" }), user)
        }
      }))

    it.effect.each([
      { verbs: ["get", "list", "watch", "patch"], said: [] },
      { verbs: ["get", "patch"], said: ["Warn An object cannot be watched"] }
    ])("a managed lock is waited for and kept with $verbs", ({ said, verbs }) =>
      Effect.gen(function*() {
        const resource = yield* (yield* World).object({ other: "x" })
        const user = yield* userWith(verbs, resource)
        const { logs } = yield* observed(Effect.gen(function*() {
          const order: Array<string> = []
          const sectionOf = (owner: string) =>
            Effect.gen(function*() {
              const lock = yield* KubeLock.make({ resource, name: "x", localHandover: 0 })
              yield* lock.withLock(Effect.andThen(Effect.sync(() => order.push(owner)), Effect.sleep("1 second")))
            }).pipe(
              Identity.asProcess(owner),
              Effect.provide(Layer.fresh(user)),
              Effect.forkChild
            )
          const first = yield* sectionOf("a")
          while (order.length === 0) yield* TestClock.withLive(Effect.sleep("1 millis"))
          const second = yield* sectionOf("b")
          while (second.pollUnsafe() === undefined) {
            yield* TestClock.withLive(Effect.sleep("1 millis"))
            yield* TestClock.adjust("10 millis")
          }
          yield* Effect.andThen(Fiber.join(first), Fiber.join(second))
          assert.deepStrictEqual(order, ["a", "b"])
        }))
        // The test's clock is far behind the server's, which is said too.
        const texts = new Set(logs.map(({ level, text }) => `${level} ${text.split(":")[0]}`))
        assert.deepStrictEqual([...texts].filter((text) => !text.startsWith("Warn This machine's clock")), said)
      }))

    it.effect("and are for that object alone", () =>
      Effect.gen(function*() {
        const world = yield* World
        const user = yield* userWith(["get", "patch"], yield* world.object())
        const other = yield* world.object()
        yield* Effect.gen(function*() {
          const locks = yield* KubeLock
          const target = { resource: other, name: "x" }
          yield* assertForbidden(locks.acquire(target), "patch", other)
          yield* assertForbidden(locks.inspect(target), "get", other)
          yield* assertForbidden(locks.list(other), "get", other)
          yield* assertForbidden(locks.break(target), "get", other)
        }).pipe(Effect.provide(user))
      }))

    it.effect("without patch, locks can be looked at and not be taken", () =>
      Effect.gen(function*() {
        const resource = yield* (yield* World).object({ "kubelock.giantswarm.io/held": "{}", other: "x" })
        const user = yield* userWith(["get"], resource)
        yield* Effect.gen(function*() {
          const locks = yield* KubeLock
          const target = { resource, name: "x" }
          assert.strictEqual((yield* locks.inspect(target)).state._tag, "Free")
          assert.lengthOf(yield* locks.list(resource), 1)
          yield* assertForbidden(locks.acquire(target), "patch", resource)
          yield* assertForbidden(locks.break({ resource, name: "held" }), "patch", resource)
        }).pipe(Effect.provide(user))
      }))

    it.effect("without get, a free lock can be taken and given back, and a held one not be looked at", () =>
      Effect.gen(function*() {
        const resource = yield* (yield* World).object({ "kubelock.giantswarm.io/held": "{}" })
        const user = yield* userWith(["patch"], resource)
        yield* Effect.gen(function*() {
          const locks = yield* KubeLock
          const lease = yield* locks.acquire({ resource, name: "x" })
          yield* locks.release(yield* locks.renew(lease))
          yield* assertForbidden(locks.acquire({ resource, name: "held" }), "get", resource)
          yield* assertForbidden(locks.inspect({ resource, name: "x" }), "get", resource)
          yield* assertForbidden(locks.release({ resource, name: "x", owner: "me" }), "get", resource)
        }).pipe(Effect.provide(user))
      }))
  })
}
