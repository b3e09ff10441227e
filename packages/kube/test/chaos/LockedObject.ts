/** The ConfigMap that carries the lock: made and made again, written to by somebody unrelated, and watched past every fault. */
import { LockName, LockRecord, LockState } from "@kubelock/core"
import { KubeTransport } from "@kubelock/kube"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Clock, Effect, Option, Random, Result, Schema, Stream } from "effect"
import type * as Recorder from "./Recorder.ts"

export const namespace = "default"
export const name = "under-fire"
export const lock = Result.getOrThrow(LockName.make("contended"))

const collection = `/api/v1/namespaces/${namespace}/configmaps`
const path = `${collection}/${name}`

const ConfigMap = Schema.Struct({
  metadata: Schema.Struct({
    uid: Schema.String,
    resourceVersion: Schema.BigIntFromString,
    annotations: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
  }),
  data: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
})
type ConfigMap = typeof ConfigMap.Type
const decodeConfigMap = Schema.decodeUnknownEffect(ConfigMap)

const WatchEvent = Schema.fromJsonString(Schema.Struct({ type: Schema.String, object: Schema.Unknown }))

/** Makes it, free and with data, so that a fenced write may add to them. */
export const create = Effect.gen(function*() {
  const { request } = yield* ControlPlane
  return yield* decodeConfigMap(
    yield* request("POST", collection, { metadata: { name, annotations: { team: "web" } }, data: { written: "" } })
  )
})

export const remove = Effect.flatMap(ControlPlane, ({ request }) => request("DELETE", path))

/** The locks on it that are neither free nor expired, in words. */
export const heldLocks = Effect.gen(function*() {
  const { request } = yield* ControlPlane
  const { metadata } = yield* decodeConfigMap(yield* request("GET", path))
  const now = yield* Clock.currentTimeNanos
  return LockState.readAll(metadata.annotations ?? {}, now)
    .filter(([, { _tag }]) => _tag !== "Expired")
    .map(([lock, state]) => `${lock}: ${state._tag} ${state._tag === "Held" ? state.record.owner : ""}`)
})

/** Writes to it for ever, as a controller does that knows nothing of locks: reads it whole, and puts it back with a change. */
export const disturb = Effect.fnUntraced(function*(record: Recorder.Record) {
  const { request } = yield* ControlPlane
  const Whole = Schema.Struct({ data: Schema.Record(Schema.String, Schema.Json) })
  const write = Effect.gen(function*() {
    const whole = yield* request("GET", path)
    const { data } = yield* Schema.decodeUnknownEffect(Whole)(whole)
    const count = yield* Random.nextInt
    yield* request("PUT", path, { ...Object(whole), data: { ...data, controller: String(count) } })
    record({ _tag: "ControllerWrote" })
  })
  // Somebody else wrote in between, the API server is away, the object is: it tries again.
  const pause = Effect.flatMap(Random.nextBetween(50, 150), Effect.sleep)
  return yield* Effect.forever(Effect.andThen(Effect.ignore(write), pause))
})

/** Notes every version of it, for ever. */
export const observe = Effect.fnUntraced(function*(record: Recorder.Record) {
  const { stream } = yield* KubeTransport
  /** The last that was seen, and where the watch goes on; from anywhere where it cannot. */
  let lastSeen = 0n
  let from: bigint | undefined
  const saw = (type: string, { data = {}, metadata: { annotations = {}, resourceVersion, uid } }: ConfigMap) => {
    from = resourceVersion
    if (resourceVersion === lastSeen) return
    lastSeen = resourceVersion
    if (type === "DELETED") return record({ _tag: "Deleted", resourceVersion })
    const held = Option.getOrUndefined(recordOf(annotations))
    const written = data["written"] ?? ""
    record({
      _tag: "Observed",
      uid,
      resourceVersion,
      ...(held === undefined ? undefined : { record: held }),
      ...(written === "" ? undefined : { written })
    })
  }
  const expired = () => {
    if (from !== undefined) record({ _tag: "Missed" })
    from = undefined
  }
  const watch = Stream.suspend(() =>
    stream({
      method: "GET",
      path: collection,
      query: {
        watch: "true",
        fieldSelector: `metadata.name=${name}`,
        ...(from === undefined ? undefined : { resourceVersion: String(from) })
      }
    })
  ).pipe(
    Stream.mapEffect((line) => Schema.decodeEffect(WatchEvent)(line)),
    Stream.runForEach(({ object, type }) =>
      // What it went on from is too old.
      type === "ERROR" ? Effect.sync(expired) : Effect.map(decodeConfigMap(object), (seen) => saw(type, seen))
    ),
    Effect.catchTag("KubeError", ({ status }) => status === 410 ? Effect.sync(expired) : Effect.void)
  )
  return yield* Effect.forever(Effect.andThen(watch, Effect.sleep("100 millis")))
})

const recordOf = (annotations: Readonly<Record<string, string>>) =>
  Option.fromNullishOr(annotations[LockName.toKey(lock)]).pipe(
    Option.map((text) => Result.getOrThrow(LockRecord.parse(text))),
    Option.map(({ createdAtNanos, id, owner, ttlNanos }) => ({ acquisition: id ?? owner, createdAtNanos, ttlNanos }))
  )
