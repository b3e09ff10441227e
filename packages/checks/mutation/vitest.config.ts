/** The tests as Stryker runs them: those of one plan in its order, the same each time, on the sources that it has changed. */
import { relative, resolve } from "node:path"
import { configDefaults, defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"

const root = resolve(import.meta.dirname, "../../..")

const tests = (process.env["KUBELOCK_MUTATION_TESTS"] ?? "").split(",")

class InOrder extends BaseSequencer {
  override async sort(files: Array<TestSpecification>) {
    const placeOf = ({ moduleId }: TestSpecification) => tests.indexOf(relative(root, moduleId))
    return files.toSorted((left, right) => placeOf(left) - placeOf(right))
  }
}

export default defineConfig({
  root,
  // In Stryker's copy of the repository, `node_modules` leads back to the sources that nobody has changed.
  resolve: {
    alias: ["core", "kube", "testing"].map((name) => ({
      find: new RegExp(`^@kubelock/${name}$`),
      replacement: resolve(root, "packages", name, "src/index.ts")
    }))
  },
  test: {
    include: tests,
    exclude: configDefaults.exclude,
    setupFiles: [resolve(import.meta.dirname, "fixedSeed.ts")],
    sequence: { sequencer: InOrder },
    isolate: false,
    testTimeout: 10_000
  }
})
