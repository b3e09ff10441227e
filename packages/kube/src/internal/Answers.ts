/** What an API server says of an object, alone, in a list or in a line of a watch: read, or a {@link KubeError}. */
import { Result, Schema } from "effect"
import type { ObjectMetadata } from "../AnnotationStore.ts"
import { KubeError, type KubeErrorRequest } from "../KubeError.ts"

const ResourceVersion = Schema.String.check(Schema.isPattern(/^\d{1,20}$/))

const PartialObjectMetadata = Schema.Struct({
  metadata: Schema.Struct({
    uid: Schema.String,
    resourceVersion: ResourceVersion,
    annotations: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
  })
})

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

const metadataOf = ({ metadata }: typeof PartialObjectMetadata.Type): ObjectMetadata => ({
  uid: metadata.uid,
  resourceVersion: BigInt(metadata.resourceVersion),
  annotations: metadata.annotations ?? {}
})

/** What is no JSON of the expected shape comes from something that is no API server. */
const reading = <A>(schema: Schema.Codec<A, unknown>) => {
  const decode = Schema.decodeUnknownResult(schema)
  return (request: KubeErrorRequest, body: string): Result.Result<A, KubeError> =>
    Result.mapError(
      Result.flatMap(Result.try((): unknown => JSON.parse(body)), decode),
      () => KubeError.fromResponse(request, { status: 200, headers: {}, body })
    )
}

const readingObject = reading(PartialObjectMetadata)
const readingList = reading(PartialObjectMetadataList)
const readingEvent = reading(WatchEvent)

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
