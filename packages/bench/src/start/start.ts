/** What it takes to get going: to import the packages, to take the first lock, to deliver them. */
import type { NodeServices } from "@effect/platform-node"
import { GoJson, LockName, LockRecord } from "@kubelock/core"
import { KubeTransport, ResourceRef } from "@kubelock/kube"
import { Effect, FileSystem, Path, Result, Schema } from "effect"
import { BenchFailed, type Scenario, type Server } from "../Scenario.ts"
import { spreadOf } from "../Statistics.ts"
import { figure, spread, type Table } from "../Table.ts"
import { bundle } from "./Bundles.ts"
import { install, type Installed, packages } from "./Installed.ts"

const Cost = Schema.Struct({
  wallMillis: Schema.Finite,
  cpuMillis: Schema.Finite,
  heapBytes: Schema.Finite,
  rssBytes: Schema.Finite
})

const Beginning = Schema.Struct({
  importedMillis: Schema.Finite,
  builtMillis: Schema.Finite,
  takenMillis: Schema.Finite,
  cpuMillis: Schema.Finite
})

const told = <A>(schema: Schema.Codec<A, unknown>) => {
  const decode = Schema.decodeEffect(Schema.fromJsonString(schema))
  return (text: string) =>
    Effect.mapError(decode(text), ({ message }) => new BenchFailed({ message: `A program has failed: ${message}` }))
}

const toldCosts = told(Schema.Array(Cost))
const toldBeginning = told(Beginning)

const mib = (bytes: number) => bytes / 2 ** 20

/** Each is imported after those before it: its row says what it adds. */
const chains = [
  ["effect", "@kubelock/core"],
  ["effect", "@kubelock/kube"],
  ["effect", "@kubelock/kube", "undici", "@kubernetes/client-node"]
]

const measureImports = Effect.fnUntraced(function*({ run }: Installed, rounds: number) {
  const all: Array<ReadonlyArray<ReadonlyArray<typeof Cost.Type>>> = []
  for (let round = 0; round < rounds; round++) {
    all.push(yield* Effect.forEach(chains, (chain) => Effect.flatMap(run("imports", chain), toldCosts)))
  }
  const row = (name: string, chain: number, step: number): ReadonlyArray<string> => {
    const costs = all.flatMap((round) => round[chain]?.[step] ?? [])
    const of = (value: (cost: typeof Cost.Type) => number) => spread(spreadOf(costs.map(value)))
    return [
      name,
      of(({ wallMillis }) => wallMillis),
      of(({ cpuMillis }) => cpuMillis),
      of(({ heapBytes }) => mib(heapBytes)),
      of(({ rssBytes }) => mib(rssBytes))
    ]
  }
  const table: Table = {
    id: "import",
    title: "Importing: what each adds to what is there already",
    columns: ["", "time, ms", "CPU, ms", "heap, MiB", "resident, MiB"],
    rows: [
      row("Node itself", 0, 0),
      row("`effect`", 0, 1),
      row("`@kubelock/core`, after `effect`", 0, 2),
      row("`@kubelock/kube` with core, after `effect`", 1, 2),
      row("`undici`, when a layer is built", 2, 3),
      row("`@kubernetes/client-node`, when a layer is built", 2, 4)
    ]
  }
  return table
})

const Base64Text = Schema.optionalKey(Schema.StringFromBase64)

/** As this repository's servers write it: JSON, one cluster, one user. */
const Kubeconfig = Schema.fromJsonString(Schema.Struct({
  clusters: Schema.Tuple([Schema.Struct({
    cluster: Schema.Struct({ server: Schema.String, "certificate-authority-data": Base64Text })
  })]),
  users: Schema.Tuple([Schema.Struct({
    user: Schema.Struct({ "client-certificate-data": Base64Text, "client-key-data": Base64Text })
  })])
}))

const object = "start"
const resource = ResourceRef.configMap({ namespace: "default", name: object })

/** All that a program needs that has no library: the request that takes the lock, ready to be sent. */
const patchOf = Effect.fnUntraced(function*(kubeconfig: string, lock: string) {
  const { clusters: [{ cluster }], users: [{ user }] } = yield* Schema.decodeEffect(Kubeconfig)(kubeconfig)
  const key = LockName.toKey(Result.getOrThrow(LockName.make(lock)))
  const path = `/metadata/annotations/${key.replaceAll("/", "~1")}`
  const value = LockRecord.format({
    owner: "bench",
    createdAtNanos: 1_767_225_600_123_456_789n,
    ttlNanos: 300_000_000_000n,
    id: "0123456789ab-0123456789ab"
  })
  return JSON.stringify({
    origin: cluster.server,
    tls: {
      ca: cluster["certificate-authority-data"],
      cert: user["client-certificate-data"],
      key: user["client-key-data"]
    },
    path: `${ResourceRef.toPath(resource)}?fieldManager=kubelock&timeout=10000ms`,
    headers: {
      accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
      "content-type": "application/json-patch+json"
    },
    body: GoJson.stringify([{ op: "test", path, value: null }, { op: "add", path, value }])
  })
})

/** An object that has annotations already, as most have: then a free lock is taken by a single request. */
const createObject = (kubeconfig: string) =>
  Effect.flatMap(KubeTransport, ({ request }) =>
    request({
      method: "POST",
      path: "/api/v1/namespaces/default/configmaps",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: object, annotations: { "bench.kubelock.dev/other": "value" } },
        data: { key: "value" }
      })
    })).pipe(Effect.provide(KubeTransport.layerText(kubeconfig)))

const measureFirstLock = Effect.fnUntraced(
  function*({ folder, run }: Installed, { kubeconfig }: Server, rounds: number) {
    const file = (yield* Path.Path).join(folder, "kubeconfig")
    yield* (yield* FileSystem.FileSystem).writeFileString(file, kubeconfig)
    yield* createObject(kubeconfig)
    const ours: Array<typeof Beginning.Type> = []
    const floor: Array<typeof Beginning.Type> = []
    for (let round = 0; round < rounds; round++) {
      floor.push(yield* toldBeginning(yield* run("firstPatch", [yield* patchOf(kubeconfig, `floor-${round}`)])))
      ours.push(yield* toldBeginning(yield* run("firstLock", [file, object, `ours-${round}`])))
    }
    const row = (name: string, of: typeof ours): ReadonlyArray<string> => {
      const part = (value: (beginning: typeof Beginning.Type) => number) => spread(spreadOf(of.map(value)))
      return [
        name,
        part(({ importedMillis }) => importedMillis),
        part(({ builtMillis, importedMillis }) => builtMillis - importedMillis),
        part(({ builtMillis, takenMillis }) => takenMillis - builtMillis),
        part(({ takenMillis }) => takenMillis),
        part(({ cpuMillis }) => cpuMillis)
      ]
    }
    const table: Table = {
      id: "first-lock",
      title: "From the start of the process to its first lock, in ms",
      columns: ["", "imported", "+ made ready", "+ first request", "together", "CPU"],
      rows: [
        row("the same PATCH with undici alone", floor),
        row("`@kubelock/kube`: kubeconfig, layers, `acquire`", ours)
      ]
    }
    return table
  }
)

const measureSizes = Effect.fnUntraced(function*({ folder, sizes }: Installed) {
  const kib = (bytes: number) => figure(bytes / 2 ** 10)
  const packed: Table = {
    id: "packed",
    title: "What npm downloads, in KiB",
    columns: ["package", "packed", "unpacked"],
    rows: sizes.map(({ name, packedBytes, unpackedBytes }) => [name, kib(packedBytes), kib(unpackedBytes)])
  }
  const bundled = Effect.fnUntraced(function*(title: string, specifier: string, names: ReadonlyArray<string> = []) {
    const apart = yield* bundle({ folder, specifier, names, includesEffect: false })
    const together = yield* bundle({ folder, specifier, names, includesEffect: true })
    return [title, ...[apart, together].flatMap((bundle) => [kib(bundle.minifiedBytes), kib(bundle.gzippedBytes)])]
  })
  const one = ["KubeLock", "KubeAnnotationStore", "KubeTransport", "ResourceRef"]
  const minified: Table = {
    id: "bundled",
    title: "Bundled and minified, in KiB, without `undici` and `@kubernetes/client-node`",
    columns: ["program", "without `effect`", "the same, gzip", "with `effect`", "the same, gzip"],
    rows: [
      ...yield* Effect.forEach(packages, (name) => bundled(`all of \`@kubelock/${name}\``, `@kubelock/${name}`)),
      yield* bundled(`what takes a lock: ${one.map((name) => `\`${name}\``).join(", ")}`, "@kubelock/kube", one)
    ]
  }
  return [packed, minified]
})

export const start: Scenario<NodeServices.NodeServices> = {
  name: "start",
  run: Effect.fnUntraced(function*({ quick, server }) {
    const installed = yield* install
    const imports = yield* measureImports(installed, quick ? 1 : 40)
    const first = yield* measureFirstLock(installed, server, quick ? 1 : 25)
    return { tables: [imports, first, ...yield* measureSizes(installed)] }
  }, (run) =>
    Effect.scoped(run).pipe(
      Effect.mapError((error) => error._tag === "BenchFailed" ? error : new BenchFailed({ message: error.message }))
    ))
}
