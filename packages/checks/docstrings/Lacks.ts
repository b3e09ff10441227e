/** What a public name's docstring owes to whoever reads it, and does not say. */
import { type Example, examplesIn } from "../test/Sources.ts"
import type { PublicName, Surface } from "./Surface.ts"

/** What is lacking, a line each. `compiled` says of which modules an example counts that is only compiled. */
export const lacksOf = ({ names, uses }: Surface, compiled: ReadonlyArray<string> = []): ReadonlyArray<string> => {
  const known = new Set(names.flatMap(({ name }) => [name, name.split(".").at(-1)!]))
  const modulesOfValues = new Set(names.filter((name) => name.kind === "export" && name.isUsed).map(({ path }) => path))

  const counts = (name: PublicName) => ({ isRun }: Example) => isRun || compiled.includes(name.path)

  const rules: ReadonlyArray<readonly [(name: PublicName) => boolean, (name: PublicName) => ReadonlyArray<string>]> = [
    [
      (name) => !isErrorsOwn(name),
      (name) => saysWords(name) || isNamedByHolder(name) ? [] : ["says nothing"]
    ],
    [
      ({ kind }) => kind === "module" || kind === "export" || kind === "class member",
      ({ docstring, kind }) =>
        (kind === "module" ? ["@since"] : ["@category", "@since"])
          .filter((tag) => !new RegExp(`${tag} \\S`).test(docstring))
          .map((tag) => `has no ${tag}`)
    ],
    [
      ({ kind, path }) => kind === "module" && modulesOfValues.has(path),
      (name) => examplesIn(name.docstring).some(counts(name)) ? [] : ["opens without an example that is run"]
    ],
    [
      ({ isUsed }) => isUsed,
      (name) => {
        const examples = withHolders(name).flatMap(({ docstring }) => examplesIn(docstring)).filter(counts(name))
        return examples.some((example) => uses(example, name)) ? [] : ["is used by no example that is run"]
      }
    ],
    [
      () => true,
      (name) =>
        name.errors
          .filter((tag) =>
            !withHolders(name).some(({ docstring }) => new RegExp(`\\b${tag}\\b`).test(prose(docstring)))
          )
          .map((tag) => `does not say that it may fail with ${tag}`)
    ],
    [
      ({ given }) => given === "optionally",
      (name) =>
        says(name, name.measure === undefined ? absence : byDefault) ? [] : ["does not say what holds without it"]
    ],
    [
      ({ given, kind, measure }) =>
        measure !== undefined && (given === "optionally" || (given === "always" && kind === "field")),
      (name) => says(name, unit) || unitInName.test(name.name) ? [] : ["does not say in which unit it is"]
    ],
    [
      () => true,
      ({ docstring }) =>
        Array.from(prose(docstring).matchAll(/\{@link ([\w.]+)[^}]*\}/g), ([, target]) => target!)
          .filter((target) => !known.has(target.split(".").at(-1)!))
          .map((target) => `links to ${target}, which is no public name`)
    ]
  ]

  return names.flatMap((name) =>
    rules.filter(([applies]) => applies(name)).flatMap(([, lacks]) =>
      lacks(name).map((lack) => `${name.path}: ${name.name} ${lack}`)
    )
  )
}

const withHolders = (name: PublicName): ReadonlyArray<PublicName> => [name, ...name.holders]

/** A docstring without its examples. */
const prose = (docstring: string): string => docstring.replaceAll(/^```[\s\S]*?^```$/gm, "")

const saysWords = ({ docstring }: PublicName): boolean =>
  /[a-z]{2}/i.test(prose(docstring).replaceAll(/@\w+(?: [\w.]+)?|\*\*\w+\*\*(?: \(.*\))?/g, ""))

// What is without a name of its own may be explained where it is used.
const isNamedByHolder = ({ holders: [holder], kind, name }: PublicName): boolean =>
  kind === "field" && prose(holder?.docstring ?? "").includes(`\`${name.split(".").at(-1)!}\``)

// Every error has them, and says in the one what happened, in the other why.
const isErrorsOwn = ({ kind, name }: PublicName): boolean => kind === "field" && /\.(?:message|cause)$/.test(name)

const says = ({ docstring, holders: [holder], kind }: PublicName, pattern: RegExp): boolean =>
  pattern.test(prose(docstring)) || (kind === "field" && pattern.test(prose(holder?.docstring ?? "")))

const byDefault = /\b(?:defaults?|absent)\b/i
const absence = /\b(?:defaults?|absent|left out|without|none)\b/i
const unit =
  /\b(?:nanoseconds?|milliseconds?|ms|seconds?|minutes?|bytes|MiB|characters|how many|how often|how much|TCP port|status code)\b/i
const unitInName = /(?:Nanos|Millis|Seconds|Bytes)$/
