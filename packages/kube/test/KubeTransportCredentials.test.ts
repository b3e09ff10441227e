import { assert, describe, it } from "@effect/vitest"
import { GoJson } from "@kubelock/core"
import type { KubeError } from "@kubelock/kube/KubeError"
import { KubeTransport } from "@kubelock/kube/KubeTransport"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as fs from "node:fs"
import * as path from "node:path"
import { afterEach, vi } from "vitest"
import * as Fixture from "./KubeTransportFixtures.ts"

afterEach(() => void vi.useRealTimers())

const cluster = (server: Fixture.TestServer) => ({
  server: server.origin,
  "certificate-authority-data": Fixture.caData
})

/** An HTTPS server that accepts this token alone. */
const serveToken = (token: () => string) => Fixture.serve(Fixture.onlyToken(token), Fixture.tls)

const tenAtOnce = Effect.all(Array.from({ length: 10 }, () => Fixture.send(Fixture.patch)), {
  concurrency: "unbounded"
})

const failure = Effect.flip(Fixture.send(Fixture.patch))

const assertUnauthorized = (error: KubeError, said: string) => {
  assert.deepStrictEqual([error.reason._tag, error.outcomeUnknown], ["Unauthorized", false], error.message)
  assert.include(error.message, said)
}

describe("credentials", () => {
  it.effect("a bearer token", () =>
    Effect.gen(function*() {
      const server = yield* serveToken(() => "t1")
      const { status } = yield* Fixture.send(Fixture.get).pipe(
        Effect.provide(Fixture.text(cluster(server), { token: "t1" }))
      )
      assert.strictEqual(status, 200)
      assert.strictEqual(server.received.length, 1)
    }))

  it.effect("user name and password", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(Fixture.ok, Fixture.tls)
      const user = { username: "me", password: "hunter2" }
      yield* Fixture.send(Fixture.get).pipe(Effect.provide(Fixture.text(cluster(server), user)))
      assert.strictEqual(server.received[0]?.headers.authorization, `Basic ${Fixture.base64("me:hunter2")}`)
    }))

  it.effect("impersonation", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(Fixture.ok, Fixture.tls)
      yield* Fixture.send(Fixture.get).pipe(Effect.provide(Fixture.text(cluster(server), { token: "t1", as: "alice" })))
      assert.strictEqual(server.received[0]?.headers["impersonate-user"], "alice")
    }))

  it.effect("stay at home where the scheme is http", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(Fixture.ok)
      for (const user of [{ token: "t1", as: "alice" }, { username: "me", password: "hunter2" }]) {
        yield* Fixture.send(Fixture.get).pipe(Effect.provide(Fixture.text({ server: server.origin }, user)))
      }
      assert.strictEqual(server.received.length, 2)
      for (const { headers } of server.received) {
        assert.doesNotHaveAnyKeys(headers, ["authorization", "impersonate-user"])
      }
    }))

  it.effect("a token file is trimmed, and read again after a minute", () =>
    Effect.gen(function*() {
      let accepted = "t1"
      const server = yield* serveToken(() => accepted)
      const tokenFile = Fixture.write(yield* Fixture.temporaryDirectory, "token", "t1\n")
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* Fixture.send(Fixture.get)).status, 200)
        accepted = "t2"
        fs.writeFileSync(tokenFile, "  t2\r\n")
        // client-node's own minute, and ours of ten seconds.
        vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 61_000 })
        yield* TestClock.adjust("61 seconds")
        assert.strictEqual((yield* Fixture.send(Fixture.get)).status, 200)
      }).pipe(Effect.provide(Fixture.text(cluster(server), { tokenFile })))
      assert.strictEqual(server.received.length, 2)
    }))

  it.effect("a token file that was replaced is read again at the first 401", () =>
    Effect.gen(function*() {
      let accepted = "t1"
      const server = yield* serveToken(() => accepted)
      const tokenFile = Fixture.write(yield* Fixture.temporaryDirectory, "token", "t1\n")
      yield* Effect.gen(function*() {
        yield* Fixture.send(Fixture.get)
        accepted = "t2"
        fs.writeFileSync(tokenFile, "t2\n")
        assert.strictEqual((yield* Fixture.send(Fixture.get)).status, 200)
      }).pipe(Effect.provide(Fixture.text(cluster(server), { tokenFile })))
      assert.deepStrictEqual(server.received.map(({ headers }) => headers.authorization), [
        "Bearer t1",
        "Bearer t1",
        "Bearer t2"
      ])
    }))

  it.effect("a token file without a name is none, in a file as in a text", () =>
    Effect.gen(function*() {
      const server = yield* serveToken(() => "t1")
      const kubeconfig = Fixture.kubeconfig(cluster(server), { token: "t1", tokenFile: "" })
      const file = Fixture.write(yield* Fixture.temporaryDirectory, "config", kubeconfig)
      for (const layer of [KubeTransport.layerText(kubeconfig), KubeTransport.layerFile(file)]) {
        assert.strictEqual((yield* Fixture.send(Fixture.get).pipe(Effect.provide(layer))).status, 200)
      }
    }))

  it.effect("a token file that vanished says so", () =>
    Effect.gen(function*() {
      const server = yield* serveToken(() => "t1")
      const tokenFile = Fixture.write(yield* Fixture.temporaryDirectory, "token", "t1\n")
      yield* Effect.gen(function*() {
        const transport = yield* KubeTransport
        fs.rmSync(tokenFile)
        assertUnauthorized(yield* Effect.flip(transport.request(Fixture.patch)), "ENOENT")
        fs.writeFileSync(tokenFile, "t1")
        assert.strictEqual((yield* transport.request(Fixture.patch)).status, 200)
      }).pipe(Effect.provide(Fixture.text(cluster(server), { tokenFile })))
    }))
})

describe("a 401", () => {
  it.effect("reads the kubeconfig again and repeats the request", () =>
    Effect.gen(function*() {
      const server = yield* serveToken(() => "t2")
      const directory = yield* Fixture.temporaryDirectory
      const file = Fixture.write(directory, "config", Fixture.kubeconfig(cluster(server), { token: "t1" }))
      yield* Effect.gen(function*() {
        const transport = yield* KubeTransport
        Fixture.write(directory, "config", Fixture.kubeconfig(cluster(server), { token: "t2" }))
        assert.strictEqual((yield* transport.request(Fixture.patch)).status, 200)
        assert.strictEqual((yield* transport.request(Fixture.patch)).status, 200)
      }).pipe(Effect.provide(KubeTransport.layerFile(file)))
      assert.deepStrictEqual(
        server.received.map(({ body, headers, method }) => [method, body, headers.authorization]),
        [
          ["PATCH", "[]", "Bearer t1"],
          ["PATCH", "[]", "Bearer t2"],
          ["PATCH", "[]", "Bearer t2"]
        ]
      )
    }))

  it.effect("twice is Unauthorized", () =>
    Effect.gen(function*() {
      const server = yield* serveToken(() => "t2")
      const error = yield* failure.pipe(Effect.provide(Fixture.text(cluster(server), { token: "t1" })))
      assertUnauthorized(error, "although they were refreshed once")
      assert.strictEqual(error.status, 401)
      assert.strictEqual(server.received.length, 2)
    }))

  it.effect("shows neither what it refused nor what it refused then", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(
        ({ headers }, response) =>
          Fixture.json(response, 401, { kind: "Status", message: `no such token: ${headers.authorization}` }),
        Fixture.tls
      )
      const plugin = Fixture.execPlugin(yield* Fixture.temporaryDirectory, "credential({ token: `hunter${run}` })")
      const error = yield* failure.pipe(Effect.provide(Fixture.text(cluster(server), plugin.user)))
      assert.deepStrictEqual([plugin.runs(), server.received.length], [2, 2])
      const shown = Fixture.everythingShownOf(error)
      assert.include(shown, "[concealed]")
      assert.notInclude(shown, "hunter")
    }))

  it.effect("whose refresh does not end runs out of time: nothing was applied", () =>
    Effect.gen(function*() {
      const server = yield* serveToken(() => "t2")
      const directory = yield* Fixture.temporaryDirectory
      const plugin = Fixture.execPlugin(
        directory,
        `if (run === 1) credential({ token: "t1" })
         else var stop = setInterval(() => { if (!fs.existsSync(${
          JSON.stringify(directory)
        })) clearInterval(stop) }, 5)`
      )
      const fiber = yield* failure.pipe(Effect.provide(Fixture.text(cluster(server), plugin.user)), Effect.forkChild)
      yield* waitFor(() => plugin.runs() === 2)
      yield* TestClock.adjust("10 seconds")
      const error = yield* Fiber.join(fiber)
      assert.deepStrictEqual([error.reason._tag, error.outcomeUnknown], ["Timeout", false])
    }))

  it.effect("of ten requests at once is one refresh", () =>
    Effect.gen(function*() {
      const server = yield* serveToken(() => "t2")
      const plugin = Fixture.execPlugin(yield* Fixture.temporaryDirectory, "credential({ token: `t${run}` })")
      yield* tenAtOnce.pipe(Effect.provide(Fixture.text(cluster(server), plugin.user)))
      assert.strictEqual(plugin.runs(), 2)
      assert.strictEqual(server.received.length, 20)
    }))

  it.effect("that comes late, after another request has refreshed, refreshes nothing", () =>
    Effect.gen(function*() {
      let late = () => {}
      const server = yield* Fixture.serve((received, response) => {
        if (received.headers.authorization === "Bearer t2") Fixture.ok(received, response)
        else if (received.url === "/late") late = () => Fixture.unauthorized(response)
        else Fixture.unauthorized(response)
      }, Fixture.tls)
      const plugin = Fixture.execPlugin(yield* Fixture.temporaryDirectory, "credential({ token: `t${run}` })")
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(Fixture.send({ method: "GET", path: "/late" }))
        yield* server.arrived(1)
        yield* Fixture.send(Fixture.get)
        late()
        assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
      }).pipe(Effect.provide(Fixture.text(cluster(server), plugin.user)))
      assert.strictEqual(plugin.runs(), 2)
    }))

  it.effect("with a kubeconfig that cannot be read any more is Unauthorized", () =>
    Effect.gen(function*() {
      const server = yield* serveToken(() => "t2")
      const directory = yield* Fixture.temporaryDirectory
      const file = Fixture.write(directory, "config", Fixture.kubeconfig(cluster(server), { token: "t1" }))
      yield* Effect.gen(function*() {
        const transport = yield* KubeTransport
        fs.rmSync(file)
        assertUnauthorized(yield* Effect.flip(transport.request(Fixture.patch)), "could not be read again")
      }).pipe(Effect.provide(KubeTransport.layerFile(file)))
    }))

  it.effect("never leads to another server, nor to another context", () =>
    Effect.gen(function*() {
      const [mine, other] = [yield* serveToken(() => "t2"), yield* Fixture.serve(Fixture.ok, Fixture.tls)]
      const directory = yield* Fixture.temporaryDirectory
      const config = (server: Fixture.TestServer, current: string, token: string) =>
        JSON.stringify({
          clusters: [{ name: "mine", cluster: cluster(server) }, { name: "other", cluster: cluster(other) }],
          users: [{ name: "me", user: { token } }],
          contexts: ["mine", "other"].map((name) => ({ name, context: { cluster: name, user: "me" } })),
          "current-context": current
        })
      const file = Fixture.write(directory, "config", config(mine, "mine", "t1"))
      yield* Effect.gen(function*() {
        const transport = yield* KubeTransport
        Fixture.write(directory, "config", config(other, "mine", "t2"))
        assertUnauthorized(yield* Effect.flip(transport.request(Fixture.patch)), "now names another server")
        Fixture.write(directory, "config", config(mine, "other", "t2"))
        assert.strictEqual((yield* transport.request(Fixture.patch)).status, 200)
      }).pipe(Effect.provide(KubeTransport.layerFile(file)))
      assert.strictEqual(other.received.length, 0)
    }))
})

describe("an exec plugin", () => {
  it.effect("runs once for ten requests at once, and once more when its token has expired", () =>
    Effect.gen(function*() {
      const server = yield* serveToken(() => "t1")
      const plugin = Fixture.execPlugin(
        yield* Fixture.temporaryDirectory,
        "credential({ token: \"t1\", expirationTimestamp: new Date(Date.now() + 3600_000).toISOString() })"
      )
      yield* Effect.gen(function*() {
        yield* tenAtOnce
        assert.strictEqual(plugin.runs(), 1)
        vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 3_700_000 })
        yield* tenAtOnce
        assert.strictEqual(plugin.runs(), 2)
      }).pipe(Effect.provide(Fixture.text(cluster(server), plugin.user)))
      assert.strictEqual(server.received.length, 20)
    }))

  it.effect("does not run before the first request", () =>
    Effect.gen(function*() {
      const server = yield* serveToken(() => "t1")
      const plugin = Fixture.execPlugin(yield* Fixture.temporaryDirectory, "credential({ token: \"t1\" })")
      yield* Effect.gen(function*() {
        yield* KubeTransport
        assert.strictEqual(plugin.runs(), 0)
      }).pipe(Effect.provide(Fixture.text(cluster(server), plugin.user)))
    }))

  it.effect("goes on for the others when one of those who wait for it is interrupted", () =>
    Effect.gen(function*() {
      const server = yield* serveToken(() => "t1")
      const directory = yield* Fixture.temporaryDirectory
      const plugin = Fixture.execPlugin(
        directory,
        `const wait = () => fs.existsSync(${JSON.stringify(path.join(directory, "go"))})
           ? credential({ token: "t1" })
           : setTimeout(wait, 5)
         wait()`
      )
      yield* Effect.gen(function*() {
        const [first, second] = [
          yield* Effect.forkChild(Fixture.send(Fixture.get)),
          yield* Effect.forkChild(Fixture.send(Fixture.get))
        ]
        yield* Effect.yieldNow
        yield* Fiber.interrupt(first)
        Fixture.write(directory, "go", "")
        assert.isTrue(Exit.isFailure(yield* Fiber.await(first)))
        assert.strictEqual((yield* Fiber.join(second)).status, 200)
      }).pipe(Effect.provide(Fixture.text(cluster(server), plugin.user)))
      assert.deepStrictEqual([plugin.runs(), server.received.length], [1, 1])
    }))

  it.effect("that does not end runs out of time: nothing was sent", () =>
    Effect.gen(function*() {
      const server = yield* serveToken(() => "t1")
      const directory = yield* Fixture.temporaryDirectory
      const plugin = Fixture.execPlugin(
        directory,
        `const stop = setInterval(() => { if (!fs.existsSync(${JSON.stringify(directory)})) clearInterval(stop) }, 5)`
      )
      const fiber = yield* failure.pipe(Effect.provide(Fixture.text(cluster(server), plugin.user)), Effect.forkChild)
      yield* waitFor(() => plugin.runs() === 1)
      yield* TestClock.adjust("10 seconds")
      const error = yield* Fiber.join(fiber)
      assert.deepStrictEqual([error.reason._tag, error.outcomeUnknown], ["Timeout", false])
      assert.include(error.message, "did not end; nothing was sent")
      assert.strictEqual(server.received.length, 0)
    }))

  it.effect("is told what the protocol promises", () =>
    Effect.gen(function*() {
      const info = "process.env.KUBERNETES_EXEC_INFO"
      const server = yield* Fixture.serve(Fixture.ok, Fixture.tls)
      const plugin = Fixture.execPlugin(
        yield* Fixture.temporaryDirectory,
        `credential({ token: Buffer.from(JSON.stringify([${info}, process.env.MINE])).toString("base64") })`
      )
      const exec = { ...plugin.user.exec, env: [{ name: "MINE", value: "yes" }], provideClusterInfo: true }
      yield* Fixture.send(Fixture.get).pipe(Effect.provide(Fixture.text(cluster(server), { exec })))
      const token = server.received[0]?.headers.authorization?.slice("Bearer ".length) ?? ""
      const [text, mine] = JSON.parse(Buffer.from(token, "base64").toString())
      assert.strictEqual(mine, "yes")
      assert.deepStrictEqual(JSON.parse(text), {
        apiVersion: "client.authentication.k8s.io/v1",
        kind: "ExecCredential",
        spec: {
          interactive: false,
          cluster: {
            server: server.origin,
            "insecure-skip-tls-verify": false,
            "certificate-authority-data": Fixture.caData
          }
        }
      })
    }))

  it.effect.each(
    [
      [
        "exits with an error",
        "console.error(`login expired: token=hunter2 Bearer hunter2 eyJhIjoxfQ.eyJhIjoxfQ.c2ln -----BEGIN KEY-----\\nhunter2\\n-----END KEY----- ${'Ab3hunter2'.repeat(4)}`); process.exit(3)",
        "failed: login expired"
      ],
      ["exits with an error and says nothing", "process.exit(3)", "failed without saying why"],
      ["says too much", "process.stderr.write(\"no \".repeat(1e6), () => process.exit(1))", "failed: no no no"],
      [
        "says one word without end",
        "process.stderr.write(\"a\".repeat(1e5) + \"-\".repeat(1e5), () => process.exit(1))",
        "failed: aaa"
      ],
      ["prints a bare token", "console.log(\"hunter2-hunter2\")", "printed something that is no ExecCredential"],
      ["prints nothing", "", "printed something that is no ExecCredential"],
      ["prints null", "console.log(\"null\")", "printed neither a token nor a client certificate"],
      ["prints no status", "console.log(\"{}\")", "printed something that is no ExecCredential"],
      ["prints an empty status", "credential({})", "printed neither a token nor a client certificate"]
    ] as const
  )("that %s is asked again by the next request", ([, script, said]) =>
    Effect.gen(function*() {
      const server = yield* serveToken(() => "t2")
      const plugin = Fixture.execPlugin(
        yield* Fixture.temporaryDirectory,
        `if (run === 1) { ${script} } else credential({ token: "t2" })`
      )
      yield* Effect.gen(function*() {
        const error = yield* failure
        assertUnauthorized(error, said)
        assert.include(error.message, `The exec plugin "${process.execPath}" of user "the-user"`)
        assert.isUndefined(error.status)
        assert.isBelow(error.message.length, 1_000)
        const shown = Fixture.everythingShownOf(error)
        for (const secret of ["hunter2", "eyJ", "c2ln"]) assert.notInclude(shown, secret)
        assert.strictEqual((yield* Fixture.send(Fixture.patch)).status, 200)
      }).pipe(Effect.provide(Fixture.text(cluster(server), plugin.user)))
      assert.deepStrictEqual([plugin.runs(), server.received.length], [2, 1])
    }))

  it.effect("with a relative path starts from the kubeconfig's directory", () =>
    Effect.gen(function*() {
      const server = yield* serveToken(() => "t1")
      const directory = yield* Fixture.temporaryDirectory
      const plugin = Fixture.execPlugin(directory, "credential({ token: \"t1\" })")
      fs.symlinkSync(process.execPath, path.join(directory, "run"))
      const exec = { ...plugin.user.exec, command: "./run" }
      const file = Fixture.write(directory, "config", Fixture.kubeconfig(cluster(server), { exec }))
      yield* Fixture.send(Fixture.get).pipe(Effect.provide(KubeTransport.layerFile(file)))
      assert.strictEqual(plugin.runs(), 1)
    }))

  it.effect("is not blamed for a file that vanished", () =>
    Effect.gen(function*() {
      const server = yield* serveToken(() => "t1")
      const directory = yield* Fixture.temporaryDirectory
      const plugin = Fixture.execPlugin(directory, "credential({ token: \"t1\" })")
      const ca = Fixture.write(directory, "ca.crt", Fixture.authority.certificatePem)
      yield* Effect.gen(function*() {
        const transport = yield* KubeTransport
        fs.rmSync(ca)
        const error = yield* Effect.flip(transport.request(Fixture.patch))
        assertUnauthorized(error, "ENOENT")
        assert.include(error.message, ca)
        assert.notInclude(error.message, "plugin \"")
      }).pipe(Effect.provide(Fixture.text({ server: server.origin, "certificate-authority": ca }, plugin.user)))
    }))

  it.effect("that is not installed says so, with the hint of how to install it", () =>
    Effect.gen(function*() {
      const server = yield* serveToken(() => "t1")
      const exec = { command: "kubelock-no-such-plugin", installHint: "apt install it" }
      const error = yield* failure.pipe(Effect.provide(Fixture.text(cluster(server), { exec })))
      assertUnauthorized(
        error,
        "The exec plugin \"kubelock-no-such-plugin\" of user \"the-user\" could not be started (ENOENT)"
      )
      assert.include(error.message, "apt install it")
    }))
})

describe("no secret is shown", () => {
  type Echo = (write: (text: string) => string) => Fixture.Handler

  /** The credentials by themselves: the token, or what stands for user and password, and the password. */
  const credentialsOf = ({ headers }: Fixture.Received): ReadonlyArray<string> => {
    const value = headers.authorization?.split(" ")[1] ?? ""
    return [value, Buffer.from(value, "base64").toString().split(":")[1] ?? ""]
  }

  const echo: Echo = (write) => (received, response) =>
    Fixture.json(response, 500, {
      kind: "Status",
      message: `bad request: ${credentialsOf(received).map(write).join(" ")}`
    })

  const plain: Echo = (write) => (received, response) =>
    void response.writeHead(403).end(credentialsOf(received).map(write).join(" "))

  // As a program may write what it was sent.
  const writers: Readonly<Record<string, (text: string) => string>> = {
    "as it is": (text) => text,
    "as JSON of Go": GoJson.stringify,
    "as JSON of JavaScript": JSON.stringify,
    "in a URL": encodeURIComponent,
    "in a page of HTML": (text) =>
      text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&#34;"),
    "in base64": Fixture.base64,
    "in base64 of URLs": (text) => Buffer.from(text).toString("base64url")
  }

  for (const [name, handler] of Object.entries({ "a Status": echo, "plain text": plain })) {
    for (const [manner, write] of Object.entries(writers)) {
      it.effect(`not where ${name} repeats it ${manner}`, () =>
        Effect.gen(function*() {
          const server = yield* Fixture.serve(handler(write), Fixture.tls)
          for (const user of [{ token: "hunter2<&>\"?" }, { username: "me", password: "hunter2<&>\"?" }]) {
            const error = yield* failure.pipe(Effect.provide(Fixture.text(cluster(server), user)))
            const shown = Fixture.everythingShownOf(error)
            assert.include(shown, "[concealed]")
            for (const secret of ["hunter2", Fixture.base64("hunter2").slice(0, 8), Fixture.base64("me:hunter2")]) {
              assert.notInclude(shown, secret)
            }
          }
        }))
    }
  }

  it.effect("not where a header cannot be sent, a connection breaks or time runs out", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(({ socket }) => void socket.destroy(), Fixture.tls)
      const hanging = yield* Fixture.serve(() => {}, Fixture.tls)
      const broken = yield* failure.pipe(Effect.provide(Fixture.text(cluster(server), { token: "hunter2" })))
      const unsendable = yield* failure.pipe(
        Effect.provide(Fixture.text(cluster(server), { token: "hunter2\nhunter2" }))
      )
      assert.deepStrictEqual([unsendable.reason._tag, unsendable.outcomeUnknown], ["Unavailable", false])
      const fiber = yield* failure.pipe(
        Effect.provide(Fixture.text(cluster(hanging), { token: "hunter2" })),
        Effect.forkChild
      )
      yield* hanging.arrived(1)
      yield* TestClock.adjust("10 seconds")
      const late = yield* Fiber.join(fiber)
      assert.strictEqual(late.reason._tag, "Timeout")
      for (const error of [broken, unsendable, late]) assert.notInclude(Fixture.everythingShownOf(error), "hunter2")
    }))
})

const waitFor = (condition: () => boolean): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const poll = setInterval(() => {
      if (!condition()) return
      clearInterval(poll)
      resume(Effect.void)
    }, 2)
    return Effect.sync(() => clearInterval(poll))
  })
