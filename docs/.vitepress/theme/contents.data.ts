import { readFileSync } from "node:fs"
import { join } from "node:path"
import { addressOf, listed, root, titleOf, withoutFences } from "../../site/Pages.ts"

export interface Contents {
  /** Where to begin. */
  readonly start: string
  readonly groups: ReadonlyArray<{
    readonly title: string
    readonly pages: ReadonlyArray<{ readonly title: string; readonly address: string; readonly about: string }>
  }>
}

const plain = (markdown: string): string => markdown.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll(/[`*_]/g, "")

/** The first sentence of a page. */
const aboutOf = (path: string): string => {
  const paragraph = withoutFences(readFileSync(join(root, path), "utf8")).split(/\n{2,}/)
    .find((part) => /^[A-Za-z"`*_[]/.test(part)) ?? ""
  const [sentence = ""] = paragraph.replaceAll("\n", " ").split(/(?<=[.:]) (?=[A-Z])/)
  return plain(sentence.replace(/:$/, "."))
}

export declare const data: Contents

export default {
  watch: ["../../**/*.md"],
  load(): Contents {
    const shown = listed().filter(({ title }) => title === "Guides" || title === "Reference")
    const guides = shown.flatMap(({ pages }) => pages)
    return {
      start: addressOf(guides.find((path) => path.startsWith("docs/guides/")) ?? "README.md"),
      groups: shown.map(({ pages, title }) => ({
        title,
        pages: pages.map((path) => ({ title: titleOf(path), address: addressOf(path), about: aboutOf(path) }))
      }))
    }
  }
}
