import { existsSync, globSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { filesBelow, read, root } from "./Sources.ts"

// What GitHub runs is run nowhere else, so it is read here: that what it names is there, and that nothing may more than it must.

interface Step {
  readonly uses?: string
  readonly run?: string
  readonly with?: Readonly<Record<string, unknown>>
  readonly env?: Readonly<Record<string, string>>
}

interface Job {
  readonly needs?: string | ReadonlyArray<string>
  readonly if?: string
  readonly permissions?: Readonly<Record<string, string>>
  readonly "timeout-minutes"?: number
  readonly uses?: string
  readonly steps?: ReadonlyArray<Step>
}

interface Workflow {
  readonly on: Readonly<Record<string, unknown>>
  readonly permissions: Readonly<Record<string, string>>
  readonly jobs: Readonly<Record<string, Job>>
}

/** Reads YAML. It comes with what reads kubeconfigs. */
const { load } = createRequire(
  createRequire(join(root, "packages/kube/package.json")).resolve("@kubernetes/client-node")
)("js-yaml") as { readonly load: (text: string) => unknown }

const workflows = filesBelow(".github/workflows", ".yml").map(({ path, text }) => ({
  path,
  text,
  workflow: load(text) as Workflow
}))

const jobsOf = ({ jobs }: Workflow) => Object.entries(jobs).map(([name, job]) => ({ ...job, name }))
const stepsOf = (workflow: Workflow) => jobsOf(workflow).flatMap(({ steps = [] }) => steps)
const workflowOf = (name: string) => workflows.find(({ path }) => path.endsWith(`/${name}.yml`))!.workflow

/** Whom a job waits for, and whom those wait for. */
const before = (workflow: Workflow, name: string): ReadonlyArray<string> =>
  [workflow.jobs[name]!.needs ?? []].flat().flatMap((needed) => [needed, ...before(workflow, needed)])

describe.each(workflows)("$path", ({ text, workflow }) => {
  it("runs nothing but scripts, files and programs that are there", () => {
    const { scripts } = JSON.parse(read("package.json").text)
    const commands = [
      ...stepsOf(workflow).flatMap(({ run = "" }) => run.split("\n")),
      ...stepsOf(workflow).flatMap((step) => Object.values(step.with ?? {}).map(String))
    ]
    const named = (pattern: RegExp) => commands.flatMap((line) => [...line.matchAll(pattern)].map(([, name]) => name!))
    expect(named(/\bnpm run (?:--silent )?([\w:]+)/g).filter((script) => !(script in scripts))).toEqual([])
    expect(named(/\bnpx ([\w-]+)/g).filter((name) => !existsSync(join(root, "node_modules/.bin", name)))).toEqual([])
    const paths = named(/(?:^|[\s'"])(\.?\w[\w.-]*\/[\w./-]+)/g)
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([])
    for (const [, patterns] of text.matchAll(/hashFiles\(([^)]*)\)/g)) {
      for (const [, pattern] of patterns!.matchAll(/'([^']+)'/g)) {
        expect(globSync(pattern!, { cwd: root, exclude: ["**/node_modules"] })).not.toEqual([])
      }
    }
  })

  it("names the version of every action, and files of this repository", () => {
    const actions = [...stepsOf(workflow), ...jobsOf(workflow)].flatMap(({ uses }) => uses ?? [])
    expect(actions.length).toBeGreaterThan(3)
    for (const action of actions) {
      if (action.startsWith("./")) expect(existsSync(join(root, action))).toBe(true)
      else expect(action).toMatch(/^[\w-]+\/[\w-]+@(?:v\d+|[0-9a-f]{40})$/)
    }
  })

  it("may do nothing that it does not say, and ends in time", () => {
    expect(["{}", `{"contents":"read"}`]).toContain(JSON.stringify(workflow.permissions))
    for (const job of jobsOf(workflow)) {
      // A job that is another workflow has that one's limits.
      expect(job.uses !== undefined || (job["timeout-minutes"] ?? 0) > 0).toBe(true)
      for (const { uses, with: given } of job.steps ?? []) {
        if (uses?.startsWith("actions/checkout@") === true && job.permissions?.["contents"] !== "write") {
          expect(given?.["persist-credentials"]).toBe(false)
        }
      }
    }
  })

  it("runs nobody else's code with its own rights, nor text that others have written", () => {
    expect(Object.keys(workflow.on).filter((event) => /^(?:pull_request_target|workflow_run|issue)/.test(event)))
      .toEqual([])
    for (const { run = "" } of stepsOf(workflow)) expect(run).not.toContain("${{")
  })

  it("waits for jobs that are there", () => {
    const jobs = Object.keys(workflow.jobs)
    for (const job of jobs) expect(jobs).toEqual(expect.arrayContaining([...before(workflow, job)]))
  })
})

describe("CI", () => {
  it("runs all that guards main, on every change", () => {
    const workflow = workflowOf("ci")
    expect(Object.keys(workflow.on)).toEqual(expect.arrayContaining(["push", "pull_request"]))
    const running = stepsOf(workflow).find(({ run }) => run === ".ci/run")
    const kept = stepsOf(workflow).find(({ uses }) => uses?.startsWith("actions/upload-artifact@") === true)
    expect(kept?.with?.["path"]).toBe(running?.env?.["KUBELOCK_TEST_REPORT"])
    expect(read(".ci/run").text).toContain("KUBELOCK_TEST_REPORT")
  })
})

describe("a release", () => {
  const workflow = workflowOf("release")

  it("is published by one job alone, that npm can trust", () => {
    const trusted = workflows.flatMap(({ workflow }) => jobsOf(workflow)).filter(({ permissions }) =>
      permissions !== undefined && "id-token" in permissions
    )
    expect(trusted.map(({ name, permissions }) => [name, permissions])).toEqual([
      ["publish", { contents: "read", "id-token": "write" }]
    ])
    const { steps = [] } = trusted[0]!
    expect(steps.flatMap(({ uses }) => uses ?? []).filter((uses) => !uses.startsWith("actions/"))).toEqual([])
    const publishing = jobsOf(workflow).filter((job) =>
      job.steps?.some(({ run }) => run?.includes("release:publish") === true) === true
    )
    expect(publishing.map(({ name }) => name)).toEqual(["publish"])
  })

  it("carries its provenance", () => {
    const publish = stepsOf(workflow).find(({ run }) => run?.includes("release:publish") === true)
    expect(publish?.env?.["PNPM_CONFIG_PROVENANCE"]).toBe("true")
  })

  it("is planned, and checked by all that guards main, before it is published", () => {
    expect(before(workflow, "publish")).toEqual(["checks", "plan"])
    expect(workflow.jobs["checks"]).toMatchObject({
      if: "needs.plan.outputs.mode == 'publish'",
      uses: "./.github/workflows/ci.yml"
    })
    expect(workflow.jobs["version"]?.if).toBe("needs.plan.outputs.mode == 'version'")
    expect(workflow.jobs["plan"]?.steps?.some(({ run }) => run?.includes("release:plan") === true)).toBe(true)
    // Whatever fails before it keeps it from running.
    expect(workflow.jobs["publish"]?.if).toBeUndefined()
    expect(before(workflow, "tag")).toContain("publish")
  })
})
