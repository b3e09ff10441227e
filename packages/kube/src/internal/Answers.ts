/** What an API server says of an object, alone, in a list or in a line of a watch: read, or a {@link KubeError}. */
import { Predicate, Result, Schema } from "effect"
import type { ObjectMetadata } from "../AnnotationStore.ts"
import { KubeError, type KubeErrorRequest } from "../KubeError.ts"

/** As the server writes it, beside what nobody here asks for. */
interface PartialObjectMetadata {
  readonly metadata: {
    readonly uid: string
    readonly resourceVersion: string
    readonly annotations?: Readonly<Record<string, string>>
  }
}

const resourceVersionPattern = /^\d{1,20}$/

const ResourceVersion = Schema.String.check(Schema.isPattern(resourceVersionPattern))

// By hand, since every answer to a request is one.
const isPartialObjectMetadata = (value: unknown): value is PartialObjectMetadata => {
  if (!Predicate.hasProperty(value, "metadata") || !Predicate.isObject(value.metadata)) return false
  const { annotations, resourceVersion, uid } = value.metadata
  return typeof uid === "string" && typeof resourceVersion === "string" &&
    resourceVersionPattern.test(resourceVersion) &&
    (annotations === undefined ||
      Predicate.isObject(annotations) && Object.values(annotations).every(Predicate.isString))
}

const PartialObjectMetadata = Schema.declare(isPartialObjectMetadata)

const PartialObjectMetadataList = Schema.Struct({
  metadata: Schema.Struct({ resourceVersion: ResourceVersion }),
  items: Schema.NullOr(Schema.Array(PartialObjectMetadata))
})

const WatchEvent = Schema.Union([
  Schema.Struct({ type: Schema.Literals(["ADDED", "MODIFIED", "DELETED"]), object: PartialObjectMetadata }),
  Schema.Struct({
    type: Schema.Literal("BOOKMARK"),
    object: Schema.Struct({ metadata: Schema.Struct({ resourceVersion: ResourceVersion }) })
  }),
  Schema.Struct({
    type: Schema.Literal("ERROR"),
    object: Schema.StructWithRest(Schema.Struct({ code: Schema.optionalKey(Schema.Int) }), [
      Schema.Record(Schema.String, Schema.Unknown)
    ])
  })
])

/** One object of its name, or none, and the resourceVersion at which that is so. */
export interface Listed {
  readonly resourceVersion: bigint
  readonly object: ObjectMetadata | undefined
}

/** One line of a watch that is no error. */
export type Heard =
  | { readonly _tag: "Present"; readonly object: ObjectMetadata }
  | { readonly _tag: "Deleted"; readonly resourceVersion: bigint }
  /** Nothing, up to here. */
  | { readonly _tag: "Bookmark"; readonly resourceVersion: bigint }

const metadataOf = ({ metadata }: PartialObjectMetadata): ObjectMetadata => ({
  uid: metadata.uid,
  resourceVersion: BigInt(metadata.resourceVersion),
  annotations: metadata.annotations ?? {}
})

/** What is no JSON of the expected shape comes from something that is no API server. */
const reading =
  <A>(isExpected: (value: unknown) => value is A) =>
  (request: KubeErrorRequest, body: string): Result.Result<A, KubeError> => {
    const value = parsed(body)
    return isExpected(value)
      ? Result.succeed(value)
      : Result.fail(KubeError.fromResponse(request, { status: 200, headers: {}, body }))
  }

/** `undefined` if it is no JSON. */
const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const readingObject = reading(isPartialObjectMetadata)
const readingList = reading(Schema.is(PartialObjectMetadataList))
const readingEvent = reading(Schema.is(WatchEvent))

/** The answer to a GET or a PATCH. */
export const readObject = (request: KubeErrorRequest, body: string): Result.Result<ObjectMetadata, KubeError> =>
  Result.map(readingObject(request, body), metadataOf)

/** The answer to a LIST of one name. */
export const readList = (request: KubeErrorRequest, body: string): Result.Result<Listed, KubeError> =>
  Result.map(readingList(request, body), ({ items, metadata }) => {
    const [item] = items ?? []
    return {
      resourceVersion: BigInt(metadata.resourceVersion),
      object: item === undefined ? undefined : metadataOf(item)
    }
  })

/** A line of a watch. Its `ERROR` is the failure that the same status would have been over HTTP. */
export const readLine = (request: KubeErrorRequest, line: string): Result.Result<Heard, KubeError> =>
  Result.flatMap(readingEvent(request, line), (event): Result.Result<Heard, KubeError> => {
    switch (event.type) {
      case "ERROR": {
        const { code = 500 } = event.object
        const body = JSON.stringify(event.object)
        return Result.fail(KubeError.fromResponse(request, { status: code, headers: {}, body }))
      }
      case "BOOKMARK":
        return Result.succeed({ _tag: "Bookmark", resourceVersion: BigInt(event.object.metadata.resourceVersion) })
      case "DELETED":
        return Result.succeed({ _tag: "Deleted", resourceVersion: BigInt(event.object.metadata.resourceVersion) })
      default:
        return Result.succeed({ _tag: "Present", object: metadataOf(event.object) })
    }
  })
