/**
 * The operations that go with an edit, written as an API server reads them and made as it makes them. Pure.
 *
 * They are made by the library, but for what the server does differently with a key that is absent from a map that exists: `test`
 * finds `null` there, `copy` takes `null` from there, and `replace` creates it.
 */
import { GoJson } from "@kubelock/core"
import { JsonPointer, Predicate, Result } from "effect"
import { applyPatch } from "rfc6902"
import type { JsonPatchOperation } from "../AnnotationStore.ts"

/**
 * The operations with U+FFFD for every half of a surrogate pair, which is how Go reads one. It must also be sent as the character
 * itself: a `test` is compared with what was stored to the byte, and an escape would not be the same.
 */
export const wellFormed = (operations: ReadonlyArray<JsonPatchOperation>): ReadonlyArray<JsonPatchOperation> =>
  JSON.parse(GoJson.stringify(operations))

/** The document after all the operations, or the first one that cannot be made. The document itself is not changed. */
export const apply = (
  document: object,
  operations: ReadonlyArray<JsonPatchOperation>
): Result.Result<unknown, JsonPatchOperation> => {
  const patched: unknown = structuredClone(document)
  for (const operation of wellFormed(operations)) {
    if (!perform(patched, operation)) return Result.fail(operation)
  }
  return Result.succeed(patched)
}

/** The operations in words, without their values. */
export const describe = (operations: ReadonlyArray<JsonPatchOperation>): string =>
  operations.map(({ op, path }) => `${op} ${path}`).join(", ")

const perform = (document: unknown, operation: JsonPatchOperation): boolean => {
  switch (operation.op) {
    case "test":
      return isAbsentKey(document, operation.path) ? operation.value === null : applyOne(document, operation)
    case "replace":
      return isAbsentKey(document, operation.path)
        ? applyOne(document, { ...operation, op: "add" })
        : isThere(document, operation.path) && applyOne(document, operation)
    case "remove":
      return isThere(document, operation.path) && applyOne(document, operation)
    case "copy":
      return isAbsentKey(document, operation.from)
        ? applyOne(document, { op: "add", path: operation.path, value: null })
        : isThere(document, operation.from) && applyOne(document, operation)
    case "move":
      return isThere(document, operation.from) && applyOne(document, operation)
    default:
      return applyOne(document, operation)
  }
}

// The library throws on a pointer that is none, and follows one into what is inherited.
const applyOne = (document: unknown, operation: JsonPatchOperation): boolean =>
  (operation.path === "" || Predicate.isObjectOrArray(placeOf(document, operation.path).parent)) &&
  Result.match(Result.try(() => applyPatch(document, [operation])), {
    onFailure: () => false,
    onSuccess: (problems) => problems.every((problem) => problem === null)
  })

/** Whether the path names a key that is absent from a map that exists. */
const isAbsentKey = (document: unknown, path: string): boolean => {
  const { key, parent } = placeOf(document, path)
  return Predicate.isObject(parent) && !Object.hasOwn(parent, key)
}

/** Whether the path names a key of a map or a member of a list. What is inherited does not count. */
const isThere = (document: unknown, path: string): boolean => {
  const { key, parent } = placeOf(document, path)
  return Predicate.isObjectOrArray(parent) && Object.keys(parent).includes(key)
}

/** Nowhere, where the path leads through what is inherited, or to the one key that the library will not write. */
const placeOf = (document: unknown, path: string): { readonly key: string; readonly parent: unknown } => {
  const keys = Predicate.isString(path) ? path.split("/").slice(1).map(JsonPointer.unescapeToken) : []
  const parent = keys.length === 0 || keys.includes("__proto__")
    ? undefined
    : keys.slice(0, -1).reduce(childOf, document)
  return { key: keys.at(-1) ?? "", parent }
}

const childOf = (parent: unknown, key: string): unknown =>
  Predicate.isObjectOrArray(parent) && Object.hasOwn(parent, key) ? Reflect.get(parent, key) : undefined
