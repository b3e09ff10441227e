import { existsSync, statSync } from "node:fs"
import { dirname, join, posix, relative } from "node:path"
import { addressOf, root } from "./Pages.ts"

// Links between files of the repository, as they work in an editor and on a code host, become links between pages of the site.

const isElsewhere = (href: string) => /^(?:[a-z][a-z+.-]*:|\/|#)/i.test(href)

/**
 * The file that a link in another one names; none if it leads out of the repository, or stays in the file. Of a folder its README, or,
 * where it has none, the folder itself, with a slash at its end.
 */
export const fileOf = (from: string, href: string): string | undefined => {
  if (isElsewhere(href)) return undefined
  const path = posix.join(posix.dirname(from), decodeURI(href.replace(/[?#].*$/, "")))
  const found = path.startsWith("..") ? undefined : statSync(join(root, path), { throwIfNoEntry: false })
  if (found === undefined) throw new Error(`${from} links to ${href}, which is not there`)
  if (!found.isDirectory()) return path
  const readme = posix.join(path, "README.md")
  return existsSync(join(root, readme)) ? readme : posix.join(path, "/")
}

export const hrefOf = (from: string, href: string): string => {
  const file = fileOf(from, href)
  return file === undefined ? href : addressOf(file) + (/#.*$/.exec(href)?.[0] ?? "")
}

/** What is linked to in Markdown, code and pictures aside. */
export const linksIn = (text: string): ReadonlyArray<string> =>
  Array.from(
    text.replaceAll(/`[^`\n]*`/g, "").replaceAll(/!\[[^\]]*\]\([^)]*\)/g, "").matchAll(/\]\(([^)\s]+)\)/g),
    ([, href]) => href!
  )

/** The one of GitHub, so that a link to a heading works in both places. */
export const slugOf = (heading: string): string =>
  heading.trim().toLowerCase().replace(/[^\p{Letter}\p{Number}\p{Mark}\p{Connector_Punctuation} -]/gu, "").replaceAll(
    " ",
    "-"
  )

/** A picture for the dark: on the site the reader says what is dark, not the system. */
const inBothThemes = (html: string): string =>
  html.replaceAll(
    /<picture>\s*<source media="\(prefers-color-scheme: dark\)" srcset="([^"]+)">\s*<img([^>]*?)\bsrc="([^"]+)"([^>]*)>\s*<\/picture>/g,
    (_, dark: string, before: string, light: string, after: string) =>
      `<img class="in-light"${before}src="${light}"${after}><img class="in-dark"${before}src="${dark}"${after}>`
  )

interface Token {
  readonly type: string
  content: string
  readonly children: ReadonlyArray<Token> | null
  attrGet: (name: string) => string | null
  attrSet: (name: string, value: string) => void
}

interface Environment {
  readonly path?: string
  readonly realPath?: string
  readonly frontmatter?: { readonly origin?: string }
}

interface Markdown {
  readonly core: {
    readonly ruler: {
      push: (
        name: string,
        rule: (state: { readonly tokens: ReadonlyArray<Token>; readonly env: Environment }) => void
      ) => void
    }
  }
}

/** For markdown-it: a page that is a copy says in its frontmatter whose `origin` it is. */
export const linksOfTheRepository = (markdown: Markdown): void => {
  markdown.core.ruler.push("links-of-the-repository", ({ env, tokens }) => {
    const file = env.realPath ?? env.path
    // A title is rendered alone, for no file.
    if (file === undefined) return
    const path = env.frontmatter?.origin ?? relative(root, file)
    // Pictures are taken in by the bundler, which looks from where the page is.
    const pictureOf = (src: string) => {
      const picture = fileOf(path, src)
      if (picture === undefined) return src
      const found = relative(dirname(file), join(root, picture))
      return found.startsWith(".") ? found : `./${found}`
    }
    const visit = (token: Token): void => {
      if (token.type === "link_open") token.attrSet("href", hrefOf(path, token.attrGet("href") ?? ""))
      if (token.type === "image") token.attrSet("src", pictureOf(token.attrGet("src") ?? ""))
      if (token.type === "html_block" || token.type === "html_inline") {
        token.content = inBothThemes(token.content)
          .replaceAll(/\bhref="([^"]+)"/g, (_, href: string) => `href="${hrefOf(path, href)}"`)
          .replaceAll(/\b(src|srcset)="([^"]+)"/g, (_, name: string, src: string) => `${name}="${pictureOf(src)}"`)
      }
      token.children?.forEach(visit)
    }
    tokens.forEach(visit)
  })
}
