/**
 * Reads a request's body into an object, complaining about types as Go's JSON decoder does. Pure.
 *
 * Only `metadata` is looked into. What Go leaves out when it writes (empty strings, maps and lists, `null`) is left out here
 * too, so that `annotations: {}` is stored as none; `managedFields`, `selfLink` and unknown metadata are not kept.
 */
import { Predicate, Result, Schema } from "effect"
import type { KubeObjectInput } from "../KubeObject.ts"
import type { ResourceType } from "../ResourceType.ts"
import { apiVersion } from "../ResourceType.ts"
import { goTypeOf } from "./Json.ts"

type JsonObject = { readonly [key: string]: unknown }

const StringMap = Schema.Record(Schema.String, Schema.String)

const Metadata = Schema.Struct({
  name: Schema.optionalKey(Schema.String),
  generateName: Schema.optionalKey(Schema.String),
  namespace: Schema.optionalKey(Schema.String),
  uid: Schema.optionalKey(Schema.String),
  resourceVersion: Schema.optionalKey(Schema.String),
  generation: Schema.optionalKey(Schema.Finite),
  creationTimestamp: Schema.optionalKey(Schema.String),
  deletionTimestamp: Schema.optionalKey(Schema.String),
  deletionGracePeriodSeconds: Schema.optionalKey(Schema.Finite),
  labels: Schema.optionalKey(StringMap),
  annotations: Schema.optionalKey(StringMap),
  ownerReferences: Schema.optionalKey(Schema.Array(Schema.Unknown)),
  finalizers: Schema.optionalKey(Schema.Array(Schema.String))
})

const goTypes: Readonly<Record<keyof typeof Metadata.fields, string>> = {
  name: "string",
  generateName: "string",
  namespace: "string",
  uid: "string",
  resourceVersion: "string",
  generation: "int64",
  creationTimestamp: "string",
  deletionTimestamp: "string",
  deletionGracePeriodSeconds: "int64",
  labels: "map[string]string",
  annotations: "map[string]string",
  ownerReferences: "[]v1.OwnerReference",
  finalizers: "[]string"
}

/** Reads a JSON object; on failure what Go would have said. */
export const fromJson = (type: ResourceType, body: JsonObject): Result.Result<KubeObjectInput, string> => {
  const { metadata = {}, ...rest } = body
  if (metadata !== null && !Predicate.isObject(metadata)) {
    return Result.fail(`${unmarshal(metadata)} ${type.kind}.metadata of type v1.ObjectMeta`)
  }
  const cleaned = cleanMetadata(metadata ?? {})
  return Schema.decodeUnknownResult(Metadata)(cleaned).pipe(
    Result.mapError(() => problemOf(type, cleaned)),
    Result.map((metadata) => ({
      ...(type.builtIn === true ? withoutNulls(rest) : rest),
      apiVersion: apiVersion(type),
      kind: type.kind,
      metadata
    }))
  )
}

const cleanMetadata = (metadata: JsonObject): JsonObject =>
  Object.fromEntries(
    Object.entries(metadata)
      .map(([field, value]) =>
        [field, isMapField(field) && Predicate.isObject(value) ? nullsToEmpty(value) : value] as const
      )
      .filter(([, value]) => !isEmpty(value))
  )

const isMapField = (field: string): boolean => field === "labels" || field === "annotations"

const nullsToEmpty = (map: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(map).map(([key, value]) => [key, value ?? ""]))

const isEmpty = (value: unknown): boolean =>
  value === null || value === "" ||
  (Array.isArray(value) ? value.length === 0 : Predicate.isObject(value) && Object.keys(value).length === 0)

const withoutNulls = (fields: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null))

const problemOf = (type: ResourceType, metadata: JsonObject): string => {
  const path = type.builtIn === true ? "ObjectMeta.metadata" : "ObjectMeta"
  for (const [field, goType] of Object.entries(goTypes)) {
    const value = metadata[field]
    if (value === undefined) continue
    const stray = strayIn(value, goType)
    if (stray !== undefined) {
      return `${unmarshal(stray.value)} ${path}.${field} of type ${stray.goType}`
    }
  }
  return `cannot read ${path}`
}

/** The value that does not fit the Go type, and the type it should have: that of the whole, or of what it holds. */
const strayIn = (value: unknown, goType: string): { readonly value: unknown; readonly goType: string } | undefined => {
  const isOfType = goType === "string"
    ? Predicate.isString(value)
    : goType === "int64"
    ? Predicate.isNumber(value)
    : goType.startsWith("map")
    ? Predicate.isObject(value)
    : Array.isArray(value)
  if (!isOfType) {
    return { value, goType }
  }
  const stray = goType.endsWith("]string") && Predicate.isObjectOrArray(value)
    ? Object.values(value).find((child) => !Predicate.isString(child))
    : undefined
  return stray === undefined ? undefined : { value: stray, goType: "string" }
}

const unmarshal = (value: unknown): string => `json: cannot unmarshal ${goTypeOf(value)} into Go struct field`
