/** A plain HTTP client for the tests: what is sent and what comes back, nothing in between. */
import type { KubeApiServer } from "@kubelock/testing"
import { Cause, Data, Effect, Predicate, Queue, Result } from "effect"
import * as Http from "node:http"
import * as Https from "node:https"

export type Server = KubeApiServer["Service"]

/** All that is needed to ask a server something. */
export type Address = Pick<Server, "url" | "token" | "caCertificate">

export const configMaps = "/api/v1/namespaces/default/configmaps"
export const jsonPatch = "application/json-patch+json"
export const mergePatch = "application/merge-patch+json"
export const metadataOnly = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
export const metadataListOnly = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

export interface RequestOptions {
  /** A string is sent as it is, anything else as JSON. */
  readonly body?: unknown
  readonly contentType?: string | undefined
  readonly accept?: string | undefined
  readonly token?: string | undefined
  readonly client?: string | undefined
  readonly agent?: Http.Agent | undefined
}

export interface Reply {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly text: string
  /** The parsed JSON, or undefined. */
  readonly body: unknown
}

/** What became of a connection without an answer: Node's error code, as `ECONNRESET`. */
export class NoAnswer extends Data.TaggedError("NoAnswer")<{ readonly code: string }> {}

const open = (server: Address, method: string, path: string, options: RequestOptions): Http.ClientRequest => {
  const { request } = server.url.startsWith("https:") ? Https : Http
  const token = options.token ?? server.token
  return request(`${server.url}${path}`, {
    method,
    agent: options.agent ?? false,
    ...(server.caCertificate === undefined ? {} : { ca: server.caCertificate }),
    headers: {
      "user-agent": options.client ?? "test",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(options.accept === undefined ? {} : { accept: options.accept }),
      ...(options.body === undefined ? {} : {
        "content-type": options.contentType ?? "application/json",
        // Node writes none for a DELETE by itself.
        "content-length": Buffer.byteLength(textOf(options.body))
      })
    }
  })
}

const textOf = (body: unknown): string => Predicate.isString(body) ? body : JSON.stringify(body)

const failWith = (error: Error): Effect.Effect<never, NoAnswer> =>
  Effect.fail(new NoAnswer({ code: "code" in error ? String(error.code) : error.message }))

/** One request and its whole answer. Interrupting it closes the connection. */
export const send = (
  server: Address,
  method: string,
  path: string,
  options: RequestOptions = {}
): Effect.Effect<Reply, NoAnswer> =>
  Effect.callback((resume) => {
    const request = open(server, method, path, options)
    request.on("error", (error) => resume(failWith(error)))
    request.on("response", (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.on("error", (error) => resume(failWith(error)))
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString()
        const parsed = Result.try((): unknown => JSON.parse(text))
        resume(Effect.succeed({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          body: Result.getOrUndefined(parsed)
        }))
      })
    })
    request.end(options.body === undefined ? undefined : textOf(options.body))
    return Effect.sync(() => request.destroy())
  })

export interface OpenWatch {
  readonly status: number
  /** The next event; fails with `End` when the server has ended the watch. */
  readonly next: Effect.Effect<unknown, "End">
}

/** Opens a watch, as long as the scope: yields once the head of the answer is there. */
export const watch = Effect.fnUntraced(function*(server: Address, path: string, options: RequestOptions = {}) {
  const events = yield* Queue.unbounded<unknown, "End">()
  const request = yield* Effect.acquireRelease(
    Effect.sync(() => open(server, "GET", path, options)),
    (request) => Effect.sync(() => request.destroy())
  )
  const status = yield* Effect.callback<number, NoAnswer>((resume) => {
    request.on("error", (error) => resume(failWith(error)))
    request.on("response", (response) => {
      resume(Effect.succeed(response.statusCode ?? 0))
      let rest = ""
      response.on("data", (chunk: Buffer) => {
        const lines = (rest + chunk.toString()).split("\n")
        rest = lines.pop() ?? ""
        for (const line of lines) Queue.offerUnsafe(events, JSON.parse(line))
      })
      response.on("close", () => {
        Queue.failCauseUnsafe(events, Cause.fail("End" as const))
      })
    })
    request.end()
  })
  const opened: OpenWatch = { status, next: Queue.take(events) }
  return opened
})

/** The value at a path in JSON, or undefined. */
export const at = (value: unknown, ...path: ReadonlyArray<string | number>): unknown =>
  path.reduce(
    (value: unknown, key) =>
      Predicate.isObjectOrArray(value) ? Object.entries(value).find(([k]) => k === String(key))?.[1] : undefined,
    value
  )
