import { readFileSync } from "node:fs"
import { join } from "node:path"
import { addressOf, packages, placeOf, root, sourceAddressOf } from "./Pages.ts"
import { anchorOf, type Declaration, type Docstring, type Entry, type Module, readReference } from "./Reference.ts"

// The reference as Markdown: a page for each module, and one for each package.

export interface Page {
  /** Where it is on the site: a `.md`. */
  readonly place: string
  /** The file of the repository that its relative links start from. */
  readonly origin: string
  readonly text: string
}

const pageOf = (place: string, origin: string, title: string, lines: ReadonlyArray<string>): Page => ({
  place,
  origin,
  text: ["---", `title: ${JSON.stringify(title)}`, `origin: ${origin}`, "outline: [2, 4]", "---", "", ...lines, ""]
    .join("\n")
})

/** Does something with text, and leaves code blocks alone. */
const outsideFences = (text: string, change: (text: string) => string): string =>
  text.split(/(^```[\s\S]*?^```$)/m).map((part, index) => index % 2 === 1 ? part : change(part)).join("")

/** A docstring with its `{@link …}` as links; one that leads nowhere is an error. */
const prose = ({ text }: Docstring, module: Module): string =>
  outsideFences(
    text,
    (text) =>
      text.replace(/\{@link\s+([^}|\s]+)\s*(?:\|([^}]*))?\}/g, (link, name: string, words: string | undefined) => {
        const address = module.find(name)
        if (address === undefined) throw new Error(`${module.path}: ${link} leads to nothing that is documented`)
        return `[${words?.trim() ?? `\`${name}\``}](${address})`
      }).replace(/^\*\*Example\*\* \((.+)\)$/gm, "**Example: $1**")
  )

const names = (code: string): ReadonlySet<string> =>
  new Set(code.replace(/"[^"\n]*"|\/\/.*|\/\*[\s\S]*?\*\//g, "").match(/\b[A-Z]\w*/g))

/** The signature, and whatever it names that is not exported. */
const withLocalTypes = (signature: string, { localTypes }: Module): string => {
  const shown = [signature]
  const known = new Set<string>()
  for (let index = 0; index < shown.length; index++) {
    for (const { name, text } of localTypes) {
      if (!known.has(name) && names(shown[index]!).has(name)) {
        known.add(name)
        shown.push(text)
      }
    }
  }
  return shown.join("\n\n")
}

/** Code whose names are links: the fence says where to (see Highlight). */
const linkedCode = (code: string, module: Module, self: string): string => {
  const links = [...names(code)].flatMap((name) => {
    const address = name === self ? undefined : module.find(name)
    return address === undefined ? [] : [`${name}=${address}`]
  })
  return ["```" + ["ts", ...links].join(" "), code, "```"].join("\n")
}

const declarationLines = (
  { doc, members, signature }: Declaration,
  entry: Entry,
  module: Module
): ReadonlyArray<string> => {
  const anchors = new Set<string>()
  return [
    linkedCode(withLocalTypes(signature, module), module, entry.name),
    "",
    prose(doc, module),
    "",
    ...members.flatMap(({ doc, name }) => {
      // A service's method can have the name of a static one.
      const anchor = anchorOf(entry.name, name) + (anchors.has(name) ? "-of-the-service" : "")
      anchors.add(name)
      return [`#### \`${name}\` {#${anchor}}`, "", prose(doc, module), ""]
    })
  ]
}

const entryLines = (entry: Entry, module: Module): ReadonlyArray<string> => [
  `### ${entry.name} {#${anchorOf(entry.name)}}`,
  "",
  ...entry.declarations.flatMap((declaration) => declarationLines(declaration, entry, module))
]

const capital = (text: string): string => text[0]!.toUpperCase() + text.slice(1)

const modulePage = (module: Module): Page => {
  const categories = [...new Set(module.entries.map(({ category }) => category))]
  const asWhat = module.isNamespace ? `, as the namespace \`${module.name}\`` : ""
  return pageOf(placeOf(module.path), module.path, module.name, [
    `# ${module.name}`,
    "",
    `<p class="from">From <a href="${
      addressOf(`packages/${module.package}/README.md`)
    }"><code>@kubelock/${module.package}</code></a>${asWhat.replaceAll(/`([^`]+)`/g, "<code>$1</code>")}. <a href="${
      sourceAddressOf(module.path)
    }">Source</a></p>`,
    "",
    prose(module.doc, module),
    "",
    ...categories.flatMap((category) => [
      `## ${capital(category)} {#category-${category}}`,
      "",
      ...module.entries.filter((entry) => entry.category === category).flatMap((entry) => entryLines(entry, module))
    ])
  ])
}

const firstSentence = (module: Module): string =>
  prose(module.doc, module).split(/\n\n/)[0]!.replaceAll("\n", " ").split(/(?<=[.:]) (?=[A-Z])/)[0]!

const packagePage = (name: string, modules: ReadonlyArray<Module>): Page => {
  const readme = `packages/${name}/README.md`
  const text = readFileSync(join(root, readme), "utf8")
  return pageOf(placeOf(readme), readme, `@kubelock/${name}`, [
    text.trimEnd(),
    "",
    "## Modules",
    "",
    "| module | what it is |",
    "| --- | --- |",
    ...modules.map((module) =>
      `| [\`${module.name}\`](${addressOf(module.path)}) | ${firstSentence(module).replaceAll("|", "\\|")} |`
    )
  ])
}

export const referencePages = (): ReadonlyArray<Page> => {
  const modules = readReference()
  return [
    ...modules.map(modulePage),
    ...packages.map((name) => packagePage(name, modules.filter((module) => module.package === name)))
  ]
}
