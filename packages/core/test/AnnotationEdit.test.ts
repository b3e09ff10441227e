import { AnnotationEdit } from "@kubelock/core"
import { Result } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"

const key = fc.constantFrom("a", "b", "__proto__", "constructor")
const value = fc.constantFrom("0", "1", "")
const annotations = fc.dictionary(key, value, { noNullPrototype: true })
const edit: fc.Arbitrary<AnnotationEdit.AnnotationEdit> = fc.record({
  key,
  expected: fc.option(value, { nil: undefined }),
  value: fc.option(value, { nil: undefined })
})
const edits = fc.uniqueArray(edit, { selector: ({ key }) => key, maxLength: 3 })

describe("AnnotationEdit.apply", () => {
  it("makes all edits or none, and touches nothing else", () => {
    fc.assert(
      fc.property(annotations, edits, (before, edits) => {
        const frozen = Object.freeze(before)
        const after = AnnotationEdit.apply(frozen, edits)
        const asExpected = edits.every(({ expected, key }) => AnnotationEdit.get(frozen, key) === expected)
        expect(Result.isSuccess(after)).toBe(asExpected)
        if (Result.isFailure(after)) return
        for (const key of ["a", "b", "__proto__", "constructor"]) {
          const edit = edits.find((edit) => edit.key === key)
          expect(AnnotationEdit.get(after.success, key)).toBe(
            edit === undefined ? AnnotationEdit.get(frozen, key) : edit.value
          )
        }
      }),
      { numRuns: 2_000 }
    )
  })

  it("does not take an inherited property for an annotation", () => {
    const edit = { key: "constructor", expected: undefined, value: "x" }
    expect(AnnotationEdit.apply({}, [edit])).toEqual(Result.succeed({ constructor: "x" }))
  })

  it("lists an annotation that it leaves only where it leaves a value", () => {
    const edits = [{ key: "a", expected: "0", value: undefined }, { key: "b", expected: undefined, value: "1" }]
    expect(Object.entries(Result.getOrThrow(AnnotationEdit.apply({ a: "0" }, edits)))).toEqual([["b", "1"]])
  })

  it("says of which annotations it refused an edit, and what the store said", () => {
    const edits = ["a", "b"].map((key) => ({ key, expected: "0", value: "1" }))
    const refused = Result.getOrThrow(Result.flip(AnnotationEdit.apply({ a: "0" }, edits)))
    const told = "not every annotation of a, b has the expected value: nothing was changed"
    expect(refused).toMatchObject({ _tag: "EditRefused", keys: ["a", "b"], message: told })
    expect(new AnnotationEdit.EditRefused({ keys: ["a", "b"], said: "No." }).message).toBe(`${told}. No.`)
  })
})
