import { InvalidConfig, quote } from "@kubelock/core"
import type * as ClientNode from "@kubernetes/client-node"
import { Context, Effect, Option, Result, Schema, SchemaIssue } from "effect"
import { isUtf8 } from "node:buffer"
import * as fs from "node:fs"
import * as path from "node:path"
import { concealGuessed } from "./Concealment.ts"

type KubeConfig = ClientNode.KubeConfig
type Module = typeof ClientNode

/** Where a kubeconfig comes from, so that it can be read again when the credentials in it are refused. */
export type Source =
  | { readonly _tag: "Default" }
  | { readonly _tag: "File"; readonly file: string }
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "InCluster" }

/** One context of a kubeconfig, checked: which server, and who we are there. */
export interface ClusterConfig {
  readonly context: string
  /** Scheme, host and port. */
  readonly origin: string
  /** What every path begins with: empty, or as in `/k8s/clusters/c-1` behind a gateway. */
  readonly basePath: string
  readonly proxyUrl: string | undefined
  readonly cluster: ClientNode.Cluster
  readonly user: ClientNode.User
}

/** The directory in which a Pod's file system begins; a test has one of its own. */
export const FileSystemRoot = Context.Reference<string>("@kubelock/kube/internal/FileSystemRoot", {
  defaultValue: () => ""
})

/** Reads the kubeconfig and picks the context: the given one, or the current one. */
export const load = Effect.fnUntraced(function*(
  clientNode: Module,
  source: Source,
  context: string | undefined
): Effect.fn.Return<ClusterConfig, InvalidConfig> {
  const { config, name } = yield* read(clientNode, source)
  return yield* select(config, context, name)
})

/** A kubeconfig, and its name for a person. */
interface Named {
  readonly config: KubeConfig
  readonly name: string
}

const read = (clientNode: Module, source: Source): Effect.Effect<Named, InvalidConfig> => {
  switch (source._tag) {
    case "Default":
      return readDefault(clientNode)
    case "File":
      return readFile(clientNode, source.file)
    case "Text":
      return parse(clientNode, source.text, "(text)")
    case "InCluster":
      return readInCluster(clientNode)
  }
}

const readDefault = Effect.fnUntraced(function*(clientNode: Module): Effect.fn.Return<Named, InvalidConfig> {
  const variable = process.env["KUBECONFIG"]
  if (variable !== undefined && variable !== "") {
    const files = variable.split(path.delimiter).filter((file) => file !== "" && fs.existsSync(file))
    if (files.length === 0) {
      return yield* invalid(shownPath(variable), "no such file; correct the environment variable KUBECONFIG")
    }
    const configs = yield* Effect.forEach(files, (file) => readFile(clientNode, file))
    return { config: merge(clientNode, configs.map(({ config }) => config)), name: files.join(path.delimiter) }
  }
  const home = clientNode.findHomeDir()
  const file = home === null ? undefined : path.join(home, ".kube", "config")
  if (file !== undefined && fs.existsSync(file)) return yield* readFile(clientNode, file)
  const root = yield* FileSystemRoot
  if (fs.existsSync(root + serviceAccountToken)) return yield* readInCluster(clientNode)
  return yield* invalid(
    "",
    `none found: the environment variable KUBECONFIG is not set, ${
      file === undefined ? "there is no home directory" : `${file} does not exist`
    }, and this is no Pod with a service account`
  )
})

const serviceAccountToken = "/var/run/secrets/kubernetes.io/serviceaccount/token"

/** As kubectl merges: of two entries with one name the first counts, and so does the first current context. */
const merge = (clientNode: Module, configs: ReadonlyArray<KubeConfig>): KubeConfig => {
  const first = <A extends { readonly name: string }>(entries: ReadonlyArray<A>): Array<A> =>
    entries.filter(({ name }, index) => entries.findIndex((entry) => entry.name === name) === index)
  const merged = new clientNode.KubeConfig()
  merged.loadFromOptions({
    clusters: first(configs.flatMap(({ clusters }) => clusters)),
    users: first(configs.flatMap(({ users }) => users)),
    contexts: first(configs.flatMap(({ contexts }) => contexts)),
    currentContext: configs.map(({ currentContext }) => currentContext).find((name) =>
      name !== undefined && name !== ""
    )
  })
  return merged
}

const readFile = Effect.fnUntraced(function*(clientNode: Module, file: string): Effect.fn.Return<Named, InvalidConfig> {
  // Of a number, Node would read whatever it has open by it.
  if (typeof file !== "string") return yield* InvalidConfig.of("kubeconfig", file, "it must be the path of a file")
  const text = yield* Effect.try({
    try: () => readText(file),
    catch: (error) =>
      new InvalidConfig({
        field: "kubeconfig",
        value: shownPath(file),
        problem: isPath(file)
          ? `cannot be read: ${saidOfFile(error)}`
          : "is no path of a file; a kubeconfig as text is for layerText"
      })
  })
  const named = yield* parse(clientNode, text, file)
  makePathsAbsolute(named.config, path.dirname(path.resolve(file)))
  return named
})

/** Whoever gives a kubeconfig where its path should be shall not see it in an error. */
const shownPath = (file: string): string => isPath(file) ? file : "(what is no path)"

const isPath = (file: string): boolean => file.length <= 1_000 && !/[\n\r\0{]/.test(file)

/** More than any kubeconfig or certificate; what is no file may have no end. */
const maxFileBytes = 4 * 1024 * 1024

const readBytes = (file: string): Buffer => {
  const bytes = Buffer.alloc(maxFileBytes + 1)
  const descriptor = fs.openSync(file, "r")
  try {
    let length = 0
    while (length < bytes.length) {
      const read = fs.readSync(descriptor, bytes, length, bytes.length - length, null)
      if (read === 0) return bytes.subarray(0, length)
      length += read
    }
    throw new Error(`it has more than ${maxFileBytes} bytes`)
  } finally {
    fs.closeSync(descriptor)
  }
}

const readText = (file: string): string => {
  const bytes = readBytes(file)
  if (!isUtf8(bytes)) throw new Error("it is no text in UTF-8")
  return bytes.toString()
}

const parse = (clientNode: Module, text: string, name: string): Effect.Effect<Named, InvalidConfig> =>
  Effect.try({
    try: () => {
      if (text.length > maxFileBytes) throw new Error(`it has more than ${maxFileBytes} characters`)
      const { users } = Result.getOrThrow(decodeKubeconfig(clientNode.loadYaml<unknown>(text, yamlLimits)))
      const config = new clientNode.KubeConfig()
      config.loadFromString(text)
      addTokenFiles(config, users ?? [])
      return { config, name }
    },
    catch: (error) =>
      new InvalidConfig({ field: "kubeconfig", value: name, problem: `is no kubeconfig: ${said(error)}` })
  })

/** client-node follows aliases where a document says that it is of some other kind, and there may be a billion of them. */
const yamlLimits = { json: false, maxAliases: 30 }

const Text = Schema.NullOr(Schema.String).annotate({ expected: "text; a number that is one stands between quotes" })
const OptionalText = Schema.optional(Text)

const entries = <A extends Schema.Struct.Fields>(fields: A) =>
  Schema.optional(Schema.NullOr(Schema.Array(Schema.Struct({ name: Text, ...fields }))))

/** What is read of a kubeconfig, here and by client-node, which looks at no types. */
const Kubeconfig = Schema.Struct({
  apiVersion: OptionalText,
  kind: OptionalText,
  "current-context": OptionalText,
  clusters: entries({
    cluster: Schema.Struct({
      server: OptionalText,
      "certificate-authority": OptionalText,
      "certificate-authority-data": OptionalText,
      "insecure-skip-tls-verify": Schema.optional(Schema.NullOr(Schema.Boolean)),
      "proxy-url": OptionalText,
      "tls-server-name": OptionalText
    })
  }),
  contexts: entries({
    context: Schema.Struct({ cluster: Text, namespace: OptionalText, user: OptionalText })
  }),
  users: entries({
    user: Schema.optional(Schema.NullOr(Schema.Struct({
      as: OptionalText,
      "auth-provider": Schema.optional(Schema.NullOr(Schema.Struct({
        name: Text,
        config: Schema.optional(Schema.NullOr(Schema.Record(Schema.String, Text)))
      }))),
      "client-certificate": OptionalText,
      "client-certificate-data": OptionalText,
      "client-key": OptionalText,
      "client-key-data": OptionalText,
      password: OptionalText,
      token: OptionalText,
      "token-file": OptionalText,
      tokenFile: OptionalText,
      username: OptionalText
    })))
  })
})

const decodeKubeconfig = Schema.decodeUnknownResult(Kubeconfig)

/** client-node does not know `tokenFile` in a kubeconfig; it does know the form that it gives to a Pod's token. */
const addTokenFiles = (config: KubeConfig, entries: NonNullable<typeof Kubeconfig.Type.users>): void => {
  config.users = config.users.map((user) => {
    const tokenFile = entries.find(({ name }) => name === user.name)?.user?.tokenFile
    // Go does not tell an empty name from none.
    if (tokenFile === undefined || tokenFile === null || tokenFile === "") return user
    // kubectl prefers the file to a token beside it.
    const { token: _, ...others } = user
    return { ...others, ...fileProvider(tokenFile) }
  })
}

const fileProvider = (tokenFile: string) => ({ authProvider: { name: "tokenFile", config: { tokenFile } } })

/** The file of a token, if that is what proves who the user is. */
export const tokenFileOf = (user: ClientNode.User): string | undefined =>
  Option.getOrUndefined(Schema.decodeUnknownOption(TokenFileProvider)(user.authProvider))?.config.tokenFile

const TokenFileProvider = Schema.Struct({ config: Schema.Struct({ tokenFile: Schema.String }) })

/** Relative paths in a kubeconfig start from its own directory. client-node knows those of certificates. */
const makePathsAbsolute = (config: KubeConfig, directory: string): void => {
  config.makePathsAbsolute(directory)
  config.users = config.users.map((user) => {
    const tokenFile = tokenFileOf(user)
    const command = execOf(user)?.command
    return {
      ...user,
      ...tokenFile !== undefined && fileProvider(path.resolve(directory, tokenFile)),
      // A command without a slash is looked for on the PATH.
      ...command?.includes("/") === true && { exec: { ...user.exec, command: path.resolve(directory, command) } }
    }
  })
}

const readInCluster = Effect.fnUntraced(function*(clientNode: Module): Effect.fn.Return<Named, InvalidConfig> {
  const root = yield* FileSystemRoot
  for (const variable of ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"]) {
    if ((process.env[variable] ?? "") === "") {
      return yield* invalid("(in cluster)", `the environment variable ${variable} is not set: this is no Pod`)
    }
  }
  const config = new clientNode.KubeConfig()
  config.loadFromCluster(root)
  return { config, name: "(in cluster)" }
})

const select = Effect.fnUntraced(function*(
  config: KubeConfig,
  wanted: string | undefined,
  name: string
): Effect.fn.Return<ClusterConfig, InvalidConfig> {
  const known = config.contexts.length === 0
    ? "it has no contexts"
    : `it has the contexts ${config.contexts.slice(0, maxShown).map((context) => quote(context.name)).join(", ")}${
      config.contexts.length > maxShown ? " and others" : ""
    }`
  // An entry without a value is null.
  const contextName = wanted ?? config.currentContext ?? ""
  if (contextName === "") {
    return yield* invalid(name, `no current-context is set; ${known}`)
  }
  const context = config.contexts.find((context) => context.name === contextName)
  if (context === undefined) return yield* invalid(name, `there is no context ${quote(contextName)}; ${known}`)
  const cluster = config.clusters.find((cluster) => cluster.name === context.cluster)
  if (cluster === undefined) {
    return yield* invalid(
      name,
      `context ${quote(contextName)} names the cluster ${quote(context.cluster)}, which is not there`
    )
  }
  const user = userOf(config, context)
  if (user === undefined) {
    return yield* invalid(
      name,
      `context ${quote(contextName)} names the user ${quote(context.user ?? "")}, which is not there`
    )
  }
  const server = URL.parse(cluster.server)
  if (server === null || !["http:", "https:"].includes(server.protocol)) {
    return yield* invalid(name, `cluster ${quote(cluster.name)} has a server that is no http or https URL`)
  }
  const proxyUrl = cluster.proxyUrl || undefined
  if (proxyUrl !== undefined && !["http:", "https:"].includes(URL.parse(proxyUrl)?.protocol ?? "")) {
    return yield* invalid(
      name,
      `cluster ${quote(cluster.name)} has a proxy-url that is no http or https URL; SOCKS is not supported`
    )
  }
  for (const file of [cluster.caFile, user.certFile, user.keyFile, tokenFileOf(user)]) {
    if (file) yield* readable(name, file)
  }
  return {
    context: contextName,
    origin: server.origin,
    basePath: server.pathname.replace(/\/+$/, ""),
    proxyUrl,
    cluster,
    user: user.exec === undefined || user.exec === null ? user : yield* withExecProtocol(name, user, cluster)
  }
})

/** Of a list in a message. */
const maxShown = 20

/**
 * Without a user there are no credentials, but client-node needs one: without it, it forgets the certificate authority.
 */
const userOf = (config: KubeConfig, context: ClientNode.Context): ClientNode.User | undefined =>
  context.user === undefined || context.user === ""
    ? { name: "(none)" }
    : config.users.find((user) => user.name === context.user)

const readable = (name: string, file: string): Effect.Effect<void, InvalidConfig> =>
  Effect.try({
    try: () => void readBytes(file),
    catch: (error) =>
      new InvalidConfig({
        field: "kubeconfig",
        value: name,
        problem: `names a file that cannot be read: ${saidOfFile(error)}`
      })
  })

const ExecConfig = Schema.Struct({
  command: Schema.String.check(Schema.isMinLength(1)),
  apiVersion: Schema.optional(Schema.NullOr(Schema.String)),
  args: Schema.optional(Schema.NullOr(Schema.Array(Schema.String))),
  env: Schema.optional(Schema.NullOr(Schema.Array(Schema.Struct({ name: Schema.String, value: Schema.String })))),
  installHint: Schema.optional(Schema.NullOr(Schema.String)),
  provideClusterInfo: Schema.optional(Schema.NullOr(Schema.Boolean))
})

/** The command of a user's exec plugin, and the hint of how to install it. */
export const execOf = (user: ClientNode.User): { readonly command: string; readonly installHint: string } | undefined =>
  Option.getOrUndefined(
    Option.map(Schema.decodeUnknownOption(ExecConfig)(user.exec), ({ command, installHint }) => ({
      command,
      installHint: installHint ?? ""
    }))
  )

/** Plugins may rely on `KUBERNETES_EXEC_INFO`, which the protocol promises and client-node does not set. */
const withExecProtocol = Effect.fnUntraced(function*(
  name: string,
  user: ClientNode.User,
  cluster: ClientNode.Cluster
): Effect.fn.Return<ClientNode.User, InvalidConfig> {
  const exec = Option.getOrUndefined(Schema.decodeUnknownOption(ExecConfig)(user.exec))
  if (exec === undefined) {
    return yield* invalid(
      name,
      `user ${quote(user.name)} has an exec plugin without a command, or with malformed args or env`
    )
  }
  const info = {
    apiVersion: exec.apiVersion ?? "client.authentication.k8s.io/v1",
    kind: "ExecCredential",
    spec: {
      interactive: false,
      ...exec.provideClusterInfo === true && {
        cluster: {
          server: cluster.server,
          "tls-server-name": cluster.tlsServerName,
          "insecure-skip-tls-verify": cluster.skipTLSVerify,
          "certificate-authority-data": cluster.caFile
            ? fs.readFileSync(cluster.caFile).toString("base64")
            : cluster.caData,
          "proxy-url": cluster.proxyUrl
        }
      }
    }
  }
  return {
    ...user,
    exec: {
      command: exec.command,
      args: exec.args ?? [],
      installHint: exec.installHint,
      env: [...exec.env ?? [], { name: "KUBERNETES_EXEC_INFO", value: JSON.stringify(info) }]
    }
  }
})

const invalid = (value: string, problem: string) =>
  Effect.fail(new InvalidConfig({ field: "kubeconfig", value, problem }))

const YamlError = Schema.Struct({ reason: Schema.String, mark: Schema.Struct({ line: Schema.Finite }) })

/** What an error says, less what it quotes of the kubeconfig: that may be the token. */
const said = (error: unknown): string => {
  const yaml = Option.getOrUndefined(Schema.decodeUnknownOption(YamlError)(error))
  if (yaml !== undefined) return `line ${yaml.mark.line + 1}: ${yaml.reason.replace(/".*"|!<.*>|: .*/s, "…")}`
  if (Schema.isSchemaError(error)) return describeIssue(error.issue)
  return error instanceof Error && !(error instanceof TypeError)
    ? concealGuessed(error.message, 300)
    : notMapping
}

const saidOfFile = (error: unknown): string =>
  concealGuessed(error instanceof Error ? error.message : String(error), 300)

const notMapping = "it is not a YAML mapping of clusters, users and contexts"

/** The first thing that is not as it should be, and where: `users[0].user.token: ...`. */
const describeIssue = (issue: SchemaIssue.Issue): string => {
  const [first] = formatIssue(issue).issues
  if (first?.path === undefined || first.path.length === 0) return notMapping
  const place = first.path.map((segment) => typeof segment === "object" ? segment.key : segment)
    .map((key) => typeof key === "number" ? `[${key}]` : `.${String(key)}`).join("").slice(1)
  return `${quote(place).slice(1, -1)}: ${first.message.replace(/( \| (null|undefined))+$/, "")}`
}

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()
