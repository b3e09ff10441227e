import { ControlPlane, type PolicyRule } from "@kubelock/testing/ControlPlane"
import { Effect, Schema } from "effect"

const Secret = Schema.Struct({ metadata: Schema.Struct({ name: Schema.String, uid: Schema.String }) })
const TokenRequest = Schema.Struct({ status: Schema.Struct({ token: Schema.String }) })

/** A service account with rights in the default namespace. Each of its tokens is valid as long as a Secret that it is bound to. */
export const makeServiceAccount = Effect.fnUntraced(function*(name: string, rules: ReadonlyArray<PolicyRule>) {
  const { makeUser, request } = yield* ControlPlane
  const inDefault = "/api/v1/namespaces/default"
  yield* request("POST", `${inDefault}/serviceaccounts`, { metadata: { name } })
  yield* makeUser({ name: `system:serviceaccount:default:${name}`, namespace: "default", rules })
  return {
    issueToken: Effect.gen(function*() {
      const { metadata: secret } = yield* Schema.decodeUnknownEffect(Secret)(
        yield* request("POST", `${inDefault}/secrets`, { metadata: { generateName: `${name}-` } })
      )
      const issued = yield* request("POST", `${inDefault}/serviceaccounts/${name}/token`, {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        spec: { audiences: [], boundObjectRef: { apiVersion: "v1", kind: "Secret", ...secret } }
      })
      const { token } = (yield* Schema.decodeUnknownEffect(TokenRequest)(issued)).status
      return { token, revoke: request("DELETE", `${inDefault}/secrets/${secret.name}`) }
    })
  }
})
