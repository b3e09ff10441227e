/**
 * A real Kubernetes control plane on loopback: etcd and kube-apiserver, as a Layer.
 *
 * **Details**
 *
 * The binaries are those of Kubernetes' envtest, found where envtest looks for them: in the folder that `KUBEBUILDER_ASSETS`
 * names. `setup-envtest use -p path` fetches them and prints the folder. Ports are free ones on loopback, certificates are made
 * on the spot, RBAC is on. Everything (processes, data, logs) is gone when the scope closes, and also when the process that
 * started it is killed.
 *
 * Starting it takes seconds. To start it once for several processes, {@link ControlPlane.start} it in the first, hand the {@link RunningControlPlane}
 * that it yields to the others as JSON, and use {@link ControlPlane.layerRunning} there.
 *
 * **Gotchas**
 *
 * - There is no controller: a deleted namespace stays `Terminating`, nothing is garbage collected, no Pod runs.
 * - Works where there is a POSIX `sh`.
 * - `restart` and `pauseEtcd` work where the control plane was started: on the same machine, as the same user.
 * - Waiting for the processes is done on the real clock, whatever clock the program runs on.
 *
 * **Example**
 *
 * ```ts no-run
 * import { ControlPlane } from "@kubelock/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const controlPlane = yield* ControlPlane
 *   return yield* controlPlane.makeUser({
 *     name: "locker",
 *     namespace: "default",
 *     rules: [{ apiGroups: [""], resources: ["configmaps"], resourceNames: ["a"], verbs: ["get", "patch"] }]
 *   })
 * })
 *
 * const kubeconfig = await Effect.runPromise(program.pipe(Effect.provide(ControlPlane.layer())))
 * ```
 *
 * @since 0.1.0
 */
import { NodeHttpClient, NodeServices } from "@effect/platform-node"
import {
  Clock,
  Config,
  Context,
  Effect,
  Exit,
  FileSystem,
  Layer,
  Option,
  Path,
  type PlatformError,
  Schedule,
  Schema,
  Scope
} from "effect"
import * as Base64 from "effect/encoding/Base64"
import { HttpClient, HttpClientRequest } from "effect/http"
import { ChildProcess } from "effect/process"
import * as Net from "node:net"
import * as process from "node:process"
import * as Certificates from "./Certificates.ts"
import { RequestRefused } from "./KubeApiServer.ts"
import type { ResourceType } from "./ResourceType.ts"
import * as ResourceTypes from "./ResourceType.ts"
import * as Status from "./Status.ts"

/**
 * The binaries are not where they are looked for.
 *
 * **Example** (Binaries that are not there)
 *
 * ```ts
 * import { BinariesMissing, ControlPlane } from "@kubelock/testing"
 * import { Effect } from "effect"
 *
 * const start = Effect.scoped(ControlPlane.start({ assets: "/nowhere" }))
 *
 * const error = await Effect.runPromise(Effect.flip(start))
 * error instanceof BinariesMissing // => true
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export class BinariesMissing extends Schema.TaggedError<BinariesMissing>()("BinariesMissing", {
  message: Schema.String
}) {}

/**
 * The control plane did not come up, or what was asked of it got no answer.
 *
 * **Example** (Its logs, where it did not come up)
 *
 * ```ts no-run
 * import { ControlPlane, type ControlPlaneFailed } from "@kubelock/testing"
 * import { Console, Effect } from "effect"
 *
 * export const start = ControlPlane.start().pipe(
 *   Effect.tapErrorTag("ControlPlaneFailed", ({ message }: ControlPlaneFailed) => Console.error(message))
 * )
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export class ControlPlaneFailed extends Schema.TaggedError<ControlPlaneFailed>()("ControlPlaneFailed", {
  /** What went wrong; where it did not come up, with the ends of its logs. */
  message: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {}

/**
 * How a control plane is started.
 *
 * @category models
 * @since 0.1.0
 */
export interface ControlPlaneOptions {
  /**
   * The folder with `etcd` and `kube-apiserver`. Defaults to what the environment variable `KUBEBUILDER_ASSETS` says, as in Kubernetes'
   * envtest.
   */
  readonly assets?: string | undefined
  /**
   * Whether etcd waits for the disk on every write, as in production. Defaults to false: the data does not outlive the process
   * anyway, and tests are many.
   */
  readonly fsync?: boolean | undefined
}

/**
 * A control plane that runs: all that is needed to use it, also from another process. Plain data, safe to send as JSON.
 *
 * **Gotchas**
 *
 * It holds the key of the authority that clients are trusted by: whoever has it may do everything there.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunningControlPlane {
  /** Where kube-apiserver listens, as `https://127.0.0.1:34567`. */
  readonly url: string
  /** What it is, as `v1.36.3`. */
  readonly version: string
  /** The folder with `etcd.log` and `kube-apiserver.log`. */
  readonly logsFolder: string
  /** The authority behind the server's certificate and those of its clients. */
  readonly authority: Certificates.Certificate
}

/**
 * A rule of a Kubernetes Role or ClusterRole.
 *
 * @category models
 * @since 0.1.0
 */
export interface PolicyRule {
  /** The API groups; the empty string is the core group. */
  readonly apiGroups: ReadonlyArray<string>
  /** The plural names, with a subresource as `pods/status`. */
  readonly resources: ReadonlyArray<string>
  /** The objects' names. Defaults to all. */
  readonly resourceNames?: ReadonlyArray<string> | undefined
  /** What may be done, as `get`, `list`, `watch`, `patch`; `*` is everything. */
  readonly verbs: ReadonlyArray<string>
}

/**
 * A user to make.
 *
 * @category models
 * @since 0.1.0
 */
export interface ControlPlaneUser extends Certificates.Validity {
  /** The user's name to Kubernetes, and the beginning of the role's name. */
  readonly name: string
  /** Defaults to none (but every authenticated user is in `system:authenticated`). */
  readonly groups?: ReadonlyArray<string> | undefined
  /** What the user may do. Defaults to nothing. */
  readonly rules?: ReadonlyArray<PolicyRule> | undefined
  /** Where the user may do it: in one namespace (a Role), or everywhere (a ClusterRole), which is the default. */
  readonly namespace?: string | undefined
}

/**
 * A running control plane.
 *
 * What asks something of it fails with `RequestRefused` where the server refuses, and with `ControlPlaneFailed` where it does not answer.
 *
 * **Example** (One control plane for several processes)
 *
 * ```ts no-run
 * import { ControlPlane, type RunningControlPlane } from "@kubelock/testing"
 * import { Effect } from "effect"
 *
 * // The first process starts it, and hands it to the others as JSON.
 * export const first = Effect.gen(function*() {
 *   const running = yield* ControlPlane.start({ fsync: true })
 *   return JSON.stringify(running)
 * })
 *
 * export const layerOfOthers = (json: string) => {
 *   const running: RunningControlPlane = JSON.parse(json)
 *   return ControlPlane.layerRunning(running)
 * }
 * ```
 *
 * **Example** (A custom resource, and a server that fails)
 *
 * ```ts no-run
 * import { ControlPlane } from "@kubelock/testing"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function*() {
 *   const controlPlane = yield* ControlPlane
 *   const names = { group: "stable.example.com", version: "v1", resource: "crontabs", kind: "CronTab" }
 *   yield* controlPlane.registerCustomResource({ ...names, namespaced: true })
 *   yield* controlPlane.request("POST", "/apis/stable.example.com/v1/namespaces/default/crontabs", {
 *     apiVersion: "stable.example.com/v1",
 *     kind: "CronTab",
 *     metadata: { name: "nightly" }
 *   })
 *   yield* controlPlane.restart
 *   // For as long as this takes, nothing can be read or written.
 *   yield* Effect.scoped(Effect.andThen(controlPlane.pauseEtcd, Effect.sleep("2 seconds")))
 * })
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class ControlPlane extends Context.Service<ControlPlane, {
  /** Where kube-apiserver listens, as `https://127.0.0.1:34567`. */
  readonly url: string
  /** What it is, as `v1.36.3`. */
  readonly version: string
  /** The folder with `etcd.log` and `kube-apiserver.log`. */
  readonly logsFolder: string
  /** The certificate of the authority behind the server's own, as PEM. */
  readonly caCertificatePem: string
  /** The text of a kubeconfig for a user that may do everything. */
  readonly kubeconfig: string
  /**
   * Makes a user with a client certificate, and a role for what it may do; yields the text of a kubeconfig. Fails with
   * `CertificateError` where the user cannot have a certificate.
   *
   * When it is done the server lets the user do what the rules say.
   */
  readonly makeUser: (
    user: ControlPlaneUser
  ) => Effect.Effect<string, Certificates.CertificateError | RequestRefused | ControlPlaneFailed>
  /** Makes a custom resource known, whose objects may have any content. When it is done, they can be created. */
  readonly registerCustomResource: (
    type: ResourceType
  ) => Effect.Effect<void, RequestRefused | ControlPlaneFailed>
  /**
   * Asks something of the API server as the user that may do everything, with JSON, and yields the answer's JSON; what is no JSON, as
   * `/healthz` says it, as text.
   */
  readonly request: (
    method: "GET" | "POST" | "PUT" | "DELETE",
    path: string,
    body?: object
  ) => Effect.Effect<unknown, RequestRefused | ControlPlaneFailed>
  /**
   * Kills kube-apiserver (SIGKILL) and starts it again, with the same address, certificates and etcd. When it is done the server is
   * ready again, which takes seconds.
   *
   * Whoever is connected is cut off: requests lose their answers, watches end, and nobody can connect meanwhile. Whatever etcd has
   * stored is there afterwards.
   *
   * **Gotchas**
   *
   * One at a time: two that overlap may both wait for the second start.
   */
  readonly restart: Effect.Effect<void, ControlPlaneFailed>
  /**
   * Stops etcd (SIGSTOP) until the scope closes: kube-apiserver takes requests, and answers those that etcd must answer late or not
   * at all. Nothing is lost.
   */
  readonly pauseEtcd: Effect.Effect<void, ControlPlaneFailed, Scope.Scope>
}>()("@kubelock/testing/ControlPlane") {
  /**
   * Starts a control plane that runs until the scope closes.
   *
   * Fails with `BinariesMissing`, with `ControlPlaneFailed` if it does not come up within 60 seconds, and with `CertificateError`.
   *
   * @category constructors
   * @since 0.1.0
   */
  static readonly start = (
    options: ControlPlaneOptions = {}
  ): Effect.Effect<
    RunningControlPlane,
    BinariesMissing | ControlPlaneFailed | Certificates.CertificateError,
    Scope.Scope
  > =>
    startWith(options).pipe(
      Effect.provide(NodeServices.layer),
      Effect.provideService(Clock.Clock, realClock)
    )

  /**
   * A control plane that runs as long as the layer's scope. Fails as `start` does: with `BinariesMissing`, `ControlPlaneFailed` or
   * `CertificateError`.
   *
   * @category layers
   * @since 0.1.0
   */
  static readonly layer = (
    options: ControlPlaneOptions = {}
  ): Layer.Layer<ControlPlane, BinariesMissing | ControlPlaneFailed | Certificates.CertificateError> =>
    Layer.unwrap(Effect.map(ControlPlane.start(options), ControlPlane.layerRunning))

  /**
   * A control plane that was started elsewhere. It goes on running when the layer's scope closes. Fails with `CertificateError` if the
   * authority is none.
   *
   * @category layers
   * @since 0.1.0
   */
  static readonly layerRunning = (
    running: RunningControlPlane
  ): Layer.Layer<ControlPlane, Certificates.CertificateError> => Layer.effect(ControlPlane, make(running))
}

const startWith = Effect.fnUntraced(function*(options: ControlPlaneOptions) {
  const binaries = yield* findBinaries(options)
  const authority = yield* Certificates.makeAuthority()
  const server = yield* Certificates.issueServer(authority, {
    dnsNames: ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"],
    ipAddresses: [host, "::1"]
  })
  const client = yield* httpClientOf(authority, yield* issueAdmin(authority))
  return yield* attempt({ binaries, authority, server, client, fsync: options.fsync ?? false }).pipe(
    // Another process may take a port between our finding it free and the server's taking it.
    Effect.retry({ times: 3, while: (error) => error.message.includes("address already in use") })
  )
})

// What is waited for here happens outside: under a test's clock it would never come.
const realClock = Clock.Clock.defaultValue()
const host = "127.0.0.1"
const startTimeoutMillis = 60_000
const logTailLines = 20
const poll = Schedule.spaced(50)

interface Binaries {
  readonly etcd: string
  readonly kubeApiserver: string
}

const findBinaries = Effect.fnUntraced(function*(options: ControlPlaneOptions) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const folder = options.assets ?? Option.getOrUndefined(yield* assetsOfEnvironment)
  const missing = (what: string) =>
    new BinariesMissing({
      message: `${what}. Fetch the binaries of Kubernetes' envtest and say where they are: ` +
        "export KUBEBUILDER_ASSETS=$(setup-envtest use -p path)"
    })
  if (folder === undefined) return yield* missing("The environment variable KUBEBUILDER_ASSETS is not set")
  const binaries: Binaries = { etcd: path.join(folder, "etcd"), kubeApiserver: path.join(folder, "kube-apiserver") }
  for (const binary of Object.values(binaries)) {
    if (!(yield* Effect.orElseSucceed(fs.exists(binary), () => false))) {
      return yield* missing(`There is no ${binary}`)
    }
  }
  return binaries
})

const assetsOfEnvironment = Config.option(Config.String("KUBEBUILDER_ASSETS")).pipe(
  Effect.map(Option.filter((folder) => folder !== "")),
  Effect.orElseSucceed(() => Option.none<string>())
)

const issueAdmin = (authority: Certificates.Certificate) =>
  Certificates.issueClient(authority, { commonName: "admin", organizations: ["system:masters"] })

// Not as a layer: layers of HTTP clients are shared by all who are built together, and this one has the admin's key.
const httpClientOf = (
  authority: Certificates.Certificate,
  user: Certificates.Certificate
): Effect.Effect<HttpClient.HttpClient, never, Scope.Scope> =>
  NodeHttpClient.makeDispatcherOptions({
    // Destroyed under a request, a connection of HTTP/2 takes the whole process with it.
    allowH2: false,
    connect: { ca: authority.certificatePem, cert: user.certificatePem, key: user.privateKeyPem }
  }).pipe(
    Effect.flatMap((dispatcher) =>
      Effect.provideService(NodeHttpClient.makeUndici, NodeHttpClient.Dispatcher, dispatcher)
    )
  )

interface Attempt {
  readonly binaries: Binaries
  readonly authority: Certificates.Certificate
  readonly server: Certificates.Certificate
  readonly client: HttpClient.HttpClient
  readonly fsync: boolean
}

/** One attempt at starting, in a scope of its own that a failure closes. */
const attempt = Effect.fnUntraced(function*(options: Attempt) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  return yield* startBoth(options).pipe(
    Scope.provide(scope),
    Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void)
  )
})

const startBoth = Effect.fnUntraced(
  function*({ authority, binaries, client, fsync, server }: Attempt) {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const folder = yield* fs.makeTempDirectoryScoped({ prefix: "kubelock-control-plane-" })
    const inFolder = (name: string) => path.join(folder, name)
    yield* fs.writeFileString(inFolder("ca.crt"), authority.certificatePem)
    yield* fs.writeFileString(inFolder("server.crt"), server.certificatePem)
    yield* fs.writeFileString(inFolder("server.key"), server.privateKeyPem, { mode: 0o600 })

    const [clientPort, peerPort, securePort] = yield* freePorts
    const etcdUrl = `http://${host}:${clientPort}`
    const peerUrl = `http://${host}:${peerPort}`
    const url = `https://${host}:${securePort}`

    const etcd = yield* supervise(folder, "etcd", binaries.etcd, [
      `--data-dir=${inFolder("etcd")}`,
      `--listen-client-urls=${etcdUrl}`,
      `--advertise-client-urls=${etcdUrl}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=default=${peerUrl}`,
      "--snapshot-count=500",
      "--max-wals=1",
      "--max-snapshots=1",
      "--quota-backend-bytes=536870912",
      "--log-level=warn",
      `--unsafe-no-fsync=${!fsync}`
    ])
    const apiserver = yield* supervise(folder, "kube-apiserver", binaries.kubeApiserver, [
      `--etcd-servers=${etcdUrl}`,
      `--bind-address=${host}`,
      `--advertise-address=${host}`,
      `--secure-port=${securePort}`,
      `--cert-dir=${folder}`,
      `--tls-cert-file=${inFolder("server.crt")}`,
      `--tls-private-key-file=${inFolder("server.key")}`,
      `--client-ca-file=${inFolder("ca.crt")}`,
      "--authorization-mode=RBAC",
      "--service-cluster-ip-range=10.0.0.0/24",
      "--service-account-issuer=https://kubernetes.default.svc",
      `--service-account-signing-key-file=${inFolder("server.key")}`,
      `--service-account-key-file=${inFolder("server.crt")}`,
      // Both want what a controller would bring: service accounts with every namespace, an address that is not loopback.
      "--disable-admission-plugins=ServiceAccount",
      "--endpoint-reconciler-type=none",
      "--allow-privileged=true"
    ])

    const version = yield* Effect.raceAllFirst([
      untilReady(client, url),
      endOf("etcd", etcd.exitCode),
      endOf("kube-apiserver", apiserver.exitCode)
    ]).pipe(
      Effect.catch(Effect.fnUntraced(function*(problem) {
        const tails = yield* Effect.forEach(["etcd.log", "kube-apiserver.log"], (name) => tailOf(inFolder(name)))
        return yield* new ControlPlaneFailed({ message: [problem, ...tails].join("\n") })
      }))
    )
    return { url, version, logsFolder: folder, authority } satisfies RunningControlPlane
  },
  Effect.catchTag("PlatformError", (cause) =>
    Effect.fail(
      new ControlPlaneFailed({ message: `The control plane could not be started: ${cause.message}`, cause })
    ))
)

const endOf = (
  name: string,
  exitCode: Effect.Effect<number, PlatformError.PlatformError>
): Effect.Effect<never, string> =>
  Effect.flatMap(
    Effect.option(exitCode),
    (code) => Effect.fail(`${name} ended with exit code ${Option.getOrElse(code, () => "unknown")} before it was ready`)
  )

/** Yields the version once the server is ready to be used. */
const untilReady = (client: HttpClient.HttpClient, url: string): Effect.Effect<string, string> => {
  const answers = (path: string) => HttpClient.filterStatusOk(client).get(`${url}${path}`)
  return answers("/readyz").pipe(
    // Made by the server itself, a moment after it calls itself ready.
    Effect.andThen(answers("/api/v1/namespaces/default")),
    Effect.andThen(answers("/version")),
    Effect.flatMap((response) => response.json),
    Effect.flatMap(Schema.decodeUnknownEffect(Schema.Struct({ gitVersion: Schema.String }))),
    Effect.map(({ gitVersion }) => gitVersion),
    Effect.retry(poll),
    Effect.timeoutOrElse({
      duration: startTimeoutMillis,
      orElse: () => Effect.fail(`kube-apiserver was not ready after ${startTimeoutMillis} ms`)
    }),
    Effect.mapError(String)
  )
}

const tailOf = Effect.fnUntraced(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  const text = yield* Effect.orElseSucceed(fs.readFileString(file), () => "")
  const lines = text.trimEnd().split("\n").slice(-logTailLines)
  return [`The end of ${file}:`, ...lines.map((line) => `  ${line}`)].join("\n")
})

// The shell's standard input is a pipe from this process, which ends when this process does, however it dies: then nobody
// else is left to remove the folder. What the shell starts it also waits for, so that it leaves no zombies to whoever
// inherits them. KILL, because there is nothing to save: the data goes with the process.
const supervisor = `
folder=$1 name=$2
shift 2
exec 3<&0
run() {
  "$@" </dev/null >>"$folder/$name.log" 2>&1 3<&- &
  program=$!
  echo "$$ $program" >"$folder/$name.pids.new"
  mv "$folder/$name.pids.new" "$folder/$name.pids"
}
end() { kill -KILL $program "$watcher"; wait; }
program= again=
trap 'end; exit 143' TERM
trap 'end; rm -rf "$folder"; exit 129' HUP
trap 'again=1; kill -KILL "$program"' USR1
{ trap - TERM HUP USR1; read -r _; kill -HUP $$; } <&3 &
watcher=$!
run "$@"
while
  wait "$program"
  code=$?
  [ -n "$again" ]
do
  again=
  wait "$program"
  run "$@"
done
kill -KILL "$watcher"
wait
exit "$code"
`

/**
 * Starts a program that ends with the scope, and with this process. The folder is told its log and, in `NAME.pids`, the ids of its
 * supervisor, which starts it anew on SIGUSR1, and of the program itself.
 */
const supervise = (folder: string, name: string, program: string, args: ReadonlyArray<string>) =>
  ChildProcess.make("sh", ["-c", supervisor, "supervisor", folder, name, program, ...args], {
    // As a flag, older releases of etcd would refuse to start for it.
    env: { ETCD_SNAPSHOT_CATCHUP_ENTRIES: "200" },
    extendEnv: true,
    stdout: "ignore",
    stderr: "ignore"
  })

interface ProcessIds {
  readonly supervisor: number
  readonly program: number
}

/** Of a program that {@link supervise} has started in this folder. */
const processIdsOf = (
  folder: string,
  name: string
): Effect.Effect<ProcessIds, ControlPlaneFailed, FileSystem.FileSystem> =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.readFileString(`${folder}/${name}.pids`)).pipe(
    Effect.map((ids) => ids.split(" ").map(Number)),
    Effect.map(([supervisor = 0, program = 0]) => ({ supervisor, program })),
    Effect.mapError((cause) => new ControlPlaneFailed({ message: `${name} does not run on this machine`, cause }))
  )

const signal = (name: string, pid: number, sent: NodeJS.Signals): Effect.Effect<void, ControlPlaneFailed> =>
  Effect.try({
    try: () => void process.kill(pid, sent),
    catch: (cause) => new ControlPlaneFailed({ message: `${name} could not be sent ${sent}`, cause })
  })

/** Ports that are free at this moment, no two the same. */
const freePorts: Effect.Effect<readonly [number, number, number]> = Effect.scoped(
  Effect.all([Effect.suspend(() => anyPort), Effect.suspend(() => anyPort), Effect.suspend(() => anyPort)])
)

/** A free port, taken until the scope closes. */
const anyPort = Effect.map(
  Effect.acquireRelease(
    Effect.callback<Net.Server>((resume) => {
      const server = Net.createServer()
      server.once("error", (error) => resume(Effect.die(error)))
      server.listen(0, host, () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  ),
  (server) => {
    const address = server.address()
    return typeof address === "object" && address !== null ? address.port : 0
  }
)

const make = Effect.fnUntraced(function*(running: RunningControlPlane) {
  const admin = yield* issueAdmin(running.authority)
  const client = yield* httpClientOf(running.authority, admin)

  const request = Effect.fnUntraced(function*(
    method: "GET" | "POST" | "PUT" | "DELETE",
    path: string,
    body?: object
  ): Effect.fn.Return<unknown, RequestRefused | ControlPlaneFailed> {
    const bare = HttpClientRequest.make(method)(`${running.url}${path}`)
    const [code, text] = yield* client.execute(
      body === undefined ? bare : HttpClientRequest.bodyJsonUnsafe(bare, body)
    ).pipe(
      Effect.flatMap((response) => Effect.map(response.text, (text) => [response.status, text] as const)),
      Effect.mapError((cause) => new ControlPlaneFailed({ message: `${method} ${path} was not answered`, cause }))
    )
    // Paths that the server does not know are answered in plain text.
    const answer = Option.getOrElse(parseJson(text), () => text)
    if (code < 400) return answer
    const status = Status.isStatus(answer) ? answer : { ...Status.unexplainedError(text), code }
    return yield* new RequestRefused({ message: `${method} ${path}: ${status.message ?? code}`, status })
  })

  /** Asks again until what is asked for is there. */
  const until = <E, R>(what: string, holds: Effect.Effect<boolean, E, R>) =>
    holds.pipe(
      Effect.repeat({ schedule: poll, until: (held) => held }),
      Effect.timeoutOrElse({
        duration: startTimeoutMillis,
        orElse: () => Effect.fail(new ControlPlaneFailed({ message: `${what}: not after ${startTimeoutMillis} ms` }))
      }),
      Effect.provideService(Clock.Clock, realClock),
      Effect.asVoid
    )

  const grant = Effect.fnUntraced(function*(user: ControlPlaneUser, rules: ReadonlyArray<PolicyRule>) {
    const apiVersion = "rbac.authorization.k8s.io/v1"
    const scoped = user.namespace === undefined
      ? { kind: "ClusterRole", path: `/apis/${apiVersion}`, role: "clusterroles", binding: "clusterrolebindings" }
      : {
        kind: "Role",
        path: `/apis/${apiVersion}/namespaces/${user.namespace}`,
        role: "roles",
        binding: "rolebindings"
      }
    const metadata = { generateName: `${user.name}-` }
    const role = yield* request("POST", `${scoped.path}/${scoped.role}`, {
      apiVersion,
      kind: scoped.kind,
      metadata,
      rules
    })
    yield* request("POST", `${scoped.path}/${scoped.binding}`, {
      apiVersion,
      kind: `${scoped.kind}Binding`,
      metadata,
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: scoped.kind, name: yield* nameOf(role) },
      subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: user.name }]
    })
    yield* Effect.forEach(rules, (rule) => until(`${user.name} may ${rule.verbs.join()}`, isAllowed(user, rule)), {
      discard: true
    })
  })

  // The server learns of roles by a watch of its own, a moment after they are written.
  const isAllowed = Effect.fnUntraced(function*(user: ControlPlaneUser, rule: PolicyRule) {
    const [resource, subresource] = (rule.resources[0] ?? "").split("/")
    const review = yield* request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SubjectAccessReview",
      spec: {
        user: user.name,
        groups: user.groups ?? [],
        resourceAttributes: {
          group: rule.apiGroups[0],
          resource,
          subresource,
          verb: rule.verbs[0],
          name: rule.resourceNames?.[0],
          namespace: user.namespace
        }
      }
    })
    return (yield* Effect.orDie(decodeReview(review))).status.allowed
  })

  const restart = Effect.gen(function*() {
    const before = yield* processIdsOf(running.logsFolder, "kube-apiserver")
    yield* signal("The supervisor of kube-apiserver", before.supervisor, "SIGUSR1")
    const isNew = Effect.map(
      processIdsOf(running.logsFolder, "kube-apiserver"),
      ({ program }) => program !== before.program
    )
    // The old one may still answer.
    yield* until("kube-apiserver is started anew", isNew)
    yield* untilReady(client, running.url).pipe(
      Effect.mapError((message) => new ControlPlaneFailed({ message }))
    )
  })

  return ControlPlane.of({
    url: running.url,
    version: running.version,
    logsFolder: running.logsFolder,
    caCertificatePem: running.authority.certificatePem,
    kubeconfig: writeKubeconfig(running, "admin", admin),
    makeUser: Effect.fnUntraced(function*(user) {
      const certificate = yield* Certificates.issueClient(running.authority, {
        notBefore: user.notBefore,
        notAfter: user.notAfter,
        commonName: user.name,
        organizations: user.groups
      })
      if (user.rules !== undefined) yield* grant(user, user.rules)
      return writeKubeconfig(running, user.name, certificate)
    }),
    registerCustomResource: Effect.fnUntraced(function*(type) {
      yield* request(
        "POST",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        customResourceDefinition(type)
      )
      const path = `/apis/${ResourceTypes.apiVersion(type)}/${type.resource}`
      yield* until(
        `${path} is served`,
        request("GET", path).pipe(
          Effect.as(true),
          Effect.catchIf(isNotYetServed, () => Effect.succeed(false))
        )
      )
    }),
    request,
    restart: restart.pipe(Effect.provide(NodeServices.layer), Effect.provideService(Clock.Clock, realClock)),
    pauseEtcd: Effect.acquireRelease(
      Effect.flatMap(
        processIdsOf(running.logsFolder, "etcd"),
        ({ program }) => Effect.as(signal("etcd", program, "SIGSTOP"), program)
      ),
      // It has ended meanwhile if it cannot be told.
      (program) => Effect.ignore(signal("etcd", program, "SIGCONT"))
    ).pipe(Effect.asVoid, Effect.provide(NodeServices.layer))
  })
})

// First the path is unknown, then its storage is being made ready.
const isNotYetServed = (error: RequestRefused | ControlPlaneFailed): boolean =>
  error._tag === "RequestRefused" && [404, 429, 503].includes(error.status.code ?? 0)

const parseJson = Schema.decodeOption(Schema.fromJsonString(Schema.Unknown))

const decodeReview = Schema.decodeUnknownEffect(
  Schema.Struct({ status: Schema.Struct({ allowed: Schema.Boolean }) })
)

const nameOf = (object: unknown): Effect.Effect<string> =>
  Schema.decodeUnknownEffect(Schema.Struct({ metadata: Schema.Struct({ name: Schema.String }) }))(object).pipe(
    Effect.map(({ metadata }) => metadata.name),
    Effect.orDie
  )

const customResourceDefinition = (type: ResourceType): object => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: `${type.resource}.${type.group}` },
  spec: {
    group: type.group,
    scope: type.namespaced ? "Namespaced" : "Cluster",
    names: {
      plural: type.resource,
      singular: type.singular ?? type.kind.toLowerCase(),
      kind: type.kind,
      shortNames: type.shortNames ?? []
    },
    versions: [{
      name: type.version,
      served: true,
      storage: true,
      schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } }
    }]
  }
})

// JSON, which is YAML too.
const writeKubeconfig = (running: RunningControlPlane, user: string, certificate: Certificates.Certificate): string => {
  const cluster = "kubelock-control-plane"
  const kubeconfig = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{
      name: cluster,
      cluster: {
        server: running.url,
        "certificate-authority-data": Base64.encode(running.authority.certificatePem)
      }
    }],
    users: [{
      name: user,
      user: {
        "client-certificate-data": Base64.encode(certificate.certificatePem),
        "client-key-data": Base64.encode(certificate.privateKeyPem)
      }
    }],
    contexts: [{ name: user, context: { cluster, user, namespace: "default" } }],
    "current-context": user
  }
  return `${JSON.stringify(kubeconfig, undefined, 2)}\n`
}
