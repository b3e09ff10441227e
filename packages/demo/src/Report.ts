/** What the demo prints, and what it makes of what it saw. Pure. */
import type { Cost, Section } from "./Message.ts"

/** How the lines may look. */
export interface Style {
  /** Colours and bars, for a terminal; without it, plain words. */
  readonly isTerminal: boolean
  readonly columns: number
}

const colours = [36, 33, 35, 32, 34, 31] as const

const paint = (style: Style, index: number, text: string): string =>
  style.isTerminal ? `\u001b[${colours[index % colours.length]}m${text}\u001b[0m` : text

const millis = (micros: number): string => (micros / 1_000).toFixed(1).padStart(7)

/** One section, as soon as it is over. */
export const line = (style: Style, startMicros: number, workers: ReadonlyArray<string>, section: Section): string =>
  `${millis(section.fromMicros - startMicros)} ms  ${
    paint(style, workers.indexOf(section.worker), section.worker.padEnd(10))
  } ${section.fencingToken === undefined ? "no lock" : `held the lock (token ${section.fencingToken})`}, ` +
  `counter ${section.before} → ${section.before + 1}, for ${
    ((section.toMicros - section.fromMicros) / 1_000).toFixed(1)
  } ms`

/** Who was in the section when: a row per worker. */
export const timeline = (
  style: Style,
  workers: ReadonlyArray<string>,
  sections: ReadonlyArray<Section>
): ReadonlyArray<string> => {
  if (sections.length === 0) return []
  const fromMicros = Math.min(...sections.map((section) => section.fromMicros))
  const toMicros = Math.max(...sections.map((section) => section.toMicros))
  const width = Math.max(20, style.columns - 14)
  const column = (micros: number) => Math.floor((micros - fromMicros) / (toMicros - fromMicros + 1) * width)
  const rows = workers.map((worker, index) => {
    const cells = Array.from<string>({ length: width }).fill(style.isTerminal ? "·" : ".")
    for (const section of sections) {
      if (section.worker !== worker) continue
      cells.fill(style.isTerminal ? "█" : "#", column(section.fromMicros), column(section.toMicros) + 1)
    }
    return `  ${worker.padEnd(10)} ${paint(style, index, cells.join(""))}`
  })
  return [...rows, `  ${"".padEnd(10)} 0 ms${`${((toMicros - fromMicros) / 1_000).toFixed(0)} ms`.padStart(width - 4)}`]
}

/** How many sections began before an earlier one was over. */
export const overlaps = (sections: ReadonlyArray<Section>): number => {
  const inOrder = sections.toSorted((left, right) => left.fromMicros - right.fromMicros)
  let busyUntilMicros = -Infinity
  let found = 0
  for (const { fromMicros, toMicros } of inOrder) {
    if (fromMicros < busyUntilMicros) found++
    busyUntilMicros = Math.max(busyUntilMicros, toMicros)
  }
  return found
}

/** Requests per acquisition, all workers together; nothing where there was none. */
export const costs = (reports: ReadonlyArray<Cost>): ReadonlyArray<string> => {
  const acquisitions = reports.reduce((sum, cost) => sum + cost.acquisitions, 0)
  const requests = reports.reduce((sum, cost) => sum + cost.requests, 0)
  return acquisitions === 0
    ? []
    : [
      `  acquired ${acquisitions} times, ${
        (requests / acquisitions).toFixed(2)
      } requests each, watches and releases included`
    ]
}
