/** What was measured of those who hold locks, as a table. Pure. */
import { figure, type Table } from "../Table.ts"
import type * as Plan from "./Plan.ts"

/** What a process has used so far, and uses now. */
export interface Used {
  /** Locks that it has. */
  readonly held: number
  readonly requests: number
  readonly bytes: number
  readonly cpuMillis: number
  readonly residentBytes: number
  readonly sockets: number
}

/** What was measured of one of them. */
export interface Measured {
  readonly holder: Plan.Holder
  readonly before: Used
  readonly after: Used
}

export const tableOf = ({ millis, renewEveryMillis }: Plan.Plan, measured: ReadonlyArray<Measured>): Table => ({
  id: "holding",
  title: `Locks held by one process for ${millis / 1_000} s, each renewed every ${renewEveryMillis / 1_000} s`,
  columns: ["Locks", "Requests/s", "kB/s", "CPU ms/s", "Memory beside none, MB", "Sockets", "Not lost"],
  rows: measured.map(({ after, before, holder }) => {
    const perSecond = (figureOf: (used: Used) => number) =>
      figure((figureOf(after) - figureOf(before)) / (millis / 1_000))
    const none = measured.find(({ holder }) => holder.locks === 0)?.after.residentBytes ?? Number.NaN
    return [
      holder.name,
      perSecond(({ requests }) => requests),
      perSecond(({ bytes }) => bytes / 1_000),
      perSecond(({ cpuMillis }) => cpuMillis),
      figure((after.residentBytes - none) / 1e6),
      String(after.sockets),
      String(after.held)
    ]
  })
})
