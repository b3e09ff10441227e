/**
 * The Go library giantswarm/kubelock v4 itself, driven by lines on stdin and stdout: what Go makes of an annotation's text,
 * and its own acquire and release against an API server. The program is `go-peer`, beside this file.
 *
 * **Gotchas**
 *
 * Needs the environment variable `KUBELOCK_GO_PEER`: the path of the built program.
 */
import { NodeServices } from "@effect/platform-node"
import { Cause, Config, Context, Deferred, Effect, Layer, Option, Queue, Schema, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"

/** A record's fields as both languages know them. */
export interface GoRecord {
  readonly owner: string
  readonly createdAtNanos: bigint
  readonly ttlNanos: bigint
}

/** What Go makes of one annotation value. */
export type Decoded =
  | { readonly _tag: "Refused"; readonly reason: string }
  | {
    readonly _tag: "Read"
    readonly record: GoRecord
    /** What Go writes for the record with createdAt in UTC; `undefined` where its year is one that Go cannot write. */
    readonly text: string | undefined
  }

/** Which lock, on which object, as whom. */
export interface GoLockRequest {
  /** The kubeconfig's text. */
  readonly kubeconfig: string
  /** client-go's own rate limit: 0 (its default of 5), or negative for none. Defaults to -1. */
  readonly queriesPerSecond?: number
  /** Defaults to the core group. */
  readonly group?: string
  readonly version: string
  readonly resource: string
  /** Left out for cluster-scoped resources. */
  readonly namespace?: string
  readonly name: string
  readonly lock: string
  readonly owner: string
}

/** The Go library's acquire or release failed. */
export class GoLockError extends Schema.TaggedError<GoLockError>()("GoLockError", {
  /** `alreadyExists`, `notFound`, `ownerMismatch`, `invalidConfig`, `kubernetes: <reason>` or `other`. */
  kind: Schema.String,
  message: Schema.String
}) {}

/** The Go program could not be started, ended early, or answered what nobody understands. */
export class GoPeerError extends Schema.TaggedError<GoPeerError>()("GoPeerError", {
  message: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {}

const DecodedOnWire = Schema.Struct({
  ok: Schema.Boolean,
  err: Schema.optionalKey(Schema.String),
  owner: Schema.String,
  createdAtUnixSec: Schema.BigIntFromString,
  createdAtNsec: Schema.Int,
  ttlNanos: Schema.BigIntFromString,
  reencodedUTC: Schema.String,
  reencodeErr: Schema.optionalKey(Schema.String),
  doubt: Schema.optionalKey(Schema.String)
})

const Answer = Schema.Struct({
  id: Schema.Int,
  failure: Schema.optionalKey(Schema.Struct({ kind: Schema.String, message: Schema.String })),
  decoded: Schema.optionalKey(Schema.Array(DecodedOnWire)),
  encoded: Schema.optionalKey(
    Schema.Array(Schema.Struct({ text: Schema.String, err: Schema.optionalKey(Schema.String) }))
  )
})

const decodeAnswer = Schema.decodeEffect(Schema.fromJsonString(Answer))

const nanosPerSecond = 1_000_000_000n

/** The floor of nanoseconds to seconds, and what is left: also right before 1970. */
const splitSeconds = (nanos: bigint): readonly [seconds: bigint, nanos: number] => {
  const rest = ((nanos % nanosPerSecond) + nanosPerSecond) % nanosPerSecond
  return [(nanos - rest) / nanosPerSecond, Number(rest)]
}

const loneSurrogate = /\p{Surrogate}/u
const noUtf8 = Buffer.from([0xff])

const toGoString = (text: string): Buffer =>
  Buffer.concat(Array.from(text, (char) => loneSurrogate.test(char) ? noUtf8 : Buffer.from(char, "utf8")))

export class GoPeer extends Context.Service<GoPeer, {
  /**
   * Decodes annotation values, in order. A value reaches Go as UTF-8; lone surrogates become U+FFFD on the way.
   *
   * Each was also put before the library's own Acquire and Release; where those behave differently from the answer, this
   * fails.
   */
  readonly decode: (values: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<Decoded>, GoPeerError>
  /**
   * What Go writes for each record, in order; `undefined` where Go cannot write it.
   *
   * Half of a surrogate pair reaches Go as one byte that is no UTF-8: what comes nearest to it in a Go string.
   */
  readonly encode: (
    records: ReadonlyArray<GoRecord>
  ) => Effect.Effect<ReadonlyArray<string | undefined>, GoPeerError>
  /** The library's `Acquire`: one attempt. A TTL of 0 or none asks for its default. */
  readonly acquire: (
    request: GoLockRequest & { readonly ttlNanos?: bigint }
  ) => Effect.Effect<void, GoLockError | GoPeerError>
  /** The library's `Release`: one attempt. */
  readonly release: (request: GoLockRequest) => Effect.Effect<void, GoLockError | GoPeerError>
}>()("@kubelock/kube/test/GoPeer") {
  /** Starts one Go process, and ends it with the scope. */
  static readonly layer: Layer.Layer<GoPeer, GoPeerError> = Layer.effect(
    GoPeer,
    Effect.suspend(() => make)
  ).pipe(Layer.provide(NodeServices.layer))
}

const make = Effect.gen(function*() {
  const path = yield* Config.String("KUBELOCK_GO_PEER").pipe(
    Effect.mapError((cause) =>
      new GoPeerError({ message: "KUBELOCK_GO_PEER is not set to the path of the built Go program", cause })
    )
  )
  const requests = yield* Queue.make<string>()
  const waiting = new Map<number, Deferred.Deferred<typeof Answer.Type, GoPeerError>>()
  let lastId = 0
  let ended = Option.none<GoPeerError>()

  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const child = yield* spawner.spawn(ChildProcess.make(path, [], {
    stdin: Stream.fromQueue(requests).pipe(Stream.encodeText),
    stderr: "inherit"
  })).pipe(Effect.mapError((cause) => new GoPeerError({ message: `${path} could not be started`, cause })))

  yield* child.stdout.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.mapEffect((line) => decodeAnswer(line)),
    Stream.runForEach((answer) =>
      Effect.suspend(() => {
        const asked = waiting.get(answer.id)
        waiting.delete(answer.id)
        return asked === undefined ? Effect.void : Deferred.succeed(asked, answer)
      })
    ),
    Effect.andThen(child.exitCode),
    Effect.matchCause({
      onSuccess: (exitCode) => new GoPeerError({ message: `${path} ended with exit code ${exitCode}` }),
      onFailure: (cause) => new GoPeerError({ message: `${path} is not understood`, cause: Cause.squash(cause) })
    }),
    Effect.flatMap((error) => {
      ended = Option.some(error)
      return Effect.forEach(waiting.values(), (asked) => Deferred.fail(asked, error), { discard: true })
    }),
    Effect.forkScoped
  )

  const ask = Effect.fnUntraced(function*(request: object): Effect.fn.Return<typeof Answer.Type, GoPeerError> {
    if (Option.isSome(ended)) return yield* ended.value
    const id = ++lastId
    const asked = yield* Deferred.make<typeof Answer.Type, GoPeerError>()
    waiting.set(id, asked)
    yield* Queue.offer(requests, `${JSON.stringify({ id, ...request })}\n`)
    return yield* Deferred.await(asked)
  })

  const perform = Effect.fnUntraced(function*(
    verb: "acquire" | "release",
    request: GoLockRequest & { readonly ttlNanos?: bigint }
  ) {
    const { failure } = yield* ask({
      [verb]: { queriesPerSecond: -1, ...request, ttlNanos: String(request.ttlNanos ?? 0n) }
    })
    if (failure !== undefined) return yield* new GoLockError(failure)
  })

  return GoPeer.of({
    decode: Effect.fnUntraced(function*(values) {
      const { decoded = [] } = yield* ask({
        decode: values.map((value) => Buffer.from(value, "utf8").toString("base64"))
      })
      return yield* Effect.forEach(decoded, (answer, index): Effect.Effect<Decoded, GoPeerError> => {
        if (answer.doubt !== undefined) {
          return Effect.fail(new GoPeerError({ message: `${JSON.stringify(values[index])}: ${answer.doubt}` }))
        }
        if (!answer.ok) return Effect.succeed({ _tag: "Refused", reason: answer.err ?? "" })
        return Effect.succeed({
          _tag: "Read",
          record: {
            owner: answer.owner,
            createdAtNanos: answer.createdAtUnixSec * nanosPerSecond + BigInt(answer.createdAtNsec),
            ttlNanos: answer.ttlNanos
          },
          text: answer.reencodeErr === undefined ? answer.reencodedUTC : undefined
        })
      })
    }),
    encode: Effect.fnUntraced(function*(records) {
      const { encoded = [] } = yield* ask({
        encode: records.map(({ createdAtNanos, owner, ttlNanos }) => {
          const [createdAtUnixSec, createdAtNsec] = splitSeconds(createdAtNanos)
          return {
            ownerBase64: toGoString(owner).toString("base64"),
            createdAtUnixSec: String(createdAtUnixSec),
            createdAtNsec,
            ttlNanos: String(ttlNanos)
          }
        })
      })
      return encoded.map((answer) => answer.err === undefined ? answer.text : undefined)
    }),
    acquire: (request) => perform("acquire", request),
    release: (request) => perform("release", request)
  })
})
