/** Real servers, certificates, kubeconfigs and exec plugins for the transport's tests. All end with the test's scope. */
import type { KubeError } from "@kubelock/kube/KubeError"
import {
  type KubeRequest,
  type KubeResponse,
  KubeTransport,
  type KubeTransportOptions
} from "@kubelock/kube/KubeTransport"
import * as Certificates from "@kubelock/testing/Certificates"
import { Cause, Effect, Exit, Layer, type Scope } from "effect"
import * as fs from "node:fs"
import * as http from "node:http"
import * as https from "node:https"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { inspect } from "node:util"

export interface Received {
  readonly method: string
  readonly url: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
  readonly socket: net.Socket
}

export type Handler = (received: Received, response: http.ServerResponse) => void

export interface TestServer {
  readonly origin: string
  readonly port: number
  readonly received: ReadonlyArray<Received>
  readonly connections: ReadonlyArray<net.Socket>
  /** Resolves when as many requests have arrived. */
  readonly arrived: (count: number) => Effect.Effect<void>
}

/** An HTTP server on loopback, or an HTTPS one if there are TLS options. */
export const serve = (handler: Handler, tls?: https.ServerOptions): Effect.Effect<TestServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const received: Array<Received> = []
    const connections: Array<net.Socket> = []
    const waiters = new Set<() => void>()
    const listener: http.RequestListener = (request, response) => {
      const chunks: Array<Buffer> = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("end", () => {
        const { headers, method = "", socket, url = "" } = request
        const one = { method, url, headers, body: Buffer.concat(chunks).toString(), socket }
        received.push(one)
        waiters.forEach((waiter) => waiter())
        handler(one, response)
      })
    }
    const server = tls === undefined ? http.createServer(listener) : https.createServer(tls, listener)
    // It is the client who closes a connection, or nobody.
    server.keepAliveTimeout = 0
    server.on(tls === undefined ? "connection" : "secureConnection", (socket: net.Socket) => connections.push(socket))
    server.on("tlsClientError", () => {})
    const port = yield* listen(server)
    yield* Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections()))
    const arrived = (count: number) =>
      Effect.callback<void>((resume) => {
        const waiter = () => {
          if (received.length < count) return
          waiters.delete(waiter)
          resume(Effect.void)
        }
        waiters.add(waiter)
        waiter()
      })
    return {
      origin: `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
      port,
      received,
      connections,
      arrived
    }
  })

export const listen = (server: net.Server): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      })
    }),
    () => Effect.sync(() => server.close())
  )

export const json = (response: http.ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
}

export const ok: Handler = (_, response) => json(response, 200, { kind: "ConfigMap" })

export const unauthorized = (response: http.ServerResponse): void =>
  json(response, 401, { kind: "Status", status: "Failure", message: "Unauthorized", reason: "Unauthorized", code: 401 })

/** Accepts requests with this bearer token alone. */
export const onlyToken = (token: () => string): Handler => (received, response) =>
  received.headers.authorization === `Bearer ${token()}` ? ok(received, response) : unauthorized(response)

export const authority = await Effect.runPromise(Certificates.makeAuthority({ commonName: "transport tests" }))

export const otherAuthority = await Effect.runPromise(Certificates.makeAuthority({ commonName: "somebody else" }))

const issued = (names: { dnsNames: Array<string>; ipAddresses: Array<string> }) =>
  Effect.runPromise(Certificates.issueServer(authority, names))

const serverOptions = ({ certificatePem, privateKeyPem }: Certificates.Certificate): https.ServerOptions => ({
  cert: certificatePem,
  key: privateKeyPem
})

/** For a server that is reached as 127.0.0.1 or localhost. */
export const tls = serverOptions(await issued({ dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"] }))

/** For a server that is reached by a name that leads nowhere. */
export const tlsOfOtherName = serverOptions(await issued({ dnsNames: ["api.other.example"], ipAddresses: [] }))

export const base64 = (text: string): string => Buffer.from(text).toString("base64")

export const caData = base64(authority.certificatePem)

/** A kubeconfig with one context, `test`. JSON is YAML too. */
export const kubeconfig = (cluster: Record<string, unknown>, user?: Record<string, unknown>): string =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "the-cluster", cluster }],
    users: user === undefined ? [] : [{ name: "the-user", user }],
    contexts: [{ name: "test", context: { cluster: "the-cluster", ...user !== undefined && { user: "the-user" } } }],
    "current-context": "test"
  })

export const temporaryDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "kubelock-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)

export const write = (directory: string, name: string, text: string): string => {
  const file = path.join(directory, name)
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, text)
  return file
}

/**
 * An exec plugin that notes each of its runs, then runs the script: there, `run` says which run it is, and
 * `credential(status)` prints what a plugin prints.
 */
export const execPlugin = (directory: string, script: string) => {
  const log = write(directory, "runs", "")
  const file = write(
    directory,
    "plugin.mjs",
    `import * as fs from "node:fs"
     fs.appendFileSync(${JSON.stringify(log)}, "x")
     const run = fs.readFileSync(${JSON.stringify(log)}, "utf8").length
     const credential = (status) => console.log(JSON.stringify({
       apiVersion: "client.authentication.k8s.io/v1", kind: "ExecCredential", status
     }))
     ${script}`
  )
  return {
    user: { exec: { apiVersion: "client.authentication.k8s.io/v1", command: process.execPath, args: [file] } },
    runs: () => fs.readFileSync(log, "utf8").length
  }
}

export const get: KubeRequest = { method: "GET", path: "/api/v1/namespaces/default/configmaps/locks" }

/** A header may hold no line break. */
export const unsendable: KubeRequest = { method: "GET", path: "/none", headers: { "x-note": "two\nlines" } }

export const patch: KubeRequest = {
  ...get,
  method: "PATCH",
  headers: { "Content-Type": "application/json-patch+json" },
  body: "[]"
}

export const send = (request: KubeRequest): Effect.Effect<KubeResponse, KubeError, KubeTransport> =>
  Effect.flatMap(KubeTransport, (transport) => transport.request(request))

/** The layer for a kubeconfig given as text. */
export const text = (
  cluster: Record<string, unknown>,
  user?: Record<string, unknown>,
  options?: KubeTransportOptions
) => KubeTransport.layerText(kubeconfig(cluster, user), options)

/** Why a layer cannot be built. */
export const layerFailure = <E>(layer: Layer.Layer<KubeTransport, E>): Effect.Effect<E> =>
  Effect.flip(Effect.scoped(Layer.build(layer))).pipe(
    Effect.catchCause((cause) => Effect.die(new Error(`the layer was built: ${Cause.pretty(cause)}`)))
  )

/** All the ways in which an error may come to be seen. */
export const everythingShownOf = (error: unknown): string =>
  [
    String(error),
    error instanceof Error ? error.stack : "",
    JSON.stringify(error),
    inspect(error, { depth: Infinity, showHidden: true }),
    Cause.pretty(Cause.fail(error)),
    JSON.stringify(Exit.fail(error))
  ].join("\n")
