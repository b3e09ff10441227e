import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import type { ResourceRef } from "@kubelock/kube"
import { Faults, KubeApiServer, type RequestLogEntry } from "@kubelock/testing"
import { Effect, Layer, Schedule, Schema } from "effect"
import { apiServerWorld, configMapOf } from "../suites/apiServerWorld.ts"
import { World } from "../suites/World.ts"
import { Message, Orders } from "./Message.ts"
import * as OtherProcess from "./OtherProcess.ts"

const services = Layer.merge(
  NodeServices.layer,
  Layer.provideMerge(apiServerWorld, KubeApiServer.layer({ tls: true }))
)

// Far longer than the test: what goes does not go by expiring. A request may take five seconds then.
const ttlMillis = 30_000

const start = Effect.fnUntraced(function*(worker: string, { name, namespace }: ResourceRef.ResourceRef) {
  const { kubeconfig } = yield* KubeApiServer
  const process = yield* OtherProcess.start({
    script: "worker.ts",
    message: Message,
    orders: yield* Schema.encodeEffect(Orders)({
      worker,
      kubeconfig,
      namespace: namespace ?? "",
      configMap: name,
      lock: "x",
      ttlMillis,
      section: "Rest"
    })
  })
  yield* process.next("Asking")
  return process
})

/** Waits until the server has met such a request of a client. */
const met = (client: string, isMeant: (entry: RequestLogEntry) => boolean) =>
  Effect.flatMap(KubeApiServer, ({ requests }) => requests).pipe(
    Effect.repeat({
      until: (entries) => entries.some((entry) => entry.client === client && isMeant(entry)),
      schedule: Schedule.spaced("5 millis")
    })
  )

const isWatch = ({ query, status }: RequestLogEntry) => query.includes("watch=true") && status === 200
const isPendingWrite = ({ method, status }: RequestLogEntry) => method === "PATCH" && status === "pending"
const isMadeWrite = ({ method, status }: RequestLogEntry) => method === "PATCH" && status === 200

const annotationsOf = Effect.fnUntraced(function*(resource: ResourceRef.ResourceRef) {
  const { get } = yield* KubeApiServer
  return (yield* get(configMapOf(resource))).metadata.annotations ?? {}
})

/** So that the first write to the object can be made: it need not find out that there are no annotations. */
const others = { other: "x" }

/** What a shell makes of a program that was interrupted. */
const interrupted = 130

/** Twice a request's time, and the start of the program that ends. */
const inTime = Effect.timeout("15 seconds")

layer(services, { excludeTestServices: true })("A program under NodeRuntime.runMain that gets SIGTERM", (it) => {
  it.effect("interrupts its section, gives its lock back, and ends; one that waits leaves no lock behind", () =>
    Effect.gen(function*() {
      const resource = yield* (yield* World).object(others)
      const holder = yield* start("holder", resource)
      yield* holder.next("Holding")
      const waiter = yield* start("waiter", resource)
      yield* met("waiter", isWatch)
      assert.lengthOf(Object.keys(yield* annotationsOf(resource)), 2)

      yield* Effect.all([holder.signal("SIGTERM"), waiter.signal("SIGTERM")])
      yield* holder.next("Interrupted")
      const codes = yield* inTime(Effect.all([holder.exitCode, waiter.exitCode], { concurrency: 2 }))
      assert.deepStrictEqual(codes.map(Number), [interrupted, interrupted])
      assert.deepStrictEqual(yield* annotationsOf(resource), others)
      assert.strictEqual(yield* (yield* KubeApiServer).openWatches, 0)
    }))

  it.effect("that waits alone disturbs nobody", () =>
    Effect.gen(function*() {
      const resource = yield* (yield* World).object(others)
      const holder = yield* start("undisturbed", resource)
      yield* holder.next("Holding")
      const waiter = yield* start("leaving", resource)
      yield* met("leaving", isWatch)
      const before = yield* annotationsOf(resource)
      yield* waiter.signal("SIGTERM")
      assert.strictEqual(Number(yield* inTime(waiter.exitCode)), interrupted)
      assert.deepStrictEqual(yield* annotationsOf(resource), before)
    }))

  it.effect("while its acquiring write is on its way gives back what that took", () =>
    Effect.gen(function*() {
      const { inject } = yield* KubeApiServer
      const resource = yield* (yield* World).object(others)
      yield* inject(Faults.latency({ client: "acquiring", method: "PATCH", duration: "1 second" }))
      const process = yield* start("acquiring", resource)
      yield* met("acquiring", isPendingWrite)
      yield* process.signal("SIGTERM")
      assert.strictEqual(Number(yield* inTime(process.exitCode)), interrupted)
      yield* met("acquiring", isMadeWrite)
      assert.deepStrictEqual(yield* annotationsOf(resource), others)
    }))

  it.effect("gives it back also if the write is made and its answer never comes", () =>
    Effect.gen(function*() {
      const { inject } = yield* KubeApiServer
      const resource = yield* (yield* World).object(others)
      yield* inject(Faults.hang({ client: "unanswered", method: "PATCH", applied: true }))
      const process = yield* start("unanswered", resource)
      yield* met("unanswered", isPendingWrite)
      yield* process.signal("SIGTERM")
      assert.strictEqual(Number(yield* inTime(process.exitCode)), interrupted)
      assert.deepStrictEqual(yield* annotationsOf(resource), others)
    }))

  it.effect("ends in time although the server answers nothing any more", () =>
    Effect.gen(function*() {
      const { inject } = yield* KubeApiServer
      const resource = yield* (yield* World).object(others)
      const process = yield* start("unheard", resource)
      yield* process.next("Holding")
      yield* inject(Faults.hang({ client: "unheard", count: Infinity }))
      yield* process.signal("SIGTERM")
      assert.strictEqual(Number(yield* inTime(process.exitCode)), interrupted)
    }))
})
