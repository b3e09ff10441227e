import { configDefaults, defineConfig } from "vitest/config"
import { filesToLeaveOut } from "./packages/testing/test/requiresControlPlane.ts"

const exclude = [...configDefaults.exclude, ...filesToLeaveOut()]

const project = (name: string) => ({
  extends: true as const,
  test: { name, include: [`packages/${name}/test/**/*.test.ts`], exclude: [...exclude, "**/test/real/**"] }
})

// What shares one real control plane; without its binaries `filesToLeaveOut` has said that it is not run.
const onRealControlPlane = {
  extends: true as const,
  test: {
    name: "real",
    include: ["packages/*/test/real/**/*.test.ts"],
    exclude,
    globalSetup: ["packages/testing/test/controlPlane.globalSetup.ts"]
  }
}

// Tests that are examples, as a user would write them.
const examples = { extends: true as const, test: { name: "examples", include: ["docs/examples/**/*.test.ts"] } }

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      ...["core", "kube", "testing", "demo", "checks", "bench"].map(project),
      examples,
      ...((process.env["KUBEBUILDER_ASSETS"] ?? "") === "" ? [] : [onRealControlPlane])
    ]
  }
})
