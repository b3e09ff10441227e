import { execFileSync, spawnSync } from "node:child_process"
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { execPath } from "node:process"
import { afterAll, describe, expect, it } from "vitest"
import { modeOf, problemsOf, type State } from "../release/Plan.ts"
import { read, root } from "./Sources.ts"

const published = ["core", "kube", "testing"]
const address = "https://github.com/someone/something"

const manifests = published.map((name) => {
  const directory = `packages/${name}`
  return {
    name: `@kubelock/${name}`,
    version: "0.1.0",
    directory,
    repository: { type: "git", url: `git+${address}.git`, directory }
  }
})

const state: State = { manifests, changesets: [], tags: new Set(), address }

describe("what a push to main asks for", () => {
  const tags = manifests.map(({ name, version }) => `${name}@${version}`)

  it("is a pull request, while changesets wait", () => {
    expect(modeOf({ ...state, changesets: ["a.md"] })).toBe("version")
    expect(modeOf({ ...state, changesets: ["a.md"], tags: new Set(tags) })).toBe("version")
  })

  it("is to publish, where a version has no tag", () => {
    expect(modeOf(state)).toBe("publish")
    expect(modeOf({ ...state, tags: new Set(tags.slice(1)) })).toBe("publish")
    expect(modeOf({ ...state, tags: new Set(tags.map((tag) => tag.replace("0.1.0", "0.1.1"))) })).toBe("publish")
  })

  it("is nothing, where all is published", () => {
    expect(modeOf({ ...state, tags: new Set(tags) })).toBe("none")
  })
})

describe("nothing is released", () => {
  const withRepository = (repository: unknown): State => ({ ...state, manifests: [{ ...manifests[0]!, repository }] })

  it("that does not name its repository", () => {
    expect(problemsOf(withRepository(undefined))).toEqual([
      `@kubelock/core names no repository: its package.json needs "repository": ` +
      `{"type":"git","url":"git+${address}.git","directory":"packages/core"}`
    ])
    expect(problemsOf({ ...withRepository(undefined), address: undefined })[0]).toContain("OWNER/NAME")
  })

  it("that names another one, be it by a letter's case", () => {
    for (const other of ["https://github.com/other/thing", address.toUpperCase(), `${address}/`]) {
      expect(problemsOf(withRepository({ url: `git+${other}.git`, directory: "packages/core" }))[0]).toContain(
        `released from ${address}`
      )
    }
  })

  it("that lies elsewhere in it", () => {
    expect(problemsOf(withRepository({ url: address }))[0]).toContain("packages/core")
    expect(problemsOf(withRepository({ url: address, directory: "packages/kube" }))[0]).toContain("packages/core")
  })

  it("unless all are right", () => {
    expect(problemsOf(state)).toEqual([])
    expect(problemsOf(withRepository({ url: address, directory: "packages/core" }))).toEqual([])
  })

  it("and the command says so, or what is to be done", () => {
    const { GITHUB_REPOSITORY: _, GITHUB_SERVER_URL: __, ...env } = process.env
    const { status, stderr, stdout } = spawnSync(execPath, [join(root, "packages/checks/release.ts")], {
      encoding: "utf8",
      env
    })
    const isSet = published.every((name) => "repository" in JSON.parse(read(`packages/${name}/package.json`).text))
    expect([status, stdout]).toEqual(isSet ? [0, expect.stringMatching(/^mode=(?:version|publish|none)\n$/)] : [1, ""])
    if (!isSet) expect(stderr).toContain("CONTRIBUTING.md")
  })

  it("as CONTRIBUTING says, which shows what to set", () => {
    const [, shown = ""] = /^ *"repository": (\{.*\})$/m.exec(read("CONTRIBUTING.md").text) ?? []
    const [problem] = problemsOf({ ...withRepository(undefined), address: undefined })
    expect(problem).toContain(JSON.stringify(JSON.parse(shown)))
  })
})

describe("changesets", () => {
  const folder = mkdtempSync(join(tmpdir(), "kubelock-release-"))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const changesets = readdirSync(join(root, ".changeset")).filter((file) => file.endsWith(".md"))

  it.each(changesets)("%s tells of published packages, and says something", (file) => {
    const [, head = "", text = ""] = /^---\n([\s\S]*?)---\n([\s\S]*)$/.exec(read(`.changeset/${file}`).text) ?? []
    const names = [...head.matchAll(/^"@kubelock\/(\w+)": (?:major|minor|patch)$/gm)].map(([, name]) => name!)
    expect(names).toHaveLength(head.split("\n").filter((line) => line !== "").length)
    expect(published).toEqual(expect.arrayContaining(names))
    // An empty one is for a change that nobody notices.
    expect(text.trim() === "").toBe(names.length === 0)
  })

  it("become changelogs of one version, without a network", () => {
    for (const file of ["package.json", "pnpm-workspace.yaml", "pnpm-lock.yaml"]) {
      copyFileSync(join(root, file), join(folder, file))
    }
    cpSync(join(root, ".changeset"), join(folder, ".changeset"), { recursive: true })
    for (const name of readdirSync(join(root, "packages"))) {
      for (const file of ["package.json", "CHANGELOG.md"].map((file) => join("packages", name, file))) {
        if (!existsSync(join(root, file))) continue
        mkdirSync(join(folder, dirname(file)), { recursive: true })
        copyFileSync(join(root, file), join(folder, file))
      }
    }
    if (changesets.length > 0) {
      const changeset = join(root, "node_modules/@changesets/cli/bin.js")
      execFileSync(execPath, [changeset, "version"], { cwd: folder, stdio: ["ignore", "ignore", "inherit"] })
    }
    const versions = published.map((name) => {
      const at = (file: string) => readFileSync(join(folder, "packages", name, file), "utf8")
      const { version } = JSON.parse(at("package.json"))
      const [, newest = ""] = at("CHANGELOG.md").split(/^## /m)
      expect(newest.split("\n")[0]).toBe(version)
      return version
    })
    expect(new Set(versions).size).toBe(1)
    expect(JSON.parse(read(".changeset/config.json").text).fixed).toEqual([
      published.map((name) => `@kubelock/${name}`)
    ])
    expect(readdirSync(join(folder, ".changeset"))).toEqual(["config.json"])
  })
})
