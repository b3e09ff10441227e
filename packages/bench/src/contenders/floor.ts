/**
 * What the API server, the network, TLS and JSON take, and nothing else: the two PATCHes of a pair, as the library sends them, on one
 * connection. Its argument is the kubeconfig's text.
 */
import { LockName, LockRecord } from "@kubelock/core"
import { ResourceRef } from "@kubelock/kube"
import { Effect, Result, Schema } from "effect"
import { argv } from "node:process"
import { Client } from "undici"
import * as Worker from "./Worker.ts"

const Base64Text = Schema.optionalKey(Schema.StringFromBase64)

// As this repository's servers write it: one cluster, one user.
const Kubeconfig = Schema.fromJsonString(Schema.Struct({
  clusters: Schema.Tuple([Schema.Struct({
    cluster: Schema.Struct({ server: Schema.String, "certificate-authority-data": Base64Text })
  })]),
  users: Schema.Tuple([Schema.Struct({
    user: Schema.Struct({ "client-certificate-data": Base64Text, "client-key-data": Base64Text })
  })])
}))

const key = LockName.toKey(Result.getOrThrow(LockName.make("bench")))
const path = `/metadata/annotations/${key.replaceAll("/", "~1")}`
const value = LockRecord.format({
  owner: "bench",
  createdAtNanos: 1_767_225_600_123_456_789n,
  ttlNanos: 300_000_000_000n,
  id: "0123456789ab-0123456789ab"
})
const taking = JSON.stringify([{ op: "test", path, value: null }, { op: "add", path, value }])
const givingBack = JSON.stringify([{ op: "test", path, value }, { op: "remove", path }])

const headers = {
  accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
  "content-type": "application/json-patch+json",
  "user-agent": "kubelock/0.0.0"
}

const patch = (client: Client, path: string, body: string): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const chunks: Array<Buffer> = []
    client.dispatch({ method: "PATCH", path, headers, body }, {
      onRequestStart: () => {},
      onResponseStart: (_, status) => {
        if (status !== 200) reject(new Error(`HTTP ${status}`))
      },
      onResponseData: (_, chunk) => void chunks.push(chunk),
      onResponseEnd: () => resolve(JSON.parse(Buffer.concat(chunks).toString())),
      onResponseError: (_, error) => reject(error)
    })
  })

const send = (client: Client, path: string, body: string) =>
  Effect.tryPromise({ try: () => patch(client, path, body), catch: String })

const floor = Effect.gen(function*() {
  const { clusters: [{ cluster }], users: [{ user }] } = yield* Schema.decodeUnknownEffect(Kubeconfig)(argv[2])
  const client = new Client(cluster.server, {
    connect: {
      ca: cluster["certificate-authority-data"],
      cert: user["client-certificate-data"],
      key: user["client-key-data"]
    },
    keepAliveTimeout: 60_000,
    allowH2: false
  })
  yield* Worker.serve((resource, attempt) => {
    const target = `${ResourceRef.toPath(resource)}?fieldManager=kubelock&timeout=10000ms`
    return Effect.andThen(
      attempt("acquire", send(client, target, taking)),
      attempt("release", send(client, target, givingBack))
    )
  })
})

Worker.run(floor)
