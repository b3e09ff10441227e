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

  it("names the command of every scenario, and where it was run", () => {
    assert.deepStrictEqual(results.map(({ name }) => name).toSorted(), scenarios.map(({ name }) => name).toSorted())
    for (const { command, machine } of results) {
      assert.include(text, command)
      assert.include(text, machine)
    }
  })
})
