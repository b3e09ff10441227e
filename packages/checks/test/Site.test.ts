import { basename } from "node:path"
import { describe, expect, it } from "vitest"
import { fileOf, linksIn, slugOf } from "../../../docs/site/Links.ts"
import { unlisted, withoutFences } from "../../../docs/site/Pages.ts"
import { filesBelow, read } from "./Sources.ts"

// What the site needs of the documents, as far as that can be seen without building it: `npm run check:site` sees the rest.

const documents = [
  ...["README.md", "CONTRIBUTING.md"].map(read),
  ...filesBelow("docs", ".md"),
  ...["core", "kube", "testing"].flatMap((name) => filesBelow(`packages/${name}`, "README.md"))
]

/** The headings of a document, as links name them; of those that are alike, the later ones are counted. */
const anchorsOf = (text: string): ReadonlySet<string> => {
  const met = new Map<string, number>()
  return new Set(
    Array.from(withoutFences(text).matchAll(/^#{1,6} (.+)$/gm), ([, heading]) => {
      const slug = slugOf(heading!.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll(/[`*]/g, ""))
      const times = met.get(slug) ?? 0
      met.set(slug, times + 1)
      return times === 0 ? slug : `${slug}-${times}`
    })
  )
}

describe("the site", () => {
  it("has every document in a sidebar", () => {
    expect(unlisted(), "to be named in docs/site/Pages.ts").toEqual([])
  })

  it("begins with the ten lines of the README", () => {
    const [, lines] = /^```ts\n([\s\S]*?)^```$/m.exec(read("README.md").text) ?? []
    expect(lines).toContain("KubeLock.make")
    expect(read("docs/index.md").text).toContain(lines)
  })

  it.each(documents)("finds the headings that are linked to: $path", ({ path, text }) => {
    const missing = linksIn(withoutFences(text)).filter((href) => {
      const [, anchor] = /^[^#:]*#(.+)$/.exec(href) ?? []
      const file = href.startsWith("#") ? path : fileOf(path, href)
      if (anchor === undefined || file === undefined || !basename(file).endsWith(".md")) return false
      return !anchorsOf(read(file).text).has(decodeURIComponent(anchor))
    })
    expect(missing).toEqual([])
  })

  it("knows headings by what a link calls them", () => {
    expect([...anchorsOf("# One `two`: 3!\n\n```sh\n# no\n```\n\n## [A](b.md) & c\n\n## [A](b.md) & c")]).toEqual([
      "one-two-3",
      "a--c",
      "a--c-1"
    ])
  })
})
