import { Effect } from "effect"
import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { env, execPath } from "node:process"
import { promisify } from "node:util"
import { read, root } from "./Sources.ts"

const execute = promisify(execFile)

/** A folder below the root, so that programs in it find the workspace's packages; removed with the scope. */
export const folder = Effect.acquireRelease(
  Effect.sync(() => {
    const parent = join(root, "node_modules/.cache")
    mkdirSync(parent, { recursive: true })
    return mkdtempSync(join(parent, "kubelock-readme-"))
  }),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

/** What a program prints that must succeed, with a kubeconfig's text as its `KUBECONFIG`. */
export const run = Effect.fnUntraced(function*(kubeconfig: string, program: string, ...args: ReadonlyArray<string>) {
  const file = join(yield* folder, "kubeconfig")
  writeFileSync(file, kubeconfig)
  const { stdout } = yield* Effect.promise(() =>
    execute(program, args, { env: { ...env, NO_COLOR: "1", KUBECONFIG: file }, timeout: 50_000 })
  )
  return stdout
}, Effect.scoped)

/** Runs the README's program for a cluster, and yields what it prints. */
export const runOnCluster = Effect.fnUntraced(function*(kubeconfig: string, namespace = "prod") {
  const [, program = ""] = /```ts no-run\n([\s\S]*?)```/.exec(read("README.md").text) ?? []
  // Node strips no types below node_modules. The program has none.
  const file = join(yield* folder, "program.mjs")
  writeFileSync(file, program.replaceAll(`"prod"`, `"${namespace}"`))
  return yield* run(kubeconfig, execPath, file)
}, Effect.scoped)
