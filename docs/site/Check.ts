import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

// Whether every link of the built site leads somewhere, and to a heading that is there.

const decoded = (text: string): string =>
  text.replaceAll("&quot;", "\"").replaceAll("&#39;", "'").replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll(
    "&amp;",
    "&"
  )

interface Page {
  readonly path: string
  readonly anchors: ReadonlySet<string>
  readonly links: ReadonlyArray<string>
}

const valuesOf = (html: string, attribute: RegExp): ReadonlyArray<string> =>
  Array.from(html.matchAll(attribute), ([, value]) => decoded(value!))

const pagesOf = (folder: string): ReadonlyArray<Page> =>
  readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".html")).map((path) => {
    const html = readFileSync(join(folder, path), "utf8")
    return {
      path: `/${path}`,
      anchors: new Set(valuesOf(html, /\sid="([^"]+)"/g)),
      links: valuesOf(html, /\s(?:href|src)="([^"]+)"/g)
    }
  })

export const brokenLinks = (folder: string): ReadonlyArray<string> => {
  const pages = new Map(pagesOf(folder).map((page) => [page.path, page]))
  return [...pages.values()].flatMap(({ links, path }) =>
    [...new Set(links)].filter((link) => {
      const url = new URL(link, `http://site${path}`)
      // Only a link that a person follows may lead out of the site.
      if (url.host !== "site") return false
      const target = decodeURI(url.pathname).replace(/\/$/, "/index.html")
      const page = pages.get(target)
      if (page === undefined) return !existsSync(join(folder, target))
      return url.hash !== "" && !page.anchors.has(decodeURIComponent(url.hash.slice(1)))
    }).map((link) => `${path} links to ${link}, which is not there`)
  )
}
