import { assert, describe, it } from "@effect/vitest"
import { Faults, KubeApiServer } from "@kubelock/testing"
import { Deferred, Effect, Exit, Fiber, Layer, Result, Schedule, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Http from "node:http"
import { at, configMaps, jsonPatch, send, type Server } from "./support/Client.ts"

const a = { apiVersion: "v1", kind: "ConfigMap", namespace: "default", name: "a" }
const path = `${configMaps}/a`

const patch = (server: Server) =>
  send(server, "PATCH", path, {
    body: [{ op: "add", path: "/metadata/annotations/x", value: "1" }],
    contentType: jsonPatch
  })

const isApplied = (server: Server) => Effect.map(server.get(a), ({ metadata }) => metadata.annotations?.["x"] === "1")

/** What became of a request: the answer's code, or how the connection ended. */
const outcome = (server: Server) =>
  Effect.map(
    Effect.result(patch(server)),
    (result) => Result.match(result, { onFailure: ({ code }) => code, onSuccess: ({ status }) => status })
  )

const withServer = <A, E>(body: (server: Server) => Effect.Effect<A, E>, options: { readonly tls?: boolean } = {}) =>
  Effect.gen(function*() {
    const server = yield* KubeApiServer
    yield* server.put({ apiVersion: "v1", kind: "ConfigMap", metadata: { ...a, annotations: { other: "1" } } })
    return yield* body(server)
  }).pipe(Effect.provide(KubeApiServer.layer(options)))

const lastStatus = (server: Server) => Effect.map(server.requests, (log) => log[log.length - 1]?.status)

/** Until it holds: what happens to one side of a connection takes the other a moment to see. */
const soon = <E>(condition: Effect.Effect<boolean, E>) =>
  condition.pipe(
    Effect.flatMap((holds) => holds ? Effect.void : Effect.fail("it does not hold")),
    Effect.retry(Schedule.spaced("5 millis").pipe(Schedule.upTo({ duration: "5 seconds" }))),
    Effect.orDie,
    TestClock.withLive
  )

const untilStatus = (server: Server, status: string) => soon(Effect.map(lastStatus(server), (last) => last === status))

describe("KubeApiServer: faults", () => {
  it.effect.each(
    [
      ["a dropped request", Faults.requestDropped(), "ECONNRESET", false],
      ["a dropped answer", Faults.answerDropped(), "ECONNRESET", true],
      ["a reset connection", Faults.connectionReset(), "ECONNRESET", false],
      ["a connection reset after the fact", Faults.connectionReset({ applied: true }), "ECONNRESET", true],
      ["409", Faults.conflict(), 409, false],
      ["429", Faults.tooManyRequests(), 429, false],
      ["500", Faults.internalError(), 500, false],
      ["503", Faults.serviceUnavailable(), 503, false]
    ] as const
  )(
    "%s strikes one request, and then no more",
    ([, fault, expected, applied]) =>
      withServer((server) =>
        Effect.gen(function*() {
          yield* server.inject(fault)
          assert.strictEqual(yield* outcome(server), expected)
          assert.strictEqual(yield* isApplied(server), applied)
          assert.strictEqual(yield* lastStatus(server), typeof expected === "number" ? expected : "dropped")
          assert.strictEqual(yield* outcome(server), 200)
        })
      )
  )

  it.effect.each(
    [
      ["dropped", Faults.requestDropped()],
      ["reset", Faults.connectionReset()]
    ] as const
  )("are %s under TLS too", ([, fault]) =>
    withServer((server) =>
      Effect.gen(function*() {
        yield* server.inject(fault)
        assert.strictEqual(yield* outcome(server), "ECONNRESET")
        assert.strictEqual(yield* outcome(server), 200)
      }), { tls: true }))

  it.effect("close a drop in good order, but not a reset", () =>
    withServer((server) =>
      Effect.gen(function*() {
        // To tell FIN from RST, look at the client's socket below HTTP.
        const endOf = Effect.callback<string>((resume) => {
          const request = Http.request(`${server.url}/version`, { agent: false })
          let ended = "RST"
          request.on("socket", (socket) => {
            socket.on("end", () => {
              ended = "FIN"
            })
            socket.on("close", () => resume(Effect.succeed(ended)))
          })
          request.on("error", () => {})
          request.end()
        })
        yield* server.inject(Faults.requestDropped())
        assert.strictEqual(yield* endOf, "FIN")
        yield* server.inject(Faults.connectionReset())
        assert.strictEqual(yield* endOf, "RST")
      })
    ))

  it.effect("speak Kubernetes' language", () =>
    withServer((server) =>
      Effect.gen(function*() {
        yield* server.inject(Faults.conflict())
        assert.deepInclude((yield* patch(server)).body, {
          kind: "Status",
          reason: "Conflict",
          code: 409,
          details: { name: "a", kind: "configmaps" }
        })
        yield* server.inject(Faults.tooManyRequests({ retryAfterSeconds: 7 }))
        const throttled = yield* patch(server)
        assert.strictEqual(throttled.headers["retry-after"], "7")
        assert.deepInclude(throttled.body, { reason: "TooManyRequests", details: { retryAfterSeconds: 7 } })
        yield* server.inject(Faults.internalError())
        assert.strictEqual(at((yield* patch(server)).body, "reason"), "InternalError")
        yield* server.inject(Faults.serviceUnavailable())
        assert.strictEqual(at((yield* patch(server)).body, "reason"), "ServiceUnavailable")
      })
    ))

  it.effect("pick their requests", () =>
    withServer((server) =>
      Effect.gen(function*() {
        yield* server.inject(Faults.internalError({ method: "PATCH", path: /\/a$/, client: "test", skip: 1 }))
        assert.strictEqual((yield* send(server, "GET", path)).status, 200)
        assert.strictEqual(yield* outcome(server), 200)
        assert.strictEqual(yield* outcome(server), 500)
      })
    ))

  it.effect("can be cleared", () =>
    withServer((server) =>
      Effect.gen(function*() {
        yield* server.inject(Faults.internalError({ count: Infinity }))
        assert.strictEqual(yield* outcome(server), 500)
        yield* server.clearFaults
        assert.strictEqual(yield* outcome(server), 200)
      })
    ))

  it.effect("let a request wait on Effect's clock", () =>
    withServer((server) =>
      Effect.gen(function*() {
        yield* server.inject(Faults.latency({ duration: "1 hour" }))
        const waiting = yield* Effect.forkChild(outcome(server))
        yield* untilStatus(server, "pending")
        yield* TestClock.adjust("59 minutes")
        assert.isFalse(yield* isApplied(server))
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* Fiber.join(waiting), 200)
      })
    ))

  it.effect.each(
    [
      ["before the request is applied", Faults.hang(), false],
      ["after it was", Faults.hang({ applied: true }), true],
      ["while it waits", Faults.latency({ duration: "1 hour" }), false]
    ] as const
  )("hang %s, until the client goes away", ([, fault, applied]) =>
    withServer((server) =>
      Effect.gen(function*() {
        yield* server.inject(fault)
        const hanging = yield* Effect.forkChild(patch(server))
        yield* untilStatus(server, "pending")
        yield* soon(Effect.map(isApplied(server), (is) => is === applied))
        yield* Fiber.interrupt(hanging)
        yield* untilStatus(server, "dropped")
      })
    ))

  it.effect("do not keep the server from closing: hung requests and idle connections end with it", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(KubeApiServer.layer(), scope)
      const agent = new Http.Agent({ keepAlive: true })
      const hung = yield* Deferred.make<string>()
      yield* Effect.gen(function*() {
        const server = yield* KubeApiServer
        assert.strictEqual((yield* send(server, "GET", "/version", { agent })).status, 200)
        yield* server.inject(Faults.hang())
        yield* Effect.flip(send(server, "GET", "/version")).pipe(
          Effect.flatMap(({ code }) => Deferred.succeed(hung, code)),
          Effect.forkScoped
        )
        yield* untilStatus(server, "pending")
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* Deferred.await(hung), "ECONNRESET")
        const refused = yield* Effect.flip(send(server, "GET", "/version"))
        assert.strictEqual(refused.code, "ECONNREFUSED")
        agent.destroy()
      }).pipe(Effect.provide(context))
    }).pipe(Effect.scoped))
})
