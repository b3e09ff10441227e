/** The text of a kubeconfig, as JSON, which is YAML too. Pure. */
import * as Base64 from "effect/encoding/Base64"

export const write = (options: {
  readonly server: string
  readonly caCertificatePem: string | undefined
  readonly token: string | undefined
}): string => {
  const name = "kubelock-testing"
  // Over TLS kubectl asks the terminal for a user name where it has no credentials: a server that demands none gets some all the same.
  const token = options.token ?? (options.caCertificatePem === undefined ? undefined : "anybody")
  return JSON.stringify(
    {
      apiVersion: "v1",
      kind: "Config",
      clusters: [{
        name,
        cluster: {
          server: options.server,
          // client-node will not speak plain HTTP without being told to skip the verification that there is not.
          ...(options.caCertificatePem === undefined
            ? { "insecure-skip-tls-verify": true }
            : { "certificate-authority-data": Base64.encode(options.caCertificatePem) })
        }
      }],
      users: [{ name, user: token === undefined ? {} : { token } }],
      contexts: [{ name, context: { cluster: name, user: name, namespace: "default" } }],
      "current-context": name
    },
    undefined,
    2
  ) + "\n"
}
