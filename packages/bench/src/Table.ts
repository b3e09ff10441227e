/** Figures as they are shown, on the terminal and in the docs. Pure. */
import type { Spread } from "./Statistics.ts"

/** A table. The first column says what each row is about. */
export interface Table {
  /** Stands in docs/PERFORMANCE.md where the table goes; lower case, with dashes. */
  readonly id: string
  readonly title: string
  readonly columns: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<string>>
}

/** With as many digits as mean something: `1,234`, `56.7`, `8.91`, `0.0123`. */
export const figure = (value: number): string => {
  if (!Number.isFinite(value)) return "–"
  const digits = Math.abs(value) >= 100 ? 0 : value === 0 ? 0 : 2 - Math.floor(Math.log10(Math.abs(value)))
  return new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value)
}

/** As `1.08 (1.05–1.12)`: the median, and the middle half. */
export const spread = ({ lower, median, upper }: Spread): string =>
  `${figure(median)} (${figure(lower)}–${figure(upper)})`

/** As Markdown, its columns aligned. */
export const toMarkdown = ({ columns, rows }: Table): string => {
  const all = [columns, ...rows]
  const widths = columns.map((_, column) => Math.max(3, ...all.map((row) => (row[column] ?? "").length)))
  const line = (row: ReadonlyArray<string>) =>
    `| ${
      widths.map((width, column) =>
        column === 0 ? (row[column] ?? "").padEnd(width) : (row[column] ?? "").padStart(width)
      )
        .join(" | ")
    } |`
  const rule = widths.map((width, column) => column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)
  return [line(columns), line(rule), ...rows.map(line)].join("\n")
}
