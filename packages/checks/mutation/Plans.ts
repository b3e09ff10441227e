/** What `npm run mutate` changes, and which tests are to notice. */

export interface Plan {
  readonly name: string
  /** From the root of the repository. */
  readonly mutated: ReadonlyArray<string>
  /**
   * The tests that are run against each change until one fails, from the root of the repository. Quick ones, and the quickest
   * first: most mutants fall to whatever calls them.
   */
  readonly tests: ReadonlyArray<string>
  /** Less of the mutants killed is a failure. */
  readonly killedAtLeastPercent: number
}

const files = (folder: string, ending: string, names: ReadonlyArray<string>): ReadonlyArray<string> =>
  names.map((name) => `packages/${folder}/${name}${ending}`)

export const plans: ReadonlyArray<Plan> = [
  {
    name: "core",
    mutated: files("core/src", ".ts", [
      "AnnotationEdit",
      "GoJson",
      "LockError",
      "LockName",
      "LockRecord",
      "LockState",
      "Rfc3339",
      "Transition",
      "Ttl"
    ]),
    // All but the exhaustive search: what that finds the properties find too, in less than its seconds.
    tests: files("core/test", ".test.ts", [
      "LockError",
      "LockName",
      "Ttl",
      "Vectors",
      "Rfc3339",
      "AnnotationEdit",
      "LockRecord",
      "Transition"
    ]),
    killedAtLeastPercent: 95
  },
  {
    name: "kube-pure",
    mutated: files("kube/src", ".ts", ["ClockOffset", "Turns", "internal/Operation", "internal/Tasks"]),
    tests: files("kube/test", ".test.ts", ["Operation", "Tasks", "Turns", "ClockOffset", "TurnsSimulation"]),
    killedAtLeastPercent: 95
  },
  {
    name: "kube-shell",
    mutated: files("kube/src/internal", ".ts", ["Attempts", "Lane"]),
    // On the store in memory and the test clock.
    tests: files("kube/test", ".test.ts", [
      "Attempts",
      "Lane",
      "Interruption",
      "Waiting",
      "WaitingLimit",
      "HoldingValidity",
      "WaitingUnwatched",
      "WaitingTurns",
      "HoldingSeveral",
      "Memory",
      "ManagedLockOptions",
      "Holding",
      "HoldingLosses",
      "HoldingClocks",
      "WaitingTakeover",
      "HoldingInterruption",
      "Observability",
      "HoldingLayerEnd",
      "LocalHandover",
      "WaitingQueue",
      "FencedWrite",
      "Errors",
      "WaitingWatch",
      "ManagedRequests"
    ]),
    killedAtLeastPercent: 90
  }
]
