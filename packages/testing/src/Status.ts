/**
 * The answers that carry no object: Kubernetes Status objects, with the codes, reasons, messages and details that a real
 * API server gives.
 *
 * **Details**
 *
 * They are compared with a real server's: a suite of tests asks both the same things.
 *
 * **Example** (What a server answers)
 *
 * ```ts
 * import { ResourceType, Status } from "@kubelock/testing"
 *
 * const leases = ResourceType.builtIn.find(({ kind }) => kind === "Lease")!
 *
 * Status.notFound(leases, "a").message // => 'leases.coordination.k8s.io "a" not found'
 * Status.alreadyExists(leases, "a").message // => 'leases.coordination.k8s.io "a" already exists'
 * Status.conflict(leases, "a").reason // => "Conflict"
 * Status.preconditionFailed(leases, "a", "its uid is another").details // => { ...Status.notFound(leases, "a").details, kind: "Lease" }
 * Status.invalid(leases, "a", [{ field: "metadata", message: "bad" }]).message // => 'Lease.coordination.k8s.io "a" is invalid: metadata: bad'
 * Status.deleted(leases, "a", "some-uid").status // => "Success"
 *
 * Status.isStatus(Status.unauthorized) // => true
 * Status.badRequest("no JSON").code // => 400
 * Status.notAcceptable("a list, please").code // => 406
 * Status.noAcceptableMediaType("application/json").code // => 406
 * Status.expired(5, 9).message // => "too old resource version: 5 (9)"
 * Status.requestEntityTooLarge(3_145_728).code // => 413
 * Status.unsupportedMediaType(["application/json"]).code // => 415
 * Status.tooManyRequests(2).details // => { retryAfterSeconds: 2 }
 * Status.internalError("boom").message // => "Internal error occurred: boom"
 * Status.unexplainedError("boom").reason // => undefined
 * Status.resourceVersionTooLarge(9, 5).message // => "Timeout: Too large resource version: 9, current: 5"
 * ```
 *
 * @since 0.1.0
 */
import { Predicate } from "effect"
import type { ResourceType } from "./ResourceType.ts"
import { qualifiedKind, qualifiedResource } from "./ResourceType.ts"

/**
 * One of several things wrong with an object.
 *
 * @category models
 * @since 0.1.0
 */
export interface StatusCause {
  /** In a word, as `FieldValueInvalid`; absent where the message is all there is. */
  readonly reason?: string | undefined
  /** In words. */
  readonly message: string
  /** The path of the field at fault, as `metadata.annotations`; absent where it is none of them. */
  readonly field?: string | undefined
}

/**
 * What the Status is about. A refusal without any names is told by its empty `details: {}`.
 *
 * @category models
 * @since 0.1.0
 */
export interface StatusDetails {
  /** The object's name. */
  readonly name?: string | undefined
  /** The API group; absent for the core group. */
  readonly group?: string | undefined
  /** The resource (`configmaps`) or, where the object itself is invalid, the kind (`ConfigMap`). */
  readonly kind?: string | undefined
  /** The uid of an object that was deleted. */
  readonly uid?: string | undefined
  /** What is wrong, one by one; absent where the reason says it all. */
  readonly causes?: ReadonlyArray<StatusCause> | undefined
  /** After how many seconds the same request may do better; absent where it will not. */
  readonly retryAfterSeconds?: number | undefined
}

/**
 * A Status object.
 *
 * @category models
 * @since 0.1.0
 */
export interface Status {
  /** What tells it from any other object. */
  readonly kind: "Status"
  /** The version of the Status type itself, whatever the request was about. */
  readonly apiVersion: "v1"
  /** Empty: a Status is stored nowhere. */
  readonly metadata: {}
  /** Whether the request was granted. */
  readonly status: "Success" | "Failure"
  /** For people. */
  readonly message?: string
  /** For programs, in a word, as `NotFound`; absent where the server has none. */
  readonly reason?: string
  /** What it is about. */
  readonly details?: StatusDetails
  /** The HTTP status code. A success has none of its own. */
  readonly code?: number
}

/**
 * Tells a Status from an object.
 *
 * @category guards
 * @since 0.1.0
 */
export const isStatus = (input: unknown): input is Status => Predicate.isObject(input) && input["kind"] === "Status"

const failure = (code: number, reason: string | undefined, message: string, details?: StatusDetails): Status => ({
  kind: "Status",
  apiVersion: "v1",
  metadata: {},
  status: "Failure",
  message,
  ...(reason === undefined ? {} : { reason }),
  ...(details === undefined ? {} : { details }),
  code
})

/** What messages and details need to know of a type. */
type Resource = Pick<ResourceType, "group" | "resource">
type Kind = Pick<ResourceType, "group" | "kind">

const resourceDetails = (type: Resource, name: string): StatusDetails => ({
  name,
  ...(type.group === "" ? {} : { group: type.group }),
  kind: type.resource
})

/**
 * 200: the object is deleted.
 *
 * @category constructors
 * @since 0.1.0
 */
export const deleted = (type: Resource, name: string, uid: string): Status => ({
  kind: "Status",
  apiVersion: "v1",
  metadata: {},
  status: "Success",
  details: { ...resourceDetails(type, name), uid }
})

/**
 * 400: the request makes no sense, as this message explains.
 *
 * @category constructors
 * @since 0.1.0
 */
export const badRequest = (message: string): Status => failure(400, "BadRequest", message)

/**
 * 401: no token, or a wrong one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unauthorized: Status = failure(401, "Unauthorized", "Unauthorized")

/**
 * 404: no such object. Its `details` have a name, unlike those of {@link noSuchResource}.
 *
 * @category constructors
 * @since 0.1.0
 */
export const notFound = (type: Resource, name: string): Status =>
  failure(404, "NotFound", `${qualifiedResource(type)} "${name}" not found`, resourceDetails(type, name))

/**
 * 404: no such resource in a group that exists.
 *
 * @category constructors
 * @since 0.1.0
 */
export const noSuchResource: Status = failure(
  404,
  "NotFound",
  "the server could not find the requested resource",
  {}
)

/**
 * 405: the resource exists, but not this way of asking for it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const methodNotAllowed: Status = failure(
  405,
  "MethodNotAllowed",
  "the server does not allow this method on the requested resource",
  {}
)

/**
 * 406: the Accept header asks for what this server cannot write.
 *
 * @category constructors
 * @since 0.1.0
 */
export const notAcceptable = (message: string): Status => failure(406, "NotAcceptable", message)

/**
 * 406: nothing that the client accepts is a form that the server writes at all.
 *
 * @category constructors
 * @since 0.1.0
 */
export const noAcceptableMediaType = (available: string): Status =>
  failure(406, "NotAcceptable", `406: Not Acceptable\n\nAvailable representations: ${available}`, {})

/**
 * 409: an object of this name exists.
 *
 * @category constructors
 * @since 0.1.0
 */
export const alreadyExists = (type: Resource, name: string): Status =>
  failure(409, "AlreadyExists", `${qualifiedResource(type)} "${name}" already exists`, resourceDetails(type, name))

/**
 * 409: the object is no longer the one that the request was meant for. Without `why`: its resourceVersion is another.
 *
 * @category constructors
 * @since 0.1.0
 */
export const conflict = (
  type: Resource,
  name: string,
  why = "the object has been modified; please apply your changes to the latest version and try again"
): Status =>
  failure(
    409,
    "Conflict",
    `Operation cannot be fulfilled on ${qualifiedResource(type)} "${name}": ${why}`,
    resourceDetails(type, name)
  )

/**
 * 409: a DELETE's preconditions do not hold. Unlike other conflicts it speaks of the kind.
 *
 * @category constructors
 * @since 0.1.0
 */
export const preconditionFailed = (type: Kind, name: string, why: string): Status =>
  conflict({ group: type.group, resource: type.kind }, name, why)

/**
 * 410: the resourceVersion is older than the history that is kept.
 *
 * @category constructors
 * @since 0.1.0
 */
export const expired = (requested: number, oldest: number): Status =>
  failure(410, "Expired", `too old resource version: ${requested} (${oldest})`)

/**
 * 413: the request's body is too long.
 *
 * @category constructors
 * @since 0.1.0
 */
export const requestEntityTooLarge = (limitBytes: number): Status =>
  failure(413, "RequestEntityTooLarge", `Request entity too large: limit is ${limitBytes}`)

/**
 * 415 to a body that is no object in a known format.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unsupportedMediaType = (accepted: ReadonlyArray<string>): Status =>
  failure(
    415,
    "UnsupportedMediaType",
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(", ")}`
  )

/**
 * 415 to a patch of a built-in kind in a format that is none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unsupportedPatchType: Status = failure(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})

/**
 * 422: the object is invalid, for these causes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const invalid = (type: Kind, name: string, causes: ReadonlyArray<StatusCause>): Status => {
  const problems = [...new Set(causes.map((cause) => `${cause.field}: ${cause.message}`))]
  return failure(
    422,
    "Invalid",
    `${qualifiedKind(type)} "${name}" is invalid: ${problems.length === 1 ? problems[0] : `[${problems.join(", ")}]`}`,
    {
      ...(name === "" ? {} : { name }),
      ...(type.group === "" ? {} : { group: type.group }),
      ...(type.kind === "" ? {} : { kind: type.kind }),
      causes
    }
  )
}

/**
 * 422 without a word of why: a JSON Patch whose `test` failed, or whose path does not exist.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unprocessablePatch: Status = failure(
  422,
  "Invalid",
  "the server rejected our request due to an error in our request",
  {}
)

/**
 * 429: come back in so many seconds. The Retry-After header says the same.
 *
 * @category constructors
 * @since 0.1.0
 */
export const tooManyRequests = (retryAfterSeconds: number): Status =>
  failure(429, "TooManyRequests", "Too many requests, please try again later.", { retryAfterSeconds })

/**
 * 500 with a reason.
 *
 * @category constructors
 * @since 0.1.0
 */
export const internalError = (message: string): Status =>
  failure(500, "InternalError", `Internal error occurred: ${message}`, { causes: [{ message }] })

/**
 * 500 as a real server answers to some bad input: without a reason.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unexplainedError = (message: string): Status => failure(500, undefined, message)

/**
 * 503: the server cannot answer now.
 *
 * @category constructors
 * @since 0.1.0
 */
export const serviceUnavailable: Status = failure(
  503,
  "ServiceUnavailable",
  "the server is currently unable to handle the request"
)

/**
 * 504: the resourceVersion lies in the future.
 *
 * @category constructors
 * @since 0.1.0
 */
export const resourceVersionTooLarge = (requested: number, current: number): Status =>
  failure(504, "Timeout", `Timeout: Too large resource version: ${requested}, current: ${current}`, {
    causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
    retryAfterSeconds: 1
  })
