/**
 * `npm run mutate`: changes the sources in one place after another, and sees whether a test notices. What none notices must be
 * explained in `Survivors.ts`.
 *
 * Arguments name what of it: plans, or sources of theirs. By default all.
 */
import { Stryker } from "@stryker-mutator/core"
import { readFileSync } from "node:fs"
import { relative, resolve } from "node:path"
import process from "node:process"
import { type Plan, plans } from "./Plans.ts"
import { survivors } from "./Survivors.ts"
import { changeOf, judge, type Mutant, percentKilled } from "./Verdict.ts"

const root = resolve(import.meta.dirname, "../../..")

type StrykerMutant = Awaited<ReturnType<Stryker["runMutationTest"]>>[number]

const fates: Record<StrykerMutant["status"], Mutant["fate"]> = {
  Killed: "killed",
  // It runs for ever where the original ends.
  Timeout: "killed",
  Survived: "survived",
  NoCoverage: "survived",
  Ignored: "not tried",
  CompileError: "not tried",
  RuntimeError: "not tried",
  Pending: "not tried"
}

const mutantOf = ({ fileName, location: { end, start }, mutatorName, replacement, status }: StrykerMutant): Mutant => {
  const text = readFileSync(fileName, "utf8")
  const lines = text.split("\n")
  const offsetOf = ({ column, line }: typeof start) =>
    lines.slice(0, line - 1).reduce((sum, { length }) => sum + length + 1, 0) + column - 1
  return {
    file: relative(root, fileName),
    mutator: mutatorName,
    lineNumber: start.line,
    line: lines[start.line - 1]!.trim(),
    change: changeOf(text.slice(offsetOf(start), offsetOf(end)), replacement),
    fate: fates[status]
  }
}

const run = async ({ mutated, tests }: Plan): Promise<ReadonlyArray<Mutant>> => {
  process.env["KUBELOCK_MUTATION_TESTS"] = tests.join(",")
  const mutants = await new Stryker({
    mutate: [...mutated],
    testRunner: "vitest",
    plugins: [import.meta.resolve("@stryker-mutator/vitest-runner")],
    vitest: { configFile: "packages/checks/mutation/vitest.config.ts", related: false },
    coverageAnalysis: "perTest",
    concurrency: 2,
    // Beside what its tests take without it: a busy machine must not pass for a mutant that never ends.
    timeoutMS: 10_000,
    // There is none of this name. It would be rewritten with a compiler API that TypeScript 7 does not have.
    tsconfigFile: "tsconfig.none.json",
    ignorePatterns: ["dist", ".ci", ".changeset", "packages/demo"],
    reporters: ["progress"],
    cleanTempDir: "always"
  }).runMutationTest()
  return mutants.map(mutantOf)
}

/** What of the plans is asked for. */
const asked = (words: ReadonlyArray<string>): ReadonlyArray<Plan> => {
  const known = plans.flatMap(({ mutated, name }) => [name, ...mutated])
  const unknown = words.filter((word) => !known.includes(word))
  if (unknown.length > 0) throw new Error(`nothing to mutate is called ${unknown.join(", ")}: ${known.join(", ")}`)
  return plans.flatMap((plan) => {
    if (words.length === 0 || words.includes(plan.name)) return [plan]
    const mutated = plan.mutated.filter((file) => words.includes(file))
    return mutated.length === 0 ? [] : [{ ...plan, mutated }]
  })
}

const tell = (plan: Plan, mutants: ReadonlyArray<Mutant>): boolean => {
  const verdict = judge(mutants, survivors)
  for (const { change, file, line, lineNumber, mutator } of verdict.unexplained) {
    console.log(`unexplained: ${file}:${lineNumber} ${mutator}\n  line: ${line}\n  change: ${change}`)
  }
  for (const { change, file, line } of verdict.stale) {
    console.log(`explained, but no survivor: ${file}\n  line: ${line}\n  change: ${change}`)
  }
  const percent = percentKilled(verdict)
  const isEnough = percent >= plan.killedAtLeastPercent
  console.log(
    `${plan.name}: ${verdict.killed} of ${verdict.tried} mutants killed, ${percent.toFixed(1)} %` +
      (isEnough ? "" : `, which is less than ${plan.killedAtLeastPercent} %`)
  )
  return isEnough && verdict.unexplained.length === 0 && verdict.stale.length === 0
}

process.chdir(root)
let isGood = true
for (const plan of asked(process.argv.slice(2))) isGood = tell(plan, await run(plan)) && isGood
process.exitCode = isGood ? 0 : 1
