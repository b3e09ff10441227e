import type { InvalidConfig } from "@kubelock/core"
import type * as ClientNode from "@kubernetes/client-node"
import { Clock, Data, Duration, Effect, Option, Predicate, Result, Schema } from "effect"
import type * as https from "node:https"
import { type ClusterConfig, execOf, tokenFileOf } from "./ClusterConfig.ts"
import { concealGuessed, concealKnown } from "./Concealment.ts"

/** What proves to a server who we are, and to us that it is the server. `undefined` where the scheme is `http`. */
export interface Tls {
  readonly ca: https.RequestOptions["ca"]
  readonly cert: https.RequestOptions["cert"]
  readonly key: https.RequestOptions["key"]
  readonly servername: string | undefined
  readonly rejectUnauthorized: boolean
}

/** What one request needs to be accepted by the configured server. */
export interface Credentials {
  readonly config: ClusterConfig
  readonly headers: Readonly<Record<string, string>>
  readonly tls: Tls | undefined
  /** How many refreshes came before. */
  readonly generation: number
}

/** No credentials could be had; nothing was sent. The message is safe to show. */
export class CredentialsError extends Data.TaggedError("CredentialsError")<{ readonly message: string }> {}

/** Fetches credentials, one fetch at a time however many requests wait for it. */
export interface CredentialsProvider {
  /** The last, if they are still good for another request by the monotonic clock. */
  readonly kept: (nowNanos: bigint) => Credentials | undefined
  readonly fetch: Effect.Effect<Credentials, CredentialsError>
  /** Drops refused credentials with all that client-node caches, unless another request has done so already. */
  readonly refresh: (refused: Credentials) => Effect.Effect<void, CredentialsError>
}

export const make = (
  clientNode: typeof ClientNode,
  initial: ClusterConfig,
  reload: Effect.Effect<ClusterConfig, InvalidConfig>
): CredentialsProvider => {
  let config = initial
  let kubeConfig = withoutCaches(clientNode, initial)
  let generation = 0
  let inFlight: Promise<Credentials> | undefined
  /** The last that were had, and until when they are good for another request if the server does not refuse them. */
  let kept: { readonly credentials: Credentials; readonly untilNanos: bigint } | undefined

  const restart = (next: ClusterConfig) => {
    config = next
    kubeConfig = withoutCaches(clientNode, next)
    inFlight = undefined
    kept = undefined
  }

  const fetchOnce = (nowNanos: bigint): Promise<Credentials> => {
    if (inFlight !== undefined) return inFlight
    const settled = () => {
      if (inFlight === promise) inFlight = undefined
    }
    const promise = apply(kubeConfig, config, generation).then(
      (credentials) => {
        if (inFlight === promise) kept = { credentials, untilNanos: nowNanos + keptNanos(credentials.config) }
        settled()
        return credentials
      },
      (error: unknown) => {
        // client-node keeps an answer of a plugin that it cannot use; the next request shall ask the plugin again.
        if (inFlight === promise) restart(config)
        throw error
      }
    )
    inFlight = promise
    return promise
  }

  return {
    kept: (nowNanos) => kept !== undefined && nowNanos < kept.untilNanos ? kept.credentials : undefined,
    fetch: Effect.flatMap(Clock.monotonicTimeNanos, (nowNanos) =>
      Effect.tryPromise({
        try: () => fetchOnce(nowNanos),
        catch: (error) => new CredentialsError({ message: describe(config.user, error) })
      })),
    refresh: Effect.fnUntraced(function*(refused) {
      if (refused.generation !== generation) return
      const next = yield* Effect.mapError(
        reload,
        ({ message }) => new CredentialsError({ message: `The credentials could not be read again: ${message}` })
      )
      if (next.origin !== config.origin || next.basePath !== config.basePath) {
        return yield* new CredentialsError({
          message:
            `The credentials were refused, and context "${config.context}" now names another server than the one ` +
            "in use. Restart this process to move it there."
        })
      }
      generation += 1
      restart(next)
    })
  }
}

// A file that was replaced is not the only one that counts: servers accept the old certificate or token for a while.
const filesKept = Duration.seconds(10)

const hour = Duration.hours(1)

/** Who is asked for credentials knows how long they are good, and is asked each time. What the kubeconfig says does not change. */
const keptNanos = ({ cluster, user }: ClusterConfig): bigint => {
  const readsToken = tokenFileOf(user) !== undefined
  if (user.exec || (user.authProvider && !readsToken)) return 0n
  const readsFiles = readsToken || [cluster.caFile, user.certFile, user.keyFile].some(Boolean)
  return Duration.toNanosUnsafe(readsFiles ? filesKept : hour)
}

const withoutCaches = ({ KubeConfig }: typeof ClientNode, { cluster, user }: ClusterConfig): ClientNode.KubeConfig => {
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromClusterAndUser(cluster, user)
  return kubeConfig
}

const apply = async (
  kubeConfig: ClientNode.KubeConfig,
  config: ClusterConfig,
  generation: number
): Promise<Credentials> => {
  // Over plain http a credential could be read by anyone, so none is sent; kubectl does the same.
  if (config.origin.startsWith("http:")) return { config, headers: {}, tls: undefined, generation }
  const options: https.RequestOptions = {}
  await kubeConfig.applyToHTTPSOptions(options)
  const headers = headersOf(options)
  if (config.user.exec !== undefined && config.user.exec !== null && !("authorization" in headers) && !options.cert) {
    throw new NoCredential()
  }
  return {
    config,
    headers,
    tls: {
      ca: options.ca,
      cert: options.cert,
      key: options.key,
      servername: options.servername,
      // Said either way: left out, NODE_TLS_REJECT_UNAUTHORIZED=0 would switch the verification off.
      rejectUnauthorized: !config.cluster.skipTLSVerify
    },
    generation
  }
}

/** Names in lower case. A token file usually ends in a newline, and client-node leaves it there. */
const headersOf = ({ auth, headers }: https.RequestOptions): Record<string, string> => ({
  ...typeof auth === "string" && { authorization: `Basic ${Buffer.from(auth).toString("base64")}` },
  ...Object.fromEntries(
    Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), trimmed(String(value))])
  )
})

const trimmed = (header: string): string => header.trim().replace(/^Bearer\s+/, "Bearer ")

/** Every text that goes to a server or a proxy with a request and must not be shown. */
export const secretsOf = ({ config, headers }: Credentials): ReadonlyArray<string> => {
  const [scheme = "", value = ""] = (headers["authorization"] ?? "").split(" ")
  const password = scheme === "Basic" ? Buffer.from(value, "base64").toString().split(":").slice(1).join(":") : ""
  return [value, password, ...secretsOfProxy(config)].filter((secret) => secret !== "")
}

/** Its password as it stands in the URL and as it is meant, and what both name and password become in a header. */
const secretsOfProxy = ({ proxyUrl }: ClusterConfig): ReadonlyArray<string> => {
  const { password = "", username = "" } = (proxyUrl === undefined ? null : URL.parse(proxyUrl)) ?? {}
  if (password === "") return []
  const meant = Result.getOrElse(Result.try(() => decodeURIComponent(password)), () => password)
  const name = Result.getOrElse(Result.try(() => decodeURIComponent(username)), () => username)
  return [password, meant, Buffer.from(`${name}:${meant}`).toString("base64")]
}

/** Every text of a user that is a secret by its name, with which a plugin or an identity provider may have been asked. */
const secretsOfUser = ({ authProvider, exec, password, token }: ClientNode.User): ReadonlyArray<string> => {
  const provider = Object.entries(Option.getOrElse(decodeTexts(authProvider?.config), () => ({})))
  const environment = Option.getOrElse(decodeEnvironment(exec?.env), () => []).map(({ name, value }) =>
    [name, value] as const
  )
  const named = [...provider, ...environment].filter(([name]) => name !== "tokenFile" && secretName.test(name))
  return [token ?? "", password ?? "", ...named.map(([, value]) => value)].filter((secret) => secret !== "")
}

const secretName = /token|secret|password|passwd|credential|key/i

const decodeTexts = Schema.decodeUnknownOption(Schema.Record(Schema.String, Schema.String))

const decodeEnvironment = Schema.decodeUnknownOption(
  Schema.Array(Schema.Struct({ name: Schema.String, value: Schema.String }))
)

class NoCredential extends Error {}

const describe = (user: ClientNode.User, error: unknown): string => {
  const exec = execOf(user)
  const text = concealKnown(error instanceof Error ? error.message : String(error), secretsOfUser(user))
  if (exec === undefined || isFileError(error)) {
    // The parser's message quotes what it read, and that may be the token itself.
    const said = error instanceof SyntaxError ? "what was to name them cannot be read." : concealGuessed(text, 400)
    return `The credentials of user "${user.name}" could not be had: ${said}`
  }
  return `The exec plugin "${exec.command}" of user "${user.name}" ${describeExec(exec.installHint, error, text)}`
}

interface SystemError {
  readonly code: string
  readonly syscall: string
}

const isSystemError = (error: unknown): error is SystemError =>
  Predicate.hasProperty(error, "code") && Predicate.hasProperty(error, "syscall")

/** Of a certificate or token file, whoever the user is; a plugin that cannot be started fails in `spawn`. */
const isFileError = (error: unknown): boolean => isSystemError(error) && !error.syscall.startsWith("spawn")

const describeExec = (installHint: string, error: unknown, text: string): string => {
  if (error instanceof NoCredential) return "printed neither a token nor a client certificate."
  // What the plugin printed is quoted by the parser's message, and may be the token itself.
  if (error instanceof SyntaxError || error instanceof TypeError) return "printed something that is no ExecCredential."
  if (isSystemError(error)) {
    return `could not be started (${error.code}). Install it, or correct its path. ${concealGuessed(installHint, 400)}`
      .trim()
  }
  return text.trim() === "" ? "failed without saying why." : `failed: ${concealGuessed(text, 400)}`
}
