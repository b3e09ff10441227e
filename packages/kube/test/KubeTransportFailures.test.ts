import { assert, describe, it } from "@effect/vitest"
import type { KubeError } from "@kubelock/kube/KubeError"
import { KubeTransport } from "@kubelock/kube/KubeTransport"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as diagnostics from "node:diagnostics_channel"
import * as net from "node:net"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Fixture from "./KubeTransportFixtures.ts"
import { observed } from "./suites/telemetry.ts"

const failure = (server: string, request = Fixture.patch): Effect.Effect<KubeError> =>
  Effect.flip(Fixture.send(request)).pipe(Effect.provide(Fixture.text({ server })), Effect.orDie)

const assertIs = (error: KubeError, reason: string, outcomeUnknown: boolean, said: string) => {
  assert.deepStrictEqual([error.reason._tag, error.outcomeUnknown], [reason, outcomeUnknown], error.message)
  assert.include(error.message, said)
  assert.include(error.message, Fixture.patch.path)
}

/** A server that is no HTTP server: it does this with each connection. */
const serveRaw = (onConnection: (socket: net.Socket) => void) =>
  Effect.map(
    Fixture.listen(net.createServer((socket) => {
      socket.on("error", () => {})
      onConnection(socket)
    })),
    (port) => `127.0.0.1:${port}`
  )

const closed = (socket: net.Socket | undefined) =>
  Effect.callback<void>((resume) => {
    if (socket === undefined || socket.closed) resume(Effect.void)
    else socket.once("close", () => resume(Effect.void))
  })

describe("answers", () => {
  it.effect.each(
    [
      [409, "Conflict", false],
      [422, "Invalid", false],
      [429, "Throttled", false],
      [503, "Unavailable", true]
    ] as const
  )("HTTP %i", ([status, reason, outcomeUnknown]) =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve((_, response) => {
        response.setHeader("Retry-After", "2")
        Fixture.json(response, status, { kind: "Status", message: "because" })
      })
      const error = yield* failure(server.origin)
      assertIs(error, reason, outcomeUnknown, "because")
      assert.strictEqual(error.status, status)
      assert.strictEqual(error.retryAfterMillis, status === 429 || status === 503 ? 2_000 : undefined)
      assert.strictEqual(server.received.length, 1)
    }))

  it.effect("a proxy's page of HTML", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve((_, response) =>
        response.writeHead(502, { "content-type": "text/html" }).end("<html><title>Bad Gateway</title></html>")
      )
      assertIs(yield* failure(server.origin), "Unavailable", true, "a page of HTML titled \"Bad Gateway\"")
    }))

  it.effect("truncated JSON", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve((_, response) => response.writeHead(500).end("{\"kind\":\"Status\",\"mess"))
      assertIs(yield* failure(server.origin), "Unavailable", true, "{\"kind\":\"Status\",\"mess")
    }))

  it.effect("a redirect, which is not followed", () =>
    Effect.gen(function*() {
      const target = yield* Fixture.serve(Fixture.ok)
      const server = yield* Fixture.serve((_, response) =>
        response.writeHead(307, { location: `${target.origin}/login` }).end()
      )
      assertIs(yield* failure(server.origin), "Unavailable", false, "The redirect was not followed")
      assert.strictEqual(target.received.length, 0)
    }))

  it.effect("an answer that is too long", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve((_, response) => {
        response.on("error", () => {})
        response.writeHead(200).end(Buffer.alloc(9 * 1024 * 1024, "x"))
      })
      assertIs(yield* failure(server.origin), "Unavailable", true, "is longer than 8388608 bytes")
    }))
})

describe("an answer in pieces of one byte", () => {
  const pieces = 400_000
  const thousand = "1\r\nx\r\n".repeat(1_000)

  it.effect("takes no more room than one in a single piece", () =>
    Effect.gen(function*() {
      const received = yield* chunksReceived(pieces)
      const address = yield* serveRaw((socket) =>
        socket.once("data", () => {
          socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
          const more = (left: number): void => void (left > 0 && socket.write(thousand, () => more(left - 1)))
          more(pieces / 1_000)
        })
      )
      yield* Effect.gen(function*() {
        const transport = yield* KubeTransport
        const before = heapBytes()
        const fiber = yield* Effect.forkChild(transport.request(Fixture.get))
        yield* Deferred.await(received)
        const after = heapBytes()
        yield* Fiber.interrupt(fiber)
        // An object of its own takes a hundred bytes and more.
        assert.isBelow(after - before, pieces * 50)
      }).pipe(Effect.provide(Fixture.text({ server: `http://${address}` })))
    }))
})

/** Done when so many chunks of answers have come. */
const chunksReceived = Effect.fnUntraced(function*(count: number) {
  const received = yield* Deferred.make<void>()
  let chunks = 0
  const hear = () => void (++chunks === count && Deferred.doneUnsafe(received, Effect.void))
  const channel = "undici:request:bodyChunkReceived"
  yield* Effect.acquireRelease(
    Effect.sync(() => diagnostics.subscribe(channel, hear)),
    () => Effect.sync(() => diagnostics.unsubscribe(channel, hear))
  )
  return received
})

/** What is in use, and not only not yet collected. */
const heapBytes = (): number => {
  setFlagsFromString("--expose-gc")
  runInNewContext("gc")()
  const { external, heapUsed } = process.memoryUsage()
  return external + heapUsed
}

describe("connections", () => {
  it.effect("refused: nothing was sent", () =>
    Effect.gen(function*() {
      const port = yield* Effect.scoped(Fixture.listen(net.createServer()))
      assertIs(yield* failure(`http://127.0.0.1:${port}`), "Unavailable", false, "Nothing listens at")
    }))

  it.effect("a name that does not resolve: nothing was sent", () =>
    Effect.gen(function*() {
      assertIs(yield* failure("http://kubelock.invalid"), "Unavailable", false, "cannot be resolved")
    }))

  it.effect("reset during the TLS handshake: nothing was sent", () =>
    Effect.gen(function*() {
      const address = yield* serveRaw((socket) => socket.once("data", () => socket.resetAndDestroy()))
      assertIs(yield* failure(`https://${address}`), "Unavailable", false, "nothing was sent")
    }))

  it.effect("reset before the answer: nobody knows", () =>
    Effect.gen(function*() {
      const address = yield* serveRaw((socket) => socket.once("data", () => socket.resetAndDestroy()))
      assertIs(yield* failure(`http://${address}`), "Unavailable", true, "broke before the answer was complete")
    }))

  it.effect("closed before the answer: nobody knows", () =>
    Effect.gen(function*() {
      const address = yield* serveRaw((socket) => socket.once("data", () => socket.end()))
      assertIs(yield* failure(`http://${address}`), "Unavailable", true, "broke before the answer was complete")
    }))

  it.effect("reset in the middle of the answer: nobody knows", () =>
    Effect.gen(function*() {
      const address = yield* serveRaw((socket) =>
        socket.once("data", () => {
          socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"kind\":", () => socket.resetAndDestroy())
        })
      )
      assertIs(yield* failure(`http://${address}`), "Unavailable", true, "broke before the answer was complete")
    }))

  it.effect("a server that speaks no HTTP: nobody knows", () =>
    Effect.gen(function*() {
      const address = yield* serveRaw((socket) => socket.once("data", () => socket.end("SSH-2.0-OpenSSH_9.9\r\n")))
      assertIs(yield* failure(`http://${address}`), "Unavailable", true, "(HTTPParserError: ")
    }))

  it.effect("a server that speaks no TLS: nothing was sent", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(Fixture.ok)
      assertIs(yield* failure(server.origin.replace("http:", "https:")), "Unavailable", false, "nothing was sent")
    }))

  it.effect("after a failure the next request has a new connection", () =>
    Effect.gen(function*() {
      let requests = 0
      const server = yield* Fixture.serve((received, response) => {
        requests += 1
        if (requests === 1) received.socket.resetAndDestroy()
        else Fixture.ok(received, response)
      })
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(Fixture.send(Fixture.patch))).reason._tag, "Unavailable")
        assert.strictEqual((yield* Fixture.send(Fixture.patch)).status, 200)
      }).pipe(Effect.provide(Fixture.text({ server: server.origin })))
      assert.strictEqual(server.connections.length, 2)
    }))
})

describe("a server that has never answered", () => {
  /** The answers to requests, one after the other, and what is logged of them. */
  const loggedAt = Effect.fnUntraced(function*(server: string, count: number) {
    const failures: Array<string> = []
    const { logs } = yield* observed(
      Effect.gen(function*() {
        const transport = yield* KubeTransport
        for (let index = 0; index < count; index++) {
          const exit = yield* Effect.exit(transport.request(Fixture.patch))
          if (Exit.isFailure(exit)) failures.push(String(exit.cause))
        }
      }).pipe(Effect.provide(Fixture.text({ server })), Effect.orDie)
    )
    return { failures: failures.length, logs }
  })

  it.effect("is told of at the first request, and not again: its address may be wrong", () =>
    Effect.gen(function*() {
      const { failures, logs } = yield* loggedAt("http://127.0.0.1:1", 3)
      assert.strictEqual(failures, 3)
      assert.deepStrictEqual(logs.map(({ level, text }) => `${level} ${text}`), [
        "Warn The API server has not answered yet"
      ])
      assert.include(logs[0]?.attributes["kubelock.problem"], "Nothing listens at http://127.0.0.1:1")
    }))

  it.effect("is not told of once it has answered, whatever it was", () =>
    Effect.gen(function*() {
      let answers = 1
      const server = yield* Fixture.serve((_, response) =>
        answers-- > 0 ? Fixture.json(response, 503, {}) : response.destroy()
      )
      assert.deepStrictEqual(yield* loggedAt(server.origin, 3), { failures: 3, logs: [] })
    }))
})

describe("time", () => {
  const hanging = {
    "before the headers": () => {},
    "in the middle of the body": (_, response) => void response.writeHead(200, { "content-length": "100" }).write("{")
  } satisfies Record<string, Fixture.Handler>

  for (const [when, handler] of Object.entries(hanging)) {
    it.effect(`runs out ${when}`, () =>
      Effect.gen(function*() {
        const server = yield* Fixture.serve(handler)
        const fiber = yield* Effect.forkChild(failure(server.origin))
        yield* server.arrived(1)
        yield* TestClock.adjust("9999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        assertIs(yield* Fiber.join(fiber), "Timeout", true, "No success within 10s")
        yield* closed(server.received[0]?.socket)
      }))

    it.effect(`interruption ${when} closes the connection`, () =>
      Effect.gen(function*() {
        const server = yield* Fixture.serve(handler)
        yield* Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(Fixture.send(Fixture.patch))
          yield* server.arrived(1)
          yield* Fiber.interrupt(fiber)
          assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
          yield* closed(server.received[0]?.socket)
        }).pipe(Effect.provide(Fixture.text({ server: server.origin })))
      }))
  }

  it.effect("is set by the option", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(() => {})
      const fiber = yield* Effect.flip(Fixture.send(Fixture.get)).pipe(
        Effect.provide(Fixture.text({ server: server.origin }, undefined, { requestTimeout: "3 seconds" })),
        Effect.forkChild
      )
      yield* server.arrived(1)
      yield* TestClock.adjust("3 seconds")
      const error = yield* Fiber.join(fiber)
      assert.include(error.message, "No success within 3s")
    }))

  it.effect("runs out while all connections are taken: nothing was sent, then or later", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve((received, response) => {
        if (received.url === "/last") Fixture.ok(received, response)
      })
      yield* Effect.gen(function*() {
        // On the live clock, so that time runs out for the waiting request alone.
        const taking = yield* Effect.forEach(
          Array.from({ length: 16 }),
          () => Effect.forkChild(TestClock.withLive(Fixture.send(Fixture.get)))
        )
        yield* server.arrived(16)
        const waiting = yield* Effect.forkChild(Effect.flip(Fixture.send(Fixture.patch)))
        yield* Effect.forkChild(Fixture.send(Fixture.patch)).pipe(Effect.flatMap(Fiber.interrupt))
        yield* TestClock.adjust("10 seconds")
        assertIs(yield* Fiber.join(waiting), "Timeout", false, "nothing was sent")
        yield* Fiber.interruptAll(taking)
        yield* Effect.all(Array.from({ length: 16 }, () => Fixture.send({ method: "GET", path: "/last" })), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(server.received.map(({ method }) => method), Array<string>(32).fill("GET"))
      }).pipe(Effect.provide(Fixture.text({ server: server.origin })))
    }))

  it.effect("runs out while the server's TLS handshake hangs: nothing was sent", () =>
    Effect.gen(function*() {
      let connected = () => {}
      const address = yield* serveRaw(() => connected())
      const arrived = Effect.callback<void>((resume) => {
        connected = () => resume(Effect.void)
      })
      const fiber = yield* Effect.forkChild(failure(`https://${address}`))
      yield* arrived
      yield* TestClock.adjust("10 seconds")
      assertIs(yield* Fiber.join(fiber), "Timeout", false, "nothing was sent")
    }))
})

describe("what cannot be sent", () => {
  it.effect("leaves room for what can", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(Fixture.ok)
      yield* Effect.gen(function*() {
        for (let times = 0; times < 20; times++) {
          const error = yield* Effect.flip(Fixture.send(Fixture.unsendable))
          assert.deepStrictEqual([error.reason._tag, error.outcomeUnknown], ["Unavailable", false], error.message)
        }
        yield* Fixture.send(Fixture.get)
      }).pipe(Effect.provide(Fixture.text({ server: server.origin })))
      assert.strictEqual(server.received.length, 1)
    }))
})
