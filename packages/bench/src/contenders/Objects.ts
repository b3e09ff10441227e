/** The objects that carry the locks, and how many requests their API server has had. */
import { KubeTransport } from "@kubelock/kube"
import { KubeApiServer } from "@kubelock/testing"
import { Effect, Schedule } from "effect"
import { BenchFailed } from "../Scenario.ts"
import type { Resource } from "./Message.ts"

/** A kind of object to hold locks on. */
export interface Kind {
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly kind: string
  readonly content: object
}

/** So much text is in a large object: near to what etcd takes at most. */
const largeBytes = 900 * 1024

export const small: Kind = {
  group: "",
  version: "v1",
  resource: "configmaps",
  kind: "ConfigMap",
  content: { data: { key: "value" } }
}

// As a certificate or an archive in Base64: clients and servers that compress what they send shall not find it all the same.
const largeText = () => {
  const bytes = Buffer.alloc(largeBytes * 3 / 4)
  let state = 1
  for (let at = 0; at < bytes.length; at++) {
    state = Math.imul(state, 1_664_525) + 1_013_904_223
    bytes[at] = state >>> 24
  }
  return bytes.toString("base64")
}

export const large: Kind = { ...small, content: { data: { key: largeText() } } }

const customType = { group: "bench.kubelock.dev", version: "v1", plural: "things", kind: "Thing" }

export const custom: Kind = {
  group: customType.group,
  version: customType.version,
  resource: customType.plural,
  kind: customType.kind,
  content: { spec: { key: "value" } }
}

export const lease: Kind = {
  group: "coordination.k8s.io",
  version: "v1",
  resource: "leases",
  kind: "Lease",
  content: {}
}

/** The size of an object of this kind, without what every object has. */
export const bytesOf = ({ content }: Kind): number => JSON.stringify(content).length

const apiVersionOf = ({ group, version }: Kind) => group === "" ? version : `${group}/${version}`

const collectionOf = (kind: Kind) =>
  `${kind.group === "" ? "/api" : "/apis"}/${apiVersionOf(kind)}/namespaces/default/${kind.resource}`

const failed = ({ message }: { readonly message: string }) => new BenchFailed({ message })

const post = Effect.fnUntraced(function*(path: string, body: object) {
  const { request } = yield* KubeTransport
  const headers = { "content-type": "application/json" }
  return yield* request({ method: "POST", path, headers, body: JSON.stringify(body) })
})

/** Makes the custom resource known to the server. Needed once, before its objects are created. */
export const registerCustom = Effect.gen(function*() {
  const { group, kind, plural, version } = customType
  yield* post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: "Namespaced",
      names: { plural, kind, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions: [{
        name: version,
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } }
      }]
    }
  }).pipe(
    // Two scenarios of one run.
    Effect.catchIf(({ status }) => status === 409, () => Effect.void)
  )
}).pipe(Effect.mapError(failed))

/** Creates an object, with an annotation of somebody else's; where it is there already, that one is as good. */
export const create = Effect.fnUntraced(function*(kind: Kind, name: string) {
  yield* post(collectionOf(kind), {
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
    metadata: { name, annotations: { "bench.kubelock.dev/other": "value" } },
    ...kind.content
  }).pipe(
    Effect.catchIf(({ status }) => status === 409, () => Effect.void),
    // A custom resource is not served at once.
    Effect.retry({
      schedule: Schedule.spaced("100 millis"),
      times: 100,
      while: ({ status = 0 }) => [404, 429, 503].includes(status)
    }),
    Effect.mapError(failed)
  )
  const { group, resource, version } = kind
  return { group, version, resource, namespace: "default", name } satisfies Resource
})

/** The requests in the text of the API server's own metrics, for objects of this kind. */
export const requestsIn = (metrics: string, { group, resource }: Pick<Kind, "group" | "resource">): number =>
  [...metrics.matchAll(/^apiserver_request_total\{(.*)\} (\S+)$/gm)]
    .filter(([, labels]) => labels!.includes(`group="${group}",resource="${resource}"`))
    .reduce((sum, [, , count]) => sum + Number(count), 0)

/** How many requests for objects of this kind the server has had. */
export type RequestCount = (kind: Kind) => Effect.Effect<number, BenchFailed>

/** By the server's metrics. */
export const countByMetrics = Effect.map(
  KubeTransport,
  ({ request }): RequestCount => (kind) =>
    Effect.mapBoth(request({ method: "GET", path: "/metrics", headers: { accept: "text/plain" } }), {
      onSuccess: ({ body }) => requestsIn(body, kind),
      onFailure: failed
    })
)

/** By what the embedded server remembers. */
export const countByRecord = Effect.map(
  KubeApiServer,
  ({ traffic }): RequestCount => () =>
    Effect.map(traffic, (traffic) => [...traffic.values()].reduce((sum, { requests }) => sum + requests, 0))
)
