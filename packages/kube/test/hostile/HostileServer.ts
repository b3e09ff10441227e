/** A server on loopback that answers whatever it is told to, byte for byte; and what is asked of it. All end with the scope. */
import { AnnotationStore, KubeAnnotationStore, ResourceRef, RetryPolicy } from "@kubelock/kube"
import { Effect, Layer, Schedule, type Scope, Stream } from "effect"
import * as net from "node:net"
import * as Fixture from "../KubeTransportFixtures.ts"

/** What is done with a connection when a request has come. */
export type Answer = (socket: net.Socket) => void

export interface HostileServer {
  readonly origin: string
  /** From now on. */
  readonly answer: (answer: Answer) => void
  /** How many requests have come. */
  readonly requests: () => number
}

export const make: Effect.Effect<HostileServer, never, Scope.Scope> = Effect.gen(function*() {
  let current: Answer = (socket) => socket.destroy()
  let requests = 0
  const sockets = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on("error", () => {})
    socket.on("close", () => sockets.delete(socket))
    socket.on("data", () => {
      requests++
      current(socket)
    })
  })
  const port = yield* Fixture.listen(server)
  yield* Effect.addFinalizer(() => Effect.sync(() => sockets.forEach((socket) => socket.destroy())))
  return {
    origin: `http://127.0.0.1:${port}`,
    answer: (answer) => {
      current = answer
    },
    requests: () => requests
  }
})

export const resource = ResourceRef.configMap({ namespace: "default", name: "locks" })

/** Writes the bytes, and ends the connection. */
export const says = (...bytes: ReadonlyArray<string | Buffer>): Answer => (socket) => {
  bytes.forEach((bytes) => socket.write(bytes))
  socket.end()
}

/** Writes the bytes, and breaks the connection. */
export const breaksAfter = (bytes: string | Buffer): Answer => (socket) =>
  void socket.write(bytes, () => socket.resetAndDestroy())

/** Writes for as long as anybody reads. */
export const saysForEver = (first: string, then: string): Answer => (socket) => {
  socket.write(first)
  // A write that has failed calls back before its socket counts as destroyed, and another would then fail likewise, without end.
  const more = (failed?: Error | null): void => void (failed || socket.destroyed || socket.write(then, more))
  more()
}

/** An answer of HTTP. */
export const http = (
  body: string | Buffer,
  { headers = [], status = "200 OK" }: { readonly headers?: ReadonlyArray<string>; readonly status?: string } = {}
): Buffer =>
  Buffer.concat([
    Buffer.from(
      [`HTTP/1.1 ${status}`, "Content-Type: application/json", `Content-Length: ${body.length}`, ...headers, "", ""]
        .join("\r\n"),
      "latin1"
    ),
    Buffer.from(body)
  ])

/** Tries nothing again. */
export const once: RetryPolicy.RetryPolicy = {
  ...RetryPolicy.defaults,
  conflict: Schedule.recurs(0),
  throttled: Schedule.recurs(0),
  unavailable: Schedule.recurs(0),
  timeout: Schedule.recurs(0)
}

const store = (server: HostileServer) =>
  KubeAnnotationStore.layer.pipe(Layer.provide(Fixture.text({ server: server.origin })))

/** What a store asks of a server, each once. */
export const asked = {
  get: Effect.flatMap(AnnotationStore, (store) => store.get(resource)),
  edit: Effect.flatMap(
    AnnotationStore,
    (store) => store.edit(resource, [{ key: "a", expected: undefined, value: "b" }])
  ),
  changes: Effect.flatMap(AnnotationStore, (store) => Stream.runHead(store.changes(resource, 1n)))
}

/** The store over this server, which tries nothing again. */
export const withStore = (server: HostileServer) => <A, E>(effect: Effect.Effect<A, E, AnnotationStore>) =>
  effect.pipe(Effect.provide(store(server)), Effect.provideService(RetryPolicy.RetryPolicy, once))
