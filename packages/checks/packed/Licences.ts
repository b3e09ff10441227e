/** The licences of all that is installed with a package. */
import { existsSync, readFileSync, realpathSync } from "node:fs"
import { dirname, join } from "node:path"

/**
 * What may come along with a package under Apache-2.0, by its SPDX identifier: licences that ask for no more than to be
 * named. Whatever else a dependency brings is to be looked at by a person before it is added here.
 */
export const allowed: ReadonlySet<string> = new Set([
  "0BSD",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BlueOak-1.0.0",
  "CC0-1.0",
  "ISC",
  "MIT",
  "MIT-0",
  // Python's: of argparse, which comes with what reads kubeconfigs.
  "PSF-2.0",
  "Unlicense",
  "Zlib"
])

export interface Dependency {
  readonly name: string
  readonly version: string
  /** As its package.json has it; empty if that names none. */
  readonly licence: string
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null

const licenceOf = ({ license, licenses }: Readonly<Record<string, unknown>>): string => {
  const said = license ?? (Array.isArray(licenses) && licenses.length === 1 ? licenses[0] : undefined)
  if (typeof said === "string") return said
  return isRecord(said) && typeof said["type"] === "string" ? said["type"] : ""
}

/** Whether an SPDX expression lets one choose what is allowed: of an `OR` one side must be, of an `AND` both. */
export const isAllowed = (expression: string): boolean => {
  const tokens = expression.match(/[()]|[^\s()]+/g) ?? []
  let next = 0
  const one = (): boolean => {
    const token = tokens[next++]
    if (token !== "(") return token !== undefined && allowed.has(token)
    const inside = either()
    return tokens[next++] === ")" && inside
  }
  const both = (): boolean => {
    let result = one()
    while (tokens[next] === "AND") {
      next++
      result = one() && result
    }
    return result
  }
  const either = (): boolean => {
    let result = both()
    while (tokens[next] === "OR") {
      next++
      result = both() || result
    }
    return result
  }
  const result = either()
  return result && next === tokens.length
}

/** Where Node finds a package that is asked for from this folder, if it is there. */
const find = (name: string, from: string): string | undefined => {
  const candidate = join(from, "node_modules", name)
  if (existsSync(join(candidate, "package.json"))) return realpathSync(candidate)
  return dirname(from) === from ? undefined : find(name, dirname(from))
}

const namesIn = (value: unknown): ReadonlyArray<string> => isRecord(value) ? Object.keys(value) : []

/** What is installed for the packages in these folders, to the last of it: their dependencies, their peers, and those of these. */
export const dependenciesOf = (folders: ReadonlyArray<string>): ReadonlyArray<Dependency> => {
  const found = new Map<string, Dependency>()
  const visited = new Set<string>()
  const visit = (folder: string): void => {
    if (visited.has(folder)) return
    visited.add(folder)
    const manifest: unknown = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
    if (!isRecord(manifest)) throw new Error(`${folder} has an odd package.json`)
    const { dependencies, name, optionalDependencies, peerDependencies, peerDependenciesMeta, version } = manifest
    found.set(`${String(name)}@${String(version)}`, {
      name: String(name),
      version: String(version),
      licence: licenceOf(manifest)
    })
    // What need not be there may be missing: other platforms' binaries, peers that nobody wants.
    const optional = new Set([
      ...namesIn(optionalDependencies),
      ...namesIn(peerDependenciesMeta)
    ])
    for (const needed of [dependencies, peerDependencies, optionalDependencies].flatMap(namesIn)) {
      const home = find(needed, folder)
      if (home !== undefined) visit(home)
      else if (!optional.has(needed)) throw new Error(`${String(name)} needs ${needed}, which is not installed`)
    }
  }
  for (const folder of folders) visit(realpathSync(folder))
  return [...found.values()].toSorted((a, b) => a.name < b.name ? -1 : 1)
}

/** Those whose licence a person must look at. */
export const refused = (dependencies: ReadonlyArray<Dependency>): ReadonlyArray<Dependency> =>
  dependencies.filter(({ licence }) => !isAllowed(licence))

/** How many have which licence, the most common one first: `MIT 40, ISC 3`. */
export const summary = (dependencies: ReadonlyArray<Dependency>): string =>
  [...Map.groupBy(dependencies, ({ licence }) => licence)]
    .toSorted(([, a], [, b]) => b.length - a.length)
    .map(([licence, those]) => `${licence} ${those.length}`)
    .join(", ")
