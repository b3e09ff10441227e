/** The tests as Stryker runs them: those of one plan, the quick ones first, the same each time, on the sources that it has changed. */
import { resolve } from "node:path"
import { configDefaults, defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"

const root = resolve(import.meta.dirname, "../../..")

// Most mutants are killed by whatever calls them: what searches long comes last.
const slow = ["Transition", "Sequences", "TurnsSimulation", "ManagedRequests", "HoldingFaults"]

const rank = ({ moduleId }: TestSpecification) => slow.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`))

class QuickFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>) {
    return files.toSorted((left, right) => rank(left) - rank(right))
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
    include: (process.env["KUBELOCK_MUTATION_TESTS"] ?? "").split(","),
    exclude: configDefaults.exclude,
    setupFiles: [resolve(import.meta.dirname, "fixedSeed.ts")],
    sequence: { sequencer: QuickFirst },
    isolate: false,
    testTimeout: 10_000
  }
})
