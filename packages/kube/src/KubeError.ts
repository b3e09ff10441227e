/**
 * What went wrong between this process and the API server.
 *
 * One error, {@link KubeError}, with a tagged `reason`, so that a caller handles the reasons it cares about and leaves the
 * rest as they are. Its `message` names the object, says what the server said and what to do about it.
 *
 * **Details**
 *
 * {@link KubeError.outcomeUnknown} is the question to ask before a write is repeated: it is `true` where the write may
 * have been applied although no answer says so.
 *
 * **Gotchas**
 *
 * A refused `test` of a JSON Patch is an {@link Invalid} of status 422 without causes; a value that failed validation has
 * causes.
 *
 * **Example** (Waiting as long as the server asks for)
 *
 * ```ts
 * import { KubeError } from "@kubelock/kube"
 * import { Duration, Effect } from "effect"
 *
 * const refused = Effect.fail(KubeError.fromResponse(
 *   { method: "GET", path: "/api/v1/namespaces/default/configmaps/locks" },
 *   { status: 429, headers: { "retry-after": "2" }, body: "" }
 * ))
 *
 * const pause = refused.pipe(
 *   Effect.catchReason("KubeError", "Throttled", ({ retryAfterMillis = 1_000 }) => Effect.succeed(retryAfterMillis)),
 *   Effect.map((millis) => Duration.millis(millis))
 * )
 *
 * await Effect.runPromise(pause) // => Duration.seconds(2)
 * ```
 *
 * **Example** (Which reason an answer is)
 *
 * ```ts
 * import * as Kube from "@kubelock/kube"
 *
 * const request = { method: "PATCH", path: "/api/v1/namespaces/default/configmaps/locks" }
 * const answered = (status: number) => Kube.KubeError.fromResponse(request, { status, headers: {}, body: "" })
 *
 * Kube.isUnauthorized(answered(401)) // => true
 * Kube.isForbidden(answered(403)) // => true
 * Kube.isResourceNotFound(answered(404)) // => true
 * Kube.isConflict(answered(409)) // => true
 * Kube.isInvalid(answered(422)) // => true
 * Kube.isThrottled(answered(429)) // => true
 * Kube.isUnavailable(answered(503)) // => true
 * Kube.isTimeout(answered(504)) // => true
 * ```
 *
 * **Example** (Which reasons leave it open whether a write was made)
 *
 * ```ts
 * import * as Kube from "@kubelock/kube"
 *
 * const message = "why, and what to do"
 * const reasons = [
 *   new Kube.Conflict({ message }),
 *   new Kube.ResourceNotFound({ missing: "Object", message }),
 *   new Kube.Forbidden({ message }),
 *   new Kube.Unauthorized({ message }),
 *   new Kube.Invalid({ status: 422, causes: [], message }),
 *   new Kube.Throttled({ retryAfterMillis: 2_000, message }),
 *   new Kube.Unavailable({ outcomeUnknown: true, message }),
 *   new Kube.Timeout({ outcomeUnknown: true, message })
 * ]
 *
 * const path = "/api/v1/namespaces/default/configmaps/locks"
 * const errors = reasons.map((reason) => new Kube.KubeError({ method: "PATCH", path, reason }))
 * errors.filter(({ outcomeUnknown }) => outcomeUnknown).map(({ reason }) => reason._tag) // => ["Unavailable", "Timeout"]
 * ```
 *
 * @since 0.1.0
 */
import { Duration, Option, Schema } from "effect"
import * as RequestTarget from "./internal/RequestTarget.ts"
import * as Status from "./internal/Status.ts"

/**
 * HTTP 409: somebody else changed or created the object meanwhile. Read it again and decide anew.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Conflict extends Schema.TaggedError<Conflict>()("Conflict", {
  message: Schema.String
}) {}

/**
 * HTTP 404. `missing` tells an object that does not exist from a resource type that the server does not know: a
 * CustomResourceDefinition that is not installed, or a wrong group, version or plural. A server's 404 names the object in its details,
 * or names nothing.
 *
 * @category reasons
 * @since 0.1.0
 */
export class ResourceNotFound extends Schema.TaggedError<ResourceNotFound>()("ResourceNotFound", {
  missing: Schema.Literals(["Object", "ResourceType"]),
  message: Schema.String
}) {}

/**
 * HTTP 403: authenticated, but RBAC (or an admission policy) forbids it.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Forbidden extends Schema.TaggedError<Forbidden>()("Forbidden", {
  message: Schema.String
}) {}

/**
 * HTTP 401 although the credentials were refreshed, or no credentials could be had at all, as when an exec plugin fails.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {
  message: Schema.String
}) {}

/**
 * One thing that the server found wrong with a request.
 *
 * @category models
 * @since 0.1.0
 */
export const InvalidCause = Schema.Struct({
  /** The path of the field at fault, as `metadata.annotations`; empty if the server did not say. */
  field: Schema.String,
  /** In a word, as `FieldValueTooLong`; empty if the server did not say. */
  reason: Schema.String,
  /** In words. */
  message: Schema.String
})

/**
 * What the schema {@link InvalidCause} holds.
 *
 * @category models
 * @since 0.1.0
 */
export type InvalidCause = typeof InvalidCause.Type

/**
 * HTTP 400, 405, 410, 415, 422 and every other 4xx without a reason of its own: the same request will not do better.
 *
 * **Gotchas**
 *
 * 422 with no `causes` is what a failed `test` of a JSON Patch looks like: no mistake, but "the object is not as you
 * think".
 *
 * @category reasons
 * @since 0.1.0
 */
export class Invalid extends Schema.TaggedError<Invalid>()("Invalid", {
  /** The HTTP status code. */
  status: Schema.Int,
  /** All that was found wrong, of many the first ten; empty if the server named nothing. */
  causes: Schema.Array(InvalidCause),
  message: Schema.String
}) {}

/**
 * HTTP 429: too many requests. `retryAfterMillis` is how long the server asks to wait, in milliseconds, if it said.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Throttled extends Schema.TaggedError<Throttled>()("Throttled", {
  retryAfterMillis: Schema.optionalKey(Schema.Finite),
  message: Schema.String
}) {}

/**
 * No usable answer: the connection failed, HTTP 5xx, or something answered that is no Kubernetes API server.
 *
 * `outcomeUnknown` is `false` if the request was never sent, as when the connection was refused or the server's
 * certificate was not trusted, and if it was redirected, which is not followed. `retryAfterMillis` is how long the server asks to
 * wait, in milliseconds, if it said.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", {
  outcomeUnknown: Schema.Boolean,
  retryAfterMillis: Schema.optionalKey(Schema.Finite),
  message: Schema.String
}) {}

/**
 * No complete answer in time: this side gave up, or the server said so (HTTP 408, 504).
 *
 * `outcomeUnknown` is `false` if time ran out before the request was sent. `retryAfterMillis` is how long the server asks to wait,
 * in milliseconds, if it said.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Timeout extends Schema.TaggedError<Timeout>()("Timeout", {
  outcomeUnknown: Schema.Boolean,
  retryAfterMillis: Schema.optionalKey(Schema.Finite),
  message: Schema.String
}) {}

/**
 * Why a request failed: one of the eight reasons, as a schema.
 *
 * @category reasons
 * @since 0.1.0
 */
export const KubeErrorReason = Schema.Union([
  Conflict,
  ResourceNotFound,
  Forbidden,
  Unauthorized,
  Invalid,
  Throttled,
  Unavailable,
  Timeout
])

/**
 * What the schema {@link KubeErrorReason} holds: tell them apart by `_tag`, or with `Effect.catchReason`.
 *
 * @category reasons
 * @since 0.1.0
 */
export type KubeErrorReason = typeof KubeErrorReason.Type

/**
 * A request that did not succeed: which one, the HTTP status if there was an answer, and the reason.
 *
 * It never carries credentials, nor the body of the request.
 *
 * **Example** (What an error says of a write)
 *
 * ```ts
 * import { KubeError } from "@kubelock/kube"
 * import { Duration } from "effect"
 *
 * const error = KubeError.fromResponse(
 *   { method: "PATCH", path: "/api/v1/namespaces/prod/configmaps/deploys" },
 *   { status: 503, headers: { "retry-after": "2" }, body: "" }
 * )
 * error.outcomeUnknown // => true
 * error.retryAfterMillis // => 2_000
 *
 * const purposeful = error.withPurpose(`acquire lock "helm"`).withLostAnswer()
 * purposeful.message.startsWith(`Could not acquire lock "helm": The API server failed to answer`) // => true
 * purposeful.message.includes("An earlier write got no answer") // => true
 * error.withRetries(6, Duration.seconds(7)).message.includes("Tried again 6 times in 7s") // => true
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export class KubeError extends Schema.TaggedError<KubeError>()("KubeError", {
  /** The request's method, as `PATCH`. */
  method: Schema.String,
  /** The request's path, without the query. */
  path: Schema.String,
  /** The HTTP status code; absent where there was no answer. */
  status: Schema.optionalKey(Schema.Int),
  /** Why it failed: one of the eight of this module. */
  reason: KubeErrorReason,
  /** What the request was for, as `acquire lock "helm" as "alice"`. */
  purpose: Schema.optionalKey(Schema.String),
  /** An earlier write for the same purpose got no answer, and what became of it could not be found out. */
  afterLostAnswer: Schema.optionalKey(Schema.Boolean),
  /** How many times it was tried again, and how long that took; absent where it was not. */
  triedAgain: Schema.optionalKey(Schema.Struct({
    /** How many times, after the first. */
    times: Schema.Int,
    /** From the first failure to this one. */
    for: Schema.Duration
  }))
}) {
  /**
   * The error for an answer that is no success: any status that is not 2xx, and a 2xx whose body cannot be read.
   *
   * Header names are lower case. `Retry-After` is read as seconds, or as a date counted from the answer's own `Date` (RFC 9110).
   *
   * @category constructors
   * @since 0.1.0
   */
  static fromResponse(request: KubeErrorRequest, response: KubeErrorResponse): KubeError {
    const { method, path } = request
    return new KubeError({ method, path, status: response.status, reason: reasonOf(request, response) })
  }

  override get message(): string {
    const status = this.status === undefined ? "" : `, HTTP ${this.status}`
    const purpose = this.purpose === undefined ? "" : `Could not ${this.purpose}: `
    const lost = this.afterLostAnswer === true
      ? " An earlier write got no answer; it may or may not have been applied."
      : ""
    const again = this.triedAgain === undefined
      ? ""
      : ` Tried again ${this.triedAgain.times === 1 ? "once" : `${this.triedAgain.times} times`} in ${
        Duration.format(this.triedAgain.for)
      }.`
    return `${purpose}${this.reason.message}${lost}${again} (${this.method} ${this.path}${status})`
  }

  /**
   * The same error, saying what the request was for: `could not` stands before it.
   *
   * @category combinators
   * @since 0.1.0
   */
  withPurpose(purpose: string): KubeError {
    return new KubeError({ ...this, purpose })
  }

  /**
   * The same error, saying that an earlier write got no answer: `outcomeUnknown` is then true, whatever this request was.
   *
   * @category combinators
   * @since 0.1.0
   */
  withLostAnswer(): KubeError {
    return new KubeError({ ...this, afterLostAnswer: true })
  }

  /**
   * The same error, saying how many times it was tried again, and for how long.
   *
   * @category combinators
   * @since 0.1.0
   */
  withRetries(times: number, duration: Duration.Duration): KubeError {
    return times === 0 ? this : new KubeError({ ...this, triedAgain: { times, for: duration } })
  }

  /**
   * Whether the write may have been applied although this error says that it failed. Read the object before deciding.
   *
   * A GET writes nothing, but may have been the vain attempt to find out about an earlier write.
   *
   * @category getters
   * @since 0.1.0
   */
  get outcomeUnknown(): boolean {
    return this.afterLostAnswer === true ||
      (this.method !== "GET" && "outcomeUnknown" in this.reason && this.reason.outcomeUnknown)
  }

  /**
   * How long the server asks to wait before the next try, in milliseconds, if it said.
   *
   * @category getters
   * @since 0.1.0
   */
  get retryAfterMillis(): number | undefined {
    return "retryAfterMillis" in this.reason ? this.reason.retryAfterMillis : undefined
  }
}

/**
 * The request that an error is about.
 *
 * @category models
 * @since 0.1.0
 */
export interface KubeErrorRequest {
  /** As `PATCH`. */
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** Tells a watch from a list. Absent where the request had none. */
  readonly query?: Readonly<Record<string, string>> | undefined
}

/**
 * The answer that an error is made from.
 *
 * @category models
 * @since 0.1.0
 */
export interface KubeErrorResponse {
  /** The HTTP status code. */
  readonly status: number
  /** By names in lower case. */
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  /** Whatever it is: a Kubernetes Status, or a proxy's page. */
  readonly body: string
}

const reasonIs = <Tag extends KubeErrorReason["_tag"]>(tag: Tag) =>
(
  error: unknown
): error is KubeError & { readonly reason: Extract<KubeErrorReason, { readonly _tag: Tag }> } =>
  error instanceof KubeError && error.reason._tag === tag

/**
 * Whether an error is a {@link KubeError} with the reason {@link Conflict}.
 *
 * @category guards
 * @since 0.1.0
 */
export const isConflict = reasonIs("Conflict")

/**
 * Whether an error is a {@link KubeError} with the reason {@link ResourceNotFound}.
 *
 * @category guards
 * @since 0.1.0
 */
export const isResourceNotFound = reasonIs("ResourceNotFound")

/**
 * Whether an error is a {@link KubeError} with the reason {@link Forbidden}.
 *
 * @category guards
 * @since 0.1.0
 */
export const isForbidden = reasonIs("Forbidden")

/**
 * Whether an error is a {@link KubeError} with the reason {@link Unauthorized}.
 *
 * @category guards
 * @since 0.1.0
 */
export const isUnauthorized = reasonIs("Unauthorized")

/**
 * Whether an error is a {@link KubeError} with the reason {@link Invalid}.
 *
 * @category guards
 * @since 0.1.0
 */
export const isInvalid = reasonIs("Invalid")

/**
 * Whether an error is a {@link KubeError} with the reason {@link Throttled}.
 *
 * @category guards
 * @since 0.1.0
 */
export const isThrottled = reasonIs("Throttled")

/**
 * Whether an error is a {@link KubeError} with the reason {@link Unavailable}.
 *
 * @category guards
 * @since 0.1.0
 */
export const isUnavailable = reasonIs("Unavailable")

/**
 * Whether an error is a {@link KubeError} with the reason {@link Timeout}.
 *
 * @category guards
 * @since 0.1.0
 */
export const isTimeout = reasonIs("Timeout")

const reasonOf = (request: KubeErrorRequest, response: KubeErrorResponse): KubeErrorReason => {
  const { body, status } = response
  const doubt = RequestTarget.doubt(request.method)
  const target = RequestTarget.parse(request.method, request.path, request.query)
  const object = target?.object ?? request.path
  const said = Status.parse(body)
  const saidText = whatServerSaid(said, body)
  const retryAfter = retryAfterOf(response, said)
  switch (status) {
    case 401:
      return new Unauthorized({
        message: "The API server does not accept these credentials, although they were refreshed once. " +
          `${saidText} Log in anew, or correct the user in the kubeconfig.`
      })
    case 403:
      return new Forbidden({ message: `Not allowed to ${allowance(target, request)}. ${saidText} ${grant(target)}` })
    case 404:
      return notFound(object, target, said, saidText)
    case 408:
    case 504:
      return new Timeout({
        outcomeUnknown: true,
        ...retryAfter,
        message: `The API server, or a proxy before it, gave up waiting for the answer about ` +
          `${object}${doubt}. ${saidText}`
      })
    case 409:
      return new Conflict({
        message: `${object} was changed or created by somebody else meanwhile. ${saidText} Read it again.`
      })
    case 429:
      return new Throttled({
        ...retryAfter,
        message: `The API server asks for fewer requests${
          retryAfter.retryAfterMillis === undefined ? "" : `: try again in ${retryAfter.retryAfterMillis} ms`
        }. ${saidText}`
      })
  }
  if (status >= 400 && status < 500) return invalid(object, status, said, saidText)
  if (status >= 500) {
    return new Unavailable({
      outcomeUnknown: true,
      ...retryAfter,
      message: `The API server failed to answer about ${object}${doubt}. ${saidText}`
    })
  }
  if (status >= 300) {
    return new Unavailable({
      outcomeUnknown: false,
      message: `Something redirects requests for ${object}, which an API server never does: a proxy or a login page ` +
        "answered. The redirect was not followed. Correct the server's address in the kubeconfig."
    })
  }
  // What a successful answer holds may be secret, so nothing of it is quoted.
  return new Unavailable({
    outcomeUnknown: true,
    message: `The answer about ${object} cannot be read (${body.length} characters that are not the JSON of an ` +
      `object)${doubt}. Something other than an API server may have answered.`
  })
}

const notFound = (
  object: string,
  target: RequestTarget.RequestTarget | undefined,
  said: Option.Option<Status.Status>,
  saidText: string
): ResourceNotFound =>
  Option.exists(said, ({ details }) => details?.name !== undefined)
    ? new ResourceNotFound({
      missing: "Object",
      message: `${object} does not exist. ${saidText} Create it, or correct the name or the namespace.`
    })
    : new ResourceNotFound({
      missing: "ResourceType",
      message: target === undefined
        ? `The API server knows no ${object}. ${saidText}`
        : `The API server knows no resource type "${target.resource}" in version "${target.apiVersion}". ${saidText} ` +
          "Install its CustomResourceDefinition, or correct the group, the version or the plural name."
    })

const invalid = (object: string, status: number, said: Option.Option<Status.Status>, saidText: string): Invalid => {
  const causes = Option.match(said, { onNone: () => [], onSome: ({ details }) => details?.causes ?? [] })
    .slice(0, maxCauses)
    .map(({ field = "", message = "", reason = "" }) => ({
      field: Status.oneLine(field, 200),
      reason: Status.oneLine(reason, 100),
      message: Status.oneLine(message, 300)
    }))
  // A server that validates in several passes names a cause once in each.
  const distinct = new Set(causes.map(({ field, message }) => ` ${field === "" ? "" : `${field}: `}${message}.`))
  const causesText = [...distinct].join("")
  return new Invalid({ status, causes, message: `The request about ${object} was refused. ${saidText}${causesText}` })
}

const allowance = (target: RequestTarget.RequestTarget | undefined, { method, path }: KubeErrorRequest): string =>
  target === undefined ? `${method} ${path}` : `${target.verb} ${target.object}`

const grant = (target: RequestTarget.RequestTarget | undefined): string =>
  target === undefined
    ? "Grant it with a ClusterRole."
    : `Grant the verb "${target.verb}" on "${target.resource}" with a ${
      target.namespace === undefined ? "ClusterRole" : `Role in namespace "${target.namespace}"`
    }.`

const whatServerSaid = (said: Option.Option<Status.Status>, body: string): string =>
  Option.match(said, {
    onNone: () => `The server answered ${Status.describeBody(body)}.`,
    onSome: ({ message = "" }) =>
      message === ""
        ? "The server gave no explanation."
        : `The server said: ${Status.oneLine(message, 600).replace(/\.$/, "")}.`
  })

const retryAfterOf = (
  { headers }: KubeErrorResponse,
  said: Option.Option<Status.Status>
): { readonly retryAfterMillis?: number } => {
  const header = single(headers["retry-after"])
  const seconds = header === undefined
    ? Option.getOrUndefined(said)?.details?.retryAfterSeconds
    : /^\d+$/.test(header)
    ? Number(header)
    : (Date.parse(header) - Date.parse(single(headers["date"]) ?? "")) / 1_000
  const millis = seconds === undefined ? undefined : seconds * 1_000
  // A number may be finite as seconds alone.
  return millis === undefined || !Number.isFinite(millis) ? {} : { retryAfterMillis: Math.max(0, millis) }
}

const single = (header: string | ReadonlyArray<string> | undefined): string | undefined =>
  typeof header === "string" ? header : header?.[0]

const maxCauses = 10
