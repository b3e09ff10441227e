/** What a tarball holds: what is made of the sources, what every package has beside it, and nothing else. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, posix, relative } from "node:path"

/** The files of a package by their paths in it, with their texts. */
export type Files = ReadonlyMap<string, string>

const filesBelow = (folder: string): Files =>
  new Map(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name))
      .toSorted()
      .map((file) => [relative(folder, file), readFileSync(file, "utf8")])
  )

/** What is in a tarball. */
export const read = (tarball: string): Files => {
  const folder = mkdtempSync(join(tmpdir(), "kubelock-unpacked-"))
  try {
    execFileSync("tar", ["-xzf", tarball, "--strip-components", "1", "-C", folder])
    return filesBelow(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A package in the repository. */
export interface Sources {
  readonly modules: ReadonlyArray<string>
  readonly hasChangelog: boolean
}

/** What is published of a source: itself, what it was compiled to, and the maps from the one to the other. */
const publishedOf = (module: string): ReadonlyArray<string> => [
  `src/${module}.ts`,
  ...[".js", ".js.map", ".d.ts", ".d.ts.map"].map((ending) => `dist/${module}${ending}`)
]

/** The names of the modules in the folder of a package, as `Turns` or `internal/Lane`. */
export const modulesOf = (home: string): ReadonlyArray<string> =>
  [...filesBelow(join(home, "src")).keys()].map((file) => file.replace(/\.ts$/, ""))

/** What the tarball must hold of a package that has these modules. There is a CHANGELOG from the first release on. */
const expectedOf = ({ hasChangelog, modules }: Sources): ReadonlyArray<string> => [
  "LICENSE",
  "README.md",
  "package.json",
  ...(hasChangelog ? ["CHANGELOG.md"] : []),
  ...modules.flatMap(publishedOf)
]

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Every file, or pattern with a `*`, that `exports` or `bin` leads to. */
const targetsOf = (entry: unknown): ReadonlyArray<string> => {
  if (typeof entry === "string") return [entry]
  return isRecord(entry) ? Object.values(entry).flatMap(targetsOf) : []
}

const shebang = "#!/usr/bin/env node\n"

const problemsOfManifest = (text: string, files: Files): ReadonlyArray<string> => {
  const manifest: unknown = JSON.parse(text)
  if (!isRecord(manifest)) return ["package.json is no object"]
  const exported = targetsOf(manifest["exports"])
  const commands = targetsOf(manifest["bin"])
  const { dependencies, engines, imports, keywords, license, publishConfig, scripts, sideEffects, type, version } =
    manifest
  const isThere = (target: string) => {
    const [before, after] = target.replace(/^\.\//, "").split("*")
    return after === undefined ?
      files.has(before!) :
      [...files.keys()].some((file) => file.startsWith(before!) && file.endsWith(after))
  }
  return [
    ...[...text.matchAll(/"(?:workspace|catalog|link|file|portal):[^"]*"/g)].map(([range]) =>
      `package.json says ${range}, which means nothing outside of the workspace`
    ),
    ...(exported.length === 0 ? ["package.json exports nothing"] : []),
    ...[...exported, ...commands].flatMap((target) => {
      if (!isThere(target)) return [`package.json leads to ${target}, which is not there`]
      if (/\.[cm]?tsx?$/.test(target) && !target.endsWith(".d.ts")) return [`package.json leads to ${target}, a source`]
      return commands.includes(target) && !files.get(target.replace(/^\.\//, ""))!.startsWith(shebang)
        ? [`package.json names ${target} as a command, which does not begin with ${shebang}`]
        : []
    }),
    ...(isRecord(imports) && Object.keys(imports).length > 0
      ? ["package.json has imports, which are for tests alone"]
      : []),
    // All are released together, and were tested together.
    ...Object.entries(isRecord(dependencies) ? dependencies : {})
      .filter(([name, range]) => name.startsWith("@kubelock/") && range !== `^${String(version)}`)
      .map(([name, range]) => `package.json wants ${name} ${String(range)}, and is ${String(version)}`),
    // Nothing of ours runs because a package is installed.
    ...(scripts === undefined ? [] : ["package.json has scripts"]),
    ...(type === "module" ? [] : ["package.json does not say that it is ESM"]),
    ...(sideEffects === false ? [] : ["package.json does not say that importing has no side effects"]),
    ...(license === "Apache-2.0" ? [] : ["package.json names another licence than LICENSE"]),
    ...(isRecord(engines) && typeof engines["node"] === "string"
      ? []
      : ["package.json does not say which Node it needs"]),
    ...(Array.isArray(keywords) && keywords.length > 3 ? [] : ["package.json has no keywords"]),
    ...(isRecord(publishConfig) && publishConfig["provenance"] === true && publishConfig["access"] === "public"
      ? []
      : ["package.json is not to be published in public, with provenance"])
  ]
}

const problemsOfMap = (path: string, text: string, files: Files): ReadonlyArray<string> => {
  const map: unknown = JSON.parse(text)
  const sources: ReadonlyArray<unknown> = isRecord(map) && Array.isArray(map["sources"]) ? map["sources"] : []
  const missing = sources.filter((source) =>
    typeof source !== "string" || !files.has(posix.join(posix.dirname(path), source))
  )
  return sources.length === 0
    ? [`${path} leads nowhere`]
    : missing.map((source) => `${path} leads to ${String(source)}, which is not there`)
}

const problemsOfCode = (path: string, text: string, files: Files): ReadonlyArray<string> => {
  const named = /\n\/\/# sourceMappingURL=(\S+)\s*$/.exec(text)?.[1]
  return named !== undefined && files.has(posix.join(posix.dirname(path), named))
    ? []
    : [`${path} names no map that is there`]
}

/** What is wrong with a tarball that holds `packed`. */
export const problemsOf = (packed: Files, sources: Sources): ReadonlyArray<string> => {
  const expected = new Set(expectedOf(sources))
  return [
    ...[...expected].filter((file) => !packed.has(file)).map((file) => `${file} is missing`),
    ...[...packed.keys()].filter((file) => !expected.has(file)).map((file) => `${file} has no place in a package`),
    ...[...packed].flatMap(([path, text]) => {
      if (path === "package.json") return problemsOfManifest(text, packed)
      if (path.endsWith(".map")) return problemsOfMap(path, text, packed)
      if (/\.(?:js|d\.ts)$/.test(path)) return problemsOfCode(path, text, packed)
      return []
    })
  ]
}
