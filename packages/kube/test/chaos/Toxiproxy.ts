/** Toxiproxy, a TCP proxy that disturbs what it passes on: one process, one proxy per worker. */
import { NodeHttpClient } from "@effect/platform-node"
import { Context, Effect, Layer, Schedule, Schema, type Scope } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { ChildProcess, type ChildProcessSpawner } from "effect/process"
import * as net from "node:net"

export class ToxiproxyFailed extends Schema.TaggedError<ToxiproxyFailed>()("ToxiproxyFailed", {
  message: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {}

/** What a connection suffers, and in which direction: from the worker to the API server is `upstream`. */
export interface Toxic {
  readonly type: "latency" | "timeout" | "reset_peer" | "limit_data" | "slow_close"
  readonly stream: "upstream" | "downstream"
  readonly attributes: Readonly<Record<string, number>>
}

export interface Proxy {
  /** Where it listens, as `127.0.0.1:34567`. */
  readonly address: string
  /** Connections, also those that are open, suffer this until the scope closes. */
  readonly suffer: (toxics: ReadonlyArray<Toxic>) => Effect.Effect<void, ToxiproxyFailed, Scope.Scope>
  /** Closes every connection. */
  readonly cut: Effect.Effect<void, ToxiproxyFailed>
}

const host = "127.0.0.1"

// The program's standard input is a pipe from this process: it ends when this process does, however that dies.
const supervisor = `
exec 3<&0
"$@" </dev/null >/dev/null 2>&1 3<&- &
program=$!
trap 'kill -KILL "$program"; wait; exit 143' TERM
{ read -r _; kill -TERM $$; } <&3 &
wait "$program"
`

const freePort = Effect.callback<number>((resume) => {
  const server = net.createServer()
  server.listen(0, host, () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

const Listening = Schema.Struct({ listen: Schema.String })

export class Toxiproxy extends Context.Service<Toxiproxy, {
  /** A proxy to this address, until the scope closes. */
  readonly proxy: (name: string, upstream: string) => Effect.Effect<Proxy, ToxiproxyFailed, Scope.Scope>
}>()("@kubelock/kube/test/Toxiproxy") {
  /** Runs the program as long as the layer's scope. */
  static readonly layer = (
    program: string
  ): Layer.Layer<Toxiproxy, ToxiproxyFailed, ChildProcessSpawner.ChildProcessSpawner> =>
    Layer.provide(Layer.effect(Toxiproxy, make(program)), NodeHttpClient.layerUndici)
}

const make = Effect.fnUntraced(function*(program: string) {
  const failed = (what: string) =>
    Effect.mapError((cause: unknown) => new ToxiproxyFailed({ message: `Toxiproxy: ${what}: ${String(cause)}`, cause }))

  const port = yield* freePort
  yield* ChildProcess.make("sh", ["-c", supervisor, "supervisor", program, "-host", host, "-port", String(port)], {
    stdout: "ignore",
    stderr: "inherit",
    extendEnv: true
  }).pipe(failed(`${program} could not be started`))
  const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
  const ask = (method: "GET" | "POST" | "DELETE", path: string, body?: object) => {
    const bare = HttpClientRequest.make(method)(`http://${host}:${port}${path}`)
    return client.execute(body === undefined ? bare : HttpClientRequest.bodyJsonUnsafe(bare, body)).pipe(
      Effect.flatMap((response) => response.text),
      failed(`${method} ${path}`)
    )
  }
  yield* ask("GET", "/version").pipe(Effect.retry({ schedule: Schedule.spaced(50), times: 100 }))

  const proxy = Effect.fnUntraced(function*(name: string, upstream: string) {
    const path = `/proxies/${name}`
    const made = yield* Effect.acquireRelease(
      ask("POST", "/proxies", { name, listen: `${host}:0`, upstream, enabled: true }),
      () => Effect.ignore(ask("DELETE", path))
    )
    const { listen } = yield* Schema.decodeEffect(Schema.fromJsonString(Listening))(made).pipe(failed(path))
    return {
      address: listen,
      suffer: Effect.fnUntraced(function*(toxics: ReadonlyArray<Toxic>) {
        for (const toxic of toxics) {
          const name = `${toxic.type}-${toxic.stream}`
          yield* Effect.acquireRelease(
            ask("POST", `${path}/toxics`, { name, ...toxic }),
            () => Effect.ignore(ask("DELETE", `${path}/toxics/${name}`))
          )
        }
      }),
      cut: Effect.andThen(
        ask("POST", path, { listen, upstream, enabled: false }),
        ask("POST", path, { listen, upstream, enabled: true })
      ).pipe(Effect.asVoid)
    }
  })
  return Toxiproxy.of({ proxy })
})
