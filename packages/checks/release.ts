/**
 * Says what a push to main asks for, as the line `mode=version`, `mode=publish` or `mode=none`, and fails while nothing can be
 * released. `.github/workflows/release.yml` does what it says. It uses nothing that would have to be installed before.
 */
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { env, exit } from "node:process"
import { modeOf, problemsOf, type State } from "./release/Plan.ts"

const root = resolve(import.meta.dirname, "../..")
const { GITHUB_REPOSITORY: repository, GITHUB_SERVER_URL: server } = env

const state: State = {
  manifests: ["core", "kube", "testing"].map((name) => {
    const directory = `packages/${name}`
    return { ...JSON.parse(readFileSync(join(root, directory, "package.json"), "utf8")), directory }
  }),
  changesets: readdirSync(join(root, ".changeset")).filter((file) => file.endsWith(".md") && file !== "README.md"),
  tags: new Set(execFileSync("git", ["tag"], { cwd: root, encoding: "utf8" }).split("\n")),
  address: server === undefined || repository === undefined ? undefined : `${server}/${repository}`
}

const problems = problemsOf(state)
for (const problem of problems) console.error(problem)
if (problems.length > 0) {
  console.error("Nothing can be released before that is set. CONTRIBUTING.md says what else: Releasing.")
  exit(1)
}
console.log(`mode=${modeOf(state)}`)
