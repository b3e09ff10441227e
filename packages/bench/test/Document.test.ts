import { assert, describe, it } from "@effect/vitest"
import { placesIn, withTables } from "../src/Document.ts"
import { figure, toMarkdown } from "../src/Table.ts"

const table = { id: "pairs", title: "Pairs", columns: ["who", "ms"], rows: [["kubelock", "1.50"], ["x", "12"]] }

describe("Document", () => {
  it("puts a table into its place, and touches nothing else", () => {
    const before = "a\n<!-- table pairs -->\nold\n<!-- end -->\nb\n<!-- table other -->\nkept\n<!-- end -->\n"
    const after = withTables(before, [table])
    assert.deepStrictEqual(placesIn(after), ["pairs", "other"])
    assert.strictEqual(after, before.replace("old", `\n_${table.title}_\n\n${toMarkdown(table)}\n`))
    assert.strictEqual(withTables(after, [table]), after)
  })
})

describe("Table", () => {
  it("aligns columns: words to the left, figures to the right", () => {
    assert.strictEqual(
      toMarkdown(table),
      ["| who      |   ms |", "| -------- | ---: |", "| kubelock | 1.50 |", "| x        |   12 |"].join("\n")
    )
  })

  it("shows as many digits as mean something", () => {
    assert.deepStrictEqual([1_234.5, 56.71, 8.914, 0.01234, 0, Number.NaN].map(figure), [
      "1,235",
      "56.7",
      "8.91",
      "0.0123",
      "0",
      "–"
    ])
  })
})
