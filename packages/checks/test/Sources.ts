import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..")

export interface Source {
  /** From the root of the repository. */
  readonly path: string
  readonly text: string
}

/** The files below a folder whose names end so, in order. */
export const filesBelow = (folder: string, ending: string): ReadonlyArray<Source> =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !/\/(?:node_modules|dist|generated)\//.test(file))
    .toSorted()
    .map((file) => ({ path: relative(root, file), text: readFileSync(file, "utf8") }))

export const read = (path: string): Source => ({ path, text: readFileSync(join(root, path), "utf8") })

export interface Import {
  readonly from: string
  /** The names in braces; empty for a namespace or dynamic import. */
  readonly names: ReadonlyArray<string>
  readonly isTypeOnly: boolean
}

const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "")

/** What a module imports or re-exports, examples in its comments aside. */
export const importsOf = ({ text }: Source): ReadonlyArray<Import> => {
  const code = withoutComments(text)
  const statements = code.matchAll(/^(?:import|export)\s+(type\s+)?([^"';]*?)\s*from\s+"([^"]+)"/gm)
  const dynamic = code.matchAll(/\bimport\(\s*"([^"]+)"\s*\)/g)
  return [
    ...Array.from(statements, ([, type, clause, from]) => ({
      from: from!,
      names: [...clause!.matchAll(/(?:^|[{,])\s*(?:type\s+)?([A-Za-z_$][\w$]*)/g)].map(([, name]) => name!),
      isTypeOnly: type !== undefined
    })),
    ...Array.from(dynamic, ([, from]) => ({ from: from!, names: [], isTypeOnly: false }))
  ]
}

export const codeOf = ({ text }: Source): string => withoutComments(text)

export interface Example {
  readonly code: string
  /** What needs a cluster is compiled alone: its fence says `ts no-run`. */
  readonly isRun: boolean
}

/** What an example says that something comes to: the expression, and what it shall be equal to. */
export const assertion = /^(.+?)[ \t]+\/\/ => (.+)$/gm

/** The `ts` examples in a text. */
export const examplesIn = (text: string): ReadonlyArray<Example> =>
  Array.from(text.matchAll(/^```ts( no-run)?\n([\s\S]*?)^```$/gm), ([, noRun, code]) => ({
    code: code!,
    isRun: noRun === undefined
  }))

/** The docstrings in a text, without their slashes and asterisks. */
export const docstringsIn = (text: string): ReadonlyArray<string> =>
  Array.from(text.matchAll(/\/\*\*([\s\S]*?)\*\//g), ([, docstring]) => docstring!.replace(/^ *\* ?/gm, "").trim())
