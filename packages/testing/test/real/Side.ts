/**
 * The same requests to the embedded server and to a real one, and what each answered: written down in a form that is the
 * same where the answers are the same. What a server makes up by itself (uids, resourceVersions, times) is numbered in the
 * order in which it is first seen.
 */
import { KubeApiServer } from "@kubelock/testing"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import type { ResourceType } from "@kubelock/testing/ResourceType"
import { Context, Effect, Layer, Predicate, Schedule, Schema, type Scope } from "effect"
import * as Http from "node:http"
import * as Https from "node:https"
import { type Address, type NoAnswer, type Reply, type RequestOptions, send, watch } from "../support/Client.ts"

export interface Ask extends RequestOptions {
  readonly query?: Readonly<Record<string, string>> | string | undefined
  /** Whether the words of a refusal are not compared: they quote a decoder or an address. */
  readonly anyMessage?: boolean | undefined
}

/** One of the two servers, as a program sees it. Paths that begin with no slash are below the program's own namespace. */
export interface Client {
  readonly namespace: string
  readonly ask: (method: string, path: string, options?: Ask) => Effect.Effect<Reply, NoAnswer>
  /** Writes down what the program itself makes of the answers. */
  readonly note: (finding: unknown) => Effect.Effect<void>
  /** Sends all of these at once, and writes down how often each answer came. */
  readonly race: (requests: ReadonlyArray<readonly [method: string, path: string, options?: Ask]>) => Effect.Effect<
    ReadonlyArray<Reply>,
    NoAnswer
  >
  /** Opens a watch; `take` waits for as many events and writes them down, `end` waits for the end. */
  readonly watch: (path: string, options?: Ask) => Effect.Effect<
    {
      readonly take: (count: number) => Effect.Effect<ReadonlyArray<unknown>, "End">
      readonly end: Effect.Effect<void>
    },
    NoAnswer,
    Scope.Scope
  >
  /** Waits until a path is served; nothing of it is written down. */
  readonly untilServed: (path: string) => Effect.Effect<void, NoAnswer>
  /** From now on, a watch of custom resources from resourceVersion 1 is too late. */
  readonly expireHistory: Effect.Effect<void>
}

/** Custom resources that both servers know from the start. */
export const widgets: ResourceType = {
  group: "conformance.example.com",
  version: "v1",
  resource: "widgets",
  kind: "Widget",
  namespaced: true
}

interface SideShape {
  readonly server: Address
  readonly agent: Http.Agent
  /** Without credentials, on a connection of its own. */
  readonly anonymous: Http.Agent
  readonly expireHistory: Effect.Effect<void>
}

const token = "of-the-admin"

export class Embedded extends Context.Service<Embedded, SideShape>()("@kubelock/testing/test/Embedded") {
  static readonly layer = Layer.effect(
    Embedded,
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      return {
        server,
        agent: yield* agentOf(() => new Https.Agent({ keepAlive: true, ca: server.caCertificate })),
        anonymous: yield* agentOf(() => new Https.Agent({ ca: server.caCertificate })),
        expireHistory: server.expireHistory
      }
    })
  ).pipe(Layer.provide(KubeApiServer.layer({ tls: true, token, resources: [widgets] })))
}

const Credentials = Schema.fromJsonString(Schema.Struct({
  users: Schema.NonEmptyArray(Schema.Struct({
    user: Schema.Struct({
      "client-certificate-data": Schema.StringFromBase64,
      "client-key-data": Schema.StringFromBase64
    })
  }))
}))

export class Real extends Context.Service<Real, SideShape>()("@kubelock/testing/test/Real") {
  static readonly layer = Layer.effect(
    Real,
    Effect.gen(function*() {
      const { caCertificatePem, kubeconfig, registerCustomResource, request, url } = yield* ControlPlane
      const isRegistered = yield* Effect.isSuccess(request("GET", `/apis/${widgets.group}/${widgets.version}/widgets`))
      if (!isRegistered) yield* registerCustomResource(widgets)
      const { users: [{ user }] } = yield* Schema.decodeEffect(Credentials)(kubeconfig)
      const cert = user["client-certificate-data"]
      const key = user["client-key-data"]
      return {
        server: { url, token: undefined, caCertificate: caCertificatePem },
        agent: yield* agentOf(() => new Https.Agent({ keepAlive: true, ca: caCertificatePem, cert, key })),
        anonymous: yield* agentOf(() => new Https.Agent({ ca: caCertificatePem })),
        // The history of a custom resource begins when it is defined, long after 1.
        expireHistory: Effect.void
      }
    })
  )
}

const agentOf = (make: () => Http.Agent) =>
  Effect.acquireRelease(Effect.sync(make), (agent) => Effect.sync(() => agent.destroy()))

type Entry = readonly [request: string, ...answer: ReadonlyArray<unknown>]

/** Runs a program in a namespace of its own, and yields what it asked and what was answered. */
export const transcriptOf = Effect.fnUntraced(function*<E>(
  side: SideShape,
  namespace: string,
  program: (client: Client) => Effect.Effect<void, E, Scope.Scope>
) {
  const transcript: Array<Entry> = []
  const normalize = makeNormalizer()
  const namespaceObject = { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } }

  const request = (method: string, path: string, { query, ...options }: Ask = {}) => {
    const parameters = typeof query === "string" ? query : new URLSearchParams(query).toString()
    const whole = (path.startsWith("/") ? path : `/api/v1/namespaces/${namespace}/${path}`) +
      (parameters === "" ? "" : `?${parameters}`)
    const isAnonymous = options.token !== undefined
    return {
      whole,
      options: { ...options, agent: isAnonymous ? side.anonymous : side.agent },
      line: `${method} ${normalize.line(whole)}`
    }
  }

  const plain = (method: string, path: string, ask?: Ask) => {
    const { options, whole } = request(method, path, ask)
    return send(side.server, method, whole, options)
  }

  const answerOf = (reply: Reply, ask: Ask = {}) => ({
    status: reply.status,
    contentType: reply.headers["content-type"],
    retryAfter: reply.headers["retry-after"],
    body: reply.body === undefined ? reply.text : normalize.json(reply.body, ask.anyMessage === true)
  })

  const client: Client = {
    namespace,
    expireHistory: side.expireHistory,
    ask: Effect.fnUntraced(function*(method, path, options) {
      const reply = yield* plain(method, path, options)
      transcript.push([request(method, path, options).line, answerOf(reply, options)])
      return reply
    }),
    note: (finding) =>
      Effect.sync(() => {
        transcript.push(["note", finding])
      }),
    untilServed: (path) =>
      plain("GET", path).pipe(
        Effect.repeat({ schedule: Schedule.spaced(20), until: ({ status }) => status === 200 }),
        Effect.asVoid
      ),
    race: Effect.fnUntraced(function*(requests) {
      const replies = yield* Effect.forEach(requests, (one) => plain(...one), { concurrency: "unbounded" })
      // Who wins is chance, and with it whose resourceVersion is seen: only how often which answer came is not.
      const counts: Record<string, number> = {}
      for (const reply of replies) {
        const answer = reply.status < 300
          ? reply.status
          : JSON.stringify(makeNormalizer().json(reply.body, false))
        counts[answer] = (counts[answer] ?? 0) + 1
      }
      transcript.push(["race", counts])
      return replies
    }),
    watch: Effect.fnUntraced(function*(path, options) {
      const { line, options: sent, whole } = request("GET", path, options)
      const opened = yield* watch(side.server, whole, sent)
      transcript.push([`watch ${line}`, opened.status])
      return {
        take: Effect.fnUntraced(function*(count) {
          const events: Array<unknown> = []
          for (let taken = 0; taken < count; taken++) {
            const event = yield* opened.next
            events.push(event)
            transcript.push(["event", normalize.json(event, options?.anyMessage === true)])
          }
          return events
        }),
        end: Effect.flip(opened.next).pipe(
          Effect.catch((event) =>
            Effect.die(new Error(`an event where the end was expected: ${JSON.stringify(event)}`))
          ),
          Effect.andThen(Effect.sync(() => {
            transcript.push(["end"])
          }))
        )
      }
    })
  }

  // Two servers that refuse everything are alike too.
  const made = yield* Effect.orDie(plain("POST", "/api/v1/namespaces", { body: namespaceObject }))
  if (made.status !== 201) return yield* Effect.die(new Error(`${namespace} was not made: ${made.text}`))
  yield* Effect.scoped(program(client))
  return transcript
})

const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/
const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g

/** The embedded server keeps no `managedFields`; a real one's say only who wrote. */
const isLeftOut = (key: string): boolean => key === "managedFields" || key === "selfLink"

/** A real server gives a cause as often as it has run into it, up to four times, depending on the resource. */
const withoutRepetitions = (causes: ReadonlyArray<unknown>) =>
  Array.from(new Set(causes.map((cause) => JSON.stringify(cause))), (cause): unknown => JSON.parse(cause))

/** Metadata whose resourceVersion is not an object's, but still one. */
const ofStore = (metadata: unknown): unknown =>
  Predicate.isObject(metadata) && /^[1-9]\d*$/.test(String(metadata["resourceVersion"]))
    ? { ...metadata, resourceVersion: "<of the store>" }
    : metadata

const makeNormalizer = () => {
  const seen: Record<string, Array<string>> = { uid: [], resourceVersion: [] }
  const numbered = (kind: "uid" | "resourceVersion", value: string) => {
    const values = seen[kind]!
    if (!values.includes(value)) values.push(value)
    return `<${kind} ${values.indexOf(value)}>`
  }
  const text = (value: string, key: string): string => {
    if (key === "resourceVersion" && /^[1-9]\d*$/.test(value)) return numbered("resourceVersion", value)
    if (time.test(value)) return "<time>"
    return value
      // A whole object, as a real server has it, `managedFields` included.
      .replace(/Invalid value: "\{.*\}": /s, "Invalid value: <object>: ")
      // A place in etcd, which a dry run names in another way.
      .replace("Key: /registry/", "Key: /")
      .replaceAll(uuid, (uid) => numbered("uid", uid))
  }
  const walk = (value: unknown, key: string, anyMessage: boolean): unknown => {
    if (Predicate.isString(value)) return key === "message" && anyMessage ? "<any>" : text(value, key)
    if (Array.isArray(value)) {
      const items = value.map((item) => walk(item, key, anyMessage))
      return key === "causes" ? withoutRepetitions(items) : items
    }
    if (!Predicate.isObject(value)) return value
    // The resourceVersion of a list or a bookmark is the whole store's, which others write to.
    const isOfStore = "items" in value || value["type"] === "BOOKMARK" || key === "BOOKMARK"
    return Object.fromEntries(
      Object.entries(value)
        .filter(([key]) => !isLeftOut(key))
        .map(([key, child]) =>
          isOfStore && key === "metadata"
            ? [key, walk(ofStore(child), key, anyMessage)]
            : [key, walk(child, isOfStore && key === "object" ? "BOOKMARK" : key, anyMessage)]
        )
    )
  }
  return {
    json: (value: unknown, anyMessage: boolean): unknown => walk(value, "", anyMessage),
    line: (path: string): string =>
      path.replace(
        /resourceVersion=(\d{2,})/,
        (_, value: string) => `resourceVersion=${numbered("resourceVersion", value)}`
      )
  }
}
