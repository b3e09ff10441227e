/**
 * The tests that need programs which not every machine has. For `vitest.workspace.ts`: where a program is missing its tests are
 * not registered at all, and one line says so. With `KUBELOCK_REQUIRE_CONTROL_PLANE=1`, as in CI, it is an error instead.
 */
import process from "node:process"

interface Requirement {
  /** The environment variable that says where the programs are. */
  readonly variable: string
  readonly tests: string
  readonly files: ReadonlyArray<string>
  /** What to put in front of the command. */
  readonly remedy: string
}

const requirements: ReadonlyArray<Requirement> = [
  {
    variable: "KUBEBUILDER_ASSETS",
    tests: "the tests on a real kube-apiserver",
    files: ["packages/testing/test/ControlPlane.test.ts", "packages/kube/test/GoPeer.test.ts"],
    remedy: "KUBEBUILDER_ASSETS=$(setup-envtest use -p path)"
  },
  {
    variable: "KUBELOCK_GO_PEER",
    tests: "the tests beside the Go library",
    files: [
      "packages/kube/test/RecordFuzz.test.ts",
      "packages/kube/test/GoPeer.test.ts",
      "packages/kube/test/real/GoSharing.test.ts",
      "packages/kube/test/real/GoRace.test.ts"
    ],
    remedy: "KUBELOCK_GO_PEER=$(.ci/go-peer/build)"
  },
  {
    variable: "KUBELOCK_TOXIPROXY",
    tests: "the test of what disturbs connections",
    files: ["packages/kube/test/chaos/ConnectionFault.test.ts"],
    remedy: "KUBELOCK_TOXIPROXY=$(.ci/toxiproxy/build)"
  }
]

type Environment = Readonly<Record<string, string | undefined>>

const isMet = (environment: Environment) => ({ variable }: Requirement): boolean => (environment[variable] ?? "") !== ""

/** The line that says what is not run and how to run it; undefined where everything is run. */
export const notice = (environment: Environment): string | undefined => {
  const unmet = requirements.filter((requirement) => !isMet(environment)(requirement))
  return unmet.length === 0
    ? undefined
    : `Not run: ${unmet.map(({ tests }) => tests).join(", ")}. To run them: ${
      unmet.map(({ remedy }) => remedy).join(" ")
    } npm test`
}

/** The test files to leave out here. Says so; throws where nothing may be left out. */
export const filesToLeaveOut = (environment: Environment = process.env): ReadonlyArray<string> => {
  const line = notice(environment)
  if (line === undefined) return []
  if (environment["KUBELOCK_REQUIRE_CONTROL_PLANE"] === "1") throw new Error(line)
  console.log(line)
  return requirements.filter((requirement) => !isMet(environment)(requirement)).flatMap(({ files }) => files)
}
