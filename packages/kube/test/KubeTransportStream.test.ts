import { assert, describe, it } from "@effect/vitest"
import { type KubeError, KubeTransport } from "@kubelock/kube"
import { Duration, Effect, Exit, Fiber, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { ServerResponse } from "node:http"
import type * as net from "node:net"
import * as Fixture from "./KubeTransportFixtures.ts"

const linesOf = (request = Fixture.get) =>
  Stream.unwrap(Effect.map(KubeTransport, (transport) => transport.stream(request)))

const collected = (server: string, request = Fixture.get) =>
  Effect.map(Stream.runCollect(linesOf(request)), (lines) => [...lines]).pipe(
    Effect.provide(Fixture.text({ server }))
  )

const failure = Effect.fnUntraced(function*(server: string) {
  const error = yield* Effect.flip(Stream.runDrain(linesOf())).pipe(Effect.provide(Fixture.text({ server })))
  if (error._tag !== "KubeError") return yield* error
  return error
})

const closed = (socket: net.Socket | undefined) =>
  Effect.callback<void>((resume) => {
    if (socket === undefined || socket.closed) resume(Effect.void)
    else socket.once("close", () => resume(Effect.void))
  })

/** Writes pieces so that each arrives by itself. */
const inPieces = (pieces: ReadonlyArray<Buffer | string>): Fixture.Handler => ({ socket }, response) => {
  socket.setNoDelay(true)
  const [first, ...rest] = pieces
  if (first === undefined) response.end()
  else response.write(first, () => setImmediate(() => inPieces(rest)({ socket } as Fixture.Received, response)))
}

describe("a stream", () => {
  it.effect("gives the lines of an answer as they come, wherever it is torn", () =>
    Effect.gen(function*() {
      const text = Buffer.from("é😀 one\n\ntwo\nthree\ncut off")
      for (const size of [1, 3, 7, text.length]) {
        const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, index) =>
          text.subarray(index * size, (index + 1) * size))
        const server = yield* Fixture.serve(inPieces(pieces))
        assert.deepStrictEqual(yield* collected(server.origin), ["é😀 one", "", "two", "three"])
      }
    }))

  it.effect("gives a line while the answer goes on", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve((_, response) => void response.write("one\ntw"))
      const lines = yield* Stream.runCollect(Stream.take(linesOf(), 1)).pipe(
        Effect.provide(Fixture.text({ server: server.origin }))
      )
      assert.deepStrictEqual([...lines], ["one"])
    }))

  it.effect("waits for the answer where hints of it come first", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve((_, response) => {
        response.writeEarlyHints({ link: "</style.css>; rel=preload" })
        response.end("one\n")
      })
      assert.deepStrictEqual(yield* collected(server.origin), ["one"])
    }))

  it.effect("sends what a request sends", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve((_, response) => response.end("one\n"))
      yield* collected(server.origin, { ...Fixture.get, query: { watch: "true" }, headers: { Accept: "text/plain" } })
      assert.strictEqual(server.received[0]?.url, `${Fixture.get.path}?watch=true`)
      assert.strictEqual(server.received[0]?.headers.accept, "text/plain")
    }))

  it.effect.each([[403, "Forbidden"], [410, "Invalid"], [429, "Throttled"], [503, "Unavailable"]] as const)(
    "fails with the answer's own error: HTTP %i",
    ([status, reason]) =>
      Effect.gen(function*() {
        const server = yield* Fixture.serve((_, response) =>
          Fixture.json(response, status, { kind: "Status", message: "because" })
        )
        const error = yield* failure(server.origin)
        assert.deepStrictEqual([error.reason._tag, error.status], [reason, status])
        assert.include(error.message, "because")
      })
  )

  it.effect("asks for credentials again after a 401, once", () =>
    Effect.gen(function*() {
      const directory = yield* Fixture.temporaryDirectory
      const plugin = Fixture.execPlugin(directory, "credential({ token: `token-${run}` })")
      const server = yield* Fixture.serve((received, response) => {
        if (received.headers.authorization === "Bearer token-2") response.end("one\n")
        else Fixture.unauthorized(response)
      }, Fixture.tls)
      const layer = Fixture.text({ server: server.origin, "certificate-authority-data": Fixture.caData }, plugin.user)
      const lines = yield* Stream.runCollect(linesOf()).pipe(Effect.provide(layer))
      assert.deepStrictEqual([...lines], ["one"])
      assert.deepStrictEqual(server.received.map(({ headers }) => headers.authorization), [
        "Bearer token-1",
        "Bearer token-2"
      ])
      const refusing = yield* Fixture.serve((_, response) => Fixture.unauthorized(response), Fixture.tls)
      const error = yield* Effect.flip(Stream.runDrain(linesOf())).pipe(
        Effect.provide(
          Fixture.text({ server: refusing.origin, "certificate-authority-data": Fixture.caData }, plugin.user)
        )
      )
      assert.strictEqual(error.reason._tag, "Unauthorized")
      assert.strictEqual(refusing.received.length, 2)
    }))

  it.effect("has time until its answer begins, and then as long as it takes", () =>
    Effect.gen(function*() {
      const answers = yield* Queue.unbounded<() => void>()
      const server = yield* Fixture.serve((_, response) => {
        Queue.offerUnsafe(answers, () => void response.write("one\n"))
      })
      yield* Effect.gen(function*() {
        const late = yield* Effect.forkChild(Effect.flip(Stream.runDrain(linesOf())), { startImmediately: true })
        yield* Queue.take(answers)
        const closing = yield* Effect.forkChild(closed(server.connections[0]), { startImmediately: true })
        yield* TestClock.adjust("10 seconds")
        const error = yield* Fiber.join(late)
        assert.strictEqual(error.reason._tag, "Timeout")
        yield* Fiber.join(closing)

        const lines = yield* Queue.unbounded<string>()
        yield* Effect.forkChild(Stream.runForEach(linesOf(), (line) => Queue.offer(lines, line)))
        const answer = yield* Queue.take(answers)
        answer()
        yield* Queue.take(lines)
        yield* TestClock.adjust("1 hour")
        answer()
        assert.strictEqual(yield* Queue.take(lines), "one")
      }).pipe(Effect.provide(Fixture.text({ server: server.origin })))
    }))

  it.effect("fails when its connection breaks, after what was said before", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(({ socket }, response) => {
        response.write("one\ntw", () => socket.destroy())
      })
      const heard: Array<string> = []
      const error = yield* Effect.flip(Stream.runForEach(linesOf(), (line) => Effect.sync(() => heard.push(line))))
        .pipe(
          Effect.provide(Fixture.text({ server: server.origin }))
        )
      assert.deepStrictEqual(heard, ["one"])
      assert.strictEqual(error.reason._tag, "Unavailable")
      assert.include(error.message, "broke before the answer was complete")
    }))

  it.effect("refuses a line without end", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve((_, response) => {
        const more = () => void response.write("x".repeat(1024 * 1024), (error) => error ?? more())
        more()
      })
      const error = yield* failure(server.origin)
      assert.strictEqual(error.reason._tag, "Unavailable")
      assert.include(error.message, "is longer than 8388608 bytes")
    }))

  it.effect("takes nothing more off the connection while nobody takes its lines", () =>
    Effect.gen(function*() {
      let written = 0
      const server = yield* Fixture.serve((_, response) => {
        const line = `${"x".repeat(64 * 1024 - 1)}\n`
        const more = () => {
          if (written >= 128 * 1024 * 1024) return
          written += line.length
          if (response.write(line)) more()
        }
        response.on("drain", more)
        more()
      })
      yield* Effect.gen(function*() {
        const first = yield* Queue.unbounded<string>()
        const fiber = yield* linesOf().pipe(
          Stream.runForEach((line) => Effect.andThen(Queue.offer(first, line), Effect.never)),
          Effect.forkChild
        )
        yield* Queue.take(first)
        // Until the system's buffers are full.
        let before: number
        do {
          before = written
          yield* TestClock.withLive(Effect.sleep("100 millis"))
        } while (written > before)
        assert.isBelow(written, 64 * 1024 * 1024)
        yield* Fiber.interrupt(fiber)
      }).pipe(Effect.provide(Fixture.text({ server: server.origin })))
    }))

  it.effect("fails once nothing has come for as long as its request allows, and closes its connection", () =>
    Effect.gen(function*() {
      const pieces: Array<(piece: string) => void> = []
      const server = yield* Fixture.serve((_, response) => {
        response.write("one\n")
        pieces.push((piece) => response.write(piece))
      })
      yield* Effect.gen(function*() {
        const lines = yield* Queue.unbounded<string>()
        const fiber = yield* Effect.forkChild(
          linesOf({ ...Fixture.get, silenceAtMost: Duration.seconds(45) }).pipe(
            Stream.runForEach((line) => Queue.offer(lines, line)),
            Effect.flip
          )
        )
        yield* Queue.take(lines)
        yield* TestClock.adjust("30 seconds")
        pieces[0]!("two\n")
        yield* Queue.take(lines)
        yield* TestClock.adjust("44999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        const error = yield* Fiber.join(fiber)
        if (error._tag !== "KubeError") return yield* error
        assert.deepStrictEqual([error.reason._tag, error.outcomeUnknown], ["Timeout", false])
        assert.include(error.message, "said nothing for 45s")
        yield* closed(server.connections[0])
      }).pipe(Effect.provide(Fixture.text({ server: server.origin })))
    }))

  it.effect("does not take for silence that nobody reads", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve((_, response) => void response.write("one\ntwo\n"))
      yield* Effect.gen(function*() {
        const busy = yield* Queue.unbounded<string>()
        const fiber = yield* Effect.forkChild(
          linesOf({ ...Fixture.get, silenceAtMost: Duration.seconds(45) }).pipe(
            Stream.runForEach((line) => Effect.andThen(Queue.offer(busy, line), Effect.sleep("1 minute")))
          )
        )
        assert.strictEqual(yield* Queue.take(busy), "one")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* Queue.take(busy), "two")
        yield* TestClock.adjust("104999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        assert.isTrue(Exit.isFailure(yield* Fiber.await(fiber)))
      }).pipe(Effect.provide(Fixture.text({ server: server.origin })))
    }))

  it.effect("is as long as it takes where its request allows silence without end", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve((_, response) => response.end("one\n"))
      const lines = yield* collected(server.origin, { ...Fixture.get, silenceAtMost: Duration.infinity })
      assert.deepStrictEqual(lines, ["one"])
    }))

  it.effect.each([0n, 100n])(
    "fails as silent though the clock cannot count the %i ns that its request allows",
    (nanos) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(Date.UTC(2026, 0, 2))
        const server = yield* Fixture.serve((_, response) => void response.write("one\n"))
        yield* Effect.gen(function*() {
          const lines = yield* Queue.unbounded<string>()
          const fiber = yield* Effect.forkChild(
            linesOf({ ...Fixture.get, silenceAtMost: Duration.nanos(nanos) }).pipe(
              Stream.runForEach((line) => Queue.offer(lines, line)),
              Effect.flip
            )
          )
          assert.strictEqual(yield* Queue.take(lines), "one")
          yield* Effect.repeat(TestClock.adjust("1 millis"), {
            until: () => fiber.pollUnsafe() !== undefined,
            times: 10
          })
          const error = yield* Fiber.join(fiber)
          assert.strictEqual(error._tag === "KubeError" && error.reason._tag, "Timeout")
        }).pipe(Effect.provide(Fixture.text({ server: server.origin })))
      })
  )

  it.effect("goes on though its reader has just been refused another answer, as too long", () =>
    Effect.gen(function*() {
      const watches: Array<ServerResponse> = []
      const server = yield* Fixture.serve((received, response) => {
        if (received.url.includes("watch")) {
          watches.push(response)
          response.write("one\n")
          return
        }
        response.on("error", () => {})
        const answer = () => void response.writeHead(200).end(Buffer.alloc(9 * 1024 * 1024, "x"))
        if (server.received.length > 2) answer()
        // Arrives while nobody reads.
        else watches[0]!.write("two\n", () => setTimeout(answer, 50))
      })
      yield* Effect.gen(function*() {
        const transport = yield* KubeTransport
        const heard: Array<string> = []
        yield* transport.stream({ ...Fixture.get, query: { watch: "true" } }).pipe(
          Stream.runForEach((line) => {
            heard.push(line)
            if (line === "two") setTimeout(() => watches[0]!.end("three\n"), 50)
            return line === "three" ? Effect.void : Effect.flip(transport.request(Fixture.get))
          })
        )
        assert.deepStrictEqual(heard, ["one", "two", "three"])
      }).pipe(Effect.provide(Fixture.text({ server: server.origin })))
    }))

  it.effect("closes its connection at once when it is ended or interrupted, and keeps one that was read to its end", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve((received, response) => {
        if (received.url.includes("watch")) response.write("one\n")
        else response.end("one\n")
      })
      const watch = linesOf({ ...Fixture.get, query: { watch: "true" } })
      yield* Effect.gen(function*() {
        yield* Stream.runDrain(Stream.take(watch, 1))
        yield* closed(server.connections[0])
        const fiber = yield* Effect.forkChild(Stream.runDrain(watch), { startImmediately: true })
        yield* server.arrived(2)
        yield* Fiber.interrupt(fiber)
        yield* closed(server.connections[1])
        for (let round = 0; round < 3; round++) yield* Stream.runDrain(linesOf())
        assert.strictEqual(server.connections.length, 3)
      }).pipe(Effect.provide(Fixture.text({ server: server.origin })))
      yield* closed(server.connections[2])
    }))

  it.effect("sends nothing, or closes what it sent, whenever it is interrupted", () =>
    Effect.gen(function*() {
      let open = 0
      const server = yield* Fixture.serve((_, response) => {
        open++
        response.on("close", () => open--)
        response.write("one\n")
      })
      yield* Effect.gen(function*() {
        const turn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
        // By microtasks one meets those, too, that have no connection yet.
        for (const pause of [Effect.promise(() => Promise.resolve()), turn]) {
          for (let pauses = 0; pauses < 16; pauses++) {
            const fiber = yield* Effect.forkChild(Stream.runDrain(linesOf()), { startImmediately: true })
            for (let done = 0; done < pauses; done++) yield* pause
            yield* Fiber.interrupt(fiber)
          }
        }
        // The last of them has overtaken all others that were still on their way.
        yield* Stream.runDrain(Stream.take(linesOf(), 1))
        yield* Effect.repeat(turn, { until: () => open === 0 })
      }).pipe(Effect.provide(Fixture.text({ server: server.origin })))
      assert.isAbove(server.received.length, 1)
    }))

  it.effect("leaves requests their connections, however many there are", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve((received, response) => {
        if (received.url.includes("watch")) response.write("one\n")
        else Fixture.ok(received, response)
      })
      yield* Effect.gen(function*() {
        const lines = yield* Queue.unbounded<string>()
        const fibers = yield* Effect.forEach(
          Array.from({ length: 40 }),
          () =>
            Effect.forkChild(
              Stream.runForEach(
                linesOf({ ...Fixture.get, query: { watch: "true" } }),
                (line) => Queue.offer(lines, line)
              )
            )
        )
        yield* Queue.takeN(lines, 40)
        assert.strictEqual((yield* Fixture.send(Fixture.get)).status, 200)
        yield* Fiber.interruptAll(fibers)
      }).pipe(Effect.provide(Fixture.text({ server: server.origin })))
      yield* Effect.forEach(server.connections, closed, { discard: true })
      assert.strictEqual(server.connections.length, 41)
    }))

  it.effect("ends with the layer", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve((_, response) => void response.write("one\n"))
      const exits = yield* Queue.unbounded<Exit.Exit<void, KubeError>>()
      yield* Effect.gen(function*() {
        const { stream } = yield* KubeTransport
        const lines = yield* Queue.unbounded<string>()
        yield* Stream.runForEach(stream(Fixture.get), (line) => Queue.offer(lines, line)).pipe(
          Effect.exit,
          Effect.flatMap((exit) => Queue.offer(exits, exit)),
          Effect.forkDetach
        )
        yield* Queue.take(lines)
      }).pipe(Effect.provide(Fixture.text({ server: server.origin })))
      assert.isTrue(Exit.isFailure(yield* Queue.take(exits)))
      yield* closed(server.connections[0])
    }))
})
