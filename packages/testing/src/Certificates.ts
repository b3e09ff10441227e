/**
 * X.509 certificates made on the spot: an authority, and what it signs for servers and clients.
 *
 * **Details**
 *
 * Everything is PEM text (`PRIVATE KEY` is PKCS #8, the keys are ECDSA P-256), ready for `node:tls`, a kubeconfig or a file.
 * Unless asked otherwise a certificate is valid from 1970 to 9999: a test whose subject is not validity must not fail for
 * the clock that it runs on.
 *
 * **Gotchas**
 *
 * The private keys are for tests. They are handed around as plain text, and the authority's key is in the same hands.
 *
 * **Example** (An authority, and what it signs)
 *
 * ```ts
 * import { Certificates } from "@kubelock/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const authority = yield* Certificates.makeAuthority({ commonName: "test authority" })
 *   const server = yield* Certificates.issueServer(authority, { dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"] })
 *   const client = yield* Certificates.issueClient(authority, { commonName: "alice", organizations: ["system:masters"] })
 *   return { ca: authority.certificatePem, server, client }
 * })
 *
 * const { ca } = await Effect.runPromise(program)
 * ca.startsWith("-----BEGIN CERTIFICATE-----") // => true
 * ```
 *
 * @since 0.1.0
 */
// Must come before x509, which refuses to load without it.
import "reflect-metadata"
import * as X509 from "@peculiar/x509"
import { DateTime, Effect, Schema } from "effect"

/**
 * A certificate and the private key it speaks for, both as PEM text.
 *
 * @category models
 * @since 0.1.0
 */
export interface Certificate {
  /** The certificate: one `CERTIFICATE` block. */
  readonly certificatePem: string
  /** Its private key: one `PRIVATE KEY` block (PKCS #8). */
  readonly privateKeyPem: string
}

/**
 * From when until when a certificate is valid.
 *
 * @category models
 * @since 0.1.0
 */
export interface Validity {
  /** Valid from this instant on, to the second. Defaults to 1970-01-01. */
  readonly notBefore?: DateTime.DateTime | undefined
  /** Valid until this instant, to the second. Defaults to 9999-12-31. */
  readonly notAfter?: DateTime.DateTime | undefined
}

/**
 * A certificate could not be made: an address that is none, or a PEM text that cannot be read.
 *
 * **Example** (An address that is none)
 *
 * ```ts
 * import { Certificates } from "@kubelock/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const authority = yield* Certificates.makeAuthority()
 *   return yield* Certificates.issueServer(authority, { dnsNames: [], ipAddresses: ["localhost"] })
 * })
 *
 * const error = await Effect.runPromise(Effect.flip(program))
 * error instanceof Certificates.CertificateError // => true
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export class CertificateError extends Schema.TaggedError<CertificateError>()("CertificateError", {
  message: Schema.String,
  cause: Schema.Defect()
}) {}

/**
 * Makes a certificate authority: a self-signed certificate that may sign others. Fails with `CertificateError`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeAuthority = Effect.fnUntraced(function*(
  options?: Validity & {
    /** The authority's name. Defaults to `kubelock testing authority`. */
    readonly commonName?: string | undefined
  }
): Effect.fn.Return<Certificate, CertificateError> {
  const commonName = options?.commonName ?? "kubelock testing authority"
  return yield* attempt(`the authority ${JSON.stringify(commonName)}`, async () => {
    const keys = await generateKeys()
    const certificate = await X509.X509CertificateGenerator.createSelfSigned({
      name: distinguishedName({ commonName }),
      keys,
      ...validity(options),
      extensions: [
        new X509.BasicConstraintsExtension(true, undefined, true),
        new X509.KeyUsagesExtension(X509.KeyUsageFlags.keyCertSign | X509.KeyUsageFlags.cRLSign, true),
        await X509.SubjectKeyIdentifierExtension.create(keys.publicKey)
      ]
    })
    return toPem(certificate, keys.privateKey)
  })
})

/**
 * Issues a certificate for a server that is reached by these DNS names (`dnsNames`) and IP addresses (`ipAddresses`). Fails with
 * `CertificateError`.
 *
 * **Gotchas**
 *
 * What a client is told to connect to must be among them, `localhost` and `127.0.0.1` each for itself.
 *
 * @category constructors
 * @since 0.1.0
 */
export const issueServer = Effect.fnUntraced(function*(
  authority: Certificate,
  options: Validity & {
    readonly dnsNames: ReadonlyArray<string>
    readonly ipAddresses: ReadonlyArray<string>
    /** The subject's name, which no modern client looks at. Defaults to `kubelock testing server`. */
    readonly commonName?: string | undefined
  }
): Effect.fn.Return<Certificate, CertificateError> {
  const names: X509.JsonGeneralNames = [
    ...options.dnsNames.map((value) => ({ type: "dns" as const, value })),
    ...options.ipAddresses.map((value) => ({ type: "ip" as const, value }))
  ]
  return yield* issue(authority, {
    ...options,
    commonName: options.commonName ?? "kubelock testing server",
    extensions: () => [
      new X509.ExtendedKeyUsageExtension([X509.ExtendedKeyUsage.serverAuth]),
      new X509.SubjectAlternativeNameExtension(names)
    ]
  })
})

/**
 * Issues a certificate for a client. Fails with `CertificateError`.
 *
 * To Kubernetes the `commonName` is the user and the `organizations` are the groups ("Authenticating: X.509 client certificates").
 *
 * @category constructors
 * @since 0.1.0
 */
export const issueClient = Effect.fnUntraced(function*(
  authority: Certificate,
  options: Validity & {
    readonly commonName: string
    /** Defaults to none. `system:masters` may do everything. */
    readonly organizations?: ReadonlyArray<string> | undefined
  }
): Effect.fn.Return<Certificate, CertificateError> {
  return yield* issue(authority, {
    ...options,
    extensions: () => [new X509.ExtendedKeyUsageExtension([X509.ExtendedKeyUsage.clientAuth])]
  })
})

const keyAlgorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }

const generateKeys = () => globalThis.crypto.subtle.generateKey(keyAlgorithm, true, ["sign", "verify"])

const validity = (options: Validity | undefined) => ({
  notBefore: options?.notBefore ? DateTime.toDateUtc(options.notBefore) : new Date("1970-01-01T00:00:00Z"),
  notAfter: options?.notAfter ? DateTime.toDateUtc(options.notAfter) : new Date("9999-12-31T23:59:59Z")
})

// As UTF8String values, since x509 looks for quotes and escapes in plain strings.
const distinguishedName = (
  options: { readonly commonName: string; readonly organizations?: ReadonlyArray<string> | undefined }
) =>
  new X509.Name([
    ...(options.organizations ?? []).map((organization) => ({ O: [{ utf8String: organization }] })),
    { CN: [{ utf8String: options.commonName }] }
  ])

const issue = (
  authority: Certificate,
  options: Validity & {
    readonly commonName: string
    readonly organizations?: ReadonlyArray<string> | undefined
    readonly extensions: () => Array<X509.Extension>
  }
) =>
  attempt(`a certificate for ${JSON.stringify(options.commonName)}`, async () => {
    const issuer = new X509.X509Certificate(authority.certificatePem)
    const signingKey = await globalThis.crypto.subtle.importKey(
      "pkcs8",
      X509.PemConverter.decodeFirst(authority.privateKeyPem),
      keyAlgorithm,
      false,
      ["sign"]
    )
    const keys = await generateKeys()
    const certificate = await X509.X509CertificateGenerator.create({
      subject: distinguishedName(options),
      issuer: issuer.subjectName,
      signingKey,
      publicKey: keys.publicKey,
      signingAlgorithm: keyAlgorithm,
      ...validity(options),
      extensions: [
        new X509.BasicConstraintsExtension(false, undefined, true),
        new X509.KeyUsagesExtension(X509.KeyUsageFlags.digitalSignature, true),
        await X509.AuthorityKeyIdentifierExtension.create(issuer),
        ...options.extensions()
      ]
    })
    return toPem(certificate, keys.privateKey)
  })

const toPem = async (certificate: X509.X509Certificate, privateKey: CryptoKey): Promise<Certificate> => ({
  certificatePem: certificate.toString("pem"),
  privateKeyPem: X509.PemConverter.encode(
    await globalThis.crypto.subtle.exportKey("pkcs8", privateKey),
    X509.PemConverter.PrivateKeyTag
  )
})

const attempt = <A>(what: string, evaluate: () => Promise<A>) =>
  Effect.tryPromise({
    try: evaluate,
    catch: (cause) =>
      new CertificateError({
        message: `Cannot make ${what}: ${cause instanceof Error ? cause.message : String(cause)}`,
        cause
      })
  })
