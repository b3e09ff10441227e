/** `KubeTransport` over HTTP: what sends requests, and says why one was not answered. */
import { InvalidConfig } from "@kubelock/core"
import {
  Array,
  Cause,
  Clock,
  type Context,
  Duration,
  Effect,
  type Fiber,
  Option,
  Schema,
  type Scope,
  Stream,
  type Tracer
} from "effect"
import * as fs from "node:fs"
import type { Dispatcher } from "undici"
import { KubeError, Timeout, Unauthorized, Unavailable } from "../KubeError.ts"
import type { KubeConfigOptions, KubeRequest, KubeResponse, KubeTransport } from "../KubeTransport.ts"
import * as ClusterConfig from "./ClusterConfig.ts"
import { concealInJson, concealKnown } from "./Concealment.ts"
import * as Connections from "./Connections.ts"
import * as Credentials from "./Credentials.ts"
import * as Deadlines from "./Deadlines.ts"
import * as Exchange from "./Exchange.ts"
import * as Given from "./Given.ts"
import { doubt } from "./RequestTarget.ts"
import { oneLine } from "./Status.ts"
import * as Tracing from "./Tracing.ts"

/** `CallersTimeout` is how long the caller of a request lets it take. */
export const make = Effect.fnUntraced(function*(
  source: ClusterConfig.Source,
  options: KubeConfigOptions,
  CallersTimeout: Context.Reference<Duration.Duration>
): Effect.fn.Return<KubeTransport["Service"], InvalidConfig, Scope.Scope> {
  const given = yield* Effect.fromResult(
    Given.read("options", options, ({ context, requestTimeout, userAgent }) => ({ context, requestTimeout, userAgent }))
  )
  const requestTimeout = yield* parseTimeout(given.requestTimeout ?? "10 seconds")
  const userAgent = yield* parseUserAgent(given.userAgent ?? `kubelock/${yield* packageVersion}`)
  if (given.context !== undefined && typeof given.context !== "string") {
    return yield* InvalidConfig.of("context", given.context, "it must be the name of a context, or left out")
  }
  const clientNode = yield* Effect.promise(() => import("@kubernetes/client-node"))
  const undici = yield* Effect.promise(() => import("undici"))

  const config = yield* ClusterConfig.load(clientNode, source, given.context)
  const fileSystemRoot = yield* ClusterConfig.FileSystemRoot
  const reload = ClusterConfig.load(clientNode, source, config.context).pipe(
    Effect.provideService(ClusterConfig.FileSystemRoot, fileSystemRoot)
  )
  const credentials = Credentials.make(clientNode, config, reload)
  const connections = yield* Connections.make(undici, 16)
  const deadlines = yield* Deadlines.make
  // Apart, since a handful of watches would otherwise leave no connection for a request.
  const streamConnections = yield* Connections.make(undici, null)

  /** What is waited for, unless the time of the request is over before. */
  const inTime = <A, E, R>(request: KubeRequest, attempt: Attempt, effect: Effect.Effect<A, E, R>) =>
    Effect.suspend(() =>
      Effect.timeoutOrElse(effect, { duration: remaining(attempt), orElse: () => giveUp(request, attempt) })
    )

  const giveUp = (request: KubeRequest, attempt: Attempt) => Effect.fail(timedOut(request, config, attempt))

  const withCredentials = <A, R>(
    request: KubeRequest,
    attempt: Attempt,
    use: (granted: Credentials.Credentials) => Effect.Effect<A, KubeError, R>
  ): Effect.Effect<A, KubeError, R> => {
    attempt.phase = "credentials"
    const kept = credentials.kept(attempt.clock.monotonicTimeNanosUnsafe())
    return kept === undefined
      ? Effect.flatMap(inTime(request, attempt, Effect.mapError(credentials.fetch, unauthenticated(request))), use)
      : use(kept)
  }

  const send = (request: KubeRequest, granted: Credentials.Credentials, attempt: Attempt) => {
    attempt.phase = "connection"
    const atMost = remaining(attempt)
    if (!Duration.isPositive(atMost)) return giveUp(request, attempt)
    const options = dispatchOptions(request, granted, userAgent, attempt.timeout)
    const limit = (onOver: () => void) => deadlines(attempt.fiber, atMost, onOver)
    return Effect.mapError(
      Exchange.exchange(connections(granted), options, onSent(attempt), limit),
      (broken) =>
        broken === Exchange.timeIsOver ? timedOut(request, config, attempt) : unavailable(request, granted, broken)
    )
  }

  const open = (request: KubeRequest, granted: Credentials.Credentials, attempt: Attempt) => {
    attempt.phase = "connection"
    const options = dispatchOptions(request, granted, userAgent, attempt.timeout)
    const opening = Effect.flatMap(
      Exchange.open(streamConnections(granted), options, onSent(attempt), listening(request, attempt)),
      (opened) =>
        isSuccess(opened)
          ? Effect.succeed<Opened>(opened)
          : Effect.map(Exchange.readText(opened.body), (body): Opened => ({ ...opened, body }))
    )
    return inTime(request, attempt, Effect.mapError(opening, (broken) => ended(request, granted, broken)))
  }

  /** Notes when something was last heard, and looks there now and then: a deadline for each piece would take longer. */
  const listening = ({ silenceAtMost }: KubeRequest, { clock, fiber }: Attempt): Exchange.Listening => (onSilent) => {
    if (silenceAtMost === undefined || !Duration.isFinite(silenceAtMost)) return { heard: () => {}, end: () => {} }
    const silenceAtMostNanos = Duration.toNanosUnsafe(silenceAtMost)
    let heardAtNanos = clock.monotonicTimeNanosUnsafe()
    let isEnded = false
    let callOff = () => {}
    const lookIn = (nanos: bigint) => {
      if (isEnded) return
      callOff = deadlines(fiber, Duration.nanos(nanos > aMillisecond ? nanos : aMillisecond), () => {
        const leftNanos = heardAtNanos + silenceAtMostNanos - clock.monotonicTimeNanosUnsafe()
        lookIn(leftNanos > 0n ? leftNanos : silenceAtMostNanos)
        if (leftNanos <= 0n) onSilent()
      })
    }
    lookIn(silenceAtMostNanos)
    return {
      heard: () => {
        heardAtNanos = clock.monotonicTimeNanosUnsafe()
      },
      end: () => {
        isEnded = true
        callOff()
      }
    }
  }

  // Every request comes through here, so it takes no more steps than it must.
  const answered = <A extends Exchange.Head, R>(
    request: KubeRequest,
    send: (request: KubeRequest, granted: Credentials.Credentials, attempt: Attempt) => Effect.Effect<A, KubeError, R>
  ): Effect.Effect<Answered<A>, KubeError, R> =>
    spanned(request, (span, fiber) => {
      const attempt = begin(fiber)
      if (!Duration.isPositive(attempt.timeout)) return giveUp(request, attempt)
      const told = (granted: Credentials.Credentials, answer: A) => {
        span?.attribute("http.response.status_code", answer.status)
        return Effect.succeed({ granted, answer })
      }
      return withCredentials(request, attempt, (granted) =>
        Effect.flatMap(send(request, granted, attempt), (answer) => {
          if (answer.status !== 401) return told(granted, answer)
          // A 401 says that nothing was applied, so that the request may be repeated.
          attempt.phase = "credentials"
          return Effect.flatMap(
            inTime(request, attempt, Effect.mapError(credentials.refresh(granted), unauthenticated(request))),
            () =>
              withCredentials(request, attempt, (renewed) =>
                Effect.flatMap(send(request, renewed, attempt), (answer) => told(renewed, answer)))
          )
        }))
    })

  const begin = (fiber: Fiber.Fiber<unknown, unknown>): Attempt => {
    const clock = fiber.getRef(Clock.Clock)
    const timeout = Duration.min(requestTimeout, fiber.getRef(CallersTimeout))
    const endsAtNanos = clock.monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(timeout)
    return { fiber, clock, timeout, endsAtNanos, phase: "start" }
  }

  const request = (request: KubeRequest) =>
    Effect.flatMap(
      answered(request, send),
      ({ answer, granted }) =>
        isSuccess(answer) ? Effect.succeed(responseOf(answer)) : Effect.fail(refused(request, granted, answer))
    )

  const openLines = Effect.fnUntraced(function*(
    request: KubeRequest
  ): Effect.fn.Return<Stream.Stream<string, KubeError>, KubeError, Scope.Scope> {
    const { answer, granted } = yield* answered(request, open)
    if (typeof answer.body === "string") return yield* refused(request, granted, { ...answer, body: answer.body })
    const secrets = Credentials.secretsOf(granted)
    const concealed = (line: string) => line.includes(refusal) ? concealInJson(line, secrets) : line
    return Stream.fromPull(Effect.succeed(Effect.matchEffect(Exchange.linesOf(answer.body), {
      onSuccess: (lines) => Effect.succeed(Array.map(lines, concealed)),
      onFailure: (error) => Effect.fail(Cause.isDone(error) ? error : ended(request, granted, error))
    })))
  })

  return { request, stream: (request) => Stream.unwrap(openLines(request)) }
})

/** The head of a stream that has begun, or the whole of an answer that refuses it. */
type Opened = Exchange.Head & { readonly body: Exchange.Opened["body"] | string }

/** An answer, and what it was asked with. */
interface Answered<A> {
  readonly granted: Credentials.Credentials
  readonly answer: A
}

/** What is in the line of a watch by which the server refuses to go on, and says why. */
const refusal = "\"ERROR\""

/**
 * An answer of any status is no error of the span: a refused write says what it was asked. Nothing below it looks for a span, so it
 * is not made the current one.
 */
const spanned = <A, E, R>(
  { method, path, query }: KubeRequest,
  use: (span: Tracer.Span | undefined, fiber: Fiber.Fiber<unknown, unknown>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Tracing.spanned("KubeTransport.request", () => ({
    kind: "client",
    attributes: { "http.request.method": method, "url.path": path, "kubelock.watch": query?.["watch"] === "true" }
  }), use)

/** A request under way. */
interface Attempt {
  readonly fiber: Fiber.Fiber<unknown, unknown>
  readonly clock: Clock.Clock
  readonly timeout: Duration.Duration
  readonly endsAtNanos: bigint
  /** What it waits for; when time runs out, this tells whether it may have been applied. */
  phase: "start" | "credentials" | "connection" | "answer"
}

/** The least that every clock counts: after less than that, one may call back at once, and so without end. */
const aMillisecond = 1_000_000n

const remaining = ({ clock, endsAtNanos }: Attempt): Duration.Duration =>
  Duration.nanos(endsAtNanos - clock.monotonicTimeNanosUnsafe())

const onSent = (attempt: Attempt) => () => {
  attempt.phase = "answer"
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
const packageVersion = Effect.try(() => fs.readFileSync(new URL("../../package.json", import.meta.url), "utf8")).pipe(
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
  headers: headersOf(request, userAgent, headers),
  body: request.body ?? null
})

// A write is given up by the server when this side gives it up: a late one would take a lock for nobody.
const search = ({ method, query = {} }: KubeRequest, timeout: Duration.Duration): string => {
  const isWrite = method !== "GET"
  let text = ""
  for (const [name, value] of Object.entries(query)) {
    if (!(isWrite && name === "timeout")) text += `&${encoded(name)}=${encoded(value)}`
  }
  if (isWrite) text += `&timeout=${Duration.toMillis(timeout)}ms`
  return text === "" ? "" : `?${text.slice(1)}`
}

const encoded = (text: string): string => encodeURIComponent(text.toWellFormed())

/** In lower case, so that a header of the caller replaces a default instead of standing beside it. */
const headersOf = (
  { headers = {} }: KubeRequest,
  userAgent: string,
  credentials: Credentials.Credentials["headers"]
): Record<string, string> => {
  const all: Record<string, string> = { accept: "application/json" }
  for (const name in headers) all[name.toLowerCase()] = headers[name]!
  all["user-agent"] = userAgent
  return Object.assign(all, credentials)
}

const isSuccess = ({ status }: Exchange.Head): boolean => status >= 200 && status < 300

const responseOf = ({ body, headers, status }: Exchange.Answer): KubeResponse => ({
  status,
  body,
  dateMillis: millisOf(String(headers["date"]))
})

const millisOf = (date: string): number | undefined => {
  if (date !== lastDate.text) {
    const millis = Date.parse(date)
    lastDate = { text: date, millis: Number.isNaN(millis) ? undefined : millis }
  }
  return lastDate.millis
}

// All answers of a second have the same.
let lastDate: { readonly text: string; readonly millis: number | undefined } = { text: "", millis: undefined }

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

/** Why an answer that had begun was not read to its end. */
const ended = (
  request: KubeRequest,
  granted: Credentials.Credentials,
  why: Exchange.Broken | Exchange.Silent
): KubeError => why === Exchange.silent ? silent(request, granted) : unavailable(request, granted, why)

const silent = (
  { method, path, silenceAtMost = Duration.infinity }: KubeRequest,
  { config: { origin } }: Credentials.Credentials
): KubeError =>
  new KubeError({
    method,
    path,
    reason: new Timeout({
      outcomeUnknown: false,
      message:
        `${origin} has begun its answer, and then said nothing for ${
          Duration.format(silenceAtMost)
        }: the connection is ` +
        "dead, or something on the way holds the answer back."
    })
  })

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
