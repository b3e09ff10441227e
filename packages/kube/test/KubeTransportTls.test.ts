import { assert, describe, it } from "@effect/vitest"
import type { KubeError } from "@kubelock/kube/KubeError"
import { KubeTransport } from "@kubelock/kube/KubeTransport"
import * as Certificates from "@kubelock/testing/Certificates"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as http from "node:http"
import * as net from "node:net"
import { TLSSocket } from "node:tls"
import { afterEach, vi } from "vitest"
import * as Fixture from "./KubeTransportFixtures.ts"

afterEach(() => void vi.unstubAllEnvs())

const ca = { "certificate-authority-data": Fixture.caData }

const failure = (cluster: Record<string, unknown>, user?: Record<string, unknown>) =>
  Effect.flip(Fixture.send(Fixture.patch)).pipe(Effect.provide(Fixture.text(cluster, user)))

const success = (cluster: Record<string, unknown>, user?: Record<string, unknown>) =>
  Effect.map(
    Fixture.send(Fixture.patch).pipe(Effect.provide(Fixture.text(cluster, user))),
    ({ status }) => assert.strictEqual(status, 200)
  )

const assertRefused = (error: KubeError, said: string, server: Fixture.TestServer) => {
  assert.deepStrictEqual([error.reason._tag, error.outcomeUnknown], ["Unavailable", false], error.message)
  assert.include(error.message, said)
  assert.strictEqual(server.received.length, 0)
}

/** Who the client's certificate says it is. */
const clientNames = (server: Fixture.TestServer) =>
  server.received.map(({ socket }) => socket instanceof TLSSocket ? socket.getPeerCertificate().subject.CN : undefined)

const requiresClient = { ...Fixture.tls, requestCert: true, ca: Fixture.authority.certificatePem }

describe("the server's certificate", () => {
  it.effect("is trusted for the kubeconfig's authority, with a user and without", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(Fixture.ok, Fixture.tls)
      yield* success({ server: server.origin, ...ca }, { token: "t1" })
      yield* success({ server: server.origin, ...ca })
    }))

  for (const environment of [undefined, "0"]) {
    describe(`with NODE_TLS_REJECT_UNAUTHORIZED=${environment}`, () => {
      const serve = (tls = Fixture.tls) => {
        vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", environment)
        return Fixture.serve(Fixture.ok, tls)
      }

      it.effect("of an authority that is not known is refused, with a user and without", () =>
        Effect.gen(function*() {
          const server = yield* serve()
          const other = { "certificate-authority-data": Fixture.base64(Fixture.otherAuthority.certificatePem) }
          for (const cluster of [{}, other]) {
            for (const user of [undefined, { token: "t1" }]) {
              const error = yield* failure({ server: server.origin, ...cluster }, user)
              assertRefused(error, "is not trusted; correct the certificate-authority", server)
            }
          }
        }))

      it.effect("of another name is refused, unless the kubeconfig gives that name", () =>
        Effect.gen(function*() {
          const server = yield* serve(Fixture.tlsOfOtherName)
          assertRefused(yield* failure({ server: server.origin, ...ca }), "is for another name", server)
          yield* success({ server: server.origin, ...ca, "tls-server-name": "api.other.example" })
        }))
    })
  }

  it.effect("is not verified where the kubeconfig says so", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(Fixture.ok, Fixture.tlsOfOtherName)
      yield* success({ server: server.origin, "insecure-skip-tls-verify": true })
      yield* success({ server: server.origin, "insecure-skip-tls-verify": true }, { token: "t1" })
    }))

  it.effect("an authority that is no certificate trusts nobody", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(Fixture.ok, Fixture.tls)
      const error = yield* failure({ server: server.origin, "certificate-authority-data": Fixture.base64("nonsense") })
      assertRefused(error, "nothing was sent", server)
    }))
})

describe("a client certificate", () => {
  const issue = (commonName: string) => Certificates.issueClient(Fixture.authority, { commonName })

  it.effect("is shown to a server that requires one", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(Fixture.ok, requiresClient)
      const { certificatePem, privateKeyPem } = yield* issue("alice")
      yield* success({ server: server.origin, ...ca }, {
        "client-certificate-data": Fixture.base64(certificatePem),
        "client-key-data": Fixture.base64(privateKeyPem)
      })
      assert.deepStrictEqual(clientNames(server), ["alice"])
      assert.strictEqual((yield* failure({ server: server.origin, ...ca })).reason._tag, "Unavailable")
      assert.strictEqual(server.received.length, 1)
    }))

  it.effect("may come from an exec plugin", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(Fixture.ok, requiresClient)
      const { certificatePem, privateKeyPem } = yield* issue("plugin")
      const status = { clientCertificateData: certificatePem, clientKeyData: privateKeyPem }
      const plugin = Fixture.execPlugin(yield* Fixture.temporaryDirectory, `credential(${JSON.stringify(status)})`)
      yield* success({ server: server.origin, ...ca }, plugin.user)
      assert.deepStrictEqual(clientNames(server), ["plugin"])
    }))

  it.effect("that is replaced is used ten seconds later; a request under way ends in peace", () =>
    Effect.gen(function*() {
      let release = () => {}
      const server = yield* Fixture.serve((received, response) => {
        if (received.url === "/slow") release = () => Fixture.ok(received, response)
        else Fixture.ok(received, response)
      }, requiresClient)
      const directory = yield* Fixture.temporaryDirectory
      const install = Effect.fnUntraced(function*(commonName: string) {
        const { certificatePem, privateKeyPem } = yield* issue(commonName)
        Fixture.write(directory, "me.crt", certificatePem)
        Fixture.write(directory, "me.key", privateKeyPem)
      })
      yield* install("before")
      const user = { "client-certificate": "me.crt", "client-key": "me.key" }
      const file = Fixture.write(directory, "config", Fixture.kubeconfig({ server: server.origin, ...ca }, user))
      yield* Effect.gen(function*() {
        const slow = yield* Effect.forkChild(Fixture.send({ method: "GET", path: "/slow" }))
        yield* server.arrived(1)
        yield* install("after")
        yield* TestClock.adjust("10 seconds")
        yield* Fixture.send(Fixture.get)
        yield* Fixture.send(Fixture.get)
        release()
        assert.strictEqual((yield* Fiber.join(slow)).status, 200)
      }).pipe(Effect.provide(KubeTransport.layerFile(file, { requestTimeout: "1 minute" })))
      assert.deepStrictEqual(clientNames(server), ["before", "after", "after"])
      assert.strictEqual(server.connections.length, 2)
    }))

  it.effect("that is garbled is an error that shows nothing of the key", () =>
    Effect.gen(function*() {
      const server = yield* Fixture.serve(Fixture.ok, requiresClient)
      const { certificatePem } = yield* issue("alice")
      const error = yield* failure({ server: server.origin, ...ca }, {
        "client-certificate-data": Fixture.base64(certificatePem),
        "client-key-data": Fixture.base64("-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----")
      })
      assertRefused(error, "nothing was sent", server)
      assert.notInclude(Fixture.everythingShownOf(error), "hunter2")
    }))
})

describe("a proxy", () => {
  interface Tunnel {
    readonly target: string
    readonly authorization: string | undefined
  }

  const connectProxy = (status = 200) =>
    Effect.gen(function*() {
      const tunnels: Array<Tunnel> = []
      const forwarded: Array<string> = []
      const proxy = http.createServer((request, response) => {
        forwarded.push(request.url ?? "")
        response.end("{}")
      })
      proxy.on("connect", (request, client: net.Socket) => {
        tunnels.push({ target: request.url ?? "", authorization: request.headers["proxy-authorization"] })
        if (status !== 200) {
          client.end(`HTTP/1.1 ${status} No\r\n\r\n`)
          return
        }
        const [host = "", port = ""] = (request.url ?? "").split(":")
        const upstream = net.connect(Number(port), host, () => {
          client.write("HTTP/1.1 200 OK\r\n\r\n")
          upstream.pipe(client)
          client.pipe(upstream)
        })
        upstream.on("error", () => client.destroy())
        client.on("error", () => upstream.destroy())
      })
      const port = yield* Fixture.listen(proxy)
      return { port, tunnels, forwarded }
    })

  it.effect("is used, and the server's certificate is verified through it", () =>
    Effect.gen(function*() {
      const proxy = yield* connectProxy()
      const server = yield* Fixture.serve(Fixture.onlyToken(() => "t1"), Fixture.tls)
      const proxied = { server: server.origin, "proxy-url": `http://me:hunter2@127.0.0.1:${proxy.port}` }
      yield* Effect.repeat(Fixture.send(Fixture.patch), { times: 2 }).pipe(
        Effect.provide(Fixture.text({ ...proxied, ...ca }, { token: "t1" }))
      )
      assert.deepStrictEqual(proxy.tunnels, [
        { target: `127.0.0.1:${server.port}`, authorization: `Basic ${Fixture.base64("me:hunter2")}` }
      ])
      assert.deepStrictEqual([server.received.length, server.connections.length], [3, 1])
      assert.isUndefined(server.received[0]?.headers["proxy-authorization"])

      const untrusted = yield* failure(proxied, { token: "t1" })
      assert.include(untrusted.message, "is not trusted")
      assert.strictEqual(server.received.length, 3)

      const otherName = yield* Fixture.serve(Fixture.ok, Fixture.tlsOfOtherName)
      assertRefused(yield* failure({ ...proxied, ...ca, server: otherName.origin }), "nothing was sent", otherName)
      yield* success({ ...proxied, ...ca, server: otherName.origin, "tls-server-name": "api.other.example" })
    }))

  it.effect("has room after requests that cannot be sent", () =>
    Effect.gen(function*() {
      const proxy = yield* connectProxy()
      const server = yield* Fixture.serve(Fixture.ok, Fixture.tls)
      const proxied = { server: server.origin, "proxy-url": `http://127.0.0.1:${proxy.port}` }
      yield* Effect.repeat(Effect.flip(Fixture.send(Fixture.unsendable)), { times: 20 }).pipe(
        Effect.andThen(Fixture.send(Fixture.get)),
        Effect.provide(Fixture.text({ ...proxied, ...ca }))
      )
      assert.strictEqual(server.received.length, 1)
    }))

  it.effect("takes no password of a request or a stream: nothing was sent", () =>
    Effect.gen(function*() {
      const proxy = yield* connectProxy()
      const server = yield* Fixture.serve(Fixture.ok, Fixture.tls)
      yield* Effect.gen(function*() {
        const transport = yield* KubeTransport
        const request = { ...Fixture.get, headers: { "proxy-authorization": "Basic me" } }
        assertRefused(yield* Effect.flip(transport.request(request)), "nothing was sent", server)
        assertRefused(yield* Effect.flip(Stream.runDrain(transport.stream(request))), "nothing was sent", server)
      }).pipe(
        Effect.provide(Fixture.text({ server: server.origin, "proxy-url": `http://127.0.0.1:${proxy.port}`, ...ca }))
      )
    }))

  it.effect("that refuses: nothing was sent, and its password is not shown", () =>
    Effect.gen(function*() {
      const proxy = yield* connectProxy(407)
      const server = yield* Fixture.serve(Fixture.ok, Fixture.tls)
      const error = yield* failure({
        server: server.origin,
        "proxy-url": `http://me:hunter2@127.0.0.1:${proxy.port}`,
        ...ca
      })
      assertRefused(error, "407", server)
      assert.notInclude(Fixture.everythingShownOf(error), "hunter2")
    }))

  it.effect("is used for http too", () =>
    Effect.gen(function*() {
      const proxy = yield* connectProxy()
      const cluster = { server: "http://api.example", "proxy-url": `http://127.0.0.1:${proxy.port}` }
      yield* success(cluster, { token: "hunter2" })
      assert.deepStrictEqual(proxy.forwarded, [`http://api.example${Fixture.patch.path}?timeout=10000ms`])
    }))
})
