/** How an object is written: whole or metadata only, alone, in a list or in a watch event. Pure. */
import { Result } from "effect"
import type { KubeObject, KubeObjectInput } from "../KubeObject.ts"
import type * as ObjectStore from "../ObjectStore.ts"
import type { ResourceType } from "../ResourceType.ts"
import { apiVersion } from "../ResourceType.ts"
import * as Status from "../Status.ts"
import type { Selector } from "./Selector.ts"

/** Whole objects, or their metadata in this version of `meta.k8s.io`. */
export type Form = { readonly _tag: "Whole" } | { readonly _tag: "Metadata"; readonly apiVersion: string }

/** What the Accept header asks for: the first form on its list that can be written. Tables cannot. */
export const negotiate = (
  accept: string | undefined,
  type: ResourceType,
  shape: "object" | "list" | "watch"
): Result.Result<Form, Status.Status> => {
  if (accept === undefined || accept.trim() === "") {
    return Result.succeed({ _tag: "Whole" })
  }
  const ranges = accept.split(",").map(parseMediaRange).filter(({ mediaType }) =>
    mediaType === "application/json" || mediaType === "*/*"
  )
  if (ranges.length === 0 && type.builtIn === true) {
    return Result.fail(
      Status.noAcceptableMediaType(shape === "object" ? mediaTypes : `${mediaTypes}, ${watchMediaTypes}`)
    )
  }
  for (const { as, group, version } of ranges) {
    if (as === undefined) {
      return Result.succeed({ _tag: "Whole" })
    }
    if (!metadataForms.has(as) || group !== "meta.k8s.io" || !metadataVersions.has(version ?? "")) continue
    const isList = as.endsWith("List")
    return isList === (shape === "list")
      ? Result.succeed({ _tag: "Metadata", apiVersion: `${group}/${version}` })
      : Result.fail(Status.notAcceptable(
        isList
          ? `you requested ${as}, but the requested object is not a list (${goType(type)})`
          : `you requested ${as}, but the requested object is a list (${goType(type)}List)`
      ))
  }
  return Result.fail(Status.notAcceptable(`only the following media types are accepted: ${mediaTypes}`))
}

// As a real server says; this one writes the first alone.
const mediaTypes = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
const watchMediaTypes = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
const metadataForms = new Set(["PartialObjectMetadata", "PartialObjectMetadataList"])
const metadataVersions = new Set(["v1", "v1beta1"])

const goType = (type: ResourceType): string => `*${type.group === "" ? "core" : type.group}.${type.kind}`

const parseMediaRange = (range: string) => {
  const [mediaType = "", ...parameters] = range.split(";").map((part) => part.trim())
  const valueOf = (name: string) =>
    parameters.find((parameter) => parameter.startsWith(`${name}=`))?.slice(name.length + 1)
  return { mediaType, as: valueOf("as"), group: valueOf("g"), version: valueOf("v") }
}

export const writeObject = (form: Form, type: ResourceType, object: KubeObjectInput): object =>
  form._tag === "Metadata"
    ? { kind: "PartialObjectMetadata", apiVersion: form.apiVersion, metadata: object.metadata }
    : { ...object, kind: type.kind, apiVersion: apiVersion(type) }

export const writeList = (
  form: Form,
  type: ResourceType,
  objects: ReadonlyArray<KubeObject>,
  revision: number
): object => {
  const head = form._tag === "Metadata"
    ? { kind: "PartialObjectMetadataList", apiVersion: form.apiVersion }
    : { kind: `${type.kind}List`, apiVersion: apiVersion(type) }
  return {
    ...head,
    // A list of whole custom resources always says where it would go on.
    metadata: {
      ...(form._tag === "Metadata" || type.builtIn === true ? {} : { continue: "" }),
      resourceVersion: String(revision)
    },
    items: form._tag === "Metadata" && objects.length === 0 ? null : objects.map((object) => {
      const item = writeObject(form, type, object)
      if (form._tag === "Metadata" || type.builtIn !== true) {
        return item
      }
      const { apiVersion: _, kind: __, ...bare } = object
      return bare
    })
  }
}

/** A watch event, or undefined where it is none of the watcher's business. */
export const writeEvent = (
  form: Form,
  type: ResourceType,
  selects: Selector,
  event: ObjectStore.Event
): object | undefined => {
  const was = event.previous !== undefined && selects(event.previous)
  const is = event.type !== "DELETED" && selects(event.object)
  if (!was && !is) return undefined
  // What leaves the selection is shown as it was when it was last selected.
  const { resourceVersion } = event.object.metadata
  const object = is || event.previous === undefined
    ? event.object
    : { ...event.previous, metadata: { ...event.previous.metadata, resourceVersion } }
  return { type: was ? is ? "MODIFIED" : "DELETED" : "ADDED", object: writeObject(form, type, object) }
}

export const writeAdded = (form: Form, type: ResourceType, object: KubeObject): object => ({
  type: "ADDED",
  object: writeObject(form, type, object)
})

/** A bookmark: "you have seen everything up to here"; at the end of the initial events it says so. */
export const writeBookmark = (
  form: Form,
  type: ResourceType,
  revision: number,
  endsInitialEvents: boolean
): object => ({
  type: "BOOKMARK",
  object: {
    ...(form._tag === "Metadata"
      ? { kind: "PartialObjectMetadata", apiVersion: form.apiVersion }
      : { kind: type.kind, apiVersion: apiVersion(type) }),
    metadata: {
      resourceVersion: String(revision),
      ...(endsInitialEvents ? { annotations: { "k8s.io/initial-events-end": "true" } } : {})
    }
  }
})

export const writeError = (status: Status.Status): object => ({ type: "ERROR", object: status })
