/**
 * The annotation store of a cluster. Every request that this library makes is in this file.
 *
 * **Details**
 *
 * - `GET <object>`, and `PATCH <object>` with a JSON Patch; to follow its changes a watch, and now and then a LIST, of the
 *   one name: nothing else. All ask for the object's metadata alone, so that an answer is small however large the object is.
 * - An edit is one JSON Patch: a `test` for every expected value, then the changes, then the operations that were given along. It
 *   names no resourceVersion, so another writer of the same object is no conflict.
 * - The server compares a `test` with the object as Go writes it, byte for byte: so a patch is written as Go would.
 * - Where an object has no annotations at all there is no map to add to: the map itself is then what is tested and added. The
 *   annotations that an object last had are remembered, so that either form costs one request. An object that this process has not
 *   met yet is taken to have some: where it has none, the first `PATCH` is refused, and a `GET` and another `PATCH` follow.
 *
 * - A watch is ended by the server after 30 seconds, and taken up again where it ended. One from which nothing has come for 45
 *   seconds, no change, no bookmark and no end, is taken for dead and replaced: its request says so (`silenceAtMost`), and the
 *   transport heeds it.
 * - Where the server's history no longer reaches back to where a watch shall begin (410 Expired), the object is listed rather than
 *   got: a list also says from which resourceVersion on to watch, which an object that nobody has written for a while cannot.
 * - Every answer to a request, but not a watch's, is heard for the server's clock too (`clockOffset`).
 *
 * **Gotchas**
 *
 * A layer is a value that a program builds once, however often it is provided. For the locks of a second cluster in one program,
 * wrap its layers in `Layer.fresh`.
 *
 * Over a `KubeTransport` of your own that does not heed `silenceAtMost`, a watch whose connection is dead is never replaced: who waits
 * for a lock then learns of no release.
 *
 * **Example** (A lock on the cluster of the default kubeconfig)
 *
 * ```ts
 * import { KubeAnnotationStore, KubeLock, KubeTransport } from "@kubelock/kube"
 * import { Layer } from "effect"
 *
 * export const layer = KubeLock.layer.pipe(
 *   Layer.provide(KubeAnnotationStore.layer),
 *   Layer.provide(KubeTransport.layer())
 * )
 * ```
 *
 * @since 0.1.0
 */
import { AnnotationEdit, GoJson } from "@kubelock/core"
import { Clock, Context, Duration, Effect, Layer, Result } from "effect"
import { AnnotationStore, type ObjectMetadata } from "./AnnotationStore.ts"
import * as ClockOffset from "./ClockOffset.ts"
import * as Answers from "./internal/Answers.ts"
import * as BoundedMap from "./internal/BoundedMap.ts"
import * as Following from "./internal/Following.ts"
import * as JsonPatch from "./internal/JsonPatch.ts"
import { selectorOf } from "./internal/RequestTarget.ts"
import { isInvalid, KubeError } from "./KubeError.ts"
import { type KubeRequest, KubeTransport } from "./KubeTransport.ts"
import * as LockMetrics from "./LockMetrics.ts"
import * as ResourceRef from "./ResourceRef.ts"

// One fixed name: every further field manager would make the object's managedFields grow.
const fieldManager = "kubelock"

const accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

const getRequest = (path: string): KubeRequest => ({ method: "GET", path, headers: { accept } })

const patchRequest = (path: string, patch: ReadonlyArray<string>): KubeRequest => ({
  method: "PATCH",
  path,
  query: { fieldManager },
  headers: { accept, "content-type": "application/json-patch+json" },
  body: `[${patch.join(",")}]`
})

const watchRequest = (ref: ResourceRef.ResourceRef, from: bigint): KubeRequest => ({
  method: "GET",
  path: ResourceRef.toCollectionPath(ref),
  query: {
    watch: "true",
    fieldSelector: selectorOf(ref.name),
    resourceVersion: String(from),
    allowWatchBookmarks: "true",
    timeoutSeconds: String(watchSeconds)
  },
  headers: { accept },
  silenceAtMost
})

const listRequest = (ref: ResourceRef.ResourceRef): KubeRequest => ({
  method: "GET",
  path: ResourceRef.toCollectionPath(ref),
  query: { fieldSelector: selectorOf(ref.name) },
  headers: { accept: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1" }
})

/** When the server shall end a watch. So an idle one that lives is heard of at least as often, for a small request. */
const watchSeconds = 30

/** A watch that says nothing for so long, not even that it ends, is dead. */
const silenceAtMost = Duration.seconds(45)

const annotationsPath = "/metadata/annotations"

const pointer = (key: string): string => `${annotationsPath}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`

const textOf = (value: string | undefined): string => value === undefined ? "null" : GoJson.stringify(value)

/** The operations for an object that has annotations, each as its text. */
const patchOf = (edits: ReadonlyArray<AnnotationEdit.AnnotationEdit>): ReadonlyArray<string> => {
  const tests: Array<string> = []
  const changes: Array<string> = []
  for (const { expected, key, value } of edits) {
    const path = GoJson.stringify(pointer(key))
    tests.push(`{"op":"test","path":${path},"value":${textOf(expected)}}`)
    if (value !== undefined) {
      changes.push(`{"op":"${expected === undefined ? "add" : "replace"}","path":${path},"value":${textOf(value)}}`)
    } else if (expected !== undefined) changes.push(`{"op":"remove","path":${path}}`)
  }
  return [...tests, ...changes]
}

/** Those for an object that has none. */
const patchOfNone = (edits: ReadonlyArray<AnnotationEdit.AnnotationEdit>): ReadonlyArray<string> => {
  const annotations = Object.fromEntries(edits.flatMap(({ key, value }) => (value === undefined ? [] : [[key, value]])))
  return [
    `{"op":"test","path":"${annotationsPath}","value":null}`,
    `{"op":"add","path":"${annotationsPath}","value":${GoJson.stringify(annotations)}}`
  ]
}

/** The annotation store of the cluster that the transport leads to. @category layers @since 0.1.0 */
export const layer: Layer.Layer<AnnotationStore, never, KubeTransport> = Layer.effect(
  AnnotationStore,
  Effect.gen(function*() {
    const transport = yield* KubeTransport
    let knownOffset: ClockOffset.ClockOffset | undefined
    const lastSeen = BoundedMap.make<{ readonly resourceVersion: bigint; readonly keys: ReadonlyArray<string> }>(1_024)

    const remember = (path: string, { annotations, resourceVersion }: ObjectMetadata) =>
      lastSeen.set(path, { resourceVersion, keys: Object.keys(annotations) })

    const hearClock = (sample: ClockOffset.Sample, context: Context.Context<never>) => {
      knownOffset = ClockOffset.observe(knownOffset, sample)
      LockMetrics.clockOffsetSeconds.updateUnsafe(ClockOffset.estimateMillis(knownOffset) / 1_000, context)
    }

    // Every request comes through here, so it takes no more steps than it must.
    const answerTo = <A>(
      request: KubeRequest,
      read: (request: KubeRequest, body: string) => Result.Result<A, KubeError>
    ): Effect.Effect<A, KubeError> =>
      Effect.withFiber(({ context }) => {
        const sent = readClocks(context)
        return Effect.flatMap(transport.request(request), ({ body, dateMillis }) => {
          if (dateMillis !== undefined) hearClock({ sent, received: readClocks(context), dateMillis }, context)
          return Effect.fromResult(read(request, body))
        })
      })

    const send = (request: KubeRequest): Effect.Effect<ObjectMetadata, KubeError> =>
      answerTo(request, (request, body) =>
        Result.map(Answers.readObject(request, body), (object) => {
          remember(request.path, object)
          return object
        }))

    // A watch may lag behind the answers to our own requests.
    const rememberIfNewer = (ref: ResourceRef.ResourceRef, object: ObjectMetadata | undefined) => {
      const path = ResourceRef.toPath(ref)
      const before = lastSeen.get(path)?.resourceVersion ?? 0n
      if (object !== undefined && object.resourceVersion > before) remember(path, object)
    }

    const sourceOf = (ref: ResourceRef.ResourceRef): Following.Source => {
      const path = ResourceRef.toCollectionPath(ref)
      const asked = watchRequest(ref, 0n)
      return {
        path,
        watch: (from) => transport.stream(watchRequest(ref, from)),
        read: (line) =>
          Result.map(Answers.readLine(asked, line), (heard) => {
            if (heard._tag === "Present") rememberIfNewer(ref, heard.object)
            return heard
          }),
        list: Effect.map(Effect.suspend(() => answerTo(listRequest(ref), Answers.readList)), (listed) => {
          rememberIfNewer(ref, listed.object)
          return listed
        })
      }
    }

    return AnnotationStore.of({
      get: (ref) => Effect.suspend(() => send(getRequest(ResourceRef.toPath(ref)))),
      edit: (ref, edits, operations = []) =>
        Effect.suspend(() => {
          const path = ResourceRef.toPath(ref)
          const seen = lastSeen.get(path)
          // Where the edits are right in what they expect to be absent, nothing is left: a lock that was seen held may have been
          // the only annotation.
          const hasNone = edits.length > 0 && edits.every(({ expected }) => expected === undefined) &&
            seen !== undefined && seen.keys.every((key) => edits.some((edit) => edit.key === key))
          const patch = [
            ...(hasNone ? patchOfNone(edits) : patchOf(edits)),
            ...JsonPatch.wellFormed(operations).map(GoJson.stringify)
          ]
          return Effect.mapError(send(patchRequest(path, patch)), (error) =>
            isRefusal(error)
              ? new AnnotationEdit.EditRefused({
                keys: edits.map(({ key }) => key),
                said: operations.length === 0
                  ? error.reason.message
                  : `Or an operation could not be made (${JsonPatch.describe(operations)}). ${error.reason.message}`
              })
              : error)
        }),
      changes: (ref, from) => Following.follow(sourceOf(ref), from),
      clockOffset: Effect.contextWith((context: Context.Context<never>) =>
        Effect.succeed(knownOffset && ClockOffset.fade(knownOffset, readClocks(context)))
      )
    })
  })
)

const readClocks = (context: Context.Context<never>): ClockOffset.ClockReading => {
  const clock = Context.get(context, Clock.Clock)
  return {
    wallMillis: clock.currentTimeMillisUnsafe(),
    monotonicMillis: Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000
  }
}

// The API server gives no cause for a failed `test`; it gives one for a value that it would not store.
const isRefusal = (error: KubeError): boolean =>
  isInvalid(error) && error.reason.status === 422 && error.reason.causes.length === 0
