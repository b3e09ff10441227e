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
})
