/**
 * What metrics are called in Prometheus, after an OpenTelemetry collector or Prometheus' own OTLP receiver has translated them: by the rules of
 * OpenTelemetry's compatibility specification, as far as these metrics meet them.
 */
import { promised } from "./observabilityDocs.ts"

export type Kind = "counter" | "gauge" | "histogram"

const words: Readonly<Record<string, string>> = { s: "seconds", ms: "milliseconds", By: "bytes" }

/** The name of a metric that arrives with this unit, `1` where it has none. */
export const translatedName = (name: string, unit: string, kind: Kind): string => {
  const tokens = name.split(/[^A-Za-z0-9:]+/).filter((token) => token !== "")
  const ending = (token: string) => [...tokens.splice(0).filter((other) => other !== token), token]
  // What stands in braces is for people.
  const word = words[unit.replace(/\{.*\}/, "")]
  if (word !== undefined && !tokens.includes(word)) tokens.push(word)
  if (kind === "counter") tokens.push(...ending("total"))
  if (kind === "gauge" && unit === "1") tokens.push(...ending("ratio"))
  return tokens.join("_")
}

/** Its series. */
export const seriesOf = (name: string, kind: Kind): ReadonlyArray<string> =>
  kind === "histogram" ? [`${name}_bucket`, `${name}_count`, `${name}_sum`] : [name]

/** A metric of docs/OBSERVABILITY.md. */
export interface Documented {
  readonly name: string
  readonly kind: Kind
  readonly unit: string
  /** The labels that it brings along, and the values they take. */
  readonly labels: Readonly<Record<string, ReadonlyArray<string>>>
}

export const documented: ReadonlyArray<Documented> = Object.entries(promised.metrics).map(([name, said]) => {
  const attributes = said.filter((one) => one.includes("=")).map((one) => one.split("=") as [string, string])
  const valuesOf = (label: string) => attributes.filter(([key]) => key === label).map(([, value]) => value)
  const labels = new Set(attributes.map(([key]) => key).filter((key) => key !== "unit"))
  return {
    name,
    kind: said.find((one): one is Kind => ["counter", "gauge", "histogram"].includes(one))!,
    unit: valuesOf("unit")[0] ?? "1",
    labels: Object.fromEntries([...labels].map((label) => [label, valuesOf(label)]))
  }
})
