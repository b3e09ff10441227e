import { applyJsonPatch, applyMergePatch } from "#internal/Patch"
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"

const document = { metadata: { name: "a", annotations: { x: "1" } }, list: ["a", "b"] }
const unprocessable = { _tag: "Unprocessable" }

/** The patched document, or what is wrong with the patch. */
const patched = (patch: unknown, of: unknown = document): unknown =>
  Result.match(applyJsonPatch(of, patch), { onFailure: (problem) => problem, onSuccess: (value) => value })

const annotations = (value: Record<string, unknown>) => ({ ...document, metadata: { name: "a", annotations: value } })
const k = "/metadata/annotations/k"

describe("applyJsonPatch", () => {
  it.each([
    ["a test of null on an absent key", { op: "test", path: k, value: null }, document],
    ["a test without a value on an absent key", { op: "test", path: k }, document],
    ["a test of the value", { op: "test", path: "/metadata/annotations/x", value: "1" }, document],
    [
      "a test of a map, in any order",
      { op: "test", path: "/metadata", value: { annotations: { x: "1" }, name: "a" } },
      document
    ],
    ["an add", { op: "add", path: k, value: "v" }, annotations({ x: "1", k: "v" })],
    ["an add without a value", { op: "add", path: k }, annotations({ x: "1", k: null })],
    ["a replace of an absent key", { op: "replace", path: k, value: "v" }, annotations({ x: "1", k: "v" })],
    ["a replace", { op: "replace", path: "/metadata/annotations/x", value: "v" }, annotations({ x: "v" })],
    ["a remove", { op: "remove", path: "/metadata/annotations/x" }, annotations({})],
    ["a copy", { op: "copy", from: "/metadata/name", path: k }, annotations({ x: "1", k: "a" })],
    ["a copy of an absent key", { op: "copy", from: "/metadata/nope", path: k }, annotations({ x: "1", k: null })],
    ["a move", { op: "move", from: "/metadata/annotations/x", path: k }, annotations({ k: "1" })],
    [
      "an escaped key",
      { op: "add", path: "/metadata/annotations/a.b~1c~0d", value: "" },
      annotations({ x: "1", "a.b/c~d": "" })
    ],
    ["an append to a list", { op: "add", path: "/list/-", value: "c" }, { ...document, list: ["a", "b", "c"] }]
  ])("takes %s", (_, operation, expected) => {
    assert.deepStrictEqual(patched([operation]), expected)
  })

  it.each([
    ["a test of null on a present key", { op: "test", path: "/metadata/annotations/x", value: null }],
    ["a test of another value", { op: "test", path: "/metadata/annotations/x", value: "2" }],
    ["a test on an absent key", { op: "test", path: k, value: "1" }],
    ["a test of null below an absent map", { op: "test", path: "/metadata/labels/x", value: null }],
    ["a test of null beyond a list", { op: "test", path: "/list/7", value: null }],
    ["an add below an absent map", { op: "add", path: "/metadata/labels/x", value: "" }],
    ["a replace below an absent map", { op: "replace", path: "/metadata/labels/x", value: "" }],
    ["a replace beyond a list", { op: "replace", path: "/list/7", value: "" }],
    ["a replace after a list", { op: "replace", path: "/list/-", value: "" }],
    ["a remove after a list", { op: "remove", path: "/list/-" }],
    ["a remove of an absent key", { op: "remove", path: k }],
    ["a move of an absent key", { op: "move", from: k, path: "/metadata/annotations/l" }],
    ["a copy from below an absent map", { op: "copy", from: "/metadata/labels/x", path: k }],
    ["an unknown operation", { op: "bogus", path: k }],
    ["an operation without a path", { op: "add", value: "v" }],
    ["a path that is no pointer", { op: "add", path: "metadata", value: "v" }]
  ])("cannot process %s", (_, operation) => {
    assert.deepStrictEqual(patched([operation]), unprocessable)
  })

  it("does not see what an object inherits", () => {
    assert.deepStrictEqual(patched([{ op: "test", path: "/metadata/annotations/constructor", value: null }]), document)
    assert.deepStrictEqual(patched([{ op: "remove", path: "/metadata/annotations/toString" }]), unprocessable)
  })

  it("applies all operations or none, and never changes the document", () => {
    const before = structuredClone(document)
    assert.deepStrictEqual(
      patched([{ op: "remove", path: "/list/0" }, { op: "test", path: k, value: "no" }]),
      unprocessable
    )
    patched([{ op: "remove", path: "/list/0" }, { op: "add", path: k, value: "v" }])
    assert.deepStrictEqual(document, before)
  })

  it("shows an operation what the ones before it did", () => {
    assert.deepStrictEqual(
      patched([{ op: "add", path: k, value: "v" }, { op: "test", path: k, value: "v" }, { op: "remove", path: k }]),
      document
    )
  })

  it.each([
    ["{}", {}, "object into Go value of type []handlers.jsonPatchOp"],
    ["a string", "x", "string into Go value of type []handlers.jsonPatchOp"],
    ["a list of strings", ["x"], "string into Go value of type handlers.jsonPatchOp"],
    [
      "a path of the wrong type",
      [{ op: "add", path: 5 }],
      "number into Go struct field jsonPatchOp.path of type string"
    ]
  ])("says of %s that it is malformed", (_, patch, problem) => {
    assert.deepStrictEqual(patched(patch), {
      _tag: "Malformed",
      message: `error decoding patch: json: cannot unmarshal ${problem}`
    })
  })

  it("takes null for no operations", () => {
    assert.deepStrictEqual(patched(null), document)
  })
})

describe("applyMergePatch", () => {
  const merged = (patch: unknown) =>
    Result.match(applyMergePatch(document, patch), { onFailure: (problem) => problem, onSuccess: (value) => value })

  it.each([
    ["adds a key", { metadata: { annotations: { k: "v" } } }, annotations({ x: "1", k: "v" })],
    ["replaces a value", { metadata: { annotations: { x: "2" } } }, annotations({ x: "2" })],
    ["removes what is null", { metadata: { annotations: { x: null, y: null } } }, annotations({})],
    ["replaces a list as a whole", { list: ["c"] }, { ...document, list: ["c"] }],
    ["replaces a map by a value", { metadata: "x" }, { ...document, metadata: "x" }],
    ["drops nulls inside of what is new", { data: { a: { b: null, c: 1 } } }, { ...document, data: { a: { c: 1 } } }]
  ])("%s", (_, patch, expected) => {
    assert.deepStrictEqual(merged(patch), expected)
  })

  it("says what is no patch", () => {
    assert.deepStrictEqual(merged(null), { _tag: "Malformed", message: "Invalid JSON Patch" })
    assert.strictEqual(Result.isFailure(applyMergePatch(document, [])), true)
    assert.strictEqual(Result.isFailure(applyMergePatch(document, 5)), true)
  })
})
