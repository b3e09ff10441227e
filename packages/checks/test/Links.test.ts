import { existsSync } from "node:fs"
import { dirname, join, posix } from "node:path"
import { describe, expect, it } from "vitest"
import { filesBelow, read, root } from "./Sources.ts"

const documents = [
  ...["README.md", "CONTRIBUTING.md"].map(read),
  ...filesBelow("docs", ".md"),
  ...["core", "kube", "testing"].flatMap((name) => filesBelow(`packages/${name}`, "README.md"))
]

const withoutFences = (text: string): string => text.replaceAll(/^( *)```[\s\S]*?^\1```$/gm, "")

/** What links within the repository name, in text and below it (`[go]: …`): a path, a heading, or both. */
const linksIn = (text: string): ReadonlyArray<string> =>
  [...withoutFences(text).matchAll(/(?:\]\(|^\[\w+\]: )(?!https?:)([^)\s]+)/gm)].map(([, link]) => link!)

/** What a link calls the headings of a document on GitHub: of two that are alike, the second has a number. */
const headingsIn = (text: string): ReadonlySet<string> => {
  const names = new Set<string>()
  for (const [, heading] of withoutFences(text).matchAll(/^#+ (.+)$/gm)) {
    const name = heading!.toLowerCase().replaceAll(/[^\p{L}\p{N}_ -]/gu, "").replaceAll(" ", "-")
    let numbered = name
    for (let count = 1; names.has(numbered); count++) numbered = `${name}-${count}`
    names.add(numbered)
  }
  return names
}

describe("what documents link to", () => {
  it.each(documents)("is there: $path", ({ path, text }) => {
    const isThere = (link: string) => {
      const [file = "", heading] = link.split("#")
      const target = file === "" ? path : posix.join(dirname(path), file)
      if (!existsSync(join(root, target))) return false
      return heading === undefined || headingsIn(read(target).text).has(heading)
    }
    expect(linksIn(text).filter((link) => !isThere(link))).toEqual([])
  })

  it("is every guide, from the README", () => {
    const guides = filesBelow("docs/guides", ".md").map(({ path }) => path)
    expect(guides.length).toBeGreaterThan(5)
    expect(guides.filter((guide) => !linksIn(read("README.md").text).includes(guide))).toEqual([])
  })

  it("is what checks it, for each guarantee", () => {
    const exact = read("docs/GUARANTEES.md").text.split("## Exactly")[1]!.split("## Managed locks")[0]!
    const guarantees = exact.split(/^### /m).slice(1)
    expect(guarantees).toHaveLength(10)
    for (const guarantee of guarantees) expect(guarantee).toContain("Checked by ")
  })
})
