/**
 * What shall go wrong, where, and how often: data that a server looks at with every request. Pure.
 *
 * **Details**
 *
 * A fault says which requests it means (all it says must hold), lets the first `skip` of them pass, then strikes `count` of
 * them and is used up. Of several that mean the same request, one latency and one other fault strike, in the order in which
 * they were injected; the rest wait for the next request.
 *
 * **Example** (Which requests, and how many of them)
 *
 * ```ts
 * import { Faults } from "@kubelock/testing"
 *
 * // The first patch of any ConfigMap is applied, and its answer lost.
 * const lost = Faults.answerDropped({ method: "PATCH", path: /configmaps\/[^/]+$/ })
 * // The second and the third watch end after two events each.
 * const cut = Faults.watchCut({ afterEvents: 2, skip: 1, count: 2 })
 *
 * const request = { method: "PATCH", path: "/api/v1/namespaces/default/configmaps/a", client: "me", verb: "patch" }
 * const first = Faults.take([lost, cut].map(Faults.arm), request)
 * first.struck?._tag // => "AnswerDropped"
 * Faults.take(first.armed, request).struck // => undefined
 * ```
 *
 * **Example** (What a client sees of them)
 *
 * ```ts
 * import { Faults, KubeApiServer } from "@kubelock/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* KubeApiServer
 *   const seen = (fault: Faults.Fault) =>
 *     Effect.andThen(server.inject(fault), Effect.tryPromise(() => fetch(`${server.url}/api`))).pipe(
 *       Effect.match({ onFailure: () => "no answer", onSuccess: ({ status }) => status })
 *     )
 *   return yield* Effect.forEach([
 *     Faults.conflict(),
 *     Faults.tooManyRequests({ retryAfterSeconds: 2 }),
 *     Faults.internalError(),
 *     Faults.serviceUnavailable(),
 *     Faults.requestDropped(),
 *     Faults.connectionReset({ applied: true })
 *   ], seen)
 * })
 *
 * const seen = await Effect.runPromise(program.pipe(Effect.provide(KubeApiServer.layer())))
 * seen // => [409, 429, 500, 503, "no answer", "no answer"]
 * ```
 *
 * @since 0.1.0
 */
import { Duration } from "effect"

/**
 * What a request wants, in the words of RBAC. What is no resource request has the verb of its method: `get`, `post`, …
 *
 * @category models
 * @since 0.1.0
 */
export type Verb =
  | "get"
  | "list"
  | "watch"
  | "create"
  | "update"
  | "patch"
  | "delete"
  | "deletecollection"
  | (string & {})

/**
 * What a fault may look at in a request.
 *
 * @category models
 * @since 0.1.0
 */
export interface FaultRequest {
  /** In upper case, as `PATCH`. */
  readonly method: string
  /** The path without the query. */
  readonly path: string
  /** The User-Agent header, or the empty string. */
  readonly client: string
  /** What it wants: `watch` where the method alone says no more than GET. */
  readonly verb: Verb
}

/**
 * Which requests a fault means, and how many of them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Match {
  /** As `PATCH`. Defaults to any. */
  readonly method?: string | undefined
  /** A prefix of the path, or what its path must match. Defaults to any. */
  readonly path?: string | RegExp | undefined
  /** A prefix of the User-Agent header, or what it must match. Defaults to any. */
  readonly client?: string | RegExp | undefined
  /** Tells a watch from a list and a get. Defaults to any. */
  readonly verb?: Verb | undefined
  /** How many requests to strike. Defaults to 1; `Infinity` until the faults are cleared. */
  readonly count?: number | undefined
  /** How many requests to let pass first. Defaults to 0. */
  readonly skip?: number | undefined
}

/**
 * Something that goes wrong, with the requests (`match`) that it happens to. Make one with the functions of this module.
 *
 * - `Latency`: the request waits for `duration` before anything else is done with it.
 * - `RequestDropped`: the connection is closed, nothing was applied.
 * - `AnswerDropped`: the request is applied, then the connection is closed without an answer.
 * - `ConnectionReset`: the connection is reset (TCP RST), after the request was `applied` or before.
 * - `Hang`: the answer never comes, the request being `applied` or not.
 * - `Conflict`, `TooManyRequests`, `InternalError`, `ServiceUnavailable`: 409, 429 (with `retryAfterSeconds`), 500, 503; nothing
 *   was applied.
 * - `WatchCut`: a watch ends as if all were well; `afterEvents` says how many it sends first.
 * - `WatchExpired`: a watch says `410 Expired` and ends; `afterEvents` says how many it sends first.
 *
 * @category models
 * @since 0.1.0
 */
export type Fault =
  & { readonly match: Match }
  & (
    | { readonly _tag: "Latency"; readonly duration: Duration.Duration }
    | { readonly _tag: "RequestDropped" }
    | { readonly _tag: "AnswerDropped" }
    | { readonly _tag: "ConnectionReset"; readonly applied: boolean }
    | { readonly _tag: "Hang"; readonly applied: boolean }
    | { readonly _tag: "Conflict" }
    | { readonly _tag: "TooManyRequests"; readonly retryAfterSeconds: number }
    | { readonly _tag: "InternalError" }
    | { readonly _tag: "ServiceUnavailable" }
    | { readonly _tag: "WatchCut"; readonly afterEvents: number }
    | { readonly _tag: "WatchExpired"; readonly afterEvents: number }
  )

/**
 * The request waits for `duration`, on Effect's clock, before anything else is done with it. A number is milliseconds.
 *
 * **Gotchas**
 *
 * It adds to what else goes wrong: a request may be late and then get no answer. Under a test's clock it waits until that is set on.
 *
 * **Example** (Every request is late)
 *
 * ```ts
 * import { Faults } from "@kubelock/testing"
 * import { Duration } from "effect"
 *
 * const slow = Faults.latency({ duration: "2 seconds", count: Infinity })
 *
 * const request = { method: "GET", path: "/api", client: "", verb: "get" }
 * const { armed, latency } = Faults.take([Faults.arm(slow)], request)
 * latency // => Duration.seconds(2)
 * armed.length // => 1
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const latency = (options: Match & { readonly duration: Duration.Input }): Fault => ({
  _tag: "Latency",
  duration: Duration.fromInputUnsafe(options.duration),
  match: options
})

/**
 * The connection is closed before the request is applied. Nothing was written, but the client cannot know.
 *
 * @category constructors
 * @since 0.1.0
 */
export const requestDropped = (match: Match = {}): Fault => ({ _tag: "RequestDropped", match })

/**
 * The request is applied, and the connection closed without an answer: the client cannot know whether its write was made.
 *
 * @category constructors
 * @since 0.1.0
 */
export const answerDropped = (match: Match = {}): Fault => ({ _tag: "AnswerDropped", match })

/**
 * The connection is reset (TCP RST): after the request was `applied`, or before, which is the default.
 *
 * @category constructors
 * @since 0.1.0
 */
export const connectionReset = (options: Match & { readonly applied?: boolean | undefined } = {}): Fault => ({
  _tag: "ConnectionReset",
  applied: options.applied ?? false,
  match: options
})

/**
 * The answer never comes, though the connection stays open. By default the request is not `applied`.
 *
 * **Example** (A client that gives up waiting)
 *
 * ```ts
 * import { Faults, KubeApiServer } from "@kubelock/testing"
 * import { Effect, Option } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* KubeApiServer
 *   yield* server.inject(Faults.hang())
 *   return yield* Effect.promise((signal) => fetch(`${server.url}/api`, { signal })).pipe(Effect.timeoutOption("20 millis"))
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(KubeApiServer.layer()))) // => Option.none()
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const hang = (options: Match & { readonly applied?: boolean | undefined } = {}): Fault => ({
  _tag: "Hang",
  applied: options.applied ?? false,
  match: options
})

/**
 * 409 Conflict, as if the object had been modified; nothing was applied.
 *
 * @category constructors
 * @since 0.1.0
 */
export const conflict = (match: Match = {}): Fault => ({ _tag: "Conflict", match })

/**
 * 429 Too Many Requests with a Retry-After header of `retryAfterSeconds`, which HTTP wants to be whole; by default 1. Nothing was
 * applied.
 *
 * @category constructors
 * @since 0.1.0
 */
export const tooManyRequests = (options: Match & { readonly retryAfterSeconds?: number | undefined } = {}): Fault => ({
  _tag: "TooManyRequests",
  retryAfterSeconds: options.retryAfterSeconds ?? 1,
  match: options
})

/**
 * 500 Internal Server Error; nothing was applied.
 *
 * @category constructors
 * @since 0.1.0
 */
export const internalError = (match: Match = {}): Fault => ({ _tag: "InternalError", match })

/**
 * 503 Service Unavailable; nothing was applied.
 *
 * @category constructors
 * @since 0.1.0
 */
export const serviceUnavailable = (match: Match = {}): Fault => ({ _tag: "ServiceUnavailable", match })

/**
 * A watch ends after `afterEvents`: how many events it sends first, by default none. Means watches only.
 *
 * API servers end every watch at some time; clients take it up again from the last resourceVersion that they saw.
 *
 * @category constructors
 * @since 0.1.0
 */
export const watchCut = (options: Match & { readonly afterEvents?: number | undefined } = {}): Fault => ({
  _tag: "WatchCut",
  afterEvents: options.afterEvents ?? 0,
  match: { ...options, verb: "watch" }
})

/**
 * A watch ends with an `ERROR` event, `410 Expired`, after `afterEvents`: how many events it sends first, by default none. Means
 * watches only.
 *
 * That is how an API server tells that it no longer remembers what was since the watch's resourceVersion: list, and watch anew.
 *
 * **Example** (A watch of which the history is gone)
 *
 * ```ts
 * import { Faults, KubeApiServer } from "@kubelock/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* KubeApiServer
 *   yield* server.inject(Faults.watchExpired())
 *   const answer = yield* Effect.promise(() => fetch(`${server.url}/api/v1/configmaps?watch=true`))
 *   const event = JSON.parse(yield* Effect.promise(() => answer.text()))
 *   return [answer.status, event.type, event.object.code]
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(KubeApiServer.layer()))) // => [200, "ERROR", 410]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const watchExpired = (options: Match & { readonly afterEvents?: number | undefined } = {}): Fault => ({
  _tag: "WatchExpired",
  afterEvents: options.afterEvents ?? 0,
  match: { ...options, verb: "watch" }
})

/**
 * A fault with what is left of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Armed {
  /** The fault as it was injected. */
  readonly fault: Fault
  /** How many requests it still lets pass. */
  readonly skip: number
  /** How many requests it will strike then. */
  readonly count: number
}

/**
 * A fault that nothing has met yet. `inject` of `KubeApiServer` does this.
 *
 * @category striking
 * @since 0.1.0
 */
export const arm = (fault: Fault): Armed => ({
  fault,
  skip: fault.match.skip ?? 0,
  count: fault.match.count ?? 1
})

/**
 * What strikes a request.
 *
 * @category models
 * @since 0.1.0
 */
export interface Taken {
  /** How long the request waits first. */
  readonly latency: Duration.Duration
  /** What else goes wrong, if anything. */
  readonly struck: Fault | undefined
  /** The faults that are left. */
  readonly armed: ReadonlyArray<Armed>
}

/**
 * Meets a request with the faults that are armed: what strikes it, and what is left of them.
 *
 * @category striking
 * @since 0.1.0
 */
export const take = (armed: ReadonlyArray<Armed>, request: FaultRequest): Taken => {
  let latency: Fault | undefined
  let struck: Fault | undefined
  const left = armed.flatMap((one): ReadonlyArray<Armed> => {
    if (!means(one.fault.match, request)) {
      return [one]
    }
    if (one.skip > 0) {
      return [{ ...one, skip: one.skip - 1 }]
    }
    if (one.fault._tag === "Latency") {
      if (latency !== undefined) return [one]
      latency = one.fault
    } else {
      if (struck !== undefined) return [one]
      struck = one.fault
    }
    return one.count > 1 ? [{ ...one, count: one.count - 1 }] : []
  })
  return { latency: latency?._tag === "Latency" ? latency.duration : Duration.zero, struck, armed: left }
}

const means = (match: Match, request: FaultRequest): boolean =>
  (match.method === undefined || match.method.toUpperCase() === request.method) &&
  (match.verb === undefined || match.verb === request.verb) &&
  matches(match.path, request.path) &&
  matches(match.client, request.client)

// `search` rather than `test`, which remembers its place in a global RegExp.
const matches = (pattern: string | RegExp | undefined, text: string): boolean =>
  pattern === undefined || (typeof pattern === "string" ? text.startsWith(pattern) : text.search(pattern) >= 0)
