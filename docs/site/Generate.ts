import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, dirname, extname, join } from "node:path"
import { fileOf, linksIn } from "./Links.ts"
import {
  generated,
  listed,
  modulesOf,
  packages,
  placeOf,
  root,
  sourceAddressOf,
  sourcePlaceOf,
  withoutFences,
  written
} from "./Pages.ts"
import { type Page, referencePages } from "./ReferencePages.ts"

// The pages that nobody has written: the reference, copies of what lies outside of `docs`, and the files that pages link to.

const copies = ["README.md", "CONTRIBUTING.md"]

const copyOf = (path: string): Page => ({
  place: placeOf(path),
  origin: path,
  text: `---\norigin: ${path}\n---\n\n${readFileSync(join(root, path), "utf8")}`
})

const languages: Readonly<Record<string, string>> = {
  ".go": "go",
  ".json": "json",
  ".mod": "go",
  ".patch": "diff",
  ".sh": "sh",
  ".svg": "xml",
  ".ts": "ts",
  ".yaml": "yaml",
  ".yml": "yaml"
}

const sourcePage = (path: string, lines: ReadonlyArray<string>): Page => ({
  place: sourcePlaceOf(path),
  origin: path,
  text: [
    "---",
    `title: ${JSON.stringify(basename(path))}`,
    `origin: ${path}`,
    "search: false",
    "aside: false",
    "pageClass: source",
    "---",
    "",
    `# ${basename(path)}`,
    "",
    `<p class="from"><code>${path}</code></p>`,
    "",
    ...lines,
    ""
  ].join("\n")
})

const sourceOf = (path: string): Page => {
  if (path.endsWith("/")) {
    return sourcePage(path, filesIn(path).map((file) => `- [${basename(file)}](${sourceAddressOf(file)})`))
  }
  const text = readFileSync(join(root, path), "utf8").trimEnd()
  const language = languages[extname(path)] ?? (text.startsWith("#!") ? "sh" : "txt")
  const longest = Math.max(3, ...Array.from(text.matchAll(/^\s*(`{3,})/gm), ([, ticks]) => ticks!.length + 1))
  const fence = "`".repeat(longest)
  return sourcePage(path, [`${fence}${language}`, text, fence])
}

const filesIn = (folder: string): ReadonlyArray<string> =>
  readdirSync(join(root, folder), { withFileTypes: true }).filter((entry) => entry.isFile())
    .map(({ name }) => `${folder}${name}`)

/** The files that these pages link to and that are no pages. */
const linkedFiles = (pages: ReadonlyArray<Pick<Page, "origin" | "text">>): ReadonlyArray<string> =>
  pages.flatMap(({ origin, text }) => linksIn(withoutFences(text)).flatMap((href) => fileOf(origin, href) ?? []))
    .filter((path) => placeOf(path) === sourcePlaceOf(path))
    .flatMap((path) => path.endsWith("/") ? [path, ...filesIn(path)] : [path])

export const generate = (): void => {
  const made = [...copies.map(copyOf), ...referencePages()]
  const pages = [...made, ...written().map((path) => ({ origin: path, text: readFileSync(join(root, path), "utf8") }))]
  const sources = new Set([
    ...linkedFiles(pages),
    ...listed().flatMap(({ pages }) => pages).filter((path) => !path.endsWith(".md")),
    ...packages.flatMap(modulesOf)
  ])
  rmSync(join(root, generated), { recursive: true, force: true })
  for (const { place, text } of [...made, ...[...sources].map(sourceOf)]) {
    const file = join(root, generated, place)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
}
