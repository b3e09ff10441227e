import { assert, describe, it } from "@effect/vitest"
import { type KubeError, type KubeRequest, KubeTransport, RequestTimeout } from "@kubelock/kube"
import { Faults, KubeApiServer } from "@kubelock/testing"
import { Duration, Effect, Fiber, Layer, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Fixture from "./KubeTransportFixtures.ts"

// How long a request may take for one caller, on a server that does not answer.

const services = Layer.fresh(
  Layer.unwrap(Effect.map(KubeApiServer, ({ kubeconfig }) => KubeTransport.layerText(kubeconfig))).pipe(
    Layer.provideMerge(KubeApiServer.layer())
  )
)

const forAll = Effect.flatMap(KubeApiServer, (server) => server.inject(Faults.hang({ count: Infinity })))

const within = (timeout: Duration.Input) => Effect.provideService(RequestTimeout, Duration.fromInputUnsafe(timeout))

const linesOf = (request: KubeRequest) =>
  Stream.unwrap(Effect.map(KubeTransport, (transport) => transport.stream(request)))

const turn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))

const arrived = (count: number) =>
  Effect.flatMap(
    KubeApiServer,
    (server) =>
      Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void))).pipe(
        Effect.andThen(server.requests),
        Effect.repeat({ until: (requests) => requests.length === count })
      )
  )

const timeoutsTold = Effect.flatMap(
  KubeApiServer,
  (server) =>
    Effect.map(server.requests, (requests) => requests.map(({ query }) => new URLSearchParams(query).get("timeout")))
)

const assertTimedOut = (error: KubeError, outcomeUnknown: boolean, said: string) => {
  assert.deepStrictEqual([error.reason._tag, error.outcomeUnknown], ["Timeout", outcomeUnknown], error.message)
  assert.include(error.message, said)
}

/** Starts the request, and gives it up at this time and not before. */
const endsAfter = Effect.fnUntraced(function*<R>(
  millis: number,
  request: Effect.Effect<unknown, KubeError, R>
) {
  const server = yield* KubeApiServer
  const before = (yield* server.requests).length
  const fiber = yield* Effect.forkChild(Effect.flip(request))
  yield* arrived(before + 1)
  yield* TestClock.adjust(millis - 1)
  assert.isUndefined(fiber.pollUnsafe())
  yield* TestClock.adjust(1)
  return yield* Fiber.join(fiber)
})

describe("the time for one request", () => {
  it.effect("is the caller's where that is shorter, on both sides", () =>
    Effect.gen(function*() {
      yield* forAll
      const error = yield* endsAfter(2_000, within("2 seconds")(Fixture.send(Fixture.patch)))
      assertTimedOut(error, true, "No success within 2s")
      assert.deepStrictEqual(yield* timeoutsTold, ["2000ms"])
    }).pipe(Effect.provide(services)))

  it.effect("is the transport's where that is shorter, on both sides", () =>
    Effect.gen(function*() {
      yield* forAll
      const error = yield* endsAfter(10_000, within("1 minute")(Fixture.send(Fixture.patch)))
      assertTimedOut(error, true, "No success within 10s")
      assert.deepStrictEqual(yield* timeoutsTold, ["10000ms"])
    }).pipe(Effect.provide(services)))

  it.effect("is no concern of a server that is only read", () =>
    Effect.gen(function*() {
      yield* forAll
      assertTimedOut(
        yield* endsAfter(500, within("500 millis")(Fixture.send(Fixture.get))),
        false,
        "No success within 500ms"
      )
      assert.deepStrictEqual(yield* timeoutsTold, [null])
    }).pipe(Effect.provide(services)))

  it.effect("is each caller's own", () =>
    Effect.gen(function*() {
      yield* forAll
      const patient = yield* Effect.forkChild(Effect.flip(Fixture.send(Fixture.patch)))
      yield* arrived(1)
      yield* endsAfter(1_000, within("1 second")(Fixture.send(Fixture.patch)))
      assert.isUndefined(patient.pollUnsafe())
      yield* TestClock.adjust("9 seconds")
      assertTimedOut(yield* Fiber.join(patient), true, "No success within 10s")
      assert.deepStrictEqual(yield* timeoutsTold, ["10000ms", "1000ms"])
    }).pipe(Effect.provide(services)))

  it.effect.each([0, -1_000])(
    "is over before anything is sent where %i ms are left",
    (millis) =>
      Effect.gen(function*() {
        const server = yield* KubeApiServer
        for (const request of [Fixture.send(Fixture.patch), Stream.runDrain(linesOf(Fixture.get))]) {
          assertTimedOut(yield* Effect.flip(within(millis)(request)), false, "there was no time left to begin with")
        }
        assert.deepStrictEqual(yield* server.requests, [])
      }).pipe(Effect.provide(services))
  )
})

describe("the time for a stream", () => {
  const watch = {
    ...Fixture.get,
    path: "/api/v1/namespaces/default/configmaps",
    query: { watch: "true", allowWatchBookmarks: "true" }
  }

  it.effect("is the caller's until its answer begins", () =>
    Effect.gen(function*() {
      yield* forAll
      const error = yield* endsAfter(2_000, within("2 seconds")(Stream.runDrain(linesOf(watch))))
      assertTimedOut(error, false, "No success within 2s")
    }).pipe(Effect.provide(services)))

  it.effect("is without limit from then on", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      const lines = yield* Queue.unbounded<string>()
      yield* Effect.forkChild(
        within("2 seconds")(Stream.runForEach(linesOf(watch), (line) => Queue.offer(lines, line)))
      )
      yield* Effect.repeat(Effect.andThen(turn, server.openWatches), { until: (open) => open === 1 })
      yield* server.sendBookmarks
      yield* Queue.take(lines)
      yield* TestClock.adjust("30 seconds")
      yield* server.sendBookmarks
      assert.include(yield* Queue.take(lines), "BOOKMARK")
    }).pipe(Effect.provide(services)))
})
