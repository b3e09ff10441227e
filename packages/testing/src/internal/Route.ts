/** Which resource a path means, and what a method wants with it. Pure. */
import type { Verb } from "../Faults.ts"
import type { ResourceType } from "../ResourceType.ts"

/** A path below `/api/v1` or `/apis/group/version`. */
export interface ResourcePath {
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly namespace: string | undefined
  readonly name: string | undefined
  readonly subresource: string | undefined
}

/** The path's parts, decoded; a path that cannot be decoded has none. */
export const segmentsOf = (path: string): ReadonlyArray<string> => {
  try {
    return path.split("/").filter((segment) => segment !== "").map(decodeURIComponent)
  } catch {
    return []
  }
}

/** The resource path, or undefined for anything else, such as discovery. */
export const resourcePathOf = (segments: ReadonlyArray<string>): ResourcePath | undefined => {
  const [root, ...below] = segments
  const [group, version, ...rest] = root === "api" ? ["", ...below] : root === "apis" ? below : []
  if (group === undefined || version === undefined || rest.length === 0) {
    return undefined
  }
  const [first, second, third] = rest
  const isNamespaced = first === "namespaces" && third !== undefined && !namespaceSubresources.has(third)
  const [resource, name, subresource] = isNamespaced ? rest.slice(2) : rest
  return resource === undefined ? undefined : {
    group,
    version,
    resource,
    namespace: isNamespaced ? second : undefined,
    name,
    subresource
  }
}

const namespaceSubresources = new Set(["status", "finalize"])

export const isTypeOf = (path: ResourcePath) => (type: ResourceType): boolean =>
  type.group === path.group && type.version === path.version && type.resource === path.resource

/** What the request wants; undefined where the method cannot be used on the path. */
export const verbOf = (path: ResourcePath, method: string, isWatch: boolean): Verb | undefined => {
  const verbs: Readonly<Record<string, Verb | undefined>> = path.name === undefined
    ? { GET: isWatch ? "watch" : "list", POST: "create", DELETE: "deletecollection" }
    : { GET: "get", PUT: "update", PATCH: "patch", DELETE: "delete" }
  return verbs[method]
}

/** A boolean query parameter as Kubernetes reads it: whatever is not plainly false is true, also the empty value. */
export const isTrue = (value: string | null): boolean =>
  value !== null && !["0", "false", "False", "FALSE"].includes(value)
