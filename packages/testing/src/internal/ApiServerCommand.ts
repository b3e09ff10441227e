#!/usr/bin/env node
/** `npx kubelock-apiserver`: the embedded Kubernetes API server, until Ctrl-C. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect, FileSystem, Option, Path, Schema } from "effect"
import { CliError, Command, Flag } from "effect/cli"
import { createRequire } from "node:module"
import { KubeApiServer } from "../KubeApiServer.ts"
import type { KubeObjectInput } from "../KubeObject.ts"
import * as ResourceType from "../ResourceType.ts"

const port = Flag.Int("port").pipe(
  Flag.withDescription("The port to listen on, on 127.0.0.1; 0 takes a free one"),
  Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))),
  Flag.withDefault(0)
)

const tls = Flag.Boolean("tls").pipe(
  Flag.withDescription("Speak HTTPS, with a certificate made on the spot; the kubeconfig holds its authority"),
  Flag.optional
)

const token = Flag.String("token").pipe(
  Flag.withDescription(
    "Demand this bearer token of every request, over HTTPS; without it, everybody may do everything"
  ),
  Flag.optional
)

const kubeconfig = Flag.File("kubeconfig").pipe(
  Flag.withDescription("Where to write the kubeconfig. By default a temporary file, gone when the server ends"),
  Flag.optional
)

const JsonObject = Schema.Record(Schema.String, Schema.Unknown)

const ObjectInput = Schema.StructWithRest(
  Schema.Struct({
    apiVersion: Schema.String,
    kind: Schema.String,
    metadata: Schema.StructWithRest(
      Schema.Struct({ name: Schema.String, namespace: Schema.optionalKey(Schema.String) }),
      [JsonObject]
    )
  }),
  [JsonObject]
)

const objects = Flag.FileSchema("object", ObjectInput, { format: "yaml" }).pipe(
  Flag.withDescription("An object to begin with: a file of YAML or JSON. May be given several times"),
  Flag.withMetavar("file"),
  Flag.atLeast(0)
)

const command = Command.make(
  "kubelock-apiserver",
  { port, tls, token, kubeconfig, objects },
  Effect.fnUntraced(function*({ kubeconfig, objects, port, tls, token }) {
    const layer = KubeApiServer.layer({ port, tls: Option.getOrUndefined(tls), token: Option.getOrUndefined(token) })
    return yield* serve(objects, kubeconfig).pipe(
      Effect.provide(layer),
      Effect.scoped,
      Effect.catchTag(
        ["ServerNotStarted", "RequestRefused", "PlatformError"],
        (error) => Effect.fail(new CliError.UserError({ cause: error.message }))
      )
    )
  })
).pipe(
  Command.withDescription(
    "A Kubernetes API server in memory, for kubectl and for trying things out. It keeps objects, serves watches and checks " +
      "metadata as a real one does, and runs nothing. Everything is forgotten when it ends, which it does on Ctrl-C."
  ),
  Command.withExamples([
    { command: "kubelock-apiserver", description: "Plain HTTP on a free port" },
    {
      command: "kubelock-apiserver --kubeconfig ./kubeconfig --object ./configmap.yaml",
      description: "A kubeconfig to keep, and an object to begin with"
    },
    { command: "kubelock-apiserver --token secret", description: "HTTPS with a token" }
  ])
)

const serve = Effect.fnUntraced(
  function*(objects: ReadonlyArray<typeof ObjectInput.Type>, kubeconfig: Option.Option<string>) {
    const server = yield* KubeApiServer
    for (const object of objects) yield* server.put(inDefaultNamespace(object))
    const path = yield* writeKubeconfig(server.kubeconfig, kubeconfig)
    yield* Console.log(greeting(server.url, path))
    return yield* Effect.never
  }
)

/** As kubectl takes an object that names no namespace. */
const inDefaultNamespace = ({ metadata, ...object }: typeof ObjectInput.Type): KubeObjectInput => {
  const isOfCluster = ResourceType.builtIn.some(({ kind, namespaced }) => kind === object.kind && !namespaced)
  return { ...object, metadata: isOfCluster ? metadata : { namespace: "default", ...metadata } }
}

const writeKubeconfig = Effect.fnUntraced(function*(text: string, wanted: Option.Option<string>) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const path = Option.isSome(wanted)
    ? paths.resolve(wanted.value)
    : paths.join(yield* fs.makeTempDirectoryScoped({ prefix: "kubelock-apiserver-" }), "kubeconfig")
  // Only for the owner's eyes: it may hold the token.
  yield* fs.writeFileString(path, text, { mode: 0o600 })
  return path
})

const greeting = (url: string, kubeconfig: string): string =>
  `A Kubernetes API server in memory listens on ${url}

In other terminals:

  export KUBECONFIG='${kubeconfig}'
  kubectl get configmaps --watch

Ctrl-C ends it.`

const { version } = Schema.decodeUnknownSync(Schema.Struct({ version: Schema.String }))(
  createRequire(import.meta.url)("../../package.json")
)

command.pipe(
  Command.run({ version }),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
