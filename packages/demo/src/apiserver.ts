/** `npm run apiserver`: the embedded Kubernetes API server, until Ctrl-C. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { KubeApiServer } from "@kubelock/testing"
import { Console, Effect, FileSystem, Option, Path, Schema } from "effect"
import { CliError, Command, Flag } from "effect/cli"

const port = Flag.Int("port").pipe(
  Flag.withDescription("The port to listen on, on 127.0.0.1; 0 takes a free one"),
  Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 65_535 }))),
  Flag.withDefault(0)
)

const tls = Flag.Boolean("tls").pipe(
  Flag.withDescription("Speak HTTPS, with a certificate made on the spot; the kubeconfig holds its authority"),
  Flag.withDefault(false)
)

const token = Flag.String("token").pipe(
  Flag.withDescription("Demand this bearer token of every request; without it, everybody may do everything"),
  Flag.optional
)

const kubeconfig = Flag.File("kubeconfig").pipe(
  Flag.withDescription("Where to write the kubeconfig. By default a temporary file, gone when the server ends"),
  Flag.optional
)

const command = Command.make(
  "apiserver",
  { port, tls, token, kubeconfig },
  Effect.fnUntraced(function*({ kubeconfig, ...options }) {
    const server = KubeApiServer.layer({ ...options, token: Option.getOrUndefined(options.token) })
    return yield* Effect.flatMap(KubeApiServer, (server) => serve(server, kubeconfig)).pipe(
      Effect.provide(server),
      Effect.scoped,
      Effect.catchTag(
        ["ServerNotStarted", "PlatformError"],
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
    { command: "npm run apiserver", description: "Plain HTTP on a free port" },
    {
      command: "npm run apiserver -- --tls --token secret --kubeconfig ./kubeconfig",
      description: "HTTPS with a token, and a kubeconfig to keep"
    }
  ])
)

const serve = Effect.fnUntraced(function*(server: KubeApiServer["Service"], kubeconfig: Option.Option<string>) {
  const path = yield* writeKubeconfig(server.kubeconfig, kubeconfig)
  yield* Console.log(greeting(server.url, path))
  return yield* Effect.never
})

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
Its kubeconfig: ${kubeconfig}

In another terminal:

  export KUBECONFIG=${kubeconfig}
  kubectl create configmap demo --from-literal=key=value
  kubectl annotate configmap demo kubelock.giantswarm.io/mine='{"owner":"me"}'
  kubectl get configmaps -w

Ctrl-C ends it.`

command.pipe(
  Command.run({ version: "0.0.0" }),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
