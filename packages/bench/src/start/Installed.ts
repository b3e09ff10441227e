/** The packages as users get them: built, packed, and installed in a folder outside the workspace. */
import { Effect, FileSystem, Path } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { stripTypeScriptTypes } from "node:module"
import process from "node:process"
import { BenchFailed } from "../Scenario.ts"

/** What is packed, in the order of what builds on what. */
export const packages = ["core", "kube"] as const

/** What else is needed to run them: of each a single copy, as npm would install it. */
const dependencies = ["effect", "undici", "@kubernetes/client-node"]

export interface Installed {
  readonly folder: string
  /** Of each package's tarball, and of what is in it. */
  readonly sizes: ReadonlyArray<{ readonly name: string; readonly packedBytes: number; readonly unpackedBytes: number }>
  /** Runs one of the programs beside this module there, under the Node of this process, and yields what it prints. */
  readonly run: (program: string, args: ReadonlyArray<string>) => Effect.Effect<string, BenchFailed>
}

/** Built, packed and installed. The folder is gone when the scope closes. */
export const install = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const root = path.join(import.meta.dirname, "../../../..")
  const folder = yield* files.makeTempDirectoryScoped({ prefix: "kubelock-bench-" })
  const modules = path.join(folder, "node_modules")

  const perform = Effect.fnUntraced(function*(cwd: string, command: string, ...args: ReadonlyArray<string>) {
    const code = yield* spawner.exitCode(ChildProcess.make(command, args, { cwd, stdout: "ignore", stderr: "inherit" }))
    if (code !== 0) return yield* new BenchFailed({ message: `${command} ${args.join(" ")} has failed in ${cwd}.` })
  })

  const bytesBelow = Effect.fnUntraced(function*(folder: string) {
    const paths = yield* files.readDirectory(folder, { recursive: true })
    const infos = yield* Effect.forEach(paths, (file) => files.stat(path.join(folder, file)))
    return infos.filter(({ type }) => type === "File").reduce((bytes, { size }) => bytes + Number(size), 0)
  })

  const pack = Effect.fnUntraced(function*(name: (typeof packages)[number]) {
    const packed = path.join(folder, name)
    yield* files.makeDirectory(packed)
    const home = path.join(root, "packages", name)
    yield* perform(home, "npx", "--yes", "--prefer-offline", "pnpm@12.21.0", "pack", "--pack-destination", packed)
    const [tarball = ""] = yield* files.readDirectory(packed)
    const installed = path.join(modules, "@kubelock", name)
    yield* files.makeDirectory(installed, { recursive: true })
    yield* perform(folder, "tar", "-xzf", path.join(packed, tarball), "--strip-components", "1", "-C", installed)
    const { size } = yield* files.stat(path.join(packed, tarball))
    return { name: `@kubelock/${name}`, packedBytes: Number(size), unpackedBytes: yield* bytesBelow(installed) }
  })

  yield* perform(root, path.join(root, "node_modules/.bin/tsc"), "-b", ...packages.map((name) => `packages/${name}`))
  const sizes = yield* Effect.forEach(packages, pack)
  yield* files.makeDirectory(path.join(modules, "@kubernetes"))
  for (const name of dependencies) {
    yield* files.symlink(
      yield* files.realPath(path.join(root, "packages/kube/node_modules", name)),
      path.join(modules, name)
    )
  }
  const programs = path.join(import.meta.dirname, "programs")
  for (const program of yield* files.readDirectory(programs)) {
    const text = yield* files.readFileString(path.join(programs, program))
    yield* files.writeFileString(path.join(folder, `${path.parse(program).name}.mjs`), stripTypeScriptTypes(text))
  }

  const run = (program: string, args: ReadonlyArray<string>) =>
    spawner.string(
      ChildProcess.make(process.execPath, ["--expose-gc", `${program}.mjs`, ...args], {
        cwd: folder,
        stderr: "inherit"
      })
    ).pipe(Effect.mapError(({ message }) => new BenchFailed({ message })))

  return { folder, sizes, run } satisfies Installed
}).pipe(Effect.catchTag("PlatformError", ({ message }) => Effect.fail(new BenchFailed({ message }))))
