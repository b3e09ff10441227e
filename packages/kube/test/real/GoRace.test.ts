/**
 * Go and TypeScript contend for one lock around a read-modify-write that the lock alone protects.
 *
 * `KUBELOCK_RACE_ROUNDS` says how many rounds (default 2000), `KUBELOCK_RACE_SECONDS` in what time at the latest (default
 * 180: they take some 45 seconds on two quiet cores).
 */
import { assert, layer } from "@effect/vitest"
import { KubeAnnotationStore, KubeLock, KubeTransport, type Lease, ResourceRef } from "@kubelock/kube"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Clock, Context, Effect, Layer, Random, Schema } from "effect"
import process from "node:process"
import * as SharedControlPlane from "../../../testing/test/SharedControlPlane.ts"
import { GoPeer } from "../GoPeer.ts"
import { configMaps, realWorld } from "../suites/realWorld.ts"
import { World } from "../suites/World.ts"

const maxRounds = Number(process.env["KUBELOCK_RACE_ROUNDS"] ?? 2_000)
const maxSeconds = Number(process.env["KUBELOCK_RACE_SECONDS"] ?? 180)
const lock = "counter"

const services = Layer.mergeAll(
  realWorld(configMaps),
  Layer.unwrap(
    Effect.map(ControlPlane, ({ kubeconfig }) =>
      KubeLock.layer.pipe(
        Layer.provide(KubeAnnotationStore.layer),
        Layer.provideMerge(KubeTransport.layerText(kubeconfig))
      ))
  )
).pipe(Layer.provideMerge(SharedControlPlane.layer))

const decodeCounter = Schema.decodeEffect(
  Schema.fromJsonString(
    Schema.Struct({ data: Schema.optionalKey(Schema.Struct({ counter: Schema.FiniteFromString })) })
  )
)

const readCounter = Effect.fnUntraced(function*(resource: ResourceRef.ResourceRef) {
  const transport = yield* KubeTransport
  const { body } = yield* transport.request({ method: "GET", path: ResourceRef.toPath(resource) })
  return (yield* decodeCounter(body)).data?.counter ?? 0
})

/** Two requests, and nothing in the second says what the first has read: whoever comes between them is overwritten. */
const increment = Effect.fnUntraced(function*(resource: ResourceRef.ResourceRef) {
  const transport = yield* KubeTransport
  const counter = yield* readCounter(resource)
  yield* transport.request({
    method: "PATCH",
    path: ResourceRef.toPath(resource),
    headers: { "content-type": "application/merge-patch+json" },
    body: JSON.stringify({ data: { counter: String(counter + 1) } })
  })
})

type Acquired = "acquired" | "refused"

interface Contender {
  readonly acquire: Effect.Effect<Acquired>
  readonly release: Effect.Effect<void>
}

/** The Go library has one attempt, and fails on any other writer's change to the object. */
const makeGoContender = Effect.fnUntraced(function*(resource: ResourceRef.ResourceRef, owner: string) {
  // A process of its own for each.
  const peer = Context.get(yield* Layer.build(Layer.fresh(GoPeer.layer)), GoPeer)
  const { kubeconfig } = yield* ControlPlane
  const { name, version } = resource
  const request = { kubeconfig, version, resource: resource.resource, namespace: "default", name, lock, owner }
  const contender: Contender = {
    acquire: peer.acquire(request).pipe(
      Effect.as<Acquired>("acquired"),
      Effect.catchIf(
        (error) => error._tag === "GoLockError" && ["ownerMismatch", "kubernetes: Conflict"].includes(error.kind),
        () => Effect.succeed<Acquired>("refused")
      ),
      Effect.orDie
    ),
    release: Effect.orDie(peer.release(request))
  }
  return contender
})

const makeOurContender = Effect.fnUntraced(function*(resource: ResourceRef.ResourceRef, owner: string) {
  const locks = yield* KubeLock
  const held: Array<Lease> = []
  const contender: Contender = {
    acquire: locks.acquire({ resource, name: lock, owner }).pipe(
      Effect.map((lease): Acquired => {
        held.push(lease)
        return "acquired"
      }),
      Effect.catchTag("OwnerMismatch", () => Effect.succeed<Acquired>("refused")),
      Effect.orDie
    ),
    release: Effect.suspend(() => Effect.orDie(locks.releaseAll(held.splice(0))))
  }
  return contender
})

layer(services, { excludeTestServices: true })("Go and TypeScript contend for one lock", (it) => {
  it.effect("and no update is lost", () =>
    Effect.gen(function*() {
      const resource = yield* (yield* World).object()
      const contenders = {
        "go-1": yield* makeGoContender(resource, "go-1"),
        "go-2": yield* makeGoContender(resource, "go-2"),
        "ts-1": yield* makeOurContender(resource, "ts-1"),
        "ts-2": yield* makeOurContender(resource, "ts-2")
      }
      const rounds: Record<string, number> = {}
      let total = 0
      let inside = 0
      const deadline = (yield* Clock.currentTimeMillis) + maxSeconds * 1_000

      const contend = Effect.fnUntraced(function*(name: string, { acquire, release }: Contender) {
        while (total < maxRounds && (yield* Clock.currentTimeMillis) < deadline) {
          if ((yield* acquire) === "refused") {
            yield* Effect.sleep(yield* Random.nextIntBetween(1, 8))
            continue
          }
          inside += 1
          assert.strictEqual(inside, 1)
          yield* increment(resource)
          inside -= 1
          yield* release
          total += 1
          rounds[name] = (rounds[name] ?? 0) + 1
          // Whoever has just released would be the first to try again.
          yield* Effect.sleep(yield* Random.nextIntBetween(1, 8))
        }
      })
      yield* Effect.forEach(Object.entries(contenders), ([name, contender]) => contend(name, contender), {
        concurrency: "unbounded"
      })

      console.log(`${total} rounds: ${JSON.stringify(rounds)}`)
      assert.isAtLeast(total, maxRounds)
      assert.strictEqual(yield* readCounter(resource), total)
      assert.sameMembers(Object.keys(rounds), Object.keys(contenders))
    }), (maxSeconds + 30) * 1_000)
})
