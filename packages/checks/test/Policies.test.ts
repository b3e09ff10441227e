import { describe, expect, it } from "vitest"
import { filesBelow, read } from "./Sources.ts"

// What docs/SECURITY.md and docs/VERSIONING.md say of packages and versions is what those themselves say.

const security = read("docs/SECURITY.md").text
const versioning = read("docs/VERSIONING.md").text

interface Manifest {
  readonly engines: { readonly node: string }
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
}

const manifests = ["core", "kube", "testing"].map((name) => ({
  name: `@kubelock/${name}`,
  ...JSON.parse(read(`packages/${name}/package.json`).text) as Manifest
}))

/** The cells of the rows of a section's table, without its head. */
const rowsOf = (text: string, section: string): ReadonlyArray<ReadonlyArray<string>> =>
  [...(text.split(`# ${section}\n`)[1]?.split(/^#/m)[0] ?? "").matchAll(/^\| (.*) \|$/gm)]
    .map(([, row]) => row!.split("|").map((cell) => cell.trim()))
    .slice(2)

const quoted = (text: string): ReadonlyArray<string> => [...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name!)

describe("docs/SECURITY.md", () => {
  it("names all that comes along with a package", () => {
    expect(rowsOf(security, "What comes along").map(([name, needed]) => [quoted(name!)[0], quoted(needed!).toSorted()]))
      .toEqual(
        manifests.map(({ dependencies = {}, name, peerDependencies }) => [
          name,
          [...Object.keys(dependencies), ...Object.keys(peerDependencies)].toSorted()
        ])
      )
  })

  it("says truly that their versions are exact", () => {
    const catalog = read("pnpm-workspace.yaml").text
    for (const { dependencies = {} } of manifests) {
      for (const [name, range] of Object.entries(dependencies)) {
        if (name.startsWith("@kubelock/")) continue
        expect(range).toBe("catalog:")
        expect(catalog).toMatch(new RegExp(`^ {2}"?${name}"?: \\d+\\.\\d+\\.\\d+$`, "m"))
      }
    }
  })

  it("knows how long an answer may be", () => {
    const [, mebibytes] = /\bmaxBodyBytes = (\d+) \* 1024 \* 1024$/m.exec(
      read("packages/kube/src/internal/Exchange.ts").text
    )!
    expect(security).toContain(`at most ${mebibytes} MiB`)
  })
})

describe("docs/VERSIONING.md", () => {
  const platform = (what: string) => rowsOf(versioning, "What it runs on").find(([name]) => name!.startsWith(what))?.[1]

  it("says on which Node and Effect the packages run, as they themselves do", () => {
    for (const { engines, peerDependencies } of manifests) {
      expect(platform("Node")).toBe(`\`${engines.node}\``)
      expect(platform("`effect`")).toBe(`\`${peerDependencies["effect"]}\``)
    }
  })

  it("says what they are tested with", () => {
    const versionIn = (path: string, module: string) => new RegExp(`${module} v(\\S+)`).exec(read(path).text)?.[1]
    expect(platform("Kubernetes")).toBe(`tested with ${versionIn(".ci/control-plane/go.mod", "k8s.io/kubernetes")}`)
    const go = versionIn("packages/kube/test/go-peer/go.mod", "github.com/giantswarm/kubelock/v4")!
    expect(platform("giantswarm/kubelock")).toBe(`v${go.split(".")[0]}, tested with ${go}`)
  })

  it("names the rights that the README asks for", () => {
    const verbs = /\bverbs: \[([^\]]+)\]/.exec(read("README.md").text)![1]!.split(", ")
    expect(verbs).toHaveLength(4)
    const [, rights = ""] = versioning.split("### Rights\n")
    expect(quoted(rights.split("###")[0]!).slice(0, 4).toSorted()).toEqual(verbs.toSorted())
  })

  it("names defaults that are options", () => {
    const [, defaults = ""] = /reckoned with it: those of (.*)\.\n/.exec(versioning) ?? []
    const options = filesBelow("packages/kube/src", ".ts").map(({ text }) => text).join("\n")
    expect(quoted(defaults).length).toBeGreaterThan(2)
    for (const option of quoted(defaults)) expect(options).toContain(`  readonly ${option}?:`)
  })
})
