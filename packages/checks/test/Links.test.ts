import { existsSync } from "node:fs"
import { dirname, join } from "node:path"
import { describe, expect, it } from "vitest"
import { filesBelow, read, root } from "./Sources.ts"

const documents = [
  ...["README.md", "CONTRIBUTING.md"].map(read),
  ...filesBelow("docs", ".md"),
  ...["core", "kube", "testing"].flatMap((name) => filesBelow(`packages/${name}`, "README.md"))
]

describe("what documents link to", () => {
  it.each(documents)("is there: $path", ({ path, text }) => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)#\s]+)/g)].map(([, link]) => link!)
    expect(links.filter((link) => !existsSync(join(root, dirname(path), link)))).toEqual([])
  })

  it("is every guide, from the README", () => {
    const guides = filesBelow("docs/guides", ".md").map(({ path }) => path)
    expect(guides.length).toBeGreaterThan(5)
    expect(guides.filter((guide) => !read("README.md").text.includes(`](${guide})`))).toEqual([])
  })

  it("is what checks it, for each guarantee", () => {
    const exact = read("docs/GUARANTEES.md").text.split("## Exactly")[1]!.split("## Managed locks")[0]!
    const guarantees = exact.split(/^### /m).slice(1)
    expect(guarantees).toHaveLength(10)
    for (const guarantee of guarantees) expect(guarantee).toContain("Checked by ")
  })
})
