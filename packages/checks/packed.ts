/**
 * Packs the packages, looks at the tarballs, and uses them in a plain npm project outside the workspace: installed, type-checked,
 * run. What is in them, how large they are, what can be imported, and the licences of what comes along: each has a module in
 * `packed/`. Then follows the guides getting-started and testing to the letter, from an empty folder on; what needs a cluster, where
 * `KUBEBUILDER_ASSETS` names a folder with etcd, kube-apiserver and kubectl. Needs the npm registry, or a warm cache.
 */
import { ControlPlane } from "@kubelock/testing"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, dirname, join, resolve } from "node:path"
import process, { env, execPath } from "node:process"
import { follow, stepsOf } from "./guide.ts"
import * as Contents from "./packed/Contents.ts"
import * as Doors from "./packed/Doors.ts"
import * as Licences from "./packed/Licences.ts"
import * as Sizes from "./packed/Sizes.ts"
import * as Registry from "./registry.ts"

const root = resolve(import.meta.dirname, "../..")
const names = ["core", "kube", "testing"]
const folder = mkdtempSync(join(tmpdir(), "kubelock-packed-"))

const run = (cwd: string, command: string, ...args: ReadonlyArray<string>): string => {
  console.log(`${command} ${args.join(" ")}`)
  return execFileSync(command, args, {
    cwd,
    encoding: "utf8",
    env: { ...env, PATH: `${join(root, "node_modules/.bin")}:${env["PATH"]}` },
    stdio: ["ignore", "pipe", "inherit"]
  })
}

const consumer = `
import { LockRecord } from "@kubelock/core"
import { AnnotationStore, KubeAnnotationStore, KubeLock, KubeTransport, ResourceRef } from "@kubelock/kube"
import { KubeApiServer } from "@kubelock/testing"
import { Effect, Layer, Result } from "effect"

const resource = ResourceRef.configMap({ namespace: "default", name: "deploys" })

const takeAndRelease = Effect.gen(function*() {
  const locks = yield* KubeLock
  const lease = yield* locks.acquire({ resource, name: "helm", ttl: "30 seconds" })
  const { owner } = Result.getOrThrow(LockRecord.parse(LockRecord.format(lease.record)))
  yield* locks.release(lease)
  return owner === lease.owner
})

const overHttp = Effect.gen(function*() {
  const server = yield* KubeApiServer
  yield* server.put({ apiVersion: "v1", kind: "ConfigMap", metadata: { namespace: "default", name: "deploys" } })
  const layer = KubeLock.layer.pipe(
    Layer.provide(KubeAnnotationStore.layer),
    Layer.provide(KubeTransport.layerText(server.kubeconfig))
  )
  return yield* Effect.provide(takeAndRelease, layer)
}).pipe(Effect.provide(KubeApiServer.layer({ tls: true, token: "secret" })))

const inMemory = Effect.provide(takeAndRelease, Layer.provide(KubeLock.layer, AnnotationStore.layerMemory([resource])))

Effect.runPromise(Effect.all([inMemory, overHttp])).then((outcomes) => console.log(JSON.stringify(outcomes)))
`

const homeOf = (name: string) => join(root, "packages", name)
const modules = Object.fromEntries(names.map((name) => [name, Contents.modulesOf(homeOf(name))]))

const assertNone = (problems: ReadonlyArray<string>, what: string) => {
  if (problems.length > 0) throw new Error(`${what}:\n${problems.join("\n")}`)
}

/** What is in a tarball, and how large it is. */
const look = (tarball: string): ReadonlyArray<Sizes.Measured> => {
  const name = names.find((name) => tarball.startsWith(`kubelock-${name}-`))
  if (name === undefined) throw new Error(`whose is ${tarball}?`)
  const files = Contents.read(join(folder, tarball))
  const hasChangelog = existsSync(join(homeOf(name), "CHANGELOG.md"))
  assertNone(Contents.problemsOf(files, { modules: modules[name] ?? [], hasChangelog }), tarball)
  return Sizes.ofPackage(name, join(folder, tarball), files)
}

/** What a newcomer does, with what a newcomer has: npm, Node, and for a cluster kubectl and setup-envtest. */
const followGuides = async (tarballs: ReadonlyArray<string>) => {
  const home = join(folder, "home")
  mkdirSync(join(home, ".kube"), { recursive: true })
  mkdirSync(join(home, "bin"))
  const assets = env["KUBEBUILDER_ASSETS"] ?? ""
  const hasAssets = existsSync(join(assets, "kubectl"))
  if (!hasAssets && env["KUBELOCK_REQUIRE_CONTROL_PLANE"] === "1") {
    throw new Error(`KUBEBUILDER_ASSETS names no folder with kubectl: ${assets}`)
  }
  writeFileSync(join(home, "bin/setup-envtest"), `#!/bin/sh\necho "${assets}"\n`, { mode: 0o755 })
  const path = [
    dirname(execPath),
    join(home, "bin"),
    ...(hasAssets ? [assets] : []),
    ...(env["PATH"] ?? "").split(delimiter).filter((folder) => !folder.includes("node_modules"))
  ]
  const registry = await Registry.serve(tarballs)
  const newcomersEnv = {
    ...env,
    NO_COLOR: "1",
    HOME: home,
    PATH: path.join(delimiter),
    KUBECONFIG: undefined,
    KUBEBUILDER_ASSETS: undefined,
    // Nothing is fetched in place of a command that should be there.
    npm_config_yes: "false",
    npm_config_cache: run(root, "npm", "config", "get", "cache").trim(),
    "npm_config_@kubelock:registry": registry.url
  }
  const needsCluster = ["On a cluster", "On the real thing"]
  const followOne = (name: string, folder: string) => {
    const steps = stepsOf(readFileSync(join(root, "docs/guides", name), "utf8"))
    const followed = hasAssets ? steps : steps.filter(({ section }) => !needsCluster.includes(section))
    return follow(followed, { folder, env: newcomersEnv, log: console.log })
  }
  const followAll = async () => {
    await followOne("getting-started.md", home)
    await followOne("testing.md", join(home, "deploys"))
  }
  const onCluster = Effect.gen(function*() {
    const { kubeconfig } = yield* ControlPlane
    writeFileSync(join(home, ".kube/config"), kubeconfig)
    yield* Effect.promise(followAll)
  })
  try {
    if (hasAssets) await Effect.runPromise(Effect.provide(onCluster, ControlPlane.layer()))
    else await followAll()
  } finally {
    registry.close()
  }
  if (!hasAssets) {
    console.log(`not followed, since KUBEBUILDER_ASSETS names no folder with kubectl: ${needsCluster.join(", ")}`)
  }
}

try {
  run(root, "tsc", "-b", ...names.map((name) => `packages/${name}`))
  for (const name of names) {
    run(homeOf(name), "npx", "--yes", "--prefer-offline", "pnpm@12.21.0", "pack", "--pack-destination", folder)
  }
  const tarballs = readdirSync(folder).filter((file) => file.endsWith(".tgz")).toSorted()
  const sizes = tarballs.flatMap(look)
  for (const tarball of tarballs) {
    run(root, "publint", "--strict", join(folder, tarball))
    run(root, "attw", "--profile", "esm-only", join(folder, tarball))
  }
  const catalog = readFileSync(join(root, "pnpm-workspace.yaml"), "utf8")
  const pinned = (name: string) => `${name}@${new RegExp(`^  "?${name}"?: (\\S+)$`, "m").exec(catalog)?.[1]}`
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }))
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({ compilerOptions: { module: "NodeNext", target: "ES2024", strict: true, types: ["node"] } })
  )
  writeFileSync(join(folder, "consumer.ts"), consumer)
  writeFileSync(join(folder, "doors.ts"), Doors.programOf(modules))
  const dependencies = ["effect", "@types/node"].map(pinned)
  run(folder, "npm", "install", "--no-audit", "--no-fund", ...tarballs.map((file) => `./${file}`), ...dependencies)
  run(folder, "tsc", "-p", ".")
  const printed = run(folder, "node", "consumer.js").trim()
  if (printed !== "[true,true]") throw new Error(`the consumer printed ${printed}`)
  console.log(run(folder, "node", "doors.js").trim())
  const installed = Licences.dependenciesOf(names.map((name) => join(folder, "node_modules/@kubelock", name)))
  console.log(`licences: ${Licences.summary(installed)}`)
  assertNone(
    Licences.refused(installed).map(({ licence, name, version }) => `${name} ${version}: ${licence}`),
    "licences that nobody has allowed"
  )
  const all = [...sizes, ...await Sizes.ofBundles(folder)]
  for (const measured of all) console.log(Sizes.lineOf(measured))
  assertNone(Sizes.problemsOf(all), "too large")
  await followGuides(tarballs.map((file) => join(folder, file)))
  console.log(`packed, checked and used: ${tarballs.join(", ")}`)
} catch (error) {
  console.error(error)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
