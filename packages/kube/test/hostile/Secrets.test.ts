import { assert, describe, it } from "@effect/vitest"
import type { InvalidConfig } from "@kubelock/core"
import { AnnotationStore, KubeAnnotationStore, KubeLock, KubeTransport, ResourceRef, RetryPolicy } from "@kubelock/kube"
import { Cause, Effect, Exit, Layer, Schedule, type Scope, Stream } from "effect"
import fc from "fast-check"
import * as http from "node:http"
import type * as net from "node:net"

import { afterEach, vi } from "vitest"
import * as Effort from "../../../core/test/hostile/effort.ts"
import * as Fixture from "../KubeTransportFixtures.ts"
import { observed, type Telemetry } from "../suites/telemetry.ts"

// A secret is made up and given to the library, and everything is made to go wrong with it: it is in no error, log, span or metric,
// neither as it is nor encoded, nor is its beginning.

afterEach(() => void vi.unstubAllEnvs())

type Transport = Layer.Layer<KubeTransport, InvalidConfig>

/** Something that goes wrong, for a secret. */
type Wrong = (secret: string) => Effect.Effect<Transport, never, Scope.Scope>

const resource = ResourceRef.configMap({ namespace: "default", name: "locks" })

const never = Schedule.recurs(0)
const once = { ...RetryPolicy.defaults, conflict: never, throttled: never, unavailable: never, timeout: never }

const attempts: ReadonlyArray<Effect.Effect<unknown, unknown, KubeLock | KubeTransport | AnnotationStore>> = [
  Effect.flatMap(KubeLock, (locks) => locks.acquire({ resource, name: "x", owner: "me" })),
  Effect.flatMap(
    KubeLock,
    (locks) => Effect.flatMap(locks.make({ resource, name: "x" }), (lock) => lock.withLockIfAvailable(Effect.void))
  ),
  Effect.flatMap(AnnotationStore, (store) => store.edit(resource, [{ key: "a", expected: undefined, value: "b" }])),
  Effect.flatMap(AnnotationStore, (store) => Stream.runHead(store.changes(resource, 1n)))
]

const everythingToldOf = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit) ? "" : Cause.pretty(exit.cause) + Fixture.everythingShownOf(Cause.squash(exit.cause))

const everythingToldBy = ({ logs, metrics, spans }: Telemetry): string =>
  [
    ...logs.map(({ attributes, text }) => JSON.stringify([text, attributes])),
    ...metrics.map(({ attributes, description, id }) => JSON.stringify([id, description, attributes])),
    ...spans.map(({ attributes, events, name, status }) =>
      JSON.stringify(
        [name, [...attributes], events],
        (_, part: unknown) => typeof part === "bigint" ? `${part}` : part
      ) +
      (status._tag === "Ended" ? everythingToldOf(status.exit) : "")
    )
  ].join("\n")

/** All that is told of what goes wrong, and how much did. */
const toldOf = Effect.fnUntraced(function*(transport: Transport) {
  const told: Array<string> = []
  const telemetry = yield* observed(
    Effect.gen(function*() {
      const layer = KubeLock.layer.pipe(Layer.provideMerge(KubeAnnotationStore.layer), Layer.provideMerge(transport))
      for (const attempt of attempts) {
        const exit = yield* Effect.exit(Effect.provide(attempt, layer))
        if (Exit.isFailure(exit)) told.push(everythingToldOf(exit))
        if (Exit.isFailure(exit) && Cause.hasDies(exit.cause)) throw new Error(`a defect: ${Cause.pretty(exit.cause)}`)
      }
    }).pipe(Effect.provideService(RetryPolicy.RetryPolicy, once))
  )
  return { failures: told.length, text: [...told, everythingToldBy(telemetry)].join("\n") }
})

const secrets = fc.stringMatching(/^[A-Za-z][A-Za-z0-9+/_.-]{14,30}[A-Za-z0-9]$/)

const check = (wrong: Wrong, numRuns: number) =>
  Effect.promise(() =>
    fc.assert(
      fc.asyncProperty(secrets, (secret) =>
        Effect.runPromise(Effect.scoped(Effect.gen(function*() {
          const { failures, text } = yield* toldOf(yield* wrong(secret))
          assert.isAbove(failures, 0, "something must go wrong")
          const whole = Buffer.from(secret)
          for (
            const form of [
              secret.slice(0, 10),
              encodeURIComponent(secret).slice(0, 10),
              whole.toString("base64").slice(0, 12),
              whole.toString("base64url").slice(0, 12),
              whole.toString("hex").slice(0, 20)
            ]
          ) assert.notInclude(text, form)
        })))),
      Effort.of(numRuns)
    )
  )

const trusted = (server: Fixture.TestServer) => ({
  server: server.origin,
  "certificate-authority-data": Fixture.caData
})

/** A server that gives this answer to requests with these credentials. */
const answering = (user: (secret: string) => Record<string, unknown>, handler: Fixture.Handler): Wrong => (secret) =>
  Effect.map(Fixture.serve(handler, Fixture.tls), (server) => Fixture.text(trusted(server), user(secret)))

const token = (secret: string) => ({ token: secret })

const echoes: Readonly<Record<string, Fixture.Handler>> = {
  "in a page": ({ headers }, response) =>
    void response.writeHead(502).end(`<html><title>${headers.authorization}</title></html>`),
  "in plain text": ({ headers }, response) => void response.writeHead(500).end(JSON.stringify(headers)),
  "in a Status": ({ headers }, response) =>
    Fixture.json(response, 403, { kind: "Status", message: JSON.stringify(headers), details: { name: "x" } }),
  "in the causes of a Status": ({ headers }, response) =>
    Fixture.json(response, 422, {
      kind: "Status",
      details: {
        causes: [{ field: headers.authorization, reason: headers.authorization, message: headers.authorization }]
      }
    }),
  "at the end of a long text": ({ headers }, response) =>
    void response.writeHead(500).end(`${"x".repeat(190)}${headers.authorization}`),
  "where it succeeds": ({ headers }, response) => void response.writeHead(200).end(JSON.stringify(headers)),
  "in a redirect": ({ headers }, response) =>
    void response.writeHead(302, { location: `https://127.0.0.1:1/${encodeURIComponent(headers.authorization ?? "")}` })
      .end(),
  "in headers": ({ headers }, response) =>
    void response.writeHead(429, `Sent ${headers.authorization}`, {
      date: headers.authorization ?? "",
      "retry-after": headers.authorization ?? "",
      "www-authenticate": headers.authorization ?? ""
    }).end(),
  "in a refusal": ({ headers }, response) =>
    void response.writeHead(401).end(`these credentials will not do: ${headers.authorization}`),
  "in a watch that is refused": ({ headers, url }, response) => {
    const refusal = { kind: "Status", code: 403, message: `no: ${headers.authorization}` }
    if (url.includes("watch=true")) response.end(`${JSON.stringify({ type: "ERROR", object: refusal })}\n`)
    else response.writeHead(500).end()
  },
  "in a watch that is none": ({ headers, url }, response) =>
    void response.writeHead(url.includes("watch=true") ? 200 : 500).end(`${headers.authorization}\n`),
  "before the connection breaks": ({ headers, socket }, response) => {
    response.writeHead(200, { "content-length": "1000" })
    response.write(JSON.stringify(headers), () => socket.destroy())
  },
  "as what is no HTTP": ({ headers, socket }) => void socket.end(JSON.stringify(headers))
}

const users: Readonly<Record<string, (secret: string) => Record<string, unknown>>> = {
  "a token": token,
  "a password": (secret) => ({ username: "me", password: secret })
}

describe("a server repeats", () => {
  for (const [whose, user] of Object.entries(users)) {
    it.effect.each(Object.entries(echoes))(`${whose} %s`, ([, handler]) => check(answering(user, handler), 3))
  }
})

describe("a certificate", () => {
  const untrusted: Wrong = (secret) =>
    Effect.map(
      Fixture.serve(Fixture.ok, Fixture.tls),
      (server) => Fixture.text({ server: server.origin }, { token: secret })
    )

  const garbled = (key: (secret: string) => string): Wrong =>
    answering(
      (secret) => ({
        "client-certificate-data": Fixture.base64(Fixture.authority.certificatePem),
        "client-key-data": Fixture.base64(key(secret))
      }),
      Fixture.ok
    )

  it.effect.each<readonly [string, Wrong]>([
    ["that is not trusted", untrusted],
    ["whose key is garbled", garbled((secret) => secret)],
    [
      "whose key is garbled inside",
      garbled((secret) => `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----\n`)
    ]
  ])("%s", ([, wrong]) => check(wrong, 3))
})

describe("a kubeconfig that cannot be read", () => {
  const templates: ReadonlyArray<(secret: string) => string> = [
    (secret) => `users:\n- name: u\n  user:\n    password: *${secret}\n`,
    (secret) => `users:\n- name: u\n  user:\n    password: !${secret}\n`,
    (secret) => `users:\n- name: u\n  user:\n    password: !${secret} x\n`,
    (secret) => `users:\n- name: u\n  user:\n    password: !<${secret}> x\n`,
    (secret) => `users:\n- name: u\n  user:\n    password: !a!${secret} x\n`,
    (secret) => `users:\n- name: u\n  user:\n    token: ${secret}: ${secret}\n`,
    (secret) => `users:\n- name: u\n  user:\n    token: "${secret}\n`,
    (secret) => `users:\n- name: u\n  user:\n    token: ${secret}\n  ${secret}\n`,
    (secret) => `users:\n- name: u\n  user:\n    token: [${secret}\n`,
    (secret) => `users:\n- name: u\n  user: {token: {a: ${secret}}}\n`,
    (secret) => `users:\n- name: u\n  user: {token: [${secret}]}\n`,
    (secret) => `users:\n- name: u\n  user: ${secret}\n`,
    (secret) => `users: ${secret}\n`,
    (secret) => `%TAG !${secret}! x\n---\n!${secret}!a b\n`,
    (secret) => secret,
    (secret) => `{ "${secret}`,
    (secret) => Fixture.kubeconfig({ server: `//me:${secret}@x` }, { token: secret }),
    (secret) => Fixture.kubeconfig({ server: `ftp://me:${secret}@x` }, { token: secret }),
    (secret) => Fixture.kubeconfig({ server: "https://127.0.0.1:1", "proxy-url": `socks5://me:${secret}@x` }),
    (secret) => Fixture.kubeconfig({ server: "https://127.0.0.1:1" }, { exec: { env: { TOKEN: secret } } }),
    (secret) => Fixture.kubeconfig({ server: "https://127.0.0.1:1" }, { "auth-provider": { config: { a: [secret] } } })
  ]

  const layers: Readonly<Record<string, (text: string) => Effect.Effect<Transport, never, Scope.Scope>>> = {
    "as text": (text) => Effect.succeed(KubeTransport.layerText(text)),
    "as a file": (text) =>
      Effect.map(
        Fixture.temporaryDirectory,
        (directory) => KubeTransport.layerFile(Fixture.write(directory, "config", text))
      )
  }

  for (const [how, layer] of Object.entries(layers)) {
    it.effect(
      how,
      () => Effect.forEach(templates, (template) => check((secret) => layer(template(secret)), 2), { discard: true })
    )
  }

  it.effect("since it is given for its path", () =>
    Effect.gen(function*() {
      const whole = (secret: string) => Fixture.kubeconfig({ server: "https://127.0.0.1:1" }, { token: secret })
      yield* check((secret) => Effect.succeed(KubeTransport.layerFile(whole(secret))), 5)
      yield* check((secret) => Effect.succeed(KubeTransport.layerFile(`users:\n- user: {token: ${secret}}\n`)), 5)
      yield* check((secret) =>
        Effect.sync(() => {
          vi.stubEnv("KUBECONFIG", whole(secret))
          return KubeTransport.layer()
        }), 5)
    }))
})

describe("an exec plugin", () => {
  /** It finds the secret in a file. */
  const plugin = (script: string, env: (secret: string) => Record<string, string> = () => ({})): Wrong =>
    Effect.fnUntraced(function*(secret) {
      const server = yield* Fixture.serve((_, response) => Fixture.unauthorized(response), Fixture.tls)
      const directory = yield* Fixture.temporaryDirectory
      const file = Fixture.write(directory, "secret", secret)
      const { user: { exec } } = Fixture.execPlugin(
        directory,
        `const secret = fs.readFileSync(${JSON.stringify(file)}, "utf8"); ${script}`
      )
      const variables = Object.entries(env(secret)).map(([name, value]) => ({ name, value }))
      return Fixture.text(trusted(server), { exec: { ...exec, env: variables } })
    })

  it.effect.each<readonly [string, Wrong]>([
    ["prints a bare token", plugin("console.log(secret)")],
    ["prints half a credential", plugin("console.log(JSON.stringify({ status: { token: secret } }).slice(0, -3))")],
    ["prints a token, and fails", plugin("credential({ token: secret }); process.exitCode = 3")],
    ["prints a token that no header can hold", plugin("credential({ token: `${secret}\\n${secret}` })")],
    ["prints a token for a list", plugin("credential([secret])")],
    ["prints a list of tokens", plugin("console.log(JSON.stringify([secret]))")],
    ["prints a token for a credential", plugin("console.log(JSON.stringify({ status: secret }))")],
    [
      "prints a certificate without a key",
      plugin("credential({ clientCertificateData: secret, clientKeyData: secret })")
    ],
    ["prints a token that will not do", plugin("credential({ token: secret })")],
    ["says what it asked with", plugin("console.error(`refused: token=${secret}`); process.exit(1)")],
    ["says which header it sent", plugin("console.error(`refused: Authorization: Bearer ${secret}`); process.exit(1)")],
    [
      "says what it was told to keep",
      plugin("console.error(`refused: ${process.env.CLIENT_SECRET}`); process.exit(1)", (secret) => ({
        CLIENT_SECRET: secret
      }))
    ]
  ])("%s", ([, wrong]) => check(wrong, 1), Effort.within(30_000))
})

describe("an identity provider", () => {
  const jwt = (secret: string) =>
    ["{}", JSON.stringify({ exp: 1 })].map((part) => Buffer.from(part).toString("base64url")).concat(secret).join(".")

  /** It answers the request for another token. */
  const provider = (answer: Fixture.Handler): Wrong =>
    Effect.fnUntraced(function*(secret) {
      const server = yield* Fixture.serve((_, response) => Fixture.unauthorized(response), Fixture.tls)
      let issuer = ""
      const { origin } = yield* Fixture.serve((received, response) => {
        if (received.url.includes("well-known")) {
          Fixture.json(response, 200, { issuer, token_endpoint: `${issuer}/token`, authorization_endpoint: issuer })
        } else answer(received, response)
      }, Fixture.tls)
      issuer = origin
      return Fixture.text(trusted(server), {
        "auth-provider": {
          name: "oidc",
          config: {
            "client-id": "me",
            "client-secret": secret,
            "id-token": jwt(secret),
            "idp-certificate-authority-data": Fixture.caData,
            "idp-issuer-url": issuer,
            "refresh-token": secret
          }
        }
      })
    })

  const gcp = (script: string): Wrong =>
    Effect.fnUntraced(function*(secret) {
      const server = yield* Fixture.serve((_, response) => Fixture.unauthorized(response), Fixture.tls)
      const directory = yield* Fixture.temporaryDirectory
      const file = Fixture.write(directory, "secret", secret)
      const program = Fixture.write(directory, "program", `cat ${file}; ${script}`)
      return Fixture.text(trusted(server), {
        "auth-provider": { name: "gcp", config: { "cmd-path": "/bin/sh", "cmd-args": program, "token-key": "{.a}" } }
      })
    })

  it.effect.each<readonly [string, Wrong]>([
    ["repeats what it was asked with", provider(({ body }, response) => void response.writeHead(400).end(body))],
    [
      "repeats it in an error",
      provider(({ body }, response) =>
        Fixture.json(response, 400, { error: "invalid_grant", error_description: decodeURIComponent(body) })
      )
    ],
    ["answers with something else", provider(({ body }, response) => void response.writeHead(200).end(body))],
    ["answers with a garbled token", provider(({ body }, response) => Fixture.json(response, 200, { id_token: body }))],
    ["is a command that prints a bare token", gcp("exit 0")],
    ["is a command that fails", gcp("exit 3")]
  ])("%s", ([, wrong]) => check(wrong, 2), Effort.within(30_000))
})

describe("a proxy", () => {
  /** It repeats what it was sent in its own answer to a tunnel, or to a request. */
  const proxy = (server: string, answer: (authorization: string) => string): Wrong =>
    Effect.fnUntraced(function*(secret) {
      const echo = (request: http.IncomingMessage, socket: net.Socket | null) =>
        void socket?.end(answer(request.headers["proxy-authorization"] ?? ""))
      const proxy = http.createServer((request) => echo(request, request.socket))
      proxy.on("connect", (request, socket: net.Socket) => echo(request, socket))
      const port = yield* Fixture.listen(proxy)
      const url = `http://me:${encodeURIComponent(secret)}@127.0.0.1:${port}`
      return Fixture.text({ server, "proxy-url": url })
    })

  const passwordOf = (authorization: string) => Buffer.from(authorization.slice(6), "base64").toString()

  it.effect.each(
    ["https://api.example", "http://api.example"].flatMap((server): ReadonlyArray<readonly [string, Wrong]> => [
      [
        `to ${server} that repeats the header`,
        proxy(server, (header) => `HTTP/1.1 407 Not with ${header}\r\nx: ${header}\r\n\r\n${header}`)
      ],
      [
        `to ${server} that repeats the password`,
        proxy(server, (header) => `HTTP/1.1 502 No\r\n\r\n{"kind":"Status","message":"${passwordOf(header)}"}`)
      ],
      [`to ${server} that speaks no HTTP`, proxy(server, (header) => `${header} ${passwordOf(header)}\r\n\r\n`)]
    ])
  )("%s", ([, wrong]) => check(wrong, 2))

  it.effect("that is not there", () =>
    check(
      (secret) =>
        Effect.succeed(
          Fixture.text({
            server: "https://api.example",
            "proxy-url": `http://me:${secret.replaceAll("/", "_")}@127.0.0.1:1`
          })
        ),
      2
    ))
})
