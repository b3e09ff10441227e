import { assert, describe, it, layer } from "@effect/vitest"
import { KubeApiServer } from "@kubelock/testing"
import { Effect, Layer } from "effect"
import { X509Certificate } from "node:crypto"
import { at, configMaps, send } from "./support/Client.ts"

layer(KubeApiServer.layer({ tls: true, token: "secret" }))("KubeApiServer: TLS and a token", (it) => {
  it.effect("speaks TLS with a certificate of its own authority", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      assert.match(server.url, /^https:\/\/127\.0\.0\.1:\d+$/)
      assert.isTrue(new X509Certificate(server.caCertificate ?? "").ca)
      assert.strictEqual((yield* send(server, "GET", configMaps)).status, 200)
      const localhost = { ...server, url: server.url.replace("127.0.0.1", "localhost") }
      assert.strictEqual((yield* send(localhost, "GET", configMaps)).status, 200)
      const distrusting = yield* Effect.flip(send({ ...server, caCertificate: undefined }, "GET", configMaps))
      assert.strictEqual(distrusting.code, "UNABLE_TO_VERIFY_LEAF_SIGNATURE")
    }))

  it.effect("demands its token", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      const unauthorized = {
        kind: "Status",
        apiVersion: "v1",
        metadata: {},
        status: "Failure",
        message: "Unauthorized",
        reason: "Unauthorized",
        code: 401
      }
      for (const token of ["wrong", "secret2", ""]) {
        const reply = yield* send(server, "GET", configMaps, { token })
        assert.strictEqual(reply.status, 401)
        assert.deepStrictEqual(reply.body, unauthorized)
      }
      assert.strictEqual((yield* send({ ...server, token: undefined }, "GET", configMaps)).status, 401)
    }))

  it.effect("writes a kubeconfig with all that it takes", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      const config: unknown = JSON.parse(server.kubeconfig)
      const name = at(config, "current-context")
      assert.deepStrictEqual(at(config, "contexts", 0), {
        name,
        context: { cluster: name, user: name, namespace: "default" }
      })
      assert.deepStrictEqual(at(config, "users", 0, "user"), { token: "secret" })
      assert.strictEqual(at(config, "clusters", 0, "cluster", "server"), server.url)
      const ca = String(at(config, "clusters", 0, "cluster", "certificate-authority-data"))
      assert.strictEqual(Buffer.from(ca, "base64").toString(), server.caCertificate)
    }))

  // The last one, for the server is shared.
  it.effect("changes its token, and then takes no other", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      yield* server.setToken("rotated")
      assert.strictEqual((yield* send(server, "GET", configMaps)).status, 401)
      assert.strictEqual((yield* send(server, "GET", configMaps, { token: "rotated" })).status, 200)
    }))
})

describe("KubeApiServer: TLS or a token", () => {
  const userOf = (kubeconfig: string) => at(JSON.parse(kubeconfig), "users", 0, "user")

  it.effect("names a user over TLS also where it demands none: kubectl asks for one otherwise", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      assert.isUndefined(server.token)
      const token = at(userOf(server.kubeconfig), "token")
      if (typeof token !== "string" || token === "") return assert.fail(server.kubeconfig)
      assert.strictEqual((yield* send(server, "GET", configMaps, { token })).status, 200)
      assert.strictEqual((yield* send(server, "GET", configMaps)).status, 200)
    }).pipe(Effect.provide(KubeApiServer.layer({ tls: true }))))

  it.effect("speaks TLS where it demands a token, which clients do not send without", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      assert.match(server.url, /^https:/)
      assert.deepStrictEqual(userOf(server.kubeconfig), { token: "secret" })
      assert.strictEqual((yield* send(server, "GET", configMaps)).status, 200)
    }).pipe(Effect.provide(KubeApiServer.layer({ token: "secret" }))))

  it.effect("speaks plain HTTP all the same where it is told to", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      assert.match(server.url, /^http:/)
      assert.strictEqual((yield* send(server, "GET", configMaps)).status, 200)
      assert.strictEqual((yield* send(server, "GET", configMaps, { token: "wrong" })).status, 401)
    }).pipe(Effect.provide(KubeApiServer.layer({ tls: false, token: "secret" }))))

  it.effect("names nobody over plain HTTP, where clients send no credentials", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(userOf((yield* KubeApiServer).kubeconfig), {})
    }).pipe(Effect.provide(KubeApiServer.layer())))
})

describe("KubeApiServer: starting", () => {
  it.effect("takes a free port, and asks for nothing, by default", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      assert.match(server.url, /^http:\/\/127\.0\.0\.1:\d+$/)
      assert.isUndefined(server.caCertificate)
      assert.strictEqual((yield* send(server, "GET", configMaps)).status, 200)
      const other = yield* Layer.build(KubeApiServer.layer())
      assert.notStrictEqual((yield* Effect.provide(KubeApiServer, other)).url, server.url)
    }).pipe(Effect.scoped, Effect.provide(KubeApiServer.layer())))

  it.effect("says which port is taken", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      const port = Number(new URL(server.url).port)
      const error = yield* Effect.flip(Layer.build(KubeApiServer.layer({ port })))
      assert.strictEqual(error._tag, "ServerNotStarted")
      assert.include(error.message, `127.0.0.1:${port}`)
    }).pipe(Effect.scoped, Effect.provide(KubeApiServer.layer())))

  it.effect("knows the resources it is told of", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      assert.strictEqual((yield* send(server, "GET", "/apis/example.com/v1/things")).status, 200)
    }).pipe(
      Effect.provide(KubeApiServer.layer({
        resources: [{ group: "example.com", version: "v1", resource: "things", kind: "Thing", namespaced: false }]
      }))
    ))
})
