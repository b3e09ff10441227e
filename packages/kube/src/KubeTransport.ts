/**
 * One HTTP request to a Kubernetes API server, answered at once or line by line: credentials, TLS, proxy, timeout and abort are
 * taken care of, and anything but success is a {@link KubeError}.
 *
 * **Details**
 *
 * - Credentials come from a kubeconfig or a Pod's service account: tokens, token files, client certificates, exec plugins
 *   and OIDC. However many requests wait for an exec plugin, it runs once. A 401 reads the credentials again, once, and
 *   repeats the request. Files are read again after ten seconds at the earliest; a token's after a minute.
 * - Connections are kept and shared, at most 16 at once; they end with the layer's scope. Each stream has one more of its own.
 * - Interrupting the fiber, or running out of time, closes the request's connection at once.
 *
 * **Gotchas**
 *
 * - Over `http://` no credentials are sent. kubectl does the same.
 * - A proxy is used if the kubeconfig names one (`proxy-url`, http or https); the environment variable
 *   HTTPS_PROXY is not looked at.
 * - The certificate of the server is always verified, unless the kubeconfig itself says `insecure-skip-tls-verify: true`.
 * - The context that was current when the layer was built stays in use, whatever the kubeconfig says later.
 *
 * **Example** (Asking for the server's version)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { KubeTransport } from "@kubelock/kube/KubeTransport"
 *
 * const version = Effect.gen(function*() {
 *   const transport = yield* KubeTransport
 *   const { body } = yield* transport.request({ method: "GET", path: "/version" })
 *   return body
 * }).pipe(Effect.provide(KubeTransport.layer({ context: "staging", requestTimeout: "5 seconds" })))
 * ```
 *
 * @since 0.1.0
 */
import { InvalidConfig } from "@kubelock/core"
import { Context, Duration, Effect, Layer, Option, Schema, type Scope, Stream } from "effect"
import * as fs from "node:fs"
import type { Dispatcher } from "undici"
import * as ClusterConfig from "./internal/ClusterConfig.ts"
import { concealInJson, concealKnown } from "./internal/Concealment.ts"
import * as Connections from "./internal/Connections.ts"
import * as Credentials from "./internal/Credentials.ts"
import * as Exchange from "./internal/Exchange.ts"
import * as Given from "./internal/Given.ts"
import { doubt } from "./internal/RequestTarget.ts"
import { oneLine } from "./internal/Status.ts"
import { KubeError, Timeout, Unauthorized, Unavailable } from "./KubeError.ts"

/**
 * A request to the API server.
 *
 * @category models
 * @since 0.1.0
 */
export interface KubeRequest {
  readonly method: "GET" | "PATCH" | "POST" | "PUT" | "DELETE"
  /** From the server's root, beginning with `/api`, `/apis` or the like; no query. */
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  /** `Accept` is `application/json` unless given. A `body` needs its `Content-Type`. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/**
 * A successful answer: its status is 2xx.
 *
 * @category models
 * @since 0.1.0
 */
export interface KubeResponse {
  readonly status: number
  readonly body: string
  /** The server's clock (the `Date` header), in milliseconds since 1970, to the second; `undefined` if it did not say. */
  readonly dateMillis: number | undefined
}

/**
 * What may be chosen for every layer.
 *
 * @category options
 * @since 0.1.0
 */
export interface KubeTransportOptions {
  /**
   * How long one request may take, from asking for credentials to the last byte of the answer (of a stream, to the head of the
   * answer); the repetition after a 401 included. The server is told, and gives up a write when this side does. Default: 10 seconds.
   * A caller in a hurry allows less with {@link RequestTimeout}.
   */
  readonly requestTimeout?: Duration.Input | undefined
  /** The `User-Agent`, which shows in the API server's audit log: ASCII, at most 1000 characters. Default: `kubelock/` and the version. */
  readonly userAgent?: string | undefined
}

/**
 * What may be chosen where there is a kubeconfig.
 *
 * @category options
 * @since 0.1.0
 */
export interface KubeConfigOptions extends KubeTransportOptions {
  /** Which context of the kubeconfig. Default: its current context. */
  readonly context?: string | undefined
}

/**
 * How long a request may take at most for the caller at hand; infinite unless provided otherwise. Where the transport's own
 * `requestTimeout` is shorter, that one holds.
 *
 * **Details**
 *
 * It is read from the context of whoever sends a request, for each request anew, and counts for that request alone.
 *
 * **Gotchas**
 *
 * Where no time is left (zero or less), nothing is sent: the request fails with `Timeout` at once.
 *
 * **Example** (A request that must be over within two seconds)
 *
 * ```ts
 * import { KubeTransport, RequestTimeout } from "@kubelock/kube"
 * import { Duration, Effect } from "effect"
 *
 * const version = Effect.gen(function*() {
 *   const transport = yield* KubeTransport
 *   return yield* transport.request({ method: "GET", path: "/version" })
 * }).pipe(Effect.provideService(RequestTimeout, Duration.seconds(2)))
 * ```
 *
 * @category references
 * @since 0.1.0
 */
export const RequestTimeout: Context.Reference<Duration.Duration> = Context.Reference<Duration.Duration>(
  "@kubelock/kube/RequestTimeout",
  { defaultValue: () => Duration.infinity }
)

/**
 * Sends requests to one API server.
 *
 * Every layer fails with `InvalidConfig` if the kubeconfig cannot be read or does not hold together. None of them sends a
 * request, or runs an exec plugin, before the first request is made.
 *
 * @category services
 * @since 0.1.0
 */
export class KubeTransport extends Context.Service<KubeTransport, {
  /** Sends the request and reads the whole answer. Any status other than 2xx, and an answer of more than 8 MiB, are failures. */
  readonly request: (request: KubeRequest) => Effect.Effect<KubeResponse, KubeError>
  /**
   * Sends the request and reads the answer line by line for as long as it lasts, as a watch's. Any status other than 2xx, a
   * connection that breaks and a line of more than 8 MiB are failures.
   *
   * Once the answer has begun, silence is not limited here. The connection is closed when the stream ends, whatever ends it;
   * while nobody takes lines, nothing more is read from it.
   */
  readonly stream: (request: KubeRequest) => Stream.Stream<string, KubeError>
}>()("@kubelock/kube/KubeTransport") {
  /**
   * As kubectl finds its configuration: the files in `$KUBECONFIG`, or `~/.kube/config`, or the Pod's service account.
   *
   * @category layers
   * @since 0.1.0
   */
  static layer(options: KubeConfigOptions = {}): Layer.Layer<KubeTransport, InvalidConfig> {
    return Layer.effect(KubeTransport, make({ _tag: "Default" }, options))
  }

  /**
   * One kubeconfig file.
   *
   * @category layers
   * @since 0.1.0
   */
  static layerFile(file: string, options: KubeConfigOptions = {}): Layer.Layer<KubeTransport, InvalidConfig> {
    return Layer.effect(KubeTransport, make({ _tag: "File", file }, options))
  }

  /**
   * A kubeconfig given as text. Relative paths in it start from the working directory.
   *
   * @category layers
   * @since 0.1.0
   */
  static layerText(kubeconfig: string, options: KubeConfigOptions = {}): Layer.Layer<KubeTransport, InvalidConfig> {
    return Layer.effect(KubeTransport, make({ _tag: "Text", text: kubeconfig }, options))
  }

  /**
   * The service account of the Pod that this process runs in.
   *
   * @category layers
   * @since 0.1.0
   */
  static layerInCluster(options: KubeTransportOptions = {}): Layer.Layer<KubeTransport, InvalidConfig> {
    return Layer.effect(KubeTransport, make({ _tag: "InCluster" }, options))
  }
}

const make = Effect.fnUntraced(function*(source: ClusterConfig.Source, options: KubeConfigOptions) {
  const given = yield* Effect.fromResult(
    Given.read("options", options, ({ context, requestTimeout, userAgent }) => ({ context, requestTimeout, userAgent }))
  )
  const requestTimeout = yield* parseTimeout(given.requestTimeout ?? "10 seconds")
  const userAgent = yield* parseUserAgent(given.userAgent ?? `kubelock/${yield* packageVersion}`)
  if (given.context !== undefined && typeof given.context !== "string") {
    return yield* InvalidConfig.of("context", given.context, "it must be the name of a context, or left out")
  }
  // Both take their time to load, and whoever imports this package may never talk to a cluster.
  const clientNode = yield* Effect.promise(() => import("@kubernetes/client-node"))
  const undici = yield* Effect.promise(() => import("undici"))

  const config = yield* ClusterConfig.load(clientNode, source, given.context)
  const fileSystemRoot = yield* ClusterConfig.FileSystemRoot
  const reload = ClusterConfig.load(clientNode, source, config.context).pipe(
    Effect.provideService(ClusterConfig.FileSystemRoot, fileSystemRoot)
  )
  const credentials = Credentials.make(clientNode, config, reload)
  const connections = yield* Connections.make(undici, 16)
  // Apart, since a handful of watches would otherwise leave no connection for a request.
  const streamConnections = yield* Connections.make(undici, null)

  const authenticate = (request: KubeRequest) => Effect.mapError(credentials.current, unauthenticated(request))

  const send = (request: KubeRequest, granted: Credentials.Credentials, attempt: Attempt) => {
    attempt.phase = "connection"
    return Exchange.exchange(
      connections(granted),
      dispatchOptions(request, granted, userAgent, attempt.timeout),
      () => {
        attempt.phase = "answer"
      }
    ).pipe(Effect.mapError((broken) => unavailable(request, granted, broken)))
  }

  const open = Effect.fnUntraced(
    function*(request: KubeRequest, granted: Credentials.Credentials, attempt: Attempt) {
      attempt.phase = "connection"
      const options = dispatchOptions(request, granted, userAgent, attempt.timeout)
      const opened = yield* Exchange.open(streamConnections(granted), options, () => {
        attempt.phase = "answer"
      })
      return isSuccess(opened) ? opened : { ...opened, body: yield* Exchange.readText(opened.body) }
    },
    (opened, request, granted) => Effect.mapError(opened, (broken) => unavailable(request, granted, broken))
  )

  const authenticateAndSend = Effect.fnUntraced(function*<A extends Exchange.Head, R>(
    request: KubeRequest,
    attempt: Attempt,
    send: (request: KubeRequest, granted: Credentials.Credentials, attempt: Attempt) => Effect.Effect<A, KubeError, R>
  ) {
    const granted = yield* authenticate(request)
    const answer = yield* send(request, granted, attempt)
    if (answer.status !== 401) return { granted, answer }
    // A 401 says that nothing was applied, so that the request may be repeated.
    attempt.phase = "credentials"
    yield* Effect.mapError(credentials.refresh(granted), unauthenticated(request))
    const renewed = yield* authenticate(request)
    return { granted: renewed, answer: yield* send(request, renewed, attempt) }
  })

  const inTime = Effect.fnUntraced(function*<A, R>(
    request: KubeRequest,
    effect: (attempt: Attempt) => Effect.Effect<A, KubeError, R>
  ): Effect.fn.Return<A, KubeError, R> {
    const timeout = Duration.min(requestTimeout, yield* RequestTimeout)
    const attempt: Attempt = { timeout, phase: "start" }
    const giveUp = Effect.suspend(() => Effect.fail(timedOut(request, config, attempt)))
    if (!Duration.isPositive(timeout)) return yield* giveUp
    attempt.phase = "credentials"
    return yield* Effect.timeoutOrElse(effect(attempt), { duration: timeout, orElse: () => giveUp })
  })

  const request = (request: KubeRequest) =>
    inTime(request, (attempt) => authenticateAndSend(request, attempt, send)).pipe(
      spanned(request),
      Effect.flatMap(({ answer, granted }) =>
        isSuccess(answer) ? Effect.succeed(responseOf(answer)) : Effect.fail(refused(request, granted, answer))
      )
    )

  const openLines = Effect.fnUntraced(function*(
    request: KubeRequest
  ): Effect.fn.Return<Stream.Stream<string, KubeError>, KubeError, Scope.Scope> {
    const { answer, granted } = yield* spanned(request)(
      inTime(request, (attempt) => authenticateAndSend(request, attempt, open))
    )
    if (typeof answer.body === "string") return yield* refused(request, granted, { ...answer, body: answer.body })
    const secrets = Credentials.secretsOf(granted)
    return Exchange.linesOf(answer.body).pipe(
      Stream.map((line) => line.includes(refusal) ? concealInJson(line, secrets) : line),
      Stream.mapError((broken) => unavailable(request, granted, broken))
    )
  })

  return KubeTransport.of({ request, stream: (request) => Stream.unwrap(openLines(request)) })
})

/** What is in the line of a watch by which the server refuses to go on, and says why. */
const refusal = "\"ERROR\""

/** An answer of any status is no error of the span: a refused write says what it was asked. */
const spanned =
  ({ method, path, query }: KubeRequest) =>
  <E, R, A extends { readonly answer: Exchange.Head }>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.tap(self, ({ answer }) => Effect.annotateCurrentSpan("http.response.status_code", answer.status)).pipe(
      Effect.withSpan("KubeTransport.request", {
        kind: "client",
        attributes: { "http.request.method": method, "url.path": path, "kubelock.watch": query?.["watch"] === "true" }
      }, { captureStackTrace: false })
    )

/** A request under way. */
interface Attempt {
  readonly timeout: Duration.Duration
  /** What it waits for; when time runs out, this tells whether it may have been applied. */
  phase: "start" | "credentials" | "connection" | "answer"
}

const parseTimeout = (input: Duration.Input): Effect.Effect<Duration.Duration, InvalidConfig> =>
  Effect.fromOption(
    Option.filter(Duration.fromInput(input), (timeout) => Duration.isFinite(timeout) && Duration.isPositive(timeout))
  ).pipe(
    Effect.mapError(() =>
      InvalidConfig.of(
        "requestTimeout",
        input,
        "a finite duration longer than nothing is needed, such as \"10 seconds\""
      )
    )
  )

// RFC 9110: what a header may hold. Otherwise no request could be sent.
const parseUserAgent = (userAgent: string): Effect.Effect<string, InvalidConfig> =>
  typeof userAgent === "string" && /^[\t\x20-\x7e]{1,1000}$/.test(userAgent)
    ? Effect.succeed(userAgent)
    : Effect.fail(
      InvalidConfig.of("userAgent", userAgent, "1 to 1000 characters of ASCII are needed, and no line breaks")
    )

const PackageJson = Schema.fromJsonString(Schema.Struct({ version: Schema.String }))

/** A bundler may have left package.json behind; that is no reason to fail. */
const packageVersion = Effect.try(() => fs.readFileSync(new URL("../package.json", import.meta.url), "utf8")).pipe(
  Effect.flatMap(Schema.decodeEffect(PackageJson)),
  Effect.map(({ version }) => version),
  Effect.orElseSucceed(() => "unknown")
)

const dispatchOptions = (
  request: KubeRequest,
  { config, headers }: Credentials.Credentials,
  userAgent: string,
  timeout: Duration.Duration
): Dispatcher.DispatchOptions => ({
  origin: config.origin,
  path: config.basePath + request.path + search(request, timeout),
  method: request.method,
  headers: { accept: "application/json", ...lowerCaseNames(request.headers), "user-agent": userAgent, ...headers },
  body: request.body ?? null
})

// A write is given up by the server when this side gives it up: a late one would take a lock for nobody.
const search = ({ method, query }: KubeRequest, timeout: Duration.Duration): string => {
  const parameters = new URLSearchParams(query)
  if (method !== "GET") parameters.set("timeout", `${Duration.toMillis(timeout)}ms`)
  return parameters.size === 0 ? "" : `?${parameters.toString()}`
}

/** So that a header of the caller replaces a default instead of standing beside it. */
const lowerCaseNames = (headers: KubeRequest["headers"]): Record<string, string> =>
  Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]))

const isSuccess = ({ status }: Exchange.Head): boolean => status >= 200 && status < 300

const responseOf = ({ body, headers, status }: Exchange.Answer): KubeResponse => {
  const dateMillis = Date.parse(String(headers["date"]))
  return { status, body, dateMillis: Number.isNaN(dateMillis) ? undefined : dateMillis }
}

const refused = (
  { method, path, query }: KubeRequest,
  granted: Credentials.Credentials,
  { body, headers, status }: Exchange.Answer
): KubeError =>
  KubeError.fromResponse(
    { method, path, query },
    { status, headers, body: concealInJson(body, Credentials.secretsOf(granted)) }
  )

const unauthenticated = ({ method, path }: KubeRequest) => ({ message }: Credentials.CredentialsError): KubeError =>
  new KubeError({ method, path, reason: new Unauthorized({ message }) })

const timedOut = (
  { method, path }: KubeRequest,
  { origin, user }: ClusterConfig.ClusterConfig,
  { phase, timeout }: Attempt
): KubeError => {
  const exec = ClusterConfig.execOf(user)
  const explanation = {
    start: "there was no time left to begin with; nothing was sent.",
    credentials: exec === undefined
      ? "credentials did not arrive; nothing was sent."
      : `the exec plugin "${exec.command}" did not end; nothing was sent.`,
    connection: `no connection to ${origin} was free or could be made; nothing was sent.`,
    answer: `${origin} did not answer completely${doubt(method)}.`
  }[phase]
  const message = `No success within ${Duration.format(timeout)}: ${explanation}`
  return new KubeError({ method, path, reason: new Timeout({ outcomeUnknown: phase === "answer", message }) })
}

const unavailable = (
  { method, path }: KubeRequest,
  granted: Credentials.Credentials,
  { error, isSent }: Exchange.Broken
): KubeError => {
  const code = "code" in error && typeof error.code === "string" ? error.code : error.name
  const said = oneLine(concealKnown(error.message, Credentials.secretsOf(granted)), 300)
  const outcome = isSent ? doubt(method) : "; nothing was sent"
  const message = `${explain(code, granted.config.origin, isSent)} (${code}${
    said === "" ? "" : `: ${said}`
  })${outcome}.`
  return new KubeError({ method, path, reason: new Unavailable({ outcomeUnknown: isSent, message }) })
}

const explain = (code: string, origin: string, isSent: boolean): string => {
  if (code === Exchange.answerTooLong) {
    return `The answer from ${origin} is longer than ${Exchange.maxBodyBytes} bytes`
  }
  if (isSent) return `The connection to ${origin} broke before the answer was complete`
  if (code === "ECONNREFUSED") return `Nothing listens at ${origin}: the API server is down, or the address is wrong`
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return `The host name in ${origin} cannot be resolved`
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return `The certificate of ${origin} is for another name; correct the server's address or tls-server-name`
  }
  if (untrusted.has(code)) {
    return `The certificate of ${origin} is not trusted; correct the certificate-authority in the kubeconfig`
  }
  return `No connection to ${origin} could be made`
}

const untrusted: ReadonlySet<string> = new Set([
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_UNTRUSTED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
])
