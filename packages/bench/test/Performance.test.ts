import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { placesIn, withTables } from "../src/Document.ts"
import { Result } from "../src/Results.ts"
import { scenarios } from "../src/scenarios.ts"

// docs/PERFORMANCE.md says what was measured, and nothing else.

const root = join(import.meta.dirname, "../../..")
const text = readFileSync(join(root, "docs/PERFORMANCE.md"), "utf8")
const folder = join(import.meta.dirname, "../results")
const results = readdirSync(folder).map((name) => ({
  name: name.replace(/\.json$/, ""),
  ...Schema.decodeSync(Schema.fromJsonString(Result))(readFileSync(join(folder, name), "utf8"))
}))

describe("docs/PERFORMANCE.md", () => {
  it("has a place for every table that was kept, and no other", () => {
    const kept = results.flatMap(({ tables }) => tables.map(({ id }) => id))
    assert.deepStrictEqual(placesIn(text).toSorted(), kept.toSorted())
  })

  it("shows the tables as they were kept", () => {
    assert.strictEqual(withTables(text, results.flatMap(({ tables }) => tables)), text)
  })

  it("says in words what the tables say", () => {
    const tables = results.flatMap(({ tables }) => tables)
    const cell = (id: string, row: string, column: string): number => {
      const { columns, rows } = tables.find((table) => table.id === id)!
      const found = rows.find(([name]) => name === row)?.[columns.indexOf(column)]
      assert.isDefined(found, `${id}: ${row}: ${column}`)
      return Number.parseFloat(found.replaceAll(",", ""))
    }
    const small = (row: string, column: string) => cell("pairs-small", row, column)
    const [bare, ours, go] = ["the same two PATCHes, bare", "ours: acquire, release", "giantswarm/kubelock, unlimited"]
    const layout = (processes: string, column: string) => cell("growth-layout", processes, column)
    const succeed = cell("busy", go, "attempts that succeed")
    const lostBeside = (other: string) => {
      const row = `8 processes that think 0–200 ms: acquisitions/s / those of ${other}`
      const percent = Math.round(100 * (1 - cell("handover-ratios", row, "Ratio")))
      return percent > 0 ? `${percent} %` : "nothing"
    }
    const handoverMicros = ["1,000", "1,000, and another process"].map((fibers) => {
      const { columns, rows } = tables.find(({ id }) => id === "handover-fibers")!
      const row = rows.find((row) =>
        row[0] === `this library: ${fibers}` && row[columns.indexOf("Section, ms")] === "0"
      )
      return Math.round(Number(row?.[columns.indexOf("CPU ms each")]) * 1_000)
    })
    for (const processes of [2, 8, 32]) {
      assert.closeTo(cell("handover", `${processes} processes: this library`, "Requests each"), 2, 0.1)
    }
    const words = text.replaceAll(/\n */g, " ")
    for (
      const said of [
        `read and then update ${Math.round(100 - succeed)} % do.`,
        `beside the bare loop is ${
          (small(ours, "client CPU ms") - small(bare, "client CPU ms")).toFixed(1)
        } ms per pair`,
        `has waited some ${Math.round(small("ours: withLock", "p99 ms") / 10) * 10} ms: that is the p99`,
        `the bare loop is only ${(small(go, "mean ms") / small(bare, "mean ms")).toFixed(1)} times as fast`,
        `cost ${lostBeside("this library without turns")} of the acquisitions there`,
        `over the same requests, ${lostBeside("everyone at once")}.`,
        `takes ${[...new Set(handoverMicros)].join(" to ")} µs of the processor`,
        `takes ${Math.round(cell("pairs-large", ours, "mean ms") / small(ours, "mean ms"))} times as long`,
        `${layout("1,000", "one object")} a second have their turn where one object carries all locks, ${
          layout("1,000", "16 objects")
        } with sixteen objects, and ${layout("1,000", "an object each")}, as many`,
        `of ten thousand ${layout("10,000", "an object each").toLocaleString("en")}, and there`,
        `a lock each take ${
          cell("growth-held", "1,000", "server busy")
        } % of such a server for their renewals, ten thousand ${cell("growth-held", "10,000", "server busy")} %`,
        `at 100 it takes ${
          Math.round(cell("growth-contended", "100", "requests each"))
        } requests, and at 320 the server is busy to ${cell("growth-contended", "320", "server busy")} %`,
        `sixteen objects do ${
          Math.round(
            cell("growth-crowds", "8", "16 locks, an object each") /
              cell("growth-crowds", "8", "16 locks on one object")
          )
        } times as much as one`
      ]
    ) assert.include(words, said)
  })

  it("names the command of every scenario, and where it was run", () => {
    assert.deepStrictEqual(results.map(({ name }) => name).toSorted(), scenarios.map(({ name }) => name).toSorted())
    for (const { command, machine } of results) {
      assert.include(text, command)
      assert.include(text, machine)
    }
  })
})
