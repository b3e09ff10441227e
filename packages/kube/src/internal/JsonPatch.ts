/**
 * The operations that go with an edit, written as an API server reads them and made as it makes them. Pure.
 *
 * Changes are made by Effect. `test`, `copy` and `move` are put together here, and so is what the server does differently with a key
 * that is absent from a map that exists: `test` finds `null` there, `copy` takes `null` from there, and `replace` creates it.
 */
import { GoJson } from "@kubelock/core"
import { Equal, JsonPatch, JsonPointer, Predicate, Result, type Schema } from "effect"
import type { JsonPatchOperation } from "../AnnotationStore.ts"

/**
 * The operations with U+FFFD for every half of a surrogate pair, which is how Go reads one. It must also be sent as the character
 * itself: a `test` is compared with what was stored to the byte, and an escape would not be the same.
 */
export const wellFormed = (operations: ReadonlyArray<JsonPatchOperation>): ReadonlyArray<JsonPatchOperation> =>
  operations.length === 0 ? operations : JSON.parse(GoJson.stringify(operations))

/** The document after all the operations, or the first one that cannot be made. The document itself is not changed. */
export const apply = (
  document: Schema.Json,
  operations: ReadonlyArray<JsonPatchOperation>
): Result.Result<Schema.Json, JsonPatchOperation> => {
  let patched = document
  for (const operation of wellFormed(operations)) {
    const next = perform(patched, operation)
    if (next === undefined) return Result.fail(operation)
    patched = next
  }
  return Result.succeed(patched)
}

/** The operations in words, without their values. */
export const describe = (operations: ReadonlyArray<JsonPatchOperation>): string =>
  operations.map(({ op, path }) => `${op} ${path}`).join(", ")

/** The document after it; undefined, which is no JSON, if it cannot be made. */
const perform = (document: Schema.Json, operation: JsonPatchOperation): Schema.Json | undefined => {
  const { path } = operation
  switch (operation.op) {
    case "test":
      return Equal.equals(find(document, path), operation.value) ? document : undefined
    case "add":
      return change(document, { op: "add", path, value: operation.value })
    case "replace":
      return change(document, { op: isAbsentKey(document, path) ? "add" : "replace", path, value: operation.value })
    case "remove":
      return change(document, { op: "remove", path })
    case "copy": {
      const value = operation.from === "" ? undefined : find(document, operation.from)
      return value === undefined ? undefined : change(document, { op: "add", path, value })
    }
    case "move": {
      const value = find(document, operation.from)
      const without = change(document, { op: "remove", path: operation.from })
      return value === undefined || without === undefined ? undefined : change(without, { op: "add", path, value })
    }
  }
}

/** The whole document is not changed so. */
const change = (
  document: Schema.Json,
  operation: JsonPatch.JsonPatchOperation
): Schema.Json | undefined => {
  const tokens = tokensOf(operation.path) ?? []
  if (tokens.length === 0) return undefined
  // Go takes a tilde that escapes nothing for itself.
  const path = tokens.map((token) => `/${JsonPointer.escapeToken(token)}`).join("")
  return Result.getOrUndefined(Result.try(() => JsonPatch.apply([{ ...operation, path }], document)))
}

/** What is at the path: `null` where a map has no such key, undefined where the path leads nowhere. */
const find = (document: Schema.Json, path: string): Schema.Json | undefined =>
  isAbsentKey(document, path) ? null : tokensOf(path)?.reduce<Schema.Json | undefined>(childOf, document)

const isAbsentKey = (document: Schema.Json, path: string): boolean => {
  const tokens = tokensOf(path) ?? []
  const parent = tokens.slice(0, -1).reduce<Schema.Json | undefined>(childOf, document)
  const [key] = tokens.slice(-1)
  return key !== undefined && isMap(parent) && !Object.hasOwn(parent, key)
}

const tokensOf = (path: string): ReadonlyArray<string> | undefined => {
  if (path === "") return []
  return Predicate.isString(path) && path.startsWith("/")
    ? path.split("/").slice(1).map(JsonPointer.unescapeToken)
    : undefined
}

/** What is inherited is not there. */
const childOf = (parent: Schema.Json | undefined, token: string): Schema.Json | undefined => {
  if (Array.isArray(parent)) return /^(?:0|[1-9]\d*)$/.test(token) ? parent[Number(token)] : undefined
  return isMap(parent) && Object.hasOwn(parent, token) ? parent[token] : undefined
}

const isMap = (value: Schema.Json | undefined): value is Schema.JsonObject => Predicate.isObject(value)
