/**
 * Plants the protocol bugs of `planted/`, one after another, in a copy of the packages, and sees that the simulation finds each of them.
 * A patch that does not apply any more, or that is not found, fails.
 */
import { spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { execPath, exit } from "node:process"

// The rarest is found within 1,000.
const seeds = 3_000

const root = resolve(import.meta.dirname, "../..")
const patches = join(import.meta.dirname, "planted")

/** What the simulation says of a copy with this patch. */
const found = (patch: string): string => {
  const copy = mkdtempSync(join(tmpdir(), "kubelock-planted-"))
  try {
    cpSync(join(root, "packages"), join(copy, "packages"), { recursive: true, verbatimSymlinks: true })
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))
    const applied = spawnSync("git", ["apply", patch], { cwd: copy, encoding: "utf8" })
    if (applied.status !== 0) return `does not apply any more: ${applied.stderr}`
    const simulated = spawnSync(
      execPath,
      ["packages/kube/test/simulation/main.ts", "--seeds", String(seeds)],
      { cwd: copy, encoding: "utf8" }
    )
    return simulated.status === 0 ? "was NOT found" : simulated.stderr
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

let missed = 0
for (const name of readdirSync(patches).toSorted()) {
  const patch = join(patches, name)
  const answer = found(patch)
  const [, seed, problem] = /^Seed (\d+):\n {2}(.*)/m.exec(answer) ?? []
  if (seed === undefined) missed++
  const [why] = readFileSync(patch, "utf8").split("\n")
  console.log(`${name}: ${why}\n  ${seed === undefined ? answer : `found with seed ${seed}: ${problem}`}`)
}
console.log(missed === 0 ? "All were found." : `${missed} were not found.`)
exit(missed === 0 ? 0 : 1)
