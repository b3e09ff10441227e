/**
 * A Kubernetes API server for tests: real HTTP on loopback, objects in memory, faults on demand, as a Layer.
 *
 * **Details**
 *
 * It answers GET, LIST, WATCH, POST, PUT, PATCH and DELETE of the common built-in kinds, and of custom ones once they are
 * registered (or their CustomResourceDefinition is created), with the status codes, reasons and details of a real
 * kube-apiserver; metadata-only answers, discovery for kubectl, TLS and a bearer token are there too. Tests reach past HTTP
 * to put objects in place, to make things go wrong (`inject`, see `Faults`), and to read what was asked (`requests`).
 *
 * All waiting (latency, watch timeouts, bookmarks) is on Effect's clock, and so is what the server says of the time (creation
 * timestamps, the `Date` of an answer). Closing the layer's scope ends everything at once:
 * open watches, hung requests and idle connections too.
 *
 * **Gotchas**
 *
 * Objects are not validated beyond their metadata, no controller runs, `limit` is ignored, `managedFields` are not kept, a
 * strategic merge patch is taken for a merge patch, and there is no Server-Side Apply. Messages that quote Go's JSON decoder
 * come near, but are not the same letter for letter. Deleting a namespace removes it and all that is in it at once.
 *
 * **Example** (A server that refuses the first request)
 *
 * ```ts
 * import { Faults, KubeApiServer } from "@kubelock/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* KubeApiServer
 *   yield* server.put({ apiVersion: "v1", kind: "ConfigMap", metadata: { namespace: "default", name: "a" } })
 *   yield* server.inject(Faults.serviceUnavailable({ path: "/api/v1/namespaces/default/configmaps" }))
 *
 *   const get = Effect.promise(() => fetch(`${server.url}/api/v1/namespaces/default/configmaps/a`))
 *   const first = yield* get
 *   const second = yield* get
 *   return [first.status, second.status]
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(KubeApiServer.layer()))) // => [503, 200]
 * ```
 *
 * @since 0.1.0
 */
import { NodeHttpServer, NodeHttpServerRequest } from "@effect/platform-node"
import {
  Context,
  DateTime,
  Deferred,
  Duration,
  Effect,
  Layer,
  Option,
  Predicate,
  PubSub,
  Random,
  Ref,
  Result,
  Schema,
  Stream,
  Struct,
  SubscriptionRef
} from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import * as Http from "node:http"
import * as Https from "node:https"
import type { Socket } from "node:net"
import * as Certificates from "./Certificates.ts"
import type { Fault, FaultRequest } from "./Faults.ts"
import * as Faults from "./Faults.ts"
import * as Discovery from "./internal/Discovery.ts"
import * as Json from "./internal/Json.ts"
import * as Kubeconfig from "./internal/Kubeconfig.ts"
import * as Protobuf from "./internal/Protobuf.ts"
import * as Registry from "./internal/Registry.ts"
import * as Representation from "./internal/Representation.ts"
import * as Route from "./internal/Route.ts"
import * as Selector from "./internal/Selector.ts"
import * as WriteOptions from "./internal/WriteOptions.ts"
import type { KubeObject, KubeObjectInput, ObjectId } from "./KubeObject.ts"
import * as ObjectStore from "./ObjectStore.ts"
import type { ResourceType } from "./ResourceType.ts"
import * as Status from "./Status.ts"

/**
 * One request that the server met.
 *
 * @category models
 * @since 0.1.0
 */
export interface RequestLogEntry {
  /** The User-Agent header, or the empty string. */
  readonly client: string
  /** In upper case, as `PATCH`. */
  readonly method: string
  /** The path without the query. */
  readonly path: string
  /** The query without its question mark. */
  readonly query: string
  /** The answer's status code; `pending` until there is one, `dropped` if the connection ended without one. */
  readonly status: number | "pending" | "dropped"
  /** The request's body, of a long one the first 16384 characters. */
  readonly requestBody: string
  /** The length of the request's body, in bytes. */
  readonly requestBytes: number
  /** The length of the answer's body, in bytes; of a watch, what was sent so far. */
  readonly responseBytes: number
}

/**
 * What one client has sent and got, since the server started or its requests were forgotten.
 *
 * @category models
 * @since 0.1.0
 */
export interface Traffic {
  /** How many requests. */
  readonly requests: number
  /** The length of their bodies together, in bytes. */
  readonly requestBytes: number
  /** The length of the answers' bodies together, in bytes. */
  readonly responseBytes: number
}

/**
 * The server could not be started, most likely because the port is taken.
 *
 * **Example** (A port that is taken)
 *
 * ```ts
 * import { KubeApiServer, ServerNotStarted } from "@kubelock/testing"
 * import { Effect, Layer } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const { url } = yield* KubeApiServer
 *   return yield* Effect.flip(Layer.launch(Layer.fresh(KubeApiServer.layer({ port: Number(new URL(url).port) }))))
 * })
 *
 * const error = await Effect.runPromise(program.pipe(Effect.provide(KubeApiServer.layer())))
 * error instanceof ServerNotStarted // => true
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export class ServerNotStarted extends Schema.TaggedError<ServerNotStarted>()("ServerNotStarted", {
  message: Schema.String,
  cause: Schema.Defect()
}) {}

/**
 * The server refused what was asked of it directly, for the reason that the Status gives.
 *
 * **Example** (An object that is not there)
 *
 * ```ts
 * import { KubeApiServer, RequestRefused } from "@kubelock/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* KubeApiServer
 *   return yield* Effect.flip(server.get({ apiVersion: "v1", kind: "Node", name: "n1" }))
 * })
 *
 * const error = await Effect.runPromise(program.pipe(Effect.provide(KubeApiServer.layer())))
 * error instanceof RequestRefused // => true
 * error.message // => 'nodes "n1" not found'
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export class RequestRefused extends Schema.TaggedError<RequestRefused>()("RequestRefused", {
  message: Schema.String,
  /** The Kubernetes Status, as it would have been sent over HTTP. */
  status: Schema.declare(Status.isStatus)
}) {}

/**
 * How a server is started.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The TCP port on loopback. Defaults to a free one. */
  readonly port?: number | undefined
  /**
   * Whether to speak TLS, with a certificate of an authority made for the occasion. Defaults to true where there is a `token`, which
   * kubectl and others do not send over plain HTTP, and to false where there is none.
   */
  readonly tls?: boolean | undefined
  /** The bearer token that every request must carry. Defaults to none: everybody may do everything. */
  readonly token?: string | undefined
  /** Resource types to know beside the built-in ones. Defaults to none. */
  readonly resources?: ReadonlyArray<ResourceType> | undefined
  /** How many events to remember for watches. Defaults to 1024. */
  readonly maxHistory?: number | undefined
}

/**
 * A running API server, reached past HTTP: what a test puts in place, lets go wrong, and wants to know.
 *
 * What names an object fails with `RequestRefused` where a request over HTTP would have been refused.
 *
 * **Example** (Objects of a type of one's own)
 *
 * ```ts
 * import { KubeApiServer } from "@kubelock/testing"
 * import { Effect } from "effect"
 *
 * const cronTab = { apiVersion: "stable.example.com/v1", kind: "CronTab", namespace: "default", name: "nightly" }
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* KubeApiServer
 *   yield* server.register({
 *     group: "stable.example.com",
 *     version: "v1",
 *     resource: "crontabs",
 *     kind: "CronTab",
 *     namespaced: true
 *   })
 *   const { apiVersion, kind, ...metadata } = cronTab
 *   yield* server.put({ apiVersion, kind, metadata, spec: { cron: "0 3 * * *" } })
 *   const { spec } = yield* server.get(cronTab)
 *   yield* server.delete(cronTab)
 *   return spec
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(KubeApiServer.layer()))) // => { cron: "0 3 * * *" }
 * ```
 *
 * **Example** (What was asked, and by whom)
 *
 * ```ts
 * import { Faults, KubeApiServer } from "@kubelock/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* KubeApiServer
 *   const get = Effect.promise(() => fetch(`${server.url}/readyz`, { headers: { "user-agent": "me" } }))
 *   yield* server.inject(Faults.serviceUnavailable({ count: Infinity }))
 *   yield* get
 *   yield* server.clearFaults
 *   yield* get
 *   const statuses = (yield* server.requests).map(({ status }) => status)
 *   const { requests } = (yield* server.traffic).get("me")!
 *   yield* server.clearRequests
 *   return { statuses, requests, left: (yield* server.requests).length }
 * })
 *
 * const asked = await Effect.runPromise(program.pipe(Effect.provide(KubeApiServer.layer())))
 * asked // => { statuses: [503, 200], requests: 2, left: 0 }
 * ```
 *
 * **Example** (What becomes of a watch)
 *
 * ```ts
 * import { KubeApiServer } from "@kubelock/testing"
 * import { Effect, Stream } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* KubeApiServer
 *   const watch = Stream.unwrap(Effect.map(
 *     Effect.promise(() => fetch(`${server.url}/api/v1/configmaps?watch=true&allowWatchBookmarks=true&resourceVersion=1`)),
 *     ({ body }) => Stream.fromReadableStream({ evaluate: () => body!, onError: String })
 *   )).pipe(Stream.decodeText(), Stream.splitLines, Stream.map((line) => JSON.parse(line).type))
 *
 *   yield* server.put({ apiVersion: "v1", kind: "ConfigMap", metadata: { namespace: "default", name: "a" } })
 *   const seen = yield* watch.pipe(
 *     Stream.tap((type) => type === "ADDED" ? server.sendBookmarks : server.cutWatches),
 *     Stream.runCollect
 *   )
 *   yield* server.expireHistory
 *   return [...seen, ...(yield* Stream.runCollect(watch))]
 * })
 *
 * const seen = await Effect.runPromise(program.pipe(Effect.provide(KubeApiServer.layer())))
 * seen // => ["ADDED", "BOOKMARK", "ERROR"]
 * ```
 *
 * **Example** (A token that is replaced by another)
 *
 * ```ts
 * import { KubeApiServer } from "@kubelock/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* KubeApiServer
 *   const get = Effect.promise(() => fetch(`${server.url}/api/v1/nodes`, { headers: { authorization: "Bearer old" } }))
 *   const before = yield* get
 *   yield* server.setToken("new")
 *   const after = yield* get
 *   return [before.status, after.status]
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(KubeApiServer.layer({ tls: false, token: "old" })))) // => [200, 401]
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class KubeApiServer extends Context.Service<KubeApiServer, {
  /** Where it listens, as `http://127.0.0.1:34567`. */
  readonly url: string
  /** The text of a kubeconfig for it, with the token that it was started with; over TLS without one, with any. */
  readonly kubeconfig: string
  /** The certificate of the authority behind its own, as PEM; undefined without TLS. */
  readonly caCertificate: string | undefined
  /** The token that it was started with, if any. */
  readonly token: string | undefined
  /** Makes another resource type known, from now on. One of the same group, version and plural name is replaced. */
  readonly register: (type: ResourceType) => Effect.Effect<void>
  /**
   * Creates an object, or replaces the one of the same name whatever its resourceVersion; yields it as stored. Its namespace must be
   * there, as `default` is from the start.
   */
  readonly put: (object: KubeObjectInput) => Effect.Effect<KubeObject, RequestRefused>
  /** The whole object as stored, also what a client with a metadata-only request does not see. */
  readonly get: (id: ObjectId) => Effect.Effect<KubeObject, RequestRefused>
  /** Deletes an object. One with finalizers stays until they are removed. */
  readonly delete: (id: ObjectId) => Effect.Effect<void, RequestRefused>
  /** Lets something go wrong from now on: see `Faults`. */
  readonly inject: (fault: Fault) => Effect.Effect<void>
  /** Lets nothing more go wrong. What hangs already goes on hanging. */
  readonly clearFaults: Effect.Effect<void>
  /** From now on a watch from an older resourceVersion is answered with `410 Expired`. Those that are open go on. */
  readonly expireHistory: Effect.Effect<void>
  /** Ends all open watches, as if their time were up. Others may be opened at once. */
  readonly cutWatches: Effect.Effect<void>
  /** Sends a bookmark to all open watches that allow them. They also get one every minute. */
  readonly sendBookmarks: Effect.Effect<void>
  /** The requests so far, in the order of their arrival: the last 10000. */
  readonly requests: Effect.Effect<ReadonlyArray<RequestLogEntry>>
  /** How much each client (its User-Agent header) has asked and got, however long ago: until `clearRequests`. */
  readonly traffic: Effect.Effect<ReadonlyMap<string, Traffic>>
  /** Forgets the requests so far, and the traffic. */
  readonly clearRequests: Effect.Effect<void>
  /**
   * How many watches are open. One that its client has closed is open for a moment yet.
   *
   * **Example** (Going on as soon as somebody watches)
   *
   * ```ts
   * import { KubeApiServer } from "@kubelock/testing"
   * import { Effect, Schedule } from "effect"
   *
   * const program = Effect.gen(function*() {
   *   const server = yield* KubeApiServer
   *   yield* Effect.forkScoped(Effect.promise((signal) => fetch(`${server.url}/api/v1/pods?watch=true`, { signal })))
   *   yield* server.openWatches.pipe(Effect.repeat({ schedule: Schedule.spaced("1 millis"), until: (open) => open > 0 }))
   *   return yield* server.openWatches
   * })
   *
   * await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(KubeApiServer.layer()))) // => 1
   * ```
   */
  readonly openWatches: Effect.Effect<number>
  /** From now on this is the only token that is taken. */
  readonly setToken: (token: string) => Effect.Effect<void>
}>()("@kubelock/testing/KubeApiServer") {
  /**
   * A server that runs as long as the layer's scope. Fails with `ServerNotStarted`.
   *
   * **Gotchas**
   *
   * A layer is a value that a program builds once, however often it is provided. For a second server, wrap it in `Layer.fresh` or call
   * `layer` again.
   *
   * @category layers
   * @since 0.1.0
   */
  static readonly layer = (options: Options = {}): Layer.Layer<KubeApiServer, ServerNotStarted> =>
    Layer.effect(KubeApiServer, make(options))
}

const host = "127.0.0.1"
const maxRequestBytes = 3 * 1024 * 1024
const maxLogEntries = 10_000
const maxLoggedCharacters = 16_384
const bookmarkInterval = Duration.minutes(1)
// As long as Go's: Node's own five seconds would close connections under clients that pause between two requests.
const keepAliveTimeoutMillis = 90_000

/** The last requests, and what the ones before them came to. */
interface RequestLog {
  readonly entries: Array<LogEntry>
  beforeThem: ReadonlyMap<string, Traffic>
}

const withTraffic = (traffic: ReadonlyMap<string, Traffic>, entry: RequestLogEntry): ReadonlyMap<string, Traffic> => {
  const { requestBytes, requests, responseBytes } = traffic.get(entry.client) ??
    { requests: 0, requestBytes: 0, responseBytes: 0 }
  return new Map(traffic).set(entry.client, {
    requests: requests + 1,
    requestBytes: requestBytes + entry.requestBytes,
    responseBytes: responseBytes + entry.responseBytes
  })
}

type LogEntry = { -readonly [K in keyof RequestLogEntry]: RequestLogEntry[K] }

/** The server's state. */
interface State {
  readonly registry: SubscriptionRef.SubscriptionRef<Registry.Registry>
  readonly faults: Ref.Ref<ReadonlyArray<Faults.Armed>>
  readonly token: Ref.Ref<string | undefined>
  readonly openWatches: Ref.Ref<number>
  /** Completed, and replaced by another, to cut the watches. */
  readonly cut: Ref.Ref<Deferred.Deferred<void>>
  readonly bookmarks: PubSub.PubSub<void>
}

/** A request, read to its end. */
interface ApiRequest extends FaultRequest {
  readonly query: URLSearchParams
  readonly segments: ReadonlyArray<string>
  readonly resourcePath: Route.ResourcePath | undefined
  readonly headers: { readonly [name: string]: string | undefined }
  /** The body's media type, without parameters. */
  readonly contentType: string
  readonly body: string
  readonly bodyBytes: number
}

type Answer =
  | { readonly _tag: "Json"; readonly code: number; readonly body: object }
  | { readonly _tag: "Text"; readonly code: number; readonly body: string }
  | { readonly _tag: "Watch"; readonly events: Stream.Stream<object> }

type Answered = Result.Result<Answer, Status.Status>

const make = Effect.fnUntraced(function*(options: Options) {
  const stamps = yield* Effect.replicateEffect(makeStamp, Registry.namespacesFromTheStart)
  const state: State = {
    registry: yield* SubscriptionRef.make(
      Registry.make({ types: options.resources ?? [], maxHistory: options.maxHistory }, stamps)
    ),
    faults: yield* Ref.make<ReadonlyArray<Faults.Armed>>([]),
    token: yield* Ref.make(options.token),
    openWatches: yield* Ref.make(0),
    cut: yield* Ref.make(yield* Deferred.make<void>()),
    bookmarks: yield* PubSub.unbounded<void>()
  }
  const log: RequestLog = { entries: [], beforeThem: new Map() }
  const { caCertificate, port } = yield* serve(options, state, log)
  const url = `${caCertificate === undefined ? "http" : "https"}://${host}:${port}`

  const write = (change: (registry: Registry.Registry, stamp: Registry.Stamp) => Registry.Outcome) =>
    Effect.flatMap(applyWrite(state, change), (outcome) => Effect.fromResult(Result.mapError(outcome, refuse)))
  const find = (id: ObjectId) =>
    Effect.flatMap(
      SubscriptionRef.get(state.registry),
      (registry) => Effect.fromResult(Result.mapError(targetOf(registry, id), refuse))
    )

  return KubeApiServer.of({
    url,
    kubeconfig: Kubeconfig.write({ server: url, caCertificatePem: caCertificate, token: options.token }),
    caCertificate,
    token: options.token,
    register: (type) => SubscriptionRef.update(state.registry, (registry) => Registry.register(registry, type)),
    put: Effect.fnUntraced(function*(object) {
      const target = yield* find({ ...object, ...object.metadata, name: object.metadata.name ?? "" })
      const change = yield* write((registry, stamp) => Registry.put(registry, target.type, object, stamp))
      return yield* Effect.fromResult(Result.mapError(Registry.get(change.registry, target), refuse))
    }),
    get: Effect.fnUntraced(function*(id) {
      const target = yield* find(id)
      const registry = yield* SubscriptionRef.get(state.registry)
      return yield* Effect.fromResult(Result.mapError(Registry.get(registry, target), refuse))
    }),
    delete: Effect.fnUntraced(function*(id) {
      const target = yield* find(id)
      yield* write((registry, stamp) => Registry.remove(registry, target, "", stamp.now))
    }),
    inject: (fault) => Ref.update(state.faults, (armed) => [...armed, Faults.arm(fault)]),
    clearFaults: Ref.set(state.faults, []),
    expireHistory: SubscriptionRef.update(state.registry, (registry) => ({
      ...registry,
      store: ObjectStore.expireHistory(registry.store)
    })),
    cutWatches: Effect.gen(function*() {
      const cut = yield* Ref.getAndSet(state.cut, yield* Deferred.make<void>())
      yield* Deferred.succeed(cut, undefined)
    }),
    sendBookmarks: Effect.asVoid(PubSub.publish(state.bookmarks, undefined)),
    requests: Effect.sync(() => log.entries.map((entry) => ({ ...entry }))),
    traffic: Effect.sync(() => log.entries.reduce(withTraffic, log.beforeThem)),
    clearRequests: Effect.sync(() => {
      log.entries.length = 0
      log.beforeThem = new Map()
    }),
    openWatches: Ref.get(state.openWatches),
    setToken: (token) => Ref.set(state.token, token)
  })
})

const refuse = (status: Status.Status) => new RequestRefused({ message: status.message ?? "", status })

const targetOf = (registry: Registry.Registry, id: ObjectId): Result.Result<Registry.Target, Status.Status> =>
  Result.fromNullishOr(
    Registry.findByKind(registry, id),
    () => Status.badRequest(`no kind "${id.kind}" is registered for version "${id.apiVersion}"`)
  ).pipe(
    Result.map((type) => ({ type, namespace: type.namespaced ? id.namespace ?? "" : "", name: id.name }))
  )

const makeStamp = Effect.gen(function*() {
  const hex = (yield* Effect.replicateEffect(Random.nextIntBetween(0, 15), 30)).map((digit) => digit.toString(16))
  const consonants = "bcdfghjklmnpqrstvwxz2456789"
  const suffix = yield* Effect.replicateEffect(Random.nextIntBetween(0, consonants.length - 1), 5)
  const take = (digits: number) => hex.splice(0, digits).join("")
  return {
    now: wholeSeconds(yield* DateTime.now),
    uid: `${take(8)}-${take(4)}-4${take(3)}-8${take(3)}-${take(12)}`,
    nameSuffix: suffix.map((index) => consonants[index]).join("")
  }
})

const wholeSeconds = (now: DateTime.Utc): string => `${DateTime.formatIso(now).slice(0, 19)}Z`

const applyWrite = (
  state: State,
  change: (registry: Registry.Registry, stamp: Registry.Stamp) => Registry.Outcome
): Effect.Effect<Registry.Outcome> =>
  Effect.flatMap(makeStamp, (stamp) =>
    SubscriptionRef.modify(state.registry, (registry) => {
      const outcome = change(registry, stamp)
      return [outcome, Result.isSuccess(outcome) ? outcome.success.registry : registry]
    }))

// --- HTTP

const serve = Effect.fnUntraced(function*(options: Options, state: State, log: RequestLog) {
  const credentials = options.tls ?? options.token !== undefined ? yield* makeCredentials : undefined
  const nodeServer = credentials === undefined
    ? Http.createServer()
    : Https.createServer({ cert: credentials.server.certificatePem, key: credentials.server.privateKeyPem })
  nodeServer.keepAliveTimeout = keepAliveTimeoutMillis
  const sockets = trackSockets(nodeServer)
  const httpServer = yield* NodeHttpServer.make(() => nodeServer, {
    port: options.port ?? 0,
    host,
    disablePreemptiveShutdown: true
  }).pipe(
    Effect.mapError((cause) =>
      new ServerNotStarted({ message: `Cannot listen on ${host}:${options.port ?? 0}: ${String(cause.cause)}`, cause })
    )
  )
  // A request's fiber starts uninterruptible, and would outlive both its client and the server.
  yield* httpServer.serve(Effect.interruptible(handle(state, log, sockets)))
  // Runs before the server's own finalizer, which would wait for every connection to end by itself.
  yield* Effect.addFinalizer(() =>
    Effect.callback<void>((resume) => {
      nodeServer.close(() => resume(Effect.void))
      for (const socket of sockets.values()) socket.destroy()
    })
  )
  const address = nodeServer.address()
  return {
    port: Predicate.isObject(address) && Predicate.isNumber(address["port"]) ? address["port"] : 0,
    caCertificate: credentials?.authority.certificatePem
  }
})

const makeCredentials = Effect.gen(function*() {
  const authority = yield* Certificates.makeAuthority()
  const server = yield* Certificates.issueServer(authority, { dnsNames: ["localhost"], ipAddresses: [host] })
  return { authority, server }
}).pipe(Effect.orDie)

/** The open TCP connections by the client's port. Under TLS a request knows only its TLS socket, which cannot be reset. */
const trackSockets = (server: Http.Server): ReadonlyMap<number, Socket> => {
  const sockets = new Map<number, Socket>()
  server.on("connection", (socket: Socket) => {
    const { remotePort } = socket
    if (remotePort === undefined) return
    sockets.set(remotePort, socket)
    socket.once("close", () => sockets.delete(remotePort))
  })
  return sockets
}

/** From the first byte of a request to the last of its answer. */
const handle = (state: State, log: RequestLog, sockets: ReadonlyMap<number, Socket>) =>
  Effect.gen(function*() {
    const httpRequest = yield* HttpServerRequest.HttpServerRequest
    const entry = beginEntry(log, httpRequest)
    const close = (how: (socket: Socket) => void) =>
      Effect.suspend(() => {
        const socket = sockets.get(NodeHttpServerRequest.toIncomingMessage(httpRequest).socket.remotePort ?? 0)
        if (socket !== undefined) how(socket)
        // The server interrupts this fiber once the connection is gone.
        return Effect.never
      })
    const drop = close((socket) => socket.destroy())
    const reset = close((socket) => socket.resetAndDestroy())

    return yield* Effect.gen(function*() {
      const request = yield* readRequest(httpRequest, entry)
      const { latency, struck } = yield* takeFaults(state, request)
      yield* Effect.sleep(latency)

      if (struck?._tag === "RequestDropped") return yield* drop
      if (struck?._tag === "ConnectionReset" && !struck.applied) return yield* reset
      if (struck?._tag === "Hang" && !struck.applied) return yield* Effect.never

      const refusal = refusalBy(struck, request)
      const answered = refusal === undefined ? yield* answer(state, request, struck) : Result.fail(refusal)

      if (struck?._tag === "AnswerDropped") return yield* drop
      if (struck?._tag === "ConnectionReset") return yield* reset
      if (struck?._tag === "Hang") return yield* Effect.never

      const date = DateTime.toDateUtc(yield* DateTime.now).toUTCString()
      return HttpServerResponse.setHeader(respond(httpRequest, entry, answered), "date", date)
    }).pipe(Effect.onInterrupt(() =>
      Effect.sync(() => {
        entry.status = "dropped"
      })
    ))
  })

const beginEntry = (log: RequestLog, request: HttpServerRequest.HttpServerRequest): LogEntry => {
  const [path = "", query = ""] = request.url.split(/\?(.*)/s)
  const entry: LogEntry = {
    client: request.headers["user-agent"] ?? "",
    method: request.method,
    path,
    query,
    status: "pending",
    requestBody: "",
    requestBytes: 0,
    responseBytes: 0
  }
  log.entries.push(entry)
  if (log.entries.length > maxLogEntries) {
    const oldest = log.entries.shift()
    if (oldest !== undefined) log.beforeThem = withTraffic(log.beforeThem, oldest)
  }
  return entry
}

const readRequest = Effect.fnUntraced(function*(httpRequest: HttpServerRequest.HttpServerRequest, entry: LogEntry) {
  // The body ends early only when the client is gone, and so is then this fiber.
  const bytes = new Uint8Array(yield* httpRequest.arrayBuffer.pipe(Effect.catch(() => Effect.never)))
  const { body, contentType } = readBody(bytes, httpRequest.headers["content-type"])
  entry.requestBody = body.slice(0, maxLoggedCharacters)
  entry.requestBytes = bytes.length
  const { client, method, path } = entry
  const query = new URLSearchParams(entry.query)
  const segments = Route.segmentsOf(path)
  const resourcePath = Route.resourcePathOf(segments)
  const verb = resourcePath === undefined
    ? undefined
    : Route.verbOf(resourcePath, method, Route.isTrue(query.get("watch")))
  const request: ApiRequest = {
    client,
    method,
    path,
    verb: verb ?? method.toLowerCase(),
    query,
    segments,
    resourcePath,
    headers: httpRequest.headers,
    contentType,
    body,
    bodyBytes: bytes.length
  }
  return request
})

/** The body as text, and its media type. What kubectl sends as protobuf is turned into JSON. */
const readBody = (bytes: Uint8Array, contentType = "") => {
  const mediaType = contentType.split(";")[0]!.trim()
  const decoded = mediaType === Protobuf.contentType ? Protobuf.toJson(bytes) : Option.none()
  return Option.isSome(decoded)
    ? { body: JSON.stringify(decoded.value), contentType: "application/json" }
    : { body: new TextDecoder().decode(bytes), contentType: mediaType }
}

const takeFaults = (state: State, request: FaultRequest) =>
  Ref.modify(state.faults, (armed) => {
    const taken = Faults.take(armed, request)
    return [taken, taken.armed]
  })

const refusalBy = (fault: Fault | undefined, request: ApiRequest): Status.Status | undefined => {
  switch (fault?._tag) {
    case "Conflict":
      return Status.conflict(
        request.resourcePath ?? { group: "", resource: request.path },
        request.resourcePath?.name ?? ""
      )
    case "TooManyRequests":
      return Status.tooManyRequests(fault.retryAfterSeconds)
    case "InternalError":
      return Status.internalError("a fault was injected")
    case "ServiceUnavailable":
      return Status.serviceUnavailable
    default:
      return undefined
  }
}

const respond = (
  httpRequest: HttpServerRequest.HttpServerRequest,
  entry: LogEntry,
  answered: Answered
): HttpServerResponse.HttpServerResponse => {
  const answer = Result.getOrElse(
    answered,
    (status): Answer => ({ _tag: "Json", code: status.code ?? 500, body: status })
  )
  const send = (code: number, body: string, contentType: string, headers: Record<string, string>) => {
    entry.status = code
    entry.responseBytes = Buffer.byteLength(body)
    return HttpServerResponse.text(body, { status: code, contentType, headers })
  }
  switch (answer._tag) {
    case "Text":
      return send(answer.code, answer.body, "text/plain; charset=utf-8", {})
    case "Json":
      return send(answer.code, JSON.stringify(answer.body), "application/json", {
        "cache-control": "no-cache, private",
        ...retryAfter(answered)
      })
    case "Watch": {
      entry.status = 200
      const bytes = answer.events.pipe(Stream.map((event) => {
        const line = Buffer.from(`${JSON.stringify(event)}\n`)
        entry.responseBytes += line.length
        return line
      }))
      // Node would keep the head back until the first event.
      const flushHead = Effect.sync(() => {
        const response = NodeHttpServerRequest.toServerResponse(httpRequest)
        if (response instanceof Http.ServerResponse) response.flushHeaders()
      })
      return HttpServerResponse.stream(Stream.unwrap(Effect.as(flushHead, bytes)), {
        contentType: "application/json",
        headers: { "cache-control": "no-cache, private" }
      })
    }
  }
}

const retryAfter = (answered: Answered): Record<string, string> => {
  const seconds = Result.isFailure(answered) ? answered.failure.details?.retryAfterSeconds : undefined
  return seconds === undefined ? {} : { "retry-after": String(seconds) }
}

// --- answers

const json = (code: number, body: object): Answer => ({ _tag: "Json", code, body })
const pageNotFound: Answer = { _tag: "Text", code: 404, body: "404 page not found\n" }

const answer = Effect.fnUntraced(function*(state: State, request: ApiRequest, fault: Fault | undefined) {
  const token = yield* Ref.get(state.token)
  if (token !== undefined && request.headers["authorization"] !== `Bearer ${token}`) {
    return Result.fail(Status.unauthorized)
  }
  if (request.bodyBytes > maxRequestBytes) {
    return Result.fail(Status.requestEntityTooLarge(maxRequestBytes))
  }
  const registry = yield* SubscriptionRef.get(state.registry)
  return request.resourcePath === undefined
    ? answerOther(registry, request)
    : yield* answerResource(state, registry, request, request.resourcePath, fault)
})

/** Discovery, health, and what kubectl wants to know besides. */
const answerOther = (registry: Registry.Registry, request: ApiRequest): Answered => {
  const { method, segments } = request
  const [root = ""] = segments
  if (["healthz", "livez", "readyz"].includes(root)) {
    return Result.succeed({ _tag: "Text", code: 200, body: "ok" })
  }
  const document = Discovery.documentAt(registry.types, segments) ?? Discovery.openApiAt(registry.types, segments)
  if (document !== undefined) {
    return method === "GET" ? Result.succeed(json(200, document)) : Result.fail(Status.methodNotAllowed)
  }
  return isKnownGroup(registry, segments) ? Result.fail(Status.noSuchResource) : Result.succeed(pageNotFound)
}

const isKnownGroup = (registry: Registry.Registry, [root, group]: ReadonlyArray<string>): boolean =>
  root === "api" || (root === "apis" && group !== undefined && Discovery.isBuiltInGroup(registry.types, group))

const answerResource = Effect.fnUntraced(function*(
  state: State,
  registry: Registry.Registry,
  request: ApiRequest,
  path: Route.ResourcePath,
  fault: Fault | undefined
) {
  if (path.resource === "selfsubjectaccessreviews" && path.group === "authorization.k8s.io") {
    return answerAccessReview(request)
  }
  const type = registry.types.find(Route.isTypeOf(path))
  if (type === undefined || path.subresource !== undefined || (!type.namespaced && path.namespace !== undefined)) {
    return isKnownGroup(registry, request.segments) ? Result.fail(Status.noSuchResource) : Result.succeed(pageNotFound)
  }
  const needsNamespace = type.namespaced && path.namespace === undefined
  const verb = Route.verbOf(path, request.method, request.verb === "watch")
  if (verb === undefined || (needsNamespace && verb !== "list" && verb !== "watch")) {
    if (type.builtIn !== true && verb !== undefined) return Result.succeed(pageNotFound)
    const isNoPath = needsNamespace && path.name !== undefined
    return Result.fail(isNoPath ? Status.noSuchResource : Status.methodNotAllowed)
  }
  const shape = verb === "list" || verb === "deletecollection" ? "list" : verb === "watch" ? "watch" : "object"
  const form = Representation.negotiate(request.headers["accept"], type, shape)
  if (Result.isFailure(form)) {
    return Result.fail(form.failure)
  }
  const timeoutProblem = WriteOptions.timeoutProblem(request.query)
  if (timeoutProblem !== undefined && verb !== "watch") {
    return Result.fail(timeoutProblem)
  }
  const target: Registry.Target = { type, namespace: path.namespace ?? "", name: path.name ?? "" }
  switch (verb) {
    case "get":
      return answerGet(registry, request, target, form.success)
    case "list":
      return answerList(registry, request, type, path.namespace, form.success)
    case "watch":
      return yield* answerWatch(state, registry, request, type, path.namespace, form.success, fault)
    case "deletecollection":
      return yield* answerDeleteCollection(state, request, type, path.namespace, form.success)
    default:
      return yield* answerWrite(state, request, verb, target, form.success)
  }
})

const answerAccessReview = (request: ApiRequest): Answered =>
  request.method !== "POST"
    ? Result.fail(Status.methodNotAllowed)
    : Result.match(Json.parse(request.body), {
      onFailure: (problem) => Result.fail(Status.badRequest(problem)),
      onSuccess: (review) =>
        Result.succeed(json(201, { ...(Predicate.isObject(review) ? review : {}), status: { allowed: true } }))
    })

const answerGet = (
  registry: Registry.Registry,
  request: ApiRequest,
  target: Registry.Target,
  form: Representation.Form
): Answered =>
  Result.gen(function*() {
    yield* checkNotNewer(registry, request, (problem) => Status.unexplainedError(problem))
    const object = yield* Registry.get(registry, target)
    return json(200, Representation.writeObject(form, target.type, object))
  })

const answerList = (
  registry: Registry.Registry,
  request: ApiRequest,
  type: ResourceType,
  namespace: string | undefined,
  form: Representation.Form
): Answered =>
  Result.gen(function*() {
    yield* checkNotNewer(registry, request, (problem) => Status.badRequest(`invalid resource version: ${problem}`))
    const selects = yield* selectorOf(request, type)
    const objects = Registry.list(registry, type, namespace).filter(selects)
    return json(200, Representation.writeList(form, type, objects, registry.store.revision))
  })

const selectorOf = (request: ApiRequest, type: ResourceType) =>
  Selector.parse(type, {
    fields: request.query.get("fieldSelector") ?? undefined,
    labels: request.query.get("labelSelector") ?? undefined
  })

/** The `resourceVersion` of the query: undefined stands for any. */
const revisionIn = (request: ApiRequest): Result.Result<number | undefined, string> => {
  const text = request.query.get("resourceVersion") ?? ""
  if (text === "" || text === "0") {
    return Result.succeed(undefined)
  }
  return /^[0-9]+$/.test(text)
    ? Result.succeed(Number(text))
    : Result.fail(`resourceVersion: Invalid value: ${JSON.stringify(text)}: ${Registry.notANumber(text)}`)
}

const checkNotNewer = (
  registry: Registry.Registry,
  request: ApiRequest,
  refusal: (problem: string) => Status.Status
): Result.Result<void, Status.Status> =>
  Result.flatMap(Result.mapError(revisionIn(request), refusal), (revision = 0) =>
    revision > registry.store.revision
      ? Result.fail(Status.resourceVersionTooLarge(revision, registry.store.revision))
      : Result.void)

const answerWrite = Effect.fnUntraced(function*(
  state: State,
  request: ApiRequest,
  verb: string,
  target: Registry.Target,
  form: Representation.Form
) {
  const options = WriteOptions.read(request.query, verb)
  if (Result.isFailure(options)) {
    return Result.fail(options.failure)
  }
  const { contentType } = request
  if (verb !== "patch" && !["", "application/json"].includes(contentType)) {
    return Result.fail(Status.unsupportedMediaType(["application/json"]))
  }
  const outcome = yield* applyWrite(
    state,
    (registry, stamp) =>
      Result.map(
        writeBy(verb, registry, target, contentType, request.body, stamp),
        (change) => options.success.isDryRun ? asDryRun(registry, target, change) : change
      )
  )
  return Result.map(
    outcome,
    ({ answer, code }) =>
      json(code, Status.isStatus(answer) ? answer : Representation.writeObject(form, target.type, answer))
  )
})

/** What would come of it, without a resourceVersion of its own. */
const asDryRun = (registry: Registry.Registry, target: Registry.Target, change: Registry.Change): Registry.Change => {
  if (Status.isStatus(change.answer)) return { ...change, registry }
  const { resourceVersion: _, ...metadata } = change.answer.metadata
  const current = Result.map(
    Registry.get(registry, target),
    (object) => Struct.pick(object.metadata, ["resourceVersion"])
  )
  return {
    ...change,
    registry,
    answer: { ...change.answer, metadata: { ...metadata, ...Result.getOrElse(current, () => ({})) } }
  }
}

const writeBy = (
  verb: string,
  registry: Registry.Registry,
  target: Registry.Target,
  contentType: string,
  body: string,
  stamp: Registry.Stamp
): Registry.Outcome => {
  switch (verb) {
    case "create":
      return Registry.create(registry, target, body, stamp)
    case "update":
      return Registry.update(registry, target, body, stamp)
    case "patch":
      return Registry.patch(registry, target, contentType, body)
    default:
      return Registry.remove(registry, target, body, stamp.now)
  }
}

const answerDeleteCollection = Effect.fnUntraced(function*(
  state: State,
  request: ApiRequest,
  type: ResourceType,
  namespace: string | undefined,
  form: Representation.Form
) {
  const selects = selectorOf(request, type)
  const options = WriteOptions.read(request.query, "delete")
  if (Result.isFailure(selects)) return Result.fail(selects.failure)
  if (Result.isFailure(options)) return Result.fail(options.failure)
  const now = wholeSeconds(yield* DateTime.now)
  return yield* SubscriptionRef.modify(state.registry, (registry): [Answered, Registry.Registry] => {
    const objects = Registry.list(registry, type, namespace).filter(selects.success)
    const left = options.success.isDryRun ? registry : Registry.removeAll(registry, type, objects, now)
    return [Result.succeed(json(200, Representation.writeList(form, type, objects, left.store.revision))), left]
  })
})

// --- watches

const answerWatch = Effect.fnUntraced(function*(
  state: State,
  registry: Registry.Registry,
  request: ApiRequest,
  type: ResourceType,
  namespace: string | undefined,
  form: Representation.Form,
  fault: Fault | undefined
) {
  const selects = Result.map(
    selectorOf(request, type),
    (selects): Selector.Selector => (object) =>
      (namespace === undefined || object.metadata.namespace === namespace) && selects(object)
  )
  const revision = Result.mapError(revisionIn(request), Status.unexplainedError)
  const timeout = timeoutOf(request)
  const initialEvents = wantsInitialEvents(request)
  if (Result.isFailure(selects)) return Result.fail(selects.failure)
  if (Result.isFailure(revision)) return Result.fail(revision.failure)
  if (Result.isFailure(timeout)) return Result.fail(timeout.failure)
  if (Result.isFailure(initialEvents)) return Result.fail(initialEvents.failure)

  const allowsBookmarks = Route.isTrue(request.query.get("allowWatchBookmarks"))
  const cut = yield* Ref.get(state.cut)
  const events = watchEvents(state, {
    type,
    form,
    selects: selects.success,
    // A list from before, or everything there is: a request to begin with the initial events overrides a resourceVersion.
    from: initialEvents.success ? undefined : revision.success,
    allowsBookmarks
  }).pipe(
    faultyWatch(fault, registry.store.revision),
    Stream.interruptWhen(Deferred.await(cut)),
    timeout.success === undefined ? (events) => events : Stream.interruptWhen(Effect.sleep(timeout.success))
  )
  const opened = Effect.acquireRelease(
    Ref.update(state.openWatches, (open) => open + 1),
    () => Ref.update(state.openWatches, (open) => open - 1)
  )
  return Result.succeed<Answer>({ _tag: "Watch", events: Stream.unwrap(Effect.as(opened, events)) })
})

const wantsInitialEvents = ({ query }: ApiRequest): Result.Result<boolean, Status.Status> =>
  !Route.isTrue(query.get("sendInitialEvents"))
    ? Result.succeed(false)
    : query.get("resourceVersionMatch") === "NotOlderThan"
    ? Result.succeed(true)
    : Result.fail(Status.invalid({ group: "meta.k8s.io", kind: "ListOptions" }, "", [{
      reason: "FieldValueForbidden",
      message: "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
      field: "resourceVersionMatch"
    }]))

const timeoutOf = (request: ApiRequest): Result.Result<Duration.Duration | undefined, Status.Status> => {
  const text = request.query.get("timeoutSeconds") ?? ""
  if (text === "" || text === "0") {
    return Result.succeed(undefined)
  }
  return /^[0-9]+$/.test(text)
    ? Result.succeed(Duration.seconds(Number(text)))
    : Result.fail(Status.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`))
}

interface Watch {
  readonly type: ResourceType
  readonly form: Representation.Form
  readonly selects: Selector.Selector
  /** The resourceVersion to go on from; undefined to begin with what there is. */
  readonly from: number | undefined
  readonly allowsBookmarks: boolean
}

/**
 * The watch looks at the store whenever that changes and catches up with its history, so it misses nothing however slow its
 * client is, until the history no longer reaches back to where it stands.
 */
const watchEvents = (state: State, watch: Watch): Stream.Stream<object> =>
  // Heard before the first event is sent: who has seen that may ask for a bookmark at once.
  Stream.unwrap(Effect.map(PubSub.subscribe(state.bookmarks), (demands) => watchWith(state, watch, demands)))

const watchWith = (state: State, watch: Watch, demands: PubSub.Subscription<void>): Stream.Stream<object> => {
  const looks = Stream.map(SubscriptionRef.changes(state.registry), ({ store }) => ({ store, isBookmarkDue: false }))
  const bookmarks = Stream.merge(Stream.fromSubscription(demands), Stream.drop(Stream.tick(bookmarkInterval), 1))
    .pipe(
      Stream.mapEffect(() => SubscriptionRef.get(state.registry)),
      Stream.map(({ store }) => ({ store, isBookmarkDue: true }))
    )
  return (watch.allowsBookmarks ? Stream.merge(looks, bookmarks) : looks).pipe(
    Stream.mapAccum(
      () => watch.from,
      (seen, { isBookmarkDue, store }): readonly [number, ReadonlyArray<WatchEvent>] => {
        const events = eventsSince(store, watch, seen)
        const bookmark = isBookmarkDue && events.every((event) => !event.isLast)
          ? [{ isLast: false, event: Representation.writeBookmark(watch.form, watch.type, store.revision, false) }]
          : []
        return [Math.max(seen ?? 0, store.revision), [...events, ...bookmark]]
      }
    ),
    Stream.takeUntil(({ isLast }) => isLast),
    Stream.map(({ event }) => event)
  )
}

interface WatchEvent {
  readonly event: object
  readonly isLast: boolean
}

const eventsSince = (
  store: ObjectStore.ObjectStore,
  { allowsBookmarks, form, selects, type }: Watch,
  seen: number | undefined
): ReadonlyArray<WatchEvent> => {
  const more = (event: object): WatchEvent => ({ event, isLast: false })
  const resource = Registry.keyOf({ type, namespace: "", name: "" }).resource
  if (seen === undefined) {
    const added = ObjectStore.list(store, resource).filter(selects).map((object) =>
      more(Representation.writeAdded(form, type, object))
    )
    return allowsBookmarks ? [...added, more(Representation.writeBookmark(form, type, store.revision, true))] : added
  }
  return Result.match(ObjectStore.since(store, seen), {
    onFailure: ({ oldest, requested }) => [
      { event: Representation.writeError(Status.expired(requested, oldest)), isLast: true }
    ],
    onSuccess: (events) =>
      events.filter(({ key }) => key.resource === resource).flatMap((event) => {
        const written = Representation.writeEvent(form, type, selects, event)
        return written === undefined ? [] : [more(written)]
      })
  })
}

const faultyWatch = (fault: Fault | undefined, revision: number) => (events: Stream.Stream<object>) => {
  switch (fault?._tag) {
    case "WatchCut":
      return Stream.take(events, fault.afterEvents)
    case "WatchExpired":
      return Stream.concat(
        Stream.take(events, fault.afterEvents),
        Stream.make(Representation.writeError(Status.expired(revision, revision)))
      )
    default:
      return events
  }
}
