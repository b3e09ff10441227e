/** What the server says of itself: versions, groups, resources, and as much OpenAPI as kubectl looks into. Pure. */
import type { ResourceType } from "../ResourceType.ts"
import { apiVersion } from "../ResourceType.ts"

const version = {
  major: "1",
  minor: "36",
  gitVersion: "v1.36.0+kubelock-testing",
  gitCommit: "",
  gitTreeState: "",
  buildDate: "1970-01-01T00:00:00Z",
  goVersion: "",
  compiler: "",
  platform: ""
}

const verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]

const accessReview: ResourceType = {
  group: "authorization.k8s.io",
  version: "v1",
  resource: "selfsubjectaccessreviews",
  kind: "SelfSubjectAccessReview",
  namespaced: false,
  builtIn: true
}

/** The document at a path, or undefined. */
export const documentAt = (types: ReadonlyArray<ResourceType>, segments: ReadonlyArray<string>): object | undefined => {
  const all = [...types, accessReview]
  const [root, first, second, ...more] = segments
  if (more.length > 0) {
    return undefined
  }
  switch (root) {
    case "version":
      return first === undefined ? version : undefined
    case "api":
      return first === undefined
        ? { kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs: [] }
        : second === undefined
        ? resourceList(all, "", first)
        : undefined
    case "apis":
      return first === undefined
        ? { kind: "APIGroupList", apiVersion: "v1", groups: groupsOf(all).map((name) => groupOf(all, name)) }
        : !groupsOf(all).includes(first)
        ? undefined
        : second === undefined
        ? { kind: "APIGroup", apiVersion: "v1", ...groupOf(all, first) }
        : resourceList(all, first, second)
    default:
      return undefined
  }
}

/** Whether a group, or the core group's version, is served at all: what tells one kind of 404 from another. */
export const isBuiltInGroup = (types: ReadonlyArray<ResourceType>, group: string): boolean =>
  types.some((type) => type.group === group && type.builtIn === true)

/** `/openapi/v3` and the documents below it: only which query parameters a PATCH knows, which kubectl asks before it validates. */
export const openApiAt = (types: ReadonlyArray<ResourceType>, segments: ReadonlyArray<string>): object | undefined => {
  const [root, v3, ...rest] = segments
  if (root !== "openapi" || v3 !== "v3") {
    return undefined
  }
  if (rest.length === 0) {
    const groupVersions = new Set(types.map(pathOfGroupVersion))
    return {
      paths: Object.fromEntries([...groupVersions].map((path) => [path, { serverRelativeURL: `/openapi/v3/${path}` }]))
    }
  }
  const served = types.filter((type) => pathOfGroupVersion(type) === rest.join("/"))
  return served.length === 0 ? undefined : {
    openapi: "3.0.0",
    info: { title: "Kubernetes", version: version.gitVersion },
    paths: Object.fromEntries(served.map(pathItem))
  }
}

const pathOfGroupVersion = (type: ResourceType): string =>
  type.group === "" ? `api/${type.version}` : `apis/${apiVersion(type)}`

const pathItem = (type: ResourceType) => [
  `/${pathOfGroupVersion(type)}${type.namespaced ? "/namespaces/{namespace}" : ""}/${type.resource}/{name}`,
  {
    patch: {
      parameters: ["dryRun", "fieldManager", "fieldValidation"].map((name) => ({
        name,
        in: "query",
        schema: { type: "string" }
      })),
      responses: { 200: { description: "OK" } },
      "x-kubernetes-group-version-kind": { group: type.group, kind: type.kind, version: type.version }
    }
  }
]

const groupsOf = (types: ReadonlyArray<ResourceType>): ReadonlyArray<string> => [
  ...new Set(types.map((type) => type.group).filter((group) => group !== ""))
]

const groupOf = (types: ReadonlyArray<ResourceType>, name: string) => {
  const versions = [...new Set(types.filter((type) => type.group === name).map((type) => type.version))]
    .map((version) => ({ groupVersion: `${name}/${version}`, version }))
  return { name, versions, preferredVersion: versions[0] }
}

const resourceList = (types: ReadonlyArray<ResourceType>, group: string, version: string): object | undefined => {
  const served = types.filter((type) => type.group === group && type.version === version)
  return served.length === 0 ? undefined : {
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion: apiVersion({ group, version }),
    resources: served.map((type) => ({
      name: type.resource,
      singularName: type.singular ?? type.kind.toLowerCase(),
      namespaced: type.namespaced,
      kind: type.kind,
      verbs: type === accessReview ? ["create"] : verbs,
      ...(type.shortNames === undefined || type.shortNames.length === 0 ? {} : { shortNames: type.shortNames })
    }))
  }
}
