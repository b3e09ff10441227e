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
 * **Example** (A request, and a watch)
 *
 * ```ts
 * import { KubeTransport } from "@kubelock/kube"
 * import { KubeApiServer } from "@kubelock/testing"
 * import { Effect, Layer, Stream } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const transport = yield* KubeTransport
 *   const { body } = yield* transport.request({ method: "GET", path: "/readyz" })
 *   const watch = transport.stream({ method: "GET", path: "/api/v1/namespaces", query: { watch: "true" } })
 *   const [line] = yield* watch.pipe(Stream.take(1), Stream.runCollect)
 *   return [body, JSON.parse(line!).type]
 * })
 *
 * // On a cluster: KubeTransport.layer({ context: "staging", requestTimeout: "5 seconds" })
 * const layer = Layer.unwrap(Effect.map(KubeApiServer, ({ kubeconfig }) => KubeTransport.layerText(kubeconfig)))
 *
 * await Effect.runPromise(program.pipe(Effect.provide(layer), Effect.provide(KubeApiServer.layer()))) // => ["ok", "ADDED"]
 * ```
 *
 * @since 0.1.0
 */
import type { InvalidConfig } from "@kubelock/core"
import { Context, Duration, Effect, Layer, type Scope, type Stream } from "effect"
import * as Attributes from "./internal/Attributes.ts"
import type { Source } from "./internal/ClusterConfig.ts"
import { isTimeout, isUnavailable, type KubeError } from "./KubeError.ts"

/**
 * A request to the API server.
 *
 * @category models
 * @since 0.1.0
 */
export interface KubeRequest {
  /** What shall be done. All but GET are writes: the server is told how long it has. */
  readonly method: "GET" | "PATCH" | "POST" | "PUT" | "DELETE"
  /** From the server's root, beginning with `/api`, `/apis` or the like; no query. */
  readonly path: string
  /** The query's parameters, not yet encoded. Default: none. */
  readonly query?: Readonly<Record<string, string>>
  /** Default: `Accept: application/json`, which one of your own replaces. A `body` needs its `Content-Type`. */
  readonly headers?: Readonly<Record<string, string>>
  /** What is sent, as text. Default: nothing. */
  readonly body?: string
  /**
   * Of a stream: for how long, as a `Duration`, nothing may come while somebody reads, before it fails with `Timeout`. For answers of
   * which it is known how often something comes; a transport of your own should heed it too. Default: no limit.
   */
  readonly silenceAtMost?: Duration.Duration
}

/**
 * A successful answer: its status is 2xx.
 *
 * @category models
 * @since 0.1.0
 */
export interface KubeResponse {
  /** The HTTP status code: 2xx. */
  readonly status: number
  /** The whole of it, as text. */
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
 * Every layer fails with `InvalidConfig` if the kubeconfig cannot be read or does not hold together, or an option cannot work. None of
 * them sends a request, or runs an exec plugin, before the first request is made.
 *
 * **Example** (Where the configuration comes from)
 *
 * ```ts
 * import { KubeTransport } from "@kubelock/kube"
 *
 * export const asKubectl = KubeTransport.layer()
 * export const ofFile = KubeTransport.layerFile("/etc/deploys/kubeconfig", { context: "staging" })
 * export const inPod = KubeTransport.layerInCluster({ userAgent: "deploys/5.3.0" })
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class KubeTransport extends Context.Service<KubeTransport, {
  /**
   * Sends the request and reads the whole answer. Any status other than 2xx, and an answer of more than 8 MiB, are failures: `KubeError`.
   */
  readonly request: (request: KubeRequest) => Effect.Effect<KubeResponse, KubeError>
  /**
   * Sends the request and reads the answer line by line for as long as it lasts, as a watch's. Any status other than 2xx, a
   * connection that breaks and a line of more than 8 MiB are failures: `KubeError`.
   *
   * Once the answer has begun, silence is limited by the request's `silenceAtMost` alone. The connection is closed when the stream
   * ends, whatever ends it; while nobody takes lines, nothing more is read from it.
   */
  readonly stream: (request: KubeRequest) => Stream.Stream<string, KubeError>
}>()("@kubelock/kube/KubeTransport") {
  /**
   * As kubectl finds its configuration: the files in `$KUBECONFIG`, or `~/.kube/config`, or the Pod's service account. Fails with
   * `InvalidConfig`.
   *
   * @category layers
   * @since 0.1.0
   */
  static layer(options: KubeConfigOptions = {}): Layer.Layer<KubeTransport, InvalidConfig> {
    return Layer.effect(KubeTransport, make({ _tag: "Default" }, options))
  }

  /**
   * One kubeconfig file. Relative paths in it start from its folder. Fails with `InvalidConfig`.
   *
   * @category layers
   * @since 0.1.0
   */
  static layerFile(file: string, options: KubeConfigOptions = {}): Layer.Layer<KubeTransport, InvalidConfig> {
    return Layer.effect(KubeTransport, make({ _tag: "File", file }, options))
  }

  /**
   * A kubeconfig given as text. Relative paths in it start from the working directory. Fails with `InvalidConfig`.
   *
   * @category layers
   * @since 0.1.0
   */
  static layerText(kubeconfig: string, options: KubeConfigOptions = {}): Layer.Layer<KubeTransport, InvalidConfig> {
    return Layer.effect(KubeTransport, make({ _tag: "Text", text: kubeconfig }, options))
  }

  /**
   * The service account of the Pod that this process runs in. Fails with `InvalidConfig` where there is none.
   *
   * @category layers
   * @since 0.1.0
   */
  static layerInCluster(options: KubeTransportOptions = {}): Layer.Layer<KubeTransport, InvalidConfig> {
    return Layer.effect(KubeTransport, make({ _tag: "InCluster" }, options))
  }
}

// What it takes to speak to a cluster takes its time to load, and whoever imports this package may never do so.
const make = (
  source: Source,
  options: KubeConfigOptions
): Effect.Effect<KubeTransport["Service"], InvalidConfig, Scope.Scope> =>
  Effect.flatMap(
    Effect.promise(() => import("./internal/HttpTransport.ts")),
    (HttpTransport) => Effect.map(HttpTransport.make(source, options, RequestTimeout), tellingOfSilence)
  )

/**
 * Says once that nothing has answered the first request: the address may be wrong, and whoever waits for a lock would hear nothing until
 * the last try.
 */
const tellingOfSilence = (transport: KubeTransport["Service"]): KubeTransport["Service"] => {
  let isSettled = false
  const settle = (error?: KubeError) =>
    Effect.suspend(() => {
      const isFirst = !isSettled
      isSettled = true
      const isSilent = error !== undefined && error.status === undefined && (isUnavailable(error) || isTimeout(error))
      return isFirst && isSilent
        ? Effect.annotateLogs(Effect.logWarning("The API server has not answered yet"), Attributes.ofProblem(error))
        : Effect.void
    })
  return {
    ...transport,
    request: (request) =>
      isSettled
        ? transport.request(request)
        : transport.request(request).pipe(Effect.tap(settle()), Effect.tapError(settle))
  }
}
