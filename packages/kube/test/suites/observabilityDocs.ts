import { readFileSync } from "node:fs"
import type { Telemetry } from "./telemetry.ts"

/** What is seen, by its names: each with its attributes, in order. */
export interface Names {
  readonly spans: Readonly<Record<string, ReadonlyArray<string>>>
  /** Types, units, and for each attribute the values it takes. */
  readonly metrics: Readonly<Record<string, ReadonlyArray<string>>>
  readonly logs: Readonly<Record<string, ReadonlyArray<string>>>
}

const text = readFileSync(new URL("../../../../docs/OBSERVABILITY.md", import.meta.url), "utf8")

/** The cells of the rows of the first table of a section. */
const rowsOf = (section: string): ReadonlyArray<ReadonlyArray<string>> => {
  const [table = ""] = /(?:^\|.*\n)+/m.exec(text.split(`## ${section}\n`)[1] ?? "") ?? []
  return table.trimEnd().split("\n").slice(2).map((row) => row.split("|").slice(1, -1).map((cell) => cell.trim()))
}

const codesIn = (cell = ""): ReadonlyArray<string> => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!)

/** What has no dot is an attribute of ours. */
const attributesIn = (cell: string | undefined): ReadonlyArray<string> =>
  codesIn(cell).map((name) => name.includes(".") ? name : `kubelock.${name}`)

/** Words that change from case to case are left out of a message. */
const withoutDetails = (message: string) =>
  message.replace(/(?<=^Still waiting for a lock after |^This machine's clock is ).*$/, "…")

const sorted = (entries: Iterable<readonly [string, Iterable<string>]>) => {
  const merged = new Map<string, Set<string>>()
  for (const [name, values] of entries) merged.set(name, new Set([...merged.get(name) ?? [], ...values]))
  return Object.fromEntries(
    [...merged].toSorted(([left], [right]) => left < right ? -1 : 1).map((
      [name, values]
    ) => [name, [...values].toSorted()])
  )
}

/** What docs/OBSERVABILITY.md promises. */
export const promised: Names = {
  spans: sorted(rowsOf("Spans").map(([name, , attributes]) => [codesIn(name)[0]!, attributesIn(attributes)])),
  metrics: sorted(
    rowsOf("Metrics").map(([name, type, unit, attributes]) => {
      const [attribute, ...values] = codesIn(attributes)
      return [
        codesIn(name)[0]!,
        [type!, ...codesIn(unit).map((unit) => `unit=${unit}`), ...values.map((value) => `${attribute}=${value}`)]
      ]
    })
  ),
  logs: sorted(
    rowsOf("Logs").map(([level, message, attributes]) => [
      `${codesIn(level)[0]} ${codesIn(message)[0]}`,
      attributesIn(attributes)
    ])
  )
}

/** What was seen of locks. */
export const namesIn = (seen: ReadonlyArray<Telemetry>): Names => ({
  spans: sorted(
    seen.flatMap(({ spans }) =>
      spans.filter(({ name }) => name.startsWith("Kube")).map(({ attributes, name }) => [name, attributes.keys()])
    )
  ),
  metrics: sorted(seen.flatMap(({ metrics }) =>
    metrics.map(({ attributes = {}, id, type }) => [
      id,
      [type.toLowerCase(), ...Object.entries(attributes).map(([key, value]) => `${key}=${value}`)]
    ])
  )),
  logs: sorted(
    seen.flatMap(({ logs }) =>
      logs.map(({ attributes, level, text }) => [`${level} ${withoutDetails(text)}`, Object.keys(attributes)])
    )
  )
})
