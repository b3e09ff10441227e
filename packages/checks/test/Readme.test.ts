import { assert, describe, expect, it } from "@effect/vitest"
import { KubeApiServer } from "@kubelock/testing"
import { Effect } from "effect"
import { runOnCluster } from "./ReadmeProgram.ts"
import { read } from "./Sources.ts"

const readme = read("README.md").text

/** The cells of the first table after a heading, its headings and the line below them aside. */
const tableAfter = (text: string, heading: string): ReadonlyArray<ReadonlyArray<string>> => {
  const [table = ""] = /(?:^\|.*\n)+/m.exec(text.split(`${heading}\n`)[1] ?? "") ?? []
  return table.trimEnd().split("\n").slice(2).map((row) => row.split("|").slice(1, -1).map((cell) => cell.trim()))
}

describe("the README", () => {
  it("begins with the two commands that run from a bare clone", () => {
    const [, commands = ""] = /```sh\n([\s\S]*?)```/.exec(readme) ?? []
    expect(commands.trimEnd().split("\n").map((line) => line.split("#")[0]!.trimEnd())).toEqual([
      "npm run demo",
      "npm test"
    ])
  })

  it.live("shows a program for a cluster that does what it says", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      const deploys = { namespace: "prod", name: "deploys" }
      yield* server.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: "prod" } })
      yield* server.put({ apiVersion: "v1", kind: "ConfigMap", metadata: deploys, data: { version: "none" } })
      const printed = yield* runOnCluster(server.kubeconfig)
      assert.match(printed, /deploying under token \d+\n$/)
      const after = yield* server.get({ apiVersion: "v1", kind: "ConfigMap", ...deploys })
      assert.deepNestedInclude(after, { data: { version: "5.3.0" } })
      assert.notInclude(JSON.stringify(after), "kubelock.giantswarm.io")
    }).pipe(Effect.provide(KubeApiServer.layer())))
})

describe("the comparison", () => {
  const rows = tableAfter(readme, "## Beside others")
  const nameOf = (cell: string) => cell.replace(/[¹²³]/, "")
  const systems = ["kubelock, here", "kubelock, Go", "leader election", "effect-distributed-lock", "redlock"]

  it("says of each cell what proves it", () => {
    const sections = read("docs/COMPARISON.md").text.split(/^### /m).slice(1).map((section) => ({
      row: section.split("\n")[0]!,
      systems: [...section.matchAll(/^- (\*\*[^:]*\*\*):/gm)].flatMap(([, names]) =>
        names!.split("**, **").map((name) => name.replaceAll("**", ""))
      )
    }))
    expect(rows.length).toBeGreaterThan(15)
    expect(sections.map(({ row }) => row)).toEqual(rows.map(([name]) => nameOf(name!)))
    for (const { row, systems: named } of sections) {
      expect([row, ...named.toSorted()]).toEqual([row, ...systems.toSorted()])
    }
  })

  it("gives no figure that PERFORMANCE does not have", () => {
    const performance = read("docs/PERFORMANCE.md").text
    const cellsOf = (name: string) => rows.find(([row]) => nameOf(row!) === name)!.slice(1)
    expect(cellsOf("bytes on an object of 900 KiB").slice(0, 2)).toEqual(["3 KB a pair", "4.7 MB a pair"])
    expect(performance).toMatch(/on a ConfigMap of 900 KiB 3 KB where the Go library moves 4\.7 MB/)
    const pairs = tableAfter(performance, "<!-- table pairs-small -->")
    const meanMillis = (row: string) => Number(pairs.find(([name]) => name === row)?.[2])
    const [here, go, lease, , redis] = cellsOf("time of a pair")
    expect([here, go, lease, redis]).toEqual(["a few ms", "a few ms", "a few ms", "less than 1 ms³"])
    for (const row of ["ours: acquire, release", "giantswarm/kubelock, unlimited", "client-go LeaseLock"]) {
      expect.soft(meanMillis(row), row).toBeGreaterThan(2)
      expect.soft(meanMillis(row), row).toBeLessThan(10)
    }
    expect(meanMillis("redis-semaphore, Redis in memory")).toBeLessThan(1)
  })

  it("tells the guide for those who come from Redis the figures of PERFORMANCE", () => {
    const performance = read("docs/PERFORMANCE.md").text
    const quoted = tableAfter(read("docs/guides/from-redis.md").text, "## What changes in time")
    const measured = tableAfter(performance, "<!-- table pairs-small -->")
    expect(quoted.length).toBeGreaterThan(2)
    for (const [name, pairs, mean, p99] of quoted) {
      expect.soft(measured.map((row) => [row[0], row[1], row[2], row[4]])).toContainEqual([name, pairs, mean, p99])
    }
  })
})

describe("docs/OPTIONS.md", () => {
  it("has a row for every option of a managed lock, and no other", () => {
    const optionsIn = (path: string, name: string) => {
      const [, body = ""] =
        new RegExp(`export interface ${name} [^{]*\\{([\\s\\S]*?)^\\}`, "m").exec(read(path).text) ?? []
      return [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, option]) => option!)
    }
    const options = [
      ...optionsIn("packages/kube/src/Lease.ts", "LockTarget"),
      ...optionsIn("packages/kube/src/Lease.ts", "OwnerTarget"),
      ...optionsIn("packages/kube/src/ManagedLock.ts", "ManagedLockOptions")
    ]
    expect(options.length).toBeGreaterThan(10)
    const rows = tableAfter(read("docs/OPTIONS.md").text, "# Options")
    expect(rows.flatMap(([cell]) => cell!.match(/\w+(?=`)/g) ?? [])).toEqual(options)
  })
})

describe("the packages' READMEs", () => {
  it.each(["core", "kube", "testing"])("%s: stands alone, as npm shows it", (name) => {
    const { text } = read(`packages/${name}/README.md`)
    expect(text.split("\n")[0]).toBe(`# @kubelock/${name}`)
    expect(text).toContain(`npm install @kubelock/${name} effect`)
    expect(text.match(/\]\((?!https:)[^)]*\)/g), "links that lead nowhere there").toBeNull()
  })
})
