import { assert, describe, layer } from "@effect/vitest"
import { LockRecord } from "@kubelock/core"
import { AnnotationStore, KubeLock, type Lease, type ResourceRef } from "@kubelock/kube"
import { Faults, KubeApiServer } from "@kubelock/testing"
import { Effect, Fiber, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import { apiServerWorld, storeOfServer } from "./suites/apiServerWorld.ts"
import { withoutPauses, World } from "./suites/World.ts"

// Whatever goes wrong with any one request of an operation, the operation ends in the truth: it has done what it says, and
// nothing is left behind that it does not know of.

const services = KubeLock.layer.pipe(
  Layer.provideMerge(storeOfServer),
  Layer.provideMerge(apiServerWorld),
  Layer.provideMerge(KubeApiServer.layer())
)

type Services = Layer.Success<typeof services>

interface Failed {
  readonly _tag: string
  readonly message: string
}

interface Scenario {
  readonly annotations: Readonly<Record<string, string>>
  /** What comes before the operation, undisturbed; it starts with the clock at 10 seconds. */
  readonly prepare?: (resource: ResourceRef.ResourceRef) => Effect.Effect<ReadonlyArray<Lease>, Failed, Services>
  /** Nobody can tell afterwards: the lock is gone, by this operation or before it. */
  readonly isUncertain?: boolean
  readonly operate: (
    resource: ResourceRef.ResourceRef,
    leases: ReadonlyArray<Lease>
  ) => Effect.Effect<unknown, Failed, KubeLock>
}

const key = "kubelock.giantswarm.io/x"
const go = (owner: string, ttlNanos: bigint) => LockRecord.format({ owner, createdAtNanos: 0n, ttlNanos })
const expired = go("go", 1n)
const held = go("go", 3_600_000_000_000n)

const acquire = (resource: ResourceRef.ResourceRef) =>
  Effect.flatMap(KubeLock, (locks) => locks.acquire({ resource, name: "x", owner: "me" }))
const acquireOne = (resource: ResourceRef.ResourceRef) => Effect.map(acquire(resource), (lease) => [lease])
const acquireAll = (resource: ResourceRef.ResourceRef) =>
  Effect.flatMap(KubeLock, (locks) => locks.acquireAll({ resource, names: ["x", "y"], owner: "me" }))

const scenarios: Record<string, Scenario> = {
  "acquire, free": { annotations: { other: "x" }, operate: acquire },
  "acquire, the first annotation": { annotations: {}, operate: acquire },
  "acquire, expired": { annotations: { [key]: expired }, operate: acquire },
  "acquire, held by another": { annotations: { [key]: held }, operate: acquire },
  "acquire, held by oneself": { annotations: {}, prepare: acquireOne, operate: acquire },
  "acquire, unreadable": { annotations: { [key]: "{" }, operate: acquire },
  "acquire several": { annotations: { other: "x" }, operate: acquireAll },
  "acquire several, one of them held": { annotations: { [key]: held }, operate: acquireAll },
  renew: {
    annotations: {},
    prepare: acquireOne,
    operate: (_, [lease]) => Effect.flatMap(KubeLock, (locks) => locks.renew(lease!))
  },
  "renew, broken": {
    annotations: {},
    prepare: (resource) =>
      Effect.tap(acquireOne(resource), () => Effect.flatMap(KubeLock, (locks) => locks.break({ resource, name: "x" }))),
    operate: (_, [lease]) => Effect.flatMap(KubeLock, (locks) => locks.renew(lease!))
  },
  release: {
    annotations: { other: "x" },
    prepare: acquireOne,
    operate: (_, [lease]) => Effect.flatMap(KubeLock, (locks) => locks.release(lease!))
  },
  "release several": {
    annotations: {},
    prepare: acquireAll,
    operate: (_, leases) => Effect.flatMap(KubeLock, (locks) => locks.releaseAll(leases))
  },
  "release, broken": {
    annotations: {},
    prepare: (resource) =>
      Effect.tap(acquireOne(resource), () => Effect.flatMap(KubeLock, (locks) => locks.break({ resource, name: "x" }))),
    operate: (_, [lease]) => Effect.flatMap(KubeLock, (locks) => locks.release(lease!)),
    isUncertain: true
  },
  "release, taken over": {
    annotations: {},
    prepare: (resource) =>
      Effect.tap(acquireOne(resource), () => Effect.flatMap(World, ({ put }) => put(resource, { [key]: held }))),
    operate: (_, [lease]) => Effect.flatMap(KubeLock, (locks) => locks.release(lease!))
  },
  "release, renewed since": {
    annotations: {},
    prepare: (resource) =>
      Effect.gen(function*() {
        const leases = yield* acquireOne(resource)
        yield* TestClock.adjust("1 second")
        yield* Effect.flatMap(KubeLock, (locks) => locks.renew(leases[0]!))
        return leases
      }),
    operate: (_, [lease]) => Effect.flatMap(KubeLock, (locks) => locks.release(lease!))
  },
  "release by owner": {
    annotations: { [key]: held },
    operate: (resource) => Effect.flatMap(KubeLock, (locks) => locks.release({ resource, name: "x", owner: "go" }))
  },
  "release by owner, expired": {
    annotations: { [key]: expired },
    operate: (resource) => Effect.flatMap(KubeLock, (locks) => locks.release({ resource, name: "x", owner: "go" }))
  },
  break: {
    annotations: { [key]: held },
    operate: (resource) => Effect.flatMap(KubeLock, (locks) => locks.break({ resource, name: "x" }))
  },
  inspect: {
    annotations: { [key]: held },
    operate: (resource) => Effect.flatMap(KubeLock, (locks) => locks.inspect({ resource, name: "x" }))
  },
  list: {
    annotations: { [key]: held },
    operate: (resource) => Effect.flatMap(KubeLock, (locks) => locks.list(resource))
  }
}

/** What is the same in every run: ids, and the time of the last try, aside. */
const comparable = (annotations: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(annotations).map(([key, value]) => [
      key,
      value.replace(/"id":"[^"]*"/, `"id":"…"`).replace(/:1\d(?:\.\d+)?Z/, ":1…Z")
    ])
  )

const play = Effect.fnUntraced(function*(scenario: Scenario, fault?: Faults.Fault, skip = 0) {
  const server = yield* KubeApiServer
  yield* TestClock.setTime(0)
  const resource = yield* (yield* World).object(scenario.annotations)
  const leases = scenario.prepare === undefined ? [] : yield* scenario.prepare(resource)
  yield* TestClock.setTime(10_000)
  yield* server.clearRequests
  if (fault !== undefined) yield* server.inject(fault)

  const fiber = yield* Effect.forkChild(Effect.result(withoutPauses(scenario.operate(resource, leases))))
  // The one request that hangs ends by its timeout; nothing else here waits for the clock.
  let hangs = fault?._tag === "Hang"
  while (fiber.pollUnsafe() === undefined) {
    yield* TestClock.withLive(Effect.sleep("1 millis"))
    // No two tries are of the same instant, so that each writes a record of its own.
    yield* TestClock.adjust("1 millis")
    if (hangs && (yield* server.requests)[skip]?.status === "pending") {
      hangs = false
      yield* TestClock.adjust("10 seconds")
      yield* TestClock.setTime(10_000)
    }
  }
  const result = yield* Fiber.join(fiber)
  yield* server.clearFaults

  const statuses = (yield* server.requests).map(({ status }) => status)
  const { annotations } = yield* (yield* AnnotationStore).get(resource)
  const outcome = Result.isSuccess(result) ? "done" : result.failure._tag
  return { statuses, outcome, annotations: comparable(annotations), resource, result }
})

const faults: Record<string, (match: Faults.Match) => Faults.Fault> = {
  "answer dropped": Faults.answerDropped,
  "request dropped": Faults.requestDropped,
  "connection reset before": Faults.connectionReset,
  "connection reset after": (match) => Faults.connectionReset({ ...match, applied: true }),
  "hung before": Faults.hang,
  "hung after": (match) => Faults.hang({ ...match, applied: true }),
  "409": Faults.conflict,
  "429": (match) => Faults.tooManyRequests({ ...match, retryAfterSeconds: 0 }),
  "500": Faults.internalError,
  "503": Faults.serviceUnavailable
}

describe.each(Object.entries(faults))("%s", (_, fault) => {
  layer(services)((it) => {
    for (const [name, scenario] of Object.entries(scenarios)) {
      it.effect(name, () =>
        Effect.gen(function*() {
          const undisturbed = yield* play(scenario)
          const requests = undisturbed.statuses.length
          assert.isAtLeast(requests, 1)
          for (let skip = 0; skip < requests; skip++) {
            const disturbed = yield* play(scenario, fault({ skip }), skip)
            const { annotations } = disturbed
            const outcome = scenario.isUncertain === true ? undisturbed.outcome : disturbed.outcome
            assert.deepStrictEqual({ annotations, outcome }, {
              annotations: undisturbed.annotations,
              outcome: undisturbed.outcome
            }, `request ${skip + 1} of ${requests}`)
            assert.notStrictEqual(disturbed.statuses[skip], undisturbed.statuses[skip], "the fault struck")
          }
        }))
    }

    it.effect("whatever was taken can be released, and nothing is left", () =>
      Effect.gen(function*() {
        const locks = yield* KubeLock
        for (let skip = 0; skip < 2; skip++) {
          const { resource, result } = yield* play(
            { annotations: { other: "x" }, operate: acquireOne },
            fault({ skip })
          )
          yield* withoutPauses(locks.releaseAll(Result.getOrThrow(result) as ReadonlyArray<Lease>))
          assert.deepStrictEqual((yield* (yield* AnnotationStore).get(resource)).annotations, { other: "x" })
        }
      }))
  })
})
