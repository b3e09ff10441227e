/**
 * The operations that go with an edit, written as an API server reads them and made as it makes them. Pure.
 *
 * That is RFC 6902, but for a key that is absent from a map that exists: `test` finds `null` there, `copy` takes `null` from there, and
 * `replace` creates it.
 */
import { GoJson } from "@kubelock/core"
import { Equal, JsonPointer, Predicate, Result } from "effect"
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
  let patched: unknown = document
  for (const operation of wellFormed(operations)) {
    patched = perform(patched, operation)
    if (patched === undefined) return Result.fail(operation)
  }
  return Result.succeed(patched)
}

/** The operations in words, without their values. */
export const describe = (operations: ReadonlyArray<JsonPatchOperation>): string =>
  operations.map(({ op, path }) => `${op} ${path}`).join(", ")

/** The keys from the top of the document to a place in it. */
type Keys = ReadonlyArray<string>

/** The document after the operation; undefined, which is no JSON, if it cannot be made. */
const perform = (document: unknown, operation: JsonPatchOperation): unknown => {
  const keys = keysOf(operation.path)
  switch (operation.op) {
    case "test": {
      const value = found(document, keys)
      return value !== undefined && Equal.equals(value, operation.value) ? document : undefined
    }
    case "add":
      return changed(document, keys, adding(operation.value))
    case "replace":
      return changed(document, keys, replacing(operation.value))
    case "remove":
      return changed(document, keys, remove)
    case "copy":
      return changed(document, keys, adding(found(document, keysOf(operation.from))))
    case "move": {
      const from = keysOf(operation.from)
      return isBelow(keys, from)
        ? undefined
        : changed(changed(document, from, remove), keys, adding(found(document, from)))
    }
  }
}

/** Of what is no pointer, undefined: such a place is nowhere. */
const keysOf = (pointer: unknown): Keys | undefined => {
  if (!Predicate.isString(pointer)) return undefined
  const [beforeFirst, ...keys] = pointer.split("/")
  return beforeFirst === "" ? keys.map(JsonPointer.unescapeToken) : undefined
}

/** What is inherited is not there. */
const isThere = (parent: unknown, key: string): boolean =>
  Array.isArray(parent) ? index.test(key) && Number(key) < parent.length : isMap(parent) && Object.hasOwn(parent, key)

const index = /^(?:0|[1-9]\d*)$/

const isMap = Predicate.isObject

const childOf = (parent: unknown, key: string): unknown => {
  if (!isThere(parent, key)) return undefined
  if (Array.isArray(parent)) return parent[Number(key)]
  return isMap(parent) ? parent[key] : undefined
}

/** What is at the place, `null` where a map has no such key; undefined where the keys lead nowhere. */
const found = (document: unknown, keys: Keys | undefined): unknown => {
  if (keys === undefined) return undefined
  const parent = keys.slice(0, -1).reduce(childOf, document)
  const value = keys.reduce(childOf, document)
  return value === undefined && isMap(parent) ? null : value
}

type Change = (parent: unknown, key: string) => unknown

/** The node with what the change makes of the map or list that the keys lead into. The whole document cannot be changed so. */
const changed = (node: unknown, keys: Keys | undefined, change: Change): unknown => {
  if (keys === undefined) return undefined
  const [key, ...below] = keys
  if (key === undefined) return undefined
  return below.length === 0 ? change(node, key) : set(node, key, changed(childOf(node, key), below, change))
}

const adding = (value: unknown): Change => (parent, key) => {
  if (value === undefined) return undefined
  if (!Array.isArray(parent)) return set(parent, key, value)
  if (key === "-") return [...parent, value]
  return index.test(key) && Number(key) <= parent.length ? parent.toSpliced(Number(key), 0, value) : undefined
}

const replacing = (value: unknown): Change => (parent, key) => set(parent, key, value)

const remove: Change = (parent, key) => {
  if (!isThere(parent, key)) return undefined
  if (Array.isArray(parent)) return parent.toSpliced(Number(key), 1)
  return isMap(parent) ? Object.fromEntries(Object.entries(parent).filter(([other]) => other !== key)) : undefined
}

const set = (parent: unknown, key: string, value: unknown): unknown => {
  if (value === undefined) return undefined
  if (Array.isArray(parent)) return isThere(parent, key) ? parent.with(Number(key), value) : undefined
  // A computed key is a key like any other, `__proto__` too.
  return isMap(parent) ? { ...parent, [key]: value } : undefined
}

const isBelow = (keys: Keys | undefined, above: Keys | undefined): boolean =>
  keys !== undefined && above !== undefined && keys.length > above.length &&
  above.every((key, at) => key === keys[at])
