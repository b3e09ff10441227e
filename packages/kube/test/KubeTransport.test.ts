import { assert, describe, it } from "@effect/vitest"
import { InvalidConfig } from "@kubelock/core"
import { KubeTransport } from "@kubelock/kube/KubeTransport"
import { Context, Effect, Layer } from "effect"
import * as childProcess from "node:child_process"
import * as path from "node:path"
import { promisify } from "node:util"
import { afterEach, vi } from "vitest"
import * as Fixture from "./KubeTransportFixtures.ts"

/** Where a Pod's file system begins: the transport's own reference, which only its key identifies. */
const FileSystemRoot = Context.Reference<string>("@kubelock/kube/internal/FileSystemRoot", { defaultValue: () => "" })

afterEach(() => void vi.unstubAllEnvs())

const env = (variables: Record<string, string | undefined>) =>
  Effect.sync(() => Object.entries(variables).forEach(([name, value]) => void vi.stubEnv(name, value)))

/** No kubeconfig anywhere, and no Pod, whatever the machine. */
const bareMachine = Effect.gen(function*() {
  const home = yield* Fixture.temporaryDirectory
  yield* env({
    HOME: home,
    KUBECONFIG: undefined,
    KUBERNETES_SERVICE_HOST: undefined,
    KUBERNETES_SERVICE_PORT: undefined
  })
  return home
})

const invalid = (layer: Layer.Layer<KubeTransport, InvalidConfig>) =>
  Effect.map(Fixture.layerFailure(layer), (error) => {
    assert.instanceOf(error, InvalidConfig)
    assert.strictEqual(error.field, "kubeconfig")
    return error
  })

describe("one request", () => {
  it.effect("sends what it is given, and reads the answer", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve((_, response) =>
        response.writeHead(201, { date: "Wed, 21 Oct 2026 07:28:00 GMT" }).end("{\"ü\":1}")
      )
      const response = yield* Fixture.send({
        method: "PATCH",
        path: "/api/v1/namespaces/default/configmaps/locks",
        query: { fieldManager: "kubelock & co", dryRun: "All" },
        headers: { "Content-Type": "application/json-patch+json", Accept: "text/plain" },
        body: "[\"ä\"]"
      }).pipe(Effect.provide(Fixture.text({ server: server.origin })))

      assert.deepStrictEqual(response, { status: 201, body: "{\"ü\":1}", dateMillis: Date.UTC(2026, 9, 21, 7, 28) })
      const received = server.received[0]
      assert.strictEqual(received?.method, "PATCH")
      assert.strictEqual(
        received?.url,
        "/api/v1/namespaces/default/configmaps/locks?fieldManager=kubelock%20%26%20co&dryRun=All&timeout=10000ms"
      )
      assert.strictEqual(received?.body, "[\"ä\"]")
      assert.strictEqual(received?.headers["content-type"], "application/json-patch+json")
      assert.strictEqual(received?.headers.accept, "text/plain")
      assert.match(received?.headers["user-agent"] ?? "", /^kubelock\/\d+\.\d+\.\d+/)
    }))

  it.effect("asks what its own query says, but for the time of a write", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve((_, response) => response.end("{}"))
      const query = Object.assign(Object.create({ inherited: "x" }), { timeout: "1h", "a b": "é&=" })
      yield* Effect.gen(function*() {
        yield* Fixture.send({ ...Fixture.get, query })
        yield* Fixture.send({ ...Fixture.patch, query })
      }).pipe(Effect.provide(Fixture.text({ server: server.origin })))
      assert.deepStrictEqual(server.received.map(({ url }) => url), [
        `${Fixture.get.path}?timeout=1h&a%20b=%C3%A9%26%3D`,
        `${Fixture.patch.path}?a%20b=%C3%A9%26%3D&timeout=10000ms`
      ])
    }))

  it.effect("tells the date of each answer, where it has one", () =>
    Effect.gen(function*() {
      const dates = [
        "Wed, 21 Oct 2026 07:28:00 GMT",
        "Wed, 21 Oct 2026 07:28:00 GMT",
        "",
        "soon",
        "Wed, 21 Oct 2026 07:28:01 GMT"
      ]
      const server = yield* Fixture.serve((_, response) =>
        response.writeHead(200, { date: dates[server.received.length - 1] ?? "" }).end("{}")
      )
      const told = yield* Effect.forEach(dates, () => Fixture.send(Fixture.get)).pipe(
        Effect.provide(Fixture.text({ server: server.origin }))
      )
      const first = Date.UTC(2026, 9, 21, 7, 28)
      assert.deepStrictEqual(told.map(({ dateMillis }) => dateMillis), [
        first,
        first,
        undefined,
        undefined,
        first + 1_000
      ])
    }))

  it.effect("asks for JSON and sends nothing else by itself", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve((_, response) => response.writeHead(204, { date: "" }).end())
      const response = yield* Fixture.send(Fixture.get).pipe(
        Effect.provide(Fixture.text({ server: server.origin }, undefined, { userAgent: "me/1" }))
      )
      assert.deepStrictEqual(response, { status: 204, body: "", dateMillis: undefined })
      assert.deepStrictEqual(server.received[0]?.headers, {
        accept: "application/json",
        connection: "keep-alive",
        host: `127.0.0.1:${server.port}`,
        "user-agent": "me/1"
      })
      assert.strictEqual(server.received.length, 1)
    }))

  it.effect("goes below the path of the server's address", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(Fixture.ok)
      const layer = Fixture.text({ server: `${server.origin}/k8s/clusters/c-1/` })
      yield* Fixture.send(Fixture.get).pipe(Effect.provide(layer))
      assert.strictEqual(server.received[0]?.url, `/k8s/clusters/c-1${Fixture.get.path}`)
    }))

  it.effect("uses one connection for a hundred requests in a row", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(Fixture.ok, Fixture.tls)
      const layer = Fixture.text({ server: server.origin, "certificate-authority-data": Fixture.caData })
      yield* Effect.repeat(Fixture.send(Fixture.patch), { times: 99 }).pipe(Effect.provide(layer))
      assert.deepStrictEqual([server.received.length, server.connections.length], [100, 1])
    }))

  it.effect("bounds the connections of many requests at once", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(Fixture.ok)
      yield* Effect.all(Array.from({ length: 100 }, () => Fixture.send(Fixture.get)), { concurrency: "unbounded" })
        .pipe(
          Effect.provide(Fixture.text({ server: server.origin }))
        )
      assert.deepStrictEqual([server.received.length, server.connections.length], [100, 16])
    }))

  it.effect("closes its connections with the layer's scope", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(Fixture.ok)
      yield* Fixture.send(Fixture.get).pipe(Effect.provide(Fixture.text({ server: server.origin })))
      const socket = server.connections[0]
      assert.isDefined(socket)
      yield* Effect.callback<void>((resume) => {
        if (socket?.closed) resume(Effect.void)
        else socket?.once("close", () => resume(Effect.void))
      })
    }))
})

describe("kubeconfig", () => {
  it.effect("from a file, with files beside it", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(Fixture.onlyToken(() => "t1"), Fixture.tls)
      const directory = yield* Fixture.temporaryDirectory
      Fixture.write(directory, "pki/ca.crt", Fixture.authority.certificatePem)
      Fixture.write(directory, "pki/token", "t1\n")
      const file = Fixture.write(
        directory,
        "config",
        Fixture.kubeconfig({ server: server.origin, "certificate-authority": "pki/ca.crt" }, {
          tokenFile: "pki/token",
          token: "not this one"
        })
      )
      const { status } = yield* Fixture.send(Fixture.get).pipe(Effect.provide(KubeTransport.layerFile(file)))
      assert.strictEqual(status, 200)
    }))

  it.effect("picks the context that is asked for", () =>
    Effect.gen(function*() {
      const [one, two] = [yield* Fixture.serve(Fixture.ok), yield* Fixture.serve(Fixture.ok)]
      const text = JSON.stringify({
        clusters: [{ name: "c1", cluster: { server: one.origin } }, { name: "c2", cluster: { server: two.origin } }],
        contexts: [{ name: "one", context: { cluster: "c1" } }, { name: "two", context: { cluster: "c2" } }],
        "current-context": "one"
      })
      yield* Fixture.send(Fixture.get).pipe(Effect.provide(KubeTransport.layerText(text, { context: "two" })))
      assert.deepStrictEqual([one.received.length, two.received.length], [0, 1])
      yield* Fixture.send(Fixture.get).pipe(Effect.provide(KubeTransport.layerText(text)))
      assert.deepStrictEqual([one.received.length, two.received.length], [1, 1])

      const { message } = yield* invalid(KubeTransport.layerText(text, { context: "three" }))
      assert.include(message, "there is no context \"three\"; it has the contexts \"one\", \"two\"")
    }))

  it.effect("the default: the files of $KUBECONFIG, the first entry of a name counts", () =>
    Effect.gen(function*() {
      yield* bareMachine
      const server = yield* Fixture.serve(Fixture.ok)
      const directory = yield* Fixture.temporaryDirectory
      const first = Fixture.write(directory, "first", Fixture.kubeconfig({ server: server.origin }))
      const second = Fixture.write(
        directory,
        "second",
        JSON.stringify({
          ...JSON.parse(Fixture.kubeconfig({ server: "http://127.0.0.1:1" })),
          contexts: [
            { name: "test", context: { cluster: "nowhere" } },
            { name: "other", context: { cluster: "the-cluster" } }
          ],
          "current-context": "other"
        })
      )
      yield* env({ KUBECONFIG: [path.join(directory, "missing"), first, "", second].join(path.delimiter) })
      yield* Fixture.send(Fixture.get).pipe(Effect.provide(KubeTransport.layer()))
      yield* Fixture.send(Fixture.get).pipe(Effect.provide(KubeTransport.layer({ context: "other" })))
      assert.strictEqual(server.received.length, 2)
    }))

  it.effect("the default: ~/.kube/config", () =>
    Effect.gen(function*() {
      const home = yield* bareMachine
      const server = yield* Fixture.serve(Fixture.ok)
      Fixture.write(home, ".kube/config", Fixture.kubeconfig({ server: server.origin }))
      yield* Fixture.send(Fixture.get).pipe(Effect.provide(KubeTransport.layer()))
      assert.strictEqual(server.received.length, 1)
    }))

  it.effect("the default: nothing found is an error, not a server on localhost", () =>
    Effect.gen(function*() {
      const home = yield* bareMachine
      const { message } = yield* invalid(KubeTransport.layer())
      assert.include(message, "KUBECONFIG is not set")
      assert.include(message, path.join(home, ".kube", "config"))
      yield* env({ KUBECONFIG: path.join(home, "missing") })
      assert.include((yield* invalid(KubeTransport.layer())).message, "correct the environment variable KUBECONFIG")
    }))

  it.effect("in a Pod: the service account", () =>
    Effect.gen(function*() {
      yield* bareMachine
      const server = yield* Fixture.serve(Fixture.onlyToken(() => "pod-token"), Fixture.tls)
      const root = yield* Fixture.temporaryDirectory
      const serviceAccount = path.join(root, "var/run/secrets/kubernetes.io/serviceaccount")
      Fixture.write(serviceAccount, "ca.crt", Fixture.authority.certificatePem)
      Fixture.write(serviceAccount, "token", "pod-token\n")
      Fixture.write(serviceAccount, "namespace", "default")
      yield* env({ KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: String(server.port) })

      for (const layer of [KubeTransport.layerInCluster(), KubeTransport.layer()]) {
        const { status } = yield* Fixture.send(Fixture.get).pipe(
          Effect.provide(Layer.provide(layer, Layer.succeed(FileSystemRoot, root)))
        )
        assert.strictEqual(status, 200)
      }
      assert.strictEqual(server.received.length, 2)
    }))

  it.effect("outside of a Pod the service account is an error", () =>
    Effect.gen(function*() {
      yield* bareMachine
      assert.include((yield* invalid(KubeTransport.layerInCluster())).message, "KUBERNETES_SERVICE_HOST is not set")
      yield* env({ KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: "443" })
      assert.include((yield* invalid(KubeTransport.layerInCluster())).message, "ENOENT")
    }))

  it.effect("takes empty entries for none", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(Fixture.ok, Fixture.tls)
      const cluster = {
        server: server.origin,
        "certificate-authority": null,
        "certificate-authority-data": Fixture.caData,
        "tls-server-name": null,
        "insecure-skip-tls-verify": null
      }
      for (const none of [null, ""]) {
        const plugin = Fixture.execPlugin(yield* Fixture.temporaryDirectory, "credential({ token: \"t1\" })")
        const exec = { ...plugin.user.exec, env: null, installHint: null, provideClusterInfo: true }
        for (const user of [undefined, { token: none, "client-certificate": none, username: none }, { exec }]) {
          const layer = KubeTransport.layerText(Fixture.kubeconfig({ ...cluster, "proxy-url": none }, user))
          assert.strictEqual((yield* Fixture.send(Fixture.get).pipe(Effect.provide(layer))).status, 200)
        }
      }
      assert.deepStrictEqual(
        [0, 1, 2].map((user) => server.received[user]?.headers.authorization),
        [undefined, undefined, "Bearer t1"]
      )
    }))

  const cluster = { server: "https://127.0.0.1:1" }

  it.effect.each(
    [
      ["no YAML", "{", "line 1"],
      ["no mapping", "just text", "it is not a YAML mapping of clusters, users and contexts"],
      ["empty", "", "is no kubeconfig"],
      ["null", "null", "is no kubeconfig"],
      [
        "a number for a server",
        Fixture.kubeconfig({ server: 5 }),
        "is no kubeconfig: clusters[0].cluster.server: Expected text"
      ],
      // Node would read what it has open by that number.
      [
        "a number for a file",
        Fixture.kubeconfig({ ...cluster, "certificate-authority": 0 }),
        "clusters[0].cluster.certificate-authority: Expected text"
      ],
      [
        "a text for whether to verify the server",
        Fixture.kubeconfig({ ...cluster, "insecure-skip-tls-verify": "true" }),
        "clusters[0].cluster.insecure-skip-tls-verify: Expected boolean"
      ],
      [
        "a number for a token",
        Fixture.kubeconfig(cluster, { token: 12_345 }),
        "users[0].user.token: Expected text; a number that is one stands between quotes"
      ],
      ["no server", Fixture.kubeconfig({}), "clusters[0].cluster.server is missing"],
      ["a server without a scheme", Fixture.kubeconfig({ server: "10.0.0.1:6443" }), "no http or https URL"],
      ["a server of another scheme", Fixture.kubeconfig({ server: "ftp://10.0.0.1" }), "no http or https URL"],
      ["a SOCKS proxy", Fixture.kubeconfig({ ...cluster, "proxy-url": "socks5://10.0.0.1" }), "proxy-url"],
      ["a proxy that is no URL", Fixture.kubeconfig({ ...cluster, "proxy-url": "proxy:80" }), "proxy-url"],
      ["no contexts", "clusters: []", "no current-context is set; it has no contexts"],
      [
        "no current context",
        "{contexts: [{name: a, context: {cluster: c}}]}",
        "no current-context is set; it has the contexts \"a\""
      ],
      [
        "a current context without a value",
        "{contexts: [{name: a, context: {cluster: c}}], current-context: }",
        "no current-context is set; it has the contexts \"a\""
      ],
      [
        "a missing cluster",
        "{contexts: [{name: a, context: {cluster: c}}], current-context: a}",
        "context \"a\" names the cluster \"c\", which is not there"
      ],
      [
        "a missing user",
        "{clusters: [{name: c, cluster: {server: 'https://x'}}], contexts: [{name: a, context: {cluster: c, user: u}}], current-context: a}",
        "context \"a\" names the user \"u\", which is not there"
      ],
      [
        "a missing certificate authority",
        Fixture.kubeconfig({ ...cluster, "certificate-authority": "/nowhere/ca.crt" }),
        "names a file that cannot be read: ENOENT"
      ],
      [
        "a missing client certificate",
        Fixture.kubeconfig(cluster, { "client-certificate": "/nowhere/me.crt", "client-key": "/nowhere/me.key" }),
        "/nowhere/me.crt"
      ],
      ["a missing token file", Fixture.kubeconfig(cluster, { tokenFile: "/nowhere/token" }), "/nowhere/token"],
      ["an exec plugin without a command", Fixture.kubeconfig(cluster, { exec: { args: [] } }), "without a command"]
    ] as const
  )("refuses %s", ([, text, problem]) =>
    Effect.gen(function*() {
      assert.include((yield* invalid(KubeTransport.layerText(text))).message, problem)
    }))

  it.effect("refuses a file that is not there, or cannot be read", () =>
    Effect.gen(function*() {
      const directory = yield* Fixture.temporaryDirectory
      const missing = path.join(directory, "missing")
      const error = yield* invalid(KubeTransport.layerFile(missing))
      assert.deepInclude(error, { value: missing })
      assert.include(error.message, "cannot be read: ENOENT")
      assert.include((yield* invalid(KubeTransport.layerFile(directory))).message, "cannot be read: EISDIR")
    }))

  it.effect("shows nothing of a kubeconfig that it cannot read", () =>
    Effect.gen(function*() {
      const text = "users:\n- name: me\n  user:\n    token: hunter2: hunter2\n    password: hunter2\n"
      const error = yield* invalid(KubeTransport.layerText(text))
      assert.include(error.message, "line 4")
      assert.notInclude(Fixture.everythingShownOf(error), "hunter2")
    }))

  it.effect.each([0, -1, Number.NaN, "soon" as "1 second", "0 seconds"] as const)(
    "refuses a timeout of %s",
    (requestTimeout) =>
      Effect.gen(function*() {
        const error = yield* Fixture.layerFailure(Fixture.text(cluster, undefined, { requestTimeout }))
        assert.strictEqual(error.field, "requestTimeout")
      })
  )
})

it.effect("importing the module loads neither client-node nor undici", () =>
  Effect.promise(async () => {
    const script = `
      import { registerHooks } from "node:module"
      const asked = []
      registerHooks({ resolve(specifier, context, next) { asked.push(specifier); return next(specifier, context) } })
      const { KubeTransport } = await import(${JSON.stringify(import.meta.resolve("@kubelock/kube/KubeTransport"))})
      const heavy = () => asked.filter((name) => name === "undici" || name === "@kubernetes/client-node").sort().join()
      const before = heavy()
      const { Effect, Layer } = await import(${JSON.stringify(import.meta.resolve("effect"))})
      const layer = KubeTransport.layerText(${JSON.stringify(Fixture.kubeconfig({ server: "http://127.0.0.1:1" }))})
      await Effect.runPromise(Effect.scoped(Layer.build(layer)))
      console.log(JSON.stringify([before, heavy().includes("@kubernetes/client-node,undici")]))
    `
    const { stdout } = await promisify(childProcess.execFile)(process.execPath, ["--input-type=module", "-e", script])
    assert.deepStrictEqual(JSON.parse(stdout), ["", true])
  }))
