import { existsSync, readdirSync, readFileSync } from "node:fs"
import { basename, dirname, join, posix, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"

// Which pages there are, in which order, and where each file of the repository is on the site. Files are named from the root.

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..")

/** What is made for the site alone. */
export const generated = "docs/generated"

export interface Group {
  readonly title: string
  /** In order. Pages of the list that are not there are left out. `folder/*.ts` is all of these. */
  readonly pages: ReadonlyArray<string>
  readonly isCollapsed?: boolean
}

const groups: ReadonlyArray<Group> = [
  {
    title: "Guides",
    pages: [
      "README.md",
      "docs/guides/getting-started.md",
      "docs/guides/choosing-ttl.md",
      "docs/guides/waiting.md",
      "docs/guides/fencing.md",
      "docs/guides/several-locks.md",
      "docs/guides/testing.md",
      "docs/guides/in-a-pod.md",
      "docs/guides/stuck-locks.md",
      "docs/guides/from-go.md",
      "docs/guides/from-redis.md"
    ]
  },
  { title: "Examples", pages: ["docs/examples/README.md", "docs/examples/*.ts"], isCollapsed: true },
  {
    title: "Reference",
    pages: [
      "docs/OPTIONS.md",
      "docs/GUARANTEES.md",
      "docs/ERRORS.md",
      "docs/OBSERVABILITY.md",
      "docs/PERFORMANCE.md",
      "docs/COMPARISON.md",
      "docs/PROTOCOL.md",
      "docs/SECURITY.md",
      "docs/VERSIONING.md"
    ]
  },
  { title: "Inside", pages: ["docs/ARCHITECTURE.md", "docs/BUGS.md", "CONTRIBUTING.md"] },
  { title: "Decisions", pages: ["docs/decisions/*.md"], isCollapsed: true }
]

const home = "docs/index.md"

const filesOf = (pattern: string): ReadonlyArray<string> => {
  const [folder, ending] = pattern.split("/*")
  if (ending === undefined) return existsSync(join(root, pattern)) ? [pattern] : []
  return readdirSync(join(root, folder!)).filter((file) => file.endsWith(ending)).toSorted()
    .map((file) => `${folder}/${file}`)
}

/** What the sidebar holds. */
export const listed = (): ReadonlyArray<Group> =>
  groups.map((group) => ({ ...group, pages: group.pages.flatMap(filesOf) })).filter(({ pages }) => pages.length > 0)

/** Every page that somebody has written below `docs`. */
export const written = (): ReadonlyArray<string> =>
  readdirSync(join(root, "docs"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".md"))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((path) => !/\/(?:node_modules|dist)\//.test(path) && !path.startsWith(`${generated}/`))
    .toSorted()

/** Those that nobody would find. */
export const unlisted = (): ReadonlyArray<string> => {
  const found = new Set([home, ...listed().flatMap(({ pages }) => pages)])
  return written().filter((path) => !found.has(path))
}

/** First what most programs use. */
export const packages = ["kube", "core", "testing"] as const

/** The packages' modules that users can import, in the order of their names. */
export const modulesOf = (name: string): ReadonlyArray<string> =>
  readdirSync(join(root, `packages/${name}/src`)).filter((file) => file.endsWith(".ts") && file !== "index.ts")
    .toSorted().map((file) => `packages/${name}/src/${file}`)

/** The file of the site, a `.md`, that shows a file of the repository. */
export const placeOf = (path: string): string => {
  if (path === "README.md") return "overview.md"
  if (path === "CONTRIBUTING.md") return "contributing.md"
  const [, name, inside] = /^packages\/(core|kube|testing)\/(.*)$/.exec(path) ?? []
  if (inside === "README.md" || inside === "src/index.ts") return `api/${name}/index.md`
  const [, module] = /^src\/(\w+)\.ts$/.exec(inside ?? "") ?? []
  if (module !== undefined) return `api/${name}/${module}.md`
  if (path.startsWith("docs/") && path.endsWith(".md")) {
    const [folder, file] = [posix.dirname(path.slice("docs/".length)), basename(path)]
    return posix.join(folder, file === "README.md" ? "index.md" : file.toLowerCase())
  }
  return sourcePlaceOf(path)
}

/** The page that shows a file as it is, or what is in a folder. Of what begins with a dot, VitePress makes no pages. */
export const sourcePlaceOf = (path: string): string => {
  const place = `source/${path}`.replaceAll("/.", "/dot-")
  return path.endsWith("/") ? `${place}index.md` : `${place}.md`
}

/** Where that is for a browser. */
export const addressOf = (path: string): string => addressOfPlace(placeOf(path))

export const sourceAddressOf = (path: string): string => addressOfPlace(sourcePlaceOf(path))

const addressOfPlace = (place: string): string =>
  `/${place.replace(/\.md$/, ".html").replace(/(^|\/)index\.html$/, "$1")}`

/** What text that is not code says. */
export const withoutFences = (text: string): string => text.replace(/^( *)(```+|~~~+)[\s\S]*?^\1\2 *$/gm, "")

/** What a page is headed by. */
export const headingOf = (path: string): string => {
  if (!path.endsWith(".md")) return placeOf(path).startsWith("api/") ? basename(path, ".ts") : basename(path)
  const [, heading] = /^# (.+)$/m.exec(withoutFences(readFileSync(join(root, path), "utf8"))) ?? []
  if (heading === undefined) throw new Error(`${path} has no first heading`)
  return heading.replaceAll("`", "")
}

/** What a page is called beside others. */
export const titleOf = (path: string): string => path === "README.md" ? "Overview" : headingOf(path)
