/** Credentials as they come and go, and certificates as they should be: on a real API server. */
import { assert, layer } from "@effect/vitest"
import { isUnauthorized, isUnavailable, KubeAnnotationStore, KubeError, KubeLock, KubeTransport } from "@kubelock/kube"
import * as Certificates from "@kubelock/testing/Certificates"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Clock, DateTime, Effect, Layer, Result, Schedule } from "effect"
import process from "node:process"
import * as SharedControlPlane from "../../../testing/test/SharedControlPlane.ts"
import { base64, execPlugin, kubeconfig, temporaryDirectory, write } from "../KubeTransportFixtures.ts"
import { configMaps, realWorld } from "../suites/realWorld.ts"
import { makeServiceAccount } from "../suites/serviceAccount.ts"
import { withoutPauses, World } from "../suites/World.ts"

const locksOver = <E>(transport: Layer.Layer<KubeTransport, E>) =>
  Layer.provide(KubeLock.layer, Layer.provide(KubeAnnotationStore.layer, transport))

const serverOf = Effect.map(ControlPlane, ({ caCertificatePem, url }) => ({
  server: url,
  "certificate-authority-data": base64(caCertificatePem)
}))

const mayLock = [{ apiGroups: [""], resources: ["configmaps"], verbs: ["get", "patch"] }]

/** Waits until the server, which remembers good tokens for some seconds, no longer takes this one. */
const untilRefused = Effect.fnUntraced(function*(token: string) {
  const cluster = yield* serverOf
  yield* Effect.flatMap(KubeTransport, (transport) => transport.request({ method: "GET", path: "/api" })).pipe(
    Effect.provide(KubeTransport.layerText(kubeconfig(cluster, { token }))),
    Effect.isFailure,
    Effect.repeat({ schedule: Schedule.spaced(200), until: (isRefused) => isRefused }),
    Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
  )
})

const newTarget = Effect.flatMap(World, (world) => Effect.map(world.object(), (resource) => ({ resource, name: "x" })))

const acquireNew = Effect.gen(function*() {
  const locks = yield* KubeLock
  return yield* withoutPauses(locks.acquire(yield* newTarget))
})

const services = realWorld(configMaps).pipe(Layer.provideMerge(SharedControlPlane.layer))

layer(services)("A bearer token", (it) => {
  it.effect(
    "that is replaced in its file under a running client is taken up when the old one is refused",
    () =>
      Effect.gen(function*() {
        const { issueToken } = yield* makeServiceAccount("rotated", mayLock)
        const [old, fresh] = yield* Effect.all([issueToken, issueToken])
        const directory = yield* temporaryDirectory
        const tokenFile = write(directory, "token", `${old.token}\n`)
        yield* Effect.gen(function*() {
          const locks = yield* KubeLock
          const lease = yield* acquireNew
          yield* old.revoke
          yield* untilRefused(old.token)
          // Nobody has replaced it yet.
          const refused = yield* Effect.flip(locks.renew(lease))
          assert.isTrue(isUnauthorized(refused))
          assert.notInclude(refused.message, old.token)
          write(directory, "token", `${fresh.token}\n`)
          const renewed = yield* locks.renew(lease)
          yield* locks.release(renewed)
        }).pipe(Effect.provide(locksOver(KubeTransport.layerText(kubeconfig(yield* serverOf, { tokenFile })))))
      }),
    30_000
  )

  it.effect("that is replaced in the kubeconfig is taken up too, and one that nobody knows is Unauthorized", () =>
    Effect.gen(function*() {
      const { issueToken } = yield* makeServiceAccount("in-kubeconfig", mayLock)
      const directory = yield* temporaryDirectory
      const cluster = yield* serverOf
      const file = write(directory, "config", kubeconfig(cluster, { token: "nobody-knows-me" }))
      yield* Effect.gen(function*() {
        const refused = yield* Effect.flip(acquireNew)
        assert.isTrue(isUnauthorized(refused))
        assert.notInclude(refused.message, "nobody-knows-me")
        const { token } = yield* issueToken
        write(directory, "config", kubeconfig(cluster, { token }))
        yield* acquireNew
      }).pipe(Effect.provide(locksOver(KubeTransport.layerFile(file))))
    }))
})

layer(services)("A client certificate", (it) => {
  it.effect("that has expired is Unauthorized, and another in the kubeconfig is taken up", () =>
    Effect.gen(function*() {
      const { makeUser } = yield* ControlPlane
      const user = { name: "late", namespace: "default", rules: mayLock }
      const expired = yield* makeUser({ ...user, notAfter: DateTime.makeUnsafe("2020-01-01T00:00:00Z") })
      const directory = yield* temporaryDirectory
      const file = write(directory, "config", expired)
      yield* Effect.gen(function*() {
        const refused = yield* Effect.flip(acquireNew)
        assert.isTrue(isUnauthorized(refused))
        assert.include(refused.message, "does not accept these credentials")
        write(directory, "config", yield* makeUser(user))
        yield* acquireNew
      }).pipe(Effect.provide(locksOver(KubeTransport.layerFile(file))))
    }))

  it.effect("of an authority that the server does not know is Unauthorized", () =>
    Effect.gen(function*() {
      const stranger = yield* Certificates.makeAuthority({ commonName: "a stranger" })
      const { certificatePem, privateKeyPem } = yield* Certificates.issueClient(stranger, {
        commonName: "admin",
        organizations: ["system:masters"]
      })
      const user = { "client-certificate-data": base64(certificatePem), "client-key-data": base64(privateKeyPem) }
      const refused = yield* Effect.flip(acquireNew).pipe(
        Effect.provide(locksOver(KubeTransport.layerText(kubeconfig(yield* serverOf, user))))
      )
      assert.isTrue(isUnauthorized(refused))
    }))
})

layer(services)("A server whose authority is not known", (it) => {
  const untrusting = Effect.gen(function*() {
    const { issueToken } = yield* makeServiceAccount(`careful-${crypto.randomUUID().slice(0, 8)}`, mayLock)
    const stranger = yield* Certificates.makeAuthority({ commonName: "a stranger" })
    const { server } = yield* serverOf
    const { token } = yield* issueToken
    return { server, stranger: base64(stranger.certificatePem), token }
  })

  const assertUntrusted = (error: unknown) => {
    assert.isTrue(error instanceof KubeError && isUnavailable(error) && !error.outcomeUnknown)
    assert.include(String(error), "is not trusted; correct the certificate-authority in the kubeconfig")
    assert.include(String(error), "nothing was sent")
  }

  it.effect("is told nothing, whether another one is named or none", () =>
    Effect.gen(function*() {
      const { server, stranger, token } = yield* untrusting
      for (const cluster of [{ server, "certificate-authority-data": stranger }, { server }]) {
        const error = yield* Effect.flip(acquireNew).pipe(
          Effect.provide(locksOver(KubeTransport.layerText(kubeconfig(cluster, { token }))))
        )
        assertUntrusted(error)
      }
    }))

  it.effect("is not trusted by accident, only where the kubeconfig says so", () =>
    Effect.gen(function*() {
      const { server, token } = yield* untrusting
      const variable = "NODE_TLS_REJECT_UNAUTHORIZED"
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          process.env[variable] = "0"
        }),
        () => Effect.sync(() => delete process.env[variable])
      )
      const error = yield* Effect.flip(acquireNew).pipe(
        Effect.provide(locksOver(KubeTransport.layerText(kubeconfig({ server }, { token }))))
      )
      assertUntrusted(error)
      const trusting = kubeconfig({ server, "insecure-skip-tls-verify": true }, { token })
      yield* Effect.provide(acquireNew, locksOver(KubeTransport.layerText(trusting)))
    }))
})

layer(services)("An exec plugin", (it) => {
  it.effect("brings a token: once for many requests, and once more when it is refused", () =>
    Effect.gen(function*() {
      const { issueToken } = yield* makeServiceAccount("exec-token", mayLock)
      const { token } = yield* issueToken
      const directory = yield* temporaryDirectory
      const { runs, user } = execPlugin(
        directory,
        `credential({ token: run === 1 ? "of-yesterday" : ${JSON.stringify(token)} })`
      )
      yield* Effect.gen(function*() {
        const outcomes = yield* Effect.all(Array.from({ length: 8 }, () => Effect.result(acquireNew)), {
          concurrency: "unbounded"
        })
        assert.isTrue(outcomes.every(Result.isSuccess))
        assert.strictEqual(runs(), 2)
        yield* acquireNew
        assert.strictEqual(runs(), 2)
      }).pipe(Effect.provide(locksOver(KubeTransport.layerText(kubeconfig(yield* serverOf, user)))))
    }))

  it.effect("brings a client certificate", () =>
    Effect.gen(function*() {
      const { makeUser } = yield* ControlPlane
      const text = yield* makeUser({ name: "by-plugin", namespace: "default", rules: mayLock })
      const directory = yield* temporaryDirectory
      const file = write(directory, "config.json", text)
      const { runs, user } = execPlugin(
        directory,
        `const { user } = JSON.parse(fs.readFileSync(${JSON.stringify(file)}, "utf8")).users[0]
         const pem = (name) => Buffer.from(user[name], "base64").toString()
         credential({ clientCertificateData: pem("client-certificate-data"), clientKeyData: pem("client-key-data") })`
      )
      yield* Effect.provide(acquireNew, locksOver(KubeTransport.layerText(kubeconfig(yield* serverOf, user))))
      assert.strictEqual(runs(), 1)
    }))

  it.effect("that fails is Unauthorized, with what it said", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const { user } = execPlugin(directory, `console.error("log in first"); process.exit(1)`)
      const error = yield* Effect.flip(acquireNew).pipe(
        Effect.provide(locksOver(KubeTransport.layerText(kubeconfig(yield* serverOf, user))))
      )
      assert.isTrue(isUnauthorized(error))
      assert.include(error.message, "log in first")
    }))
})
