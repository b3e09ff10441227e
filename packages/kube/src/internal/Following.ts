/** One object followed from watch to watch, so that no change of it is lost between them, and none told twice. */
import { Clock, Duration, Effect, Predicate, Stream } from "effect"
import type { ObjectChange } from "../AnnotationStore.ts"
import { Conflict, isInvalid, KubeError, Unavailable } from "../KubeError.ts"
import * as RetryPolicy from "../RetryPolicy.ts"
import type { Heard, Listed } from "./Answers.ts"

/** What can be asked of the server about the object. */
export interface Source {
  /** For errors. */
  readonly path: string
  /** What comes after this resourceVersion, until somebody ends it. */
  readonly watch: (from: bigint) => Stream.Stream<Heard, KubeError>
  /** What there is now. */
  readonly list: Effect.Effect<Listed, KubeError>
}

/** A watch that ends earlier, and has said nothing, is counted as a failure: asking again at once would never end. */
const shortestWatch = Duration.seconds(1)

/** What becomes of the object after this resourceVersion, at which it was there. */
export const follow = (source: Source, from: bigint): Stream.Stream<ObjectChange, KubeError> =>
  Stream.suspend(() => {
    let seen = from
    let isThere = true
    // For the failures since a watch was last of use.
    let backoff: RetryPolicy.Backoff | undefined

    const pause = Effect.fnUntraced(function*(error: KubeError): Effect.fn.Return<undefined, KubeError> {
      backoff ??= yield* RetryPolicy.start
      yield* backoff(error)
    })

    const watch = Stream.unwrap(Effect.map(Clock.monotonicTimeNanos, (startedAtNanos) => {
      const hear = (heard: Heard): ObjectChange | undefined => {
        const resourceVersion = heard._tag === "Present" ? heard.object.resourceVersion : heard.resourceVersion
        if (resourceVersion <= seen) return undefined
        seen = resourceVersion
        backoff = undefined
        if (heard._tag === "Bookmark") return undefined
        isThere = heard._tag === "Present"
        return heard
      }

      const before = seen
      const end = Effect.gen(function*() {
        const lasted = Duration.nanos((yield* Clock.monotonicTimeNanos) - startedAtNanos)
        if (seen === before && Duration.isLessThan(lasted, shortestWatch)) return yield* endedAtOnce(source)
        backoff = undefined
      })

      return source.watch(seen).pipe(Stream.map(hear), Stream.concat(Stream.fromEffectDrain(end)))
    }))

    const list = Effect.map(source.list, ({ object, resourceVersion }): ObjectChange | undefined => {
      const before = seen
      const wasThere = isThere
      seen = resourceVersion
      isThere = object !== undefined
      if (object === undefined) return wasThere ? { _tag: "Deleted", resourceVersion } : undefined
      return object.resourceVersion > before ? { _tag: "Present", object } : undefined
    })

    const recover = (error: KubeError): Effect.Effect<ObjectChange | undefined, KubeError> =>
      isExpired(error)
        ? Effect.andThen(pause(expired(error)), Effect.catchTag(list, "KubeError", pause))
        : pause(error)

    return watch.pipe(
      Stream.catch((error) => Stream.fromEffect(recover(error))),
      Stream.forever,
      Stream.filter(Predicate.isNotUndefined)
    )
  })

// Over HTTP or in a line of the watch.
const isExpired = (error: KubeError): boolean => isInvalid(error) && error.reason.status === 410

/** An expired watch, for the schedule by which what was read is read anew. */
const expired = ({ method, path, reason: { message } }: KubeError): KubeError =>
  new KubeError({ method, path, status: 410, reason: new Conflict({ message }) })

const endedAtOnce = ({ path }: Source): KubeError =>
  new KubeError({
    method: "GET",
    path,
    reason: new Unavailable({ outcomeUnknown: false, message: "The server ended a watch as soon as it had begun." })
  })
