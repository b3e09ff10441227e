/**
 * What a request is about, in the words of RBAC, read from its method, path and query: so that an error can name the object, and
 * the verb that is missing.
 */
export interface RequestTarget {
  readonly verb: string
  /** For a person, as in `configmaps "locks" in namespace "default"`. */
  readonly object: string
  /** As a Role names it: `widgets.example.com`, or `configmaps` in the core group. */
  readonly resource: string
  readonly namespace: string | undefined
  /** `v1`, or `example.com/v1`. */
  readonly apiVersion: string
}

const verbs: Readonly<Record<string, string>> = { POST: "create", PUT: "update", PATCH: "patch", DELETE: "delete" }

/** Reads a path below `/api` or `/apis`; `undefined` for any other, such as `/version`. */
export const parse = (
  method: string,
  path: string,
  query: Readonly<Record<string, string>> = {}
): RequestTarget | undefined => {
  const segments = path.split("/").filter((segment) => segment !== "")
  const [root, first, second] = segments
  const isCore = root === "api" && first !== undefined
  if (!isCore && !(root === "apis" && first !== undefined && second !== undefined)) return undefined
  const apiVersion = isCore ? first : `${first}/${second}`
  const below = segments.slice(isCore ? 2 : 3)
  // `/namespaces/x` alone is the namespace itself; anything after it lives in it.
  const namespace = below[0] === "namespaces" && below.length > 2 ? below[1] : undefined
  const [plural, nameInPath] = namespace === undefined ? below : below.slice(2)
  const name = nameInPath ?? selectedName(query)
  if (plural === undefined) return undefined
  const resource = isCore ? plural : `${plural}.${first}`
  const where = namespace === undefined ? "" : ` in namespace "${namespace}"`
  return {
    verb: verbs[method] ?? (nameInPath !== undefined ? "get" : query["watch"] === "true" ? "watch" : "list"),
    object: (name === undefined ? resource : `${resource} "${name}"`) + where,
    resource,
    namespace,
    apiVersion
  }
}

/** The field selector for the one object of this name. */
export const selectorOf = (name: string): string => `metadata.name=${name.replace(/[\\,=]/g, "\\$&")}`

const selectedName = ({ fieldSelector }: Readonly<Record<string, string>>): string | undefined =>
  /^metadata\.name=(.*)$/.exec(fieldSelector ?? "")?.[1]?.replace(/\\(.)/g, "$1")

/** The end of a sentence about a request whose outcome is not known: only a write leaves a doubt. */
export const doubt = (method: string): string => method === "GET" ? "" : "; the write may or may not have been applied"
