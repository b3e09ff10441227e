import { describe, expect, it } from "vitest"
import { read } from "./Sources.ts"

describe("the README", () => {
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
    const [table = ""] = /(?:^\|.*\n)+/m.exec(read("README.md").text.split("## Options\n")[1] ?? "") ?? []
    const rows = table.split("\n").flatMap((row) => row.split("|")[1]?.match(/\w+(?=`)/g) ?? [])
    expect(rows).toEqual(options)
  })
})
