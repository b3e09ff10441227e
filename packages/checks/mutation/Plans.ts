/** What `npm run mutate` changes, and which tests are to notice. */

export interface Plan {
  readonly name: string
  /** From the root of the repository. */
  readonly mutated: ReadonlyArray<string>
  /** The tests that are run against each change, from the root of the repository: quick ones, since each is run many times. */
  readonly tests: ReadonlyArray<string>
  /** Less of the mutants killed is a failure. */
  readonly killedAtLeastPercent: number
}

const core = ["AnnotationEdit", "GoJson", "LockError", "LockName", "LockRecord", "LockState", "Rfc3339", "Transition"]

export const plans: ReadonlyArray<Plan> = [
  {
    name: "core",
    mutated: [...core, "Ttl"].map((module) => `packages/core/src/${module}.ts`),
    tests: ["packages/core/test/**/*.test.ts"],
    killedAtLeastPercent: 95
  },
  {
    name: "kube-pure",
    mutated: ["Turns", "ClockOffset", "internal/Operation", "internal/Tasks"].map((module) =>
      `packages/kube/src/${module}.ts`
    ),
    tests: ["Turns", "TurnsSimulation", "ClockOffset", "Operation", "Tasks"].map((name) =>
      `packages/kube/test/${name}.test.ts`
    ),
    killedAtLeastPercent: 95
  },
  {
    name: "kube-shell",
    mutated: ["Lane", "Attempts", "Waiting", "ObjectView", "Tenure"].map((module) =>
      `packages/kube/src/internal/${module}.ts`
    ),
    // All that run on the store in memory and the test clock.
    tests: [
      "Attempts",
      "Errors",
      "FencedWrite",
      "Holding*",
      "Interruption",
      "Lane",
      "LocalHandover",
      "ManagedLockOptions",
      "ManagedRequests",
      "Memory",
      "Observability",
      "Waiting*"
    ].map((name) => `packages/kube/test/${name}.test.ts`),
    killedAtLeastPercent: 90
  }
]
