import * as JsonPatch from "#internal/JsonPatch"
import { assert, describe, it } from "@effect/vitest"
import type { JsonPatchOperation } from "@kubelock/kube"
import { Result, type Schema } from "effect"
import fc from "fast-check"

const made = (document: Schema.Json, ...operations: ReadonlyArray<JsonPatchOperation>) =>
  Result.getOrUndefined(JsonPatch.apply(document, operations))

describe("operations on a document", () => {
  const cases: ReadonlyArray<readonly [string, Schema.Json, ReadonlyArray<JsonPatchOperation>, unknown]> = [
    ["adds a key", { a: 1 }, [{ op: "add", path: "/b", value: 2 }], { a: 1, b: 2 }],
    ["adds over what is there", { a: 1 }, [{ op: "add", path: "/a", value: 2 }], { a: 2 }],
    ["adds into a list", { a: [1, 3] }, [{ op: "add", path: "/a/1", value: 2 }], { a: [1, 2, 3] }],
    ["adds behind the last", { a: [1] }, [{ op: "add", path: "/a/1", value: 2 }], { a: [1, 2] }],
    ["appends", { a: [1] }, [{ op: "add", path: "/a/-", value: 2 }], { a: [1, 2] }],
    ["adds no gap", { a: [1] }, [{ op: "add", path: "/a/2", value: 2 }], undefined],
    ["takes no other number for an index", { a: [1, 2] }, [{ op: "add", path: "/a/01", value: 3 }], undefined],
    ["makes no parents", {}, [{ op: "add", path: "/a/b", value: 1 }], undefined],
    ["unescapes keys", { "a/b": { "c~1": 1 } }, [{ op: "remove", path: "/a~1b/c~01" }], { "a/b": {} }],
    ["takes a tilde that escapes nothing for itself", {}, [{ op: "add", path: "/a~2b", value: 1 }], { "a~2b": 1 }],
    ["knows the empty key", { "": { "": 1 } }, [{ op: "replace", path: "//", value: 2 }], { "": { "": 2 } }],
    ["replaces a key", { a: { b: 1 } }, [{ op: "replace", path: "/a/b", value: null }], { a: { b: null } }],
    ["replaces what is absent", { a: {} }, [{ op: "replace", path: "/a/b", value: 1 }], { a: { b: 1 } }],
    ["replaces in a list", { a: [1, 2] }, [{ op: "replace", path: "/a/1", value: 3 }], { a: [1, 3] }],
    ["replaces nothing behind a list", { a: [1] }, [{ op: "replace", path: "/a/1", value: 3 }], undefined],
    ["removes a key", { a: 1, b: 2 }, [{ op: "remove", path: "/a" }], { b: 2 }],
    ["removes from a list", { a: [1, 2] }, [{ op: "remove", path: "/a/0" }], { a: [2] }],
    ["removes nothing that is absent", { a: [1] }, [{ op: "remove", path: "/a/-" }], undefined],
    ["removes nothing that is inherited", {}, [{ op: "remove", path: "/toString" }], undefined],
    ["finds nothing below what is inherited", {}, [{ op: "add", path: "/toString/a", value: 1 }], undefined],
    ["moves", { a: { b: 1 } }, [{ op: "move", from: "/a/b", path: "/c" }], { a: {}, c: 1 }],
    ["moves within a list", { a: [1, 2, 3] }, [{ op: "move", from: "/a/0", path: "/a/2" }], { a: [2, 3, 1] }],
    ["moves to the same place", { a: 1 }, [{ op: "move", from: "/a", path: "/a" }], { a: 1 }],
    ["moves nothing into itself", { a: { b: {} } }, [{ op: "move", from: "/a", path: "/a/b" }], undefined],
    ["moves nothing that is absent", { a: 1 }, [{ op: "move", from: "/b", path: "/a" }], undefined],
    ["copies", { a: [1] }, [{ op: "copy", from: "/a", path: "/b" }], { a: [1], b: [1] }],
    ["copies null from where nothing is", {}, [{ op: "copy", from: "/a", path: "/b" }], { b: null }],
    ["copies nothing from nowhere", {}, [{ op: "copy", from: "/a/b", path: "/b" }], undefined],
    ["tests", { a: { b: [1] } }, [{ op: "test", path: "/a", value: { b: [1] } }], { a: { b: [1] } }],
    ["tests the whole", { a: 1 }, [{ op: "test", path: "", value: { a: 1 } }], { a: 1 }],
    ["tests for another value", { a: 1 }, [{ op: "test", path: "/a", value: "1" }], undefined],
    ["finds null where nothing is", { a: {} }, [{ op: "test", path: "/a/b", value: null }], { a: {} }],
    ["finds nothing behind a list", { a: [] }, [{ op: "test", path: "/a/0", value: null }], undefined],
    ["finds nothing nowhere", { a: 1 }, [{ op: "test", path: "/a/b", value: null }], undefined],
    ["replaces no whole object", { a: 1 }, [{ op: "add", path: "", value: {} }], undefined],
    ["goes nowhere without a pointer", { a: 1 }, [{ op: "replace", path: "a", value: 2 }], undefined],
    ["does one after the other", { a: 1 }, [
      { op: "move", from: "/a", path: "/b" },
      { op: "test", path: "/a", value: null },
      { op: "add", path: "/a", value: 2 }
    ], { a: 2, b: 1 }]
  ]

  it.each(cases)("%s", (_, document, operations, after) => {
    assert.deepStrictEqual(made(document, ...operations), after)
  })

  it.each(["/__proto__/a", "/b/__proto__/a", "/toString/a", "/b/constructor/prototype/a"])(
    "writes nothing to what all objects share: %s",
    (path) => {
      assert.isUndefined(made({ b: {} }, { op: "add", path, value: { a: 1 } }))
      assert.isUndefined(({} as { readonly a?: unknown }).a)
      assert.isUndefined((Object.prototype.toString as { readonly a?: unknown }).a)
    }
  )

  it.each(["constructor", "prototype", "toString", "__proto__"])("takes a key for a key: %s", (key) => {
    const patched = made({}, { op: "add", path: `/${key}`, value: { a: 1 } })
    assert.deepStrictEqual(Object.entries(patched ?? {}), [[key, { a: 1 }]])
    assert.isUndefined(({} as { readonly a?: unknown }).a)
  })

  it("names the one that cannot be made", () => {
    const problem: JsonPatchOperation = { op: "remove", path: "/b" }
    const outcome = JsonPatch.apply({ a: 1 }, [{ op: "remove", path: "/a" }, problem, { op: "remove", path: "/c" }])
    assert.deepStrictEqual(outcome, Result.fail(problem))
  })

  it("leaves the document as it was", () => {
    const pointer = fc.constantFrom("/a", "/b", "/a/0", "/a/1", "/a/-", "/b/c")
    const operation: fc.Arbitrary<JsonPatchOperation> = fc.oneof(
      fc.record({ op: fc.constantFrom("add", "replace", "test"), path: pointer, value: fc.constantFrom(1, null) }),
      fc.record({ op: fc.constant("remove"), path: pointer }),
      fc.record({ op: fc.constantFrom("move", "copy"), from: pointer, path: pointer })
    )
    fc.assert(fc.property(fc.array(operation), (operations) => {
      const document = { a: [1, 2], b: { c: null } }
      JsonPatch.apply(document, operations)
      assert.deepStrictEqual(document, { a: [1, 2], b: { c: null } })
    }))
  })
})
