/** Effect's own diagnostics on every project: a floating effect, a lost error type, and the like fail it. */
import { spawnSync } from "node:child_process"

const projects = ["core", "kube", "testing"].map((name) => `packages/${name}/tsconfig.json`)
const failed = [...projects, "packages/tsconfig.tests.json"].filter((project) => {
  const { status } = spawnSync("effect-tsgo", ["diagnostics", "--project", project, "--format", "text", "--strict"], {
    stdio: "inherit"
  })
  return status !== 0
})
process.exit(failed.length === 0 ? 0 : 1)
