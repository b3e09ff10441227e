import { assert, describe, it } from "@effect/vitest"
import * as Certificates from "@kubelock/testing/Certificates"
import { DateTime, Effect } from "effect"
import { createPrivateKey, X509Certificate } from "node:crypto"
import { createServer } from "node:https"
import { connect } from "node:tls"

const parse = (certificate: Certificates.Certificate) => new X509Certificate(certificate.certificatePem)

const serverOptions = { dnsNames: ["localhost", "api.test"], ipAddresses: ["127.0.0.1", "::1"] }

describe("Certificates", () => {
  it.effect("makes an authority that signs itself", () =>
    Effect.gen(function*() {
      const certificate = parse(yield* Certificates.makeAuthority({ commonName: "Test CA, \"quoted\"" }))
      assert.isTrue(certificate.ca)
      assert.isTrue(certificate.verify(certificate.publicKey))
      assert.include(certificate.toLegacyObject().subject, { CN: "Test CA, \"quoted\"" })
    }))

  it.effect("issues a server certificate for exactly the names asked for", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.makeAuthority()
      const server = yield* Certificates.issueServer(authority, serverOptions)
      const certificate = parse(server)
      assert.isTrue(certificate.checkIssued(parse(authority)))
      assert.isTrue(certificate.verify(parse(authority).publicKey))
      assert.isTrue(certificate.checkPrivateKey(createPrivateKey(server.privateKeyPem)))
      assert.isFalse(certificate.ca)
      assert.strictEqual(certificate.checkHost("api.test"), "api.test")
      assert.strictEqual(certificate.checkIP("127.0.0.1"), "127.0.0.1")
      assert.isUndefined(certificate.checkHost("other.test"))
      assert.isUndefined(certificate.checkIP("127.0.0.2"))
      assert.deepStrictEqual(certificate.keyUsage, ["1.3.6.1.5.5.7.3.1"])
    }))

  it.effect("issues a client certificate with a user and its groups", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.makeAuthority()
      const client = parse(
        yield* Certificates.issueClient(authority, { commonName: "alice", organizations: ["system:masters", "team+a"] })
      )
      assert.deepInclude(client.toLegacyObject().subject, { CN: "alice", O: ["system:masters", "team+a"] })
      assert.deepStrictEqual(client.keyUsage, ["1.3.6.1.5.5.7.3.2"])
    }))

  it.effect("is valid from 1970 to 9999, or as asked", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.makeAuthority()
      assert.strictEqual(parse(authority).validFromDate.toISOString(), "1970-01-01T00:00:00.000Z")
      assert.strictEqual(parse(authority).validToDate.toISOString(), "9999-12-31T23:59:59.000Z")
      const client = parse(
        yield* Certificates.issueClient(authority, {
          commonName: "alice",
          notBefore: DateTime.makeUnsafe("2024-02-29T00:00:00Z"),
          notAfter: DateTime.makeUnsafe("2050-01-01T00:00:01Z")
        })
      )
      assert.strictEqual(client.validFromDate.toISOString(), "2024-02-29T00:00:00.000Z")
      assert.strictEqual(client.validToDate.toISOString(), "2050-01-01T00:00:01.000Z")
    }))

  it.effect("says which address is none", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.makeAuthority()
      const error = yield* Effect.flip(
        Certificates.issueServer(authority, { dnsNames: [], ipAddresses: ["127.0.0"], commonName: "bad" })
      )
      assert.strictEqual(error._tag, "CertificateError")
      assert.include(error.message, "bad")
    }))

  it.live("carries a mutual TLS handshake", () =>
    Effect.gen(function*() {
      const authority = yield* Certificates.makeAuthority()
      const server = yield* Certificates.issueServer(authority, serverOptions)
      const client = yield* Certificates.issueClient(authority, { commonName: "alice" })
      const listening = yield* Effect.acquireRelease(
        Effect.callback<ReturnType<typeof createServer>>((resume) => {
          const https = createServer({
            cert: server.certificatePem,
            key: server.privateKeyPem,
            ca: authority.certificatePem,
            requestCert: true,
            rejectUnauthorized: true
          })
          https.listen(0, "127.0.0.1", () => resume(Effect.succeed(https)))
        }),
        (https) => Effect.callback<void>((resume) => void https.close(() => resume(Effect.void)))
      )
      const address = listening.address()
      assert(address !== null && typeof address === "object")
      const authorized = yield* Effect.callback<boolean, Error>((resume) => {
        const socket = connect({
          host: "127.0.0.1",
          port: address.port,
          ca: authority.certificatePem,
          cert: client.certificatePem,
          key: client.privateKeyPem
        })
        socket.once("secureConnect", () => {
          resume(Effect.succeed(socket.authorized))
          socket.destroy()
        })
        socket.once("error", (error) => resume(Effect.fail(error)))
      })
      assert.isTrue(authorized)
    }))
})
