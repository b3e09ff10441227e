/**
 * JSON Patch and JSON merge patch as an API server applies them. Pure: the document is never changed.
 *
 * JSON Patch is RFC 6902 by the library, but for what the Go library of Kubernetes does differently with a key that is absent
 * from a map that exists: `test` finds `null` there, `copy` takes `null` from there, `replace` creates it; and an operation
 * without a `value` means `null`.
 *
 * That library compares the texts of JSON values, not what they mean: a `test` for `"<"` fails on a value that the server
 * itself has written as `"\u003c"`. A patch therefore comes from `Json.parseAsWritten`.
 */
import { Predicate, Result } from "effect"
import type { Operation } from "rfc6902"
import { applyPatch } from "rfc6902"
import { Pointer } from "rfc6902/pointer.js"
import { goTypeOf, meaningOf } from "./Json.ts"

/** `Malformed` is no patch at all (400); `Unprocessable` cannot be applied to this document (422). */
export type PatchProblem =
  | { readonly _tag: "Malformed"; readonly message: string }
  | { readonly _tag: "Unprocessable" }

const malformed = (problem: string): Result.Result<never, PatchProblem> =>
  Result.fail({ _tag: "Malformed", message: `error decoding patch: ${problem}` })
const unprocessable: Result.Result<never, PatchProblem> = Result.fail({ _tag: "Unprocessable" })

export const applyJsonPatch = (document: unknown, patch: unknown): Result.Result<unknown, PatchProblem> => {
  if (patch === null) {
    return Result.succeed(document)
  }
  if (!Array.isArray(patch)) {
    return malformed(`json: cannot unmarshal ${goTypeOf(patch)} into Go value of type []handlers.jsonPatchOp`)
  }
  const patched = copyOf(document)
  for (const entry of patch) {
    const operation = readOperation(entry)
    if (Result.isFailure(operation)) {
      return Result.fail(operation.failure)
    }
    if (!applyOperation(patched, operation.success)) {
      return unprocessable
    }
  }
  return Result.succeed(copyOf(patched, meaningOf))
}

export const applyMergePatch = (document: unknown, patch: unknown): Result.Result<unknown, PatchProblem> => {
  if (patch === null) {
    return Result.fail({ _tag: "Malformed", message: "Invalid JSON Patch" })
  }
  if (!Predicate.isObject(patch)) {
    return malformed(
      `json: cannot unmarshal ${goTypeOf(patch)} into Go value of type map[string]interface {}`
    )
  }
  return Result.succeed(merge(document, patch))
}

interface JsonPatchOperation {
  readonly op: string
  readonly path: string
  readonly from: string
  readonly value: unknown
}

const readOperation = (entry: unknown): Result.Result<JsonPatchOperation, PatchProblem> => {
  if (entry === null) {
    return unprocessable
  }
  if (!Predicate.isObject(entry)) {
    return malformed(`json: cannot unmarshal ${goTypeOf(entry)} into Go value of type handlers.jsonPatchOp`)
  }
  const { from = "", op = "", path, value = null } = entry
  for (const [field, text] of Object.entries({ from, op, path })) {
    if (text !== undefined && !Predicate.isString(text)) {
      return malformed(
        `json: cannot unmarshal ${goTypeOf(text)} into Go struct field jsonPatchOp.${field} of type string`
      )
    }
  }
  return Predicate.isString(from) && Predicate.isString(op) && Predicate.isString(path)
    ? Result.succeed({ op: meaningOf(op), path: meaningOf(path), from: meaningOf(from), value })
    : unprocessable
}

const applyOperation = (document: unknown, operation: JsonPatchOperation): boolean => {
  const { from, op, path, value } = operation
  switch (op) {
    case "add":
      return applyAll(document, [{ op, path, value }])
    case "replace":
      return !isAppend(document, path) &&
        applyAll(document, [{ op: isAbsentKey(document, path) ? "add" : op, path, value }])
    case "test":
      return isAbsentKey(document, path) ? value === null : applyAll(document, [{ op, path, value }])
    case "remove":
      return !isAbsentKey(document, path) && applyAll(document, [{ op, path }])
    case "move":
      return !isAbsentKey(document, from) && applyAll(document, [{ op, from, path }])
    case "copy":
      return applyAll(document, [isAbsentKey(document, from) ? { op: "add", path, value: null } : { op, from, path }])
    default:
      return false
  }
}

// The library throws on a pointer that is none.
const applyAll = (document: unknown, operations: Array<Operation>): boolean =>
  Result.match(Result.try(() => applyPatch(document, operations)), {
    onFailure: () => false,
    onSuccess: (problems) => problems.every((problem) => problem === null)
  })

/** Whether the path names a key that is absent from a map that exists. What is inherited is absent. */
const isAbsentKey = (document: unknown, path: string): boolean => {
  const { key, parent } = placeOf(document, path)
  return Predicate.isObject(parent) && !Object.hasOwn(parent, key)
}

/** Whether the path names the place after the last of a list, which the library would take for a member to replace. */
const isAppend = (document: unknown, path: string): boolean => {
  const { key, parent } = placeOf(document, path)
  return Array.isArray(parent) && key === "-"
}

const placeOf = (document: unknown, path: string): { readonly key: string; readonly parent: unknown } =>
  Result.getOrElse(Result.try(() => Pointer.fromJSON(path).evaluate(document)), () => ({ key: "", parent: undefined }))

const merge = (target: unknown, patch: unknown): unknown => {
  if (!Predicate.isObject(patch)) {
    return patch
  }
  const kept = Predicate.isObject(target) ? Object.entries(target).filter(([key]) => !Object.hasOwn(patch, key)) : []
  const merged = Object.entries(patch)
    .filter(([, value]) => value !== null)
    .map(([key, value]) => [
      key,
      merge(Predicate.isObject(target) && Object.hasOwn(target, key) ? target[key] : undefined, value)
    ])
  return Object.fromEntries([...kept, ...merged])
}

// Copies maps and lists and shares the strings, which `structuredClone` would copy.
const copyOf = (value: unknown, ofString: (text: string) => string = (text) => text): unknown =>
  Predicate.isString(value)
    ? ofString(value)
    : Array.isArray(value)
    ? value.map((item) => copyOf(item, ofString))
    : Predicate.isObject(value)
    ? Object.fromEntries(Object.entries(value).map(([key, child]) => [key, copyOf(child, ofString)]))
    : value
