import { assert, layer } from "@effect/vitest"
import { LockRecord } from "@kubelock/core"
import { AnnotationStore, KubeLock } from "@kubelock/kube"
import { Faults, KubeApiServer } from "@kubelock/testing"
import { Effect, Fiber, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import { apiServerWorld, storeOfServer } from "./suites/apiServerWorld.ts"
import { World } from "./suites/World.ts"

const services = KubeLock.layer.pipe(
  Layer.provideMerge(storeOfServer),
  Layer.provideMerge(apiServerWorld),
  Layer.provideMerge(KubeApiServer.layer())
)

const faults = {
  "answer dropped": Faults.answerDropped,
  "request dropped": Faults.requestDropped,
  "reset after": (match: Faults.Match) => Faults.connectionReset({ ...match, applied: true }),
  hung: Faults.hang,
  "hung after": (match: Faults.Match) => Faults.hang({ ...match, applied: true }),
  "409": Faults.conflict,
  "429": Faults.tooManyRequests,
  "500": Faults.internalError,
  "503": Faults.serviceUnavailable
}
type Kind = keyof typeof faults

const orders: ReadonlyArray<ReadonlyArray<Kind>> = [
  ...Object.keys(faults).filter((name): name is Kind => name in faults).map((kind) => [kind]),
  ["409", "429", "500", "503"],
  ["hung", "answer dropped", "429"],
  ["hung after", "request dropped", "hung after"],
  ["503", "reset after", "hung", "409"],
  ["hung", "hung", "hung", "hung"]
]
const validMillis = 29_000
const key = "kubelock.giantswarm.io/x"

layer(services)((it) => {
  it.effect("over HTTP too the section ends in time, or goes on rightly", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      const world = yield* World
      const store = yield* AnnotationStore
      /** Lets requests go there and back, and then time pass. */
      const pass = (millis: number) =>
        Effect.andThen(TestClock.withLive(Effect.sleep("2 millis")), TestClock.adjust(millis))

      const sections = yield* Effect.forEach(orders, (order) =>
        Effect.gen(function*() {
          const resource = yield* world.object({ other: "x" })
          const lock = yield* KubeLock.make({ resource, name: "x", ttl: "30 seconds", watch: false })
          const fiber = yield* Effect.forkChild(lock.withLock(Effect.never))
          return { fiber, order, resource }
        }))
      while ((yield* server.requests).filter(({ status }) => status === 200).length < orders.length) yield* pass(0)
      for (const { order, resource } of sections) {
        for (const kind of order) {
          yield* server.inject(faults[kind]({ method: "PATCH", path: new RegExp(`/${resource.name}$`) }))
        }
      }

      for (let nowMillis = 0; nowMillis < 60_000; nowMillis += 200) {
        yield* pass(200)
        for (const { fiber, order, resource } of sections) {
          if (order.length === 4 && order.every((kind) => kind === "hung")) {
            if (nowMillis > validMillis) assert.isDefined(fiber.pollUnsafe(), String(order))
            continue
          }
          assert.isUndefined(fiber.pollUnsafe(), `${String(order)} at ${nowMillis}`)
          if (nowMillis % 5_000 !== 0) continue
          const { [key]: text } = (yield* store.get(resource)).annotations
          const record = Result.getOrThrow(LockRecord.parse(text ?? ""))
          assert.isBelow(nowMillis, Number(record.createdAtNanos / 1_000_000n) + validMillis, String(order))
        }
      }

      const ending = yield* Effect.forkChild(Fiber.interruptAll(sections.map(({ fiber }) => fiber)))
      while (ending.pollUnsafe() === undefined) yield* pass(100)
      for (const { order, resource } of sections) {
        assert.deepStrictEqual((yield* store.get(resource)).annotations, { other: "x" }, String(order))
      }
      assert.strictEqual(yield* server.openWatches, 0)
    }), 60_000)
})
