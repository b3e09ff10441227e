import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Layer, Queue, Scope } from "effect"
import * as net from "node:net"
import process from "node:process"
import { listen } from "../KubeTransportFixtures.ts"
import * as ConnectionFault from "./ConnectionFault.ts"
import { Toxiproxy } from "./Toxiproxy.ts"

/** What one end of a connection sees: what the other says, that it says no more, and how the connection was closed. */
const seen = (socket: net.Socket) => {
  const events = Effect.runSync(Queue.unbounded<string>())
  const see = (event: string) => () => void Queue.offerUnsafe(events, event)
  socket.on("data", (data) => see(String(data))())
  socket.on("end", see("end")).on("error", (error) => see(String("code" in error ? error.code : error))())
  return { socket, next: Queue.take(events), all: Queue.clear(events) }
}

const world = Effect.gen(function*() {
  const { proxy } = yield* Toxiproxy
  const accepted = yield* Queue.unbounded<ReturnType<typeof seen>>()
  const server = net.createServer((socket) => void Queue.offerUnsafe(accepted, seen(socket)))
  const port = yield* listen(server)
  const through = yield* proxy(`proxy-${port}`, `127.0.0.1:${port}`)
  const connect = Effect.gen(function*() {
    const [host = "", at = ""] = through.address.split(":")
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => net.connect(Number(at), host)),
      (socket) => Effect.sync(() => socket.destroy())
    )
    return seen(socket)
  })
  const pair = Effect.gen(function*() {
    const client = yield* connect
    const peer = yield* Queue.take(accepted)
    yield* Effect.addFinalizer(() => Effect.sync(() => peer.socket.destroy()))
    return { client, peer }
  })
  const suffer = (kind: ConnectionFault.Kind, share: number) =>
    Effect.gen(function*() {
      const scope = yield* Effect.flatMap(Effect.scope, Scope.fork)
      yield* Scope.provide(ConnectionFault.suffer(through, kind, share), scope)
      return { heal: Scope.close(scope, Exit.void) }
    })
  return { connect, pair, suffer }
})

const services = Layer.provideMerge(Toxiproxy.layer(process.env["KUBELOCK_TOXIPROXY"] ?? ""), NodeServices.layer)

layer(services, { excludeTestServices: true })("a connection", (it) => {
  it.effect("says everything late where it is delayed", () =>
    Effect.gen(function*() {
      const { pair, suffer } = yield* world
      const { client, peer } = yield* pair
      yield* suffer("Delay", 0)
      client.socket.write("a")
      assert.strictEqual(yield* peer.next, "a")
      peer.socket.write("b")
      assert.strictEqual(yield* client.next, "b")
    }))

  it.effect("is closed where it is cut, and a new one is reset as soon as something is said", () =>
    Effect.gen(function*() {
      const { connect, pair, suffer } = yield* world
      const { client, peer } = yield* pair
      yield* suffer("Cut", 0)
      assert.strictEqual(yield* client.next, "end")
      assert.strictEqual(yield* peer.next, "end")
      const another = yield* connect
      another.socket.write("a")
      assert.strictEqual(yield* another.next, "ECONNRESET")
    }))

  it.effect("ends for the server alone where it is half closed", () =>
    Effect.gen(function*() {
      const { pair, suffer } = yield* world
      const { client, peer } = yield* pair
      const { heal } = yield* suffer("HalfClose", 0)
      client.socket.write("a")
      assert.strictEqual(yield* peer.next, "end")
      assert.isTrue(client.socket.writable)
      assert.deepStrictEqual(yield* client.all, [])
      yield* heal
      assert.strictEqual(yield* client.next, "end")
    }))

  it.effect.each([
    { share: 0, swallowed: ["a", "b"] },
    { share: 0.5, swallowed: ["a"] },
    { share: 0.9, swallowed: ["b"] }
  ])("swallows $swallowed in a black hole", ({ share, swallowed }) =>
    Effect.gen(function*() {
      const { pair, suffer } = yield* world
      const { client, peer } = yield* pair
      const { heal } = yield* suffer("BlackHole", share)
      client.socket.write("a")
      peer.socket.write("b")
      const heard: Array<string> = []
      if (!swallowed.includes("a")) heard.push(yield* peer.next)
      if (!swallowed.includes("b")) heard.push(yield* client.next)
      assert.deepStrictEqual(heard, ["a", "b"].filter((said) => !swallowed.includes(said)))
      // It is not worth much afterwards.
      yield* heal
      assert.strictEqual(yield* (swallowed.includes("a") ? peer : client).next, "end")
    }))
})
