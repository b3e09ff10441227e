/** The tables in docs/PERFORMANCE.md: each between the comment that names it and the next `<!-- end -->`. Pure. */
import { type Table, toMarkdown } from "./Table.ts"

const place = /(<!-- table (\S+) -->\n)[\s\S]*?(<!-- end -->)/g

/** The ids of the tables that the text has places for. */
export const placesIn = (text: string): ReadonlyArray<string> => [...text.matchAll(place)].map(([, , id]) => id!)

/** The text with these tables in their places; the other places stay as they are. */
export const withTables = (text: string, tables: ReadonlyArray<Table>): string =>
  text.replace(place, (whole, begin: string, id: string, end: string) => {
    const table = tables.find((table) => table.id === id)
    return table === undefined ? whole : `${begin}\n_${table.title}_\n\n${toMarkdown(table)}\n\n${end}`
  })
