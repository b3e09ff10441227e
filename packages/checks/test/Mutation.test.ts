import { existsSync } from "node:fs"
import { resolve } from "node:path"
import { describe, expect, it } from "vitest"
import { plans } from "../mutation/Plans.ts"
import { survivors } from "../mutation/Survivors.ts"
import { changeOf, judge, type Mutant, percentKilled } from "../mutation/Verdict.ts"
import { filesBelow, root } from "./Sources.ts"

const mutant = (fate: Mutant["fate"], change = "a → b"): Mutant => ({
  file: "x.ts",
  mutator: "Some",
  lineNumber: 1,
  line: "const x = a",
  change,
  fate
})
const explanation = { file: "x.ts", line: "const x = a", change: "a → b", because: "it is the same" }

describe("the verdict on mutants", () => {
  it("wants every survivor explained", () => {
    const survivor = mutant("survived")
    expect(judge([survivor], []).unexplained).toEqual([survivor])
    expect(judge([survivor], [explanation])).toEqual({ killed: 0, tried: 1, unexplained: [], stale: [] })
    for (const part of ["file", "line", "change"] as const) {
      expect(judge([survivor], [{ ...explanation, [part]: "other" }]).unexplained).toEqual([survivor])
    }
  })

  it("wants every explanation to be of a survivor", () => {
    expect(judge([mutant("killed")], [explanation]).stale).toEqual([explanation])
    expect(judge([mutant("not tried")], [explanation]).stale).toEqual([explanation])
    expect(judge([mutant("survived", "a → c")], [explanation]).stale).toEqual([explanation])
  })

  it("says nothing of files that were not mutated", () => {
    expect(judge([mutant("killed")], [{ ...explanation, file: "y.ts" }]).stale).toEqual([])
  })

  it("counts those that were tried, and none as none", () => {
    const verdict = judge([
      mutant("killed"),
      mutant("killed"),
      mutant("killed"),
      mutant("survived"),
      mutant("not tried")
    ], [])
    expect(percentKilled(verdict)).toBe(75)
    expect(percentKilled(judge([], []))).toBe(0)
  })

  it("writes a change on one line, and a long one in part", () => {
    expect(changeOf("{\n  a\n}", "{}")).toBe("{ a } → {}")
    expect(changeOf("x".repeat(1_000), "").length).toBeLessThan(200)
  })
})

describe("what is mutated", () => {
  const mutated = plans.flatMap((plan) => plan.mutated)

  it("is all of core, and nothing that is not there", () => {
    const core = filesBelow("packages/core/src", ".ts").map(({ path }) => path).filter((path) =>
      !path.endsWith("index.ts")
    )
    expect(mutated).toEqual(expect.arrayContaining(core))
    expect(mutated.filter((file) => !existsSync(resolve(root, file)))).toEqual([])
  })

  it("is all that is explained", () => {
    for (const { because, file } of survivors) {
      expect(mutated).toContain(file)
      expect(because).toContain(" ")
    }
  })
})
