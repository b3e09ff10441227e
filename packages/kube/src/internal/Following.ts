/** One object followed from watch to watch, so that no change of it is lost between them, and none told twice. */
import { Array, Cause, Clock, Duration, Effect, Exit, Pull, Result, Scope, Stream } from "effect"
import type { ObjectChange } from "../AnnotationStore.ts"
import { Conflict, isInvalid, KubeError, Unavailable } from "../KubeError.ts"
import * as RetryPolicy from "../RetryPolicy.ts"
import type { Heard, Listed } from "./Answers.ts"

/** What can be asked of the server about the object. */
export interface Source {
  /** For errors. */
  readonly path: string
  /** What comes after this resourceVersion, line by line, until somebody ends it. */
  readonly watch: (from: bigint) => Stream.Stream<string, KubeError>
  /** What a line of a watch says. */
  readonly read: (line: string) => Result.Result<Heard, KubeError>
  /** What there is now. */
  readonly list: Effect.Effect<Listed, KubeError>
}

type Changes = Array.NonEmptyReadonlyArray<ObjectChange>

/** A watch under way. */
interface Watch {
  readonly pull: Pull.Pull<Array.NonEmptyReadonlyArray<string>, KubeError>
  readonly end: Effect.Effect<void>
  readonly from: bigint
  readonly startedAtNanos: bigint
}

/** A watch that ends earlier, and has said nothing, is counted as a failure: asking again at once would never end. */
const shortestWatch = Duration.seconds(1)

// Whatever happens to an object wakes every process that waits for its locks. So from a line to its change it is few steps, and no operator of
// streams for each of them.

/** What becomes of the object after this resourceVersion, at which it was there. */
export const follow = (source: Source, from: bigint): Stream.Stream<ObjectChange, KubeError> =>
  Stream.unwrap(Effect.map(Effect.scope, (scope) => Stream.fromPull(Effect.sync(() => changesOf(source, from, scope)))))

const changesOf = (source: Source, from: bigint, scope: Scope.Scope): Pull.Pull<Changes, KubeError> => {
  let seen = from
  let isThere = true
  let current: Watch | undefined
  /** What the current watch has failed with, after changes that were told first. */
  let failure: KubeError | undefined
  // For the failures since a watch was last of use.
  let backoff: RetryPolicy.Backoff | undefined

  const begin = Effect.gen(function*() {
    const watchScope = yield* Scope.fork(scope)
    current = {
      pull: yield* Scope.provide(Stream.toPull(source.watch(seen)), watchScope),
      end: Scope.close(watchScope, Exit.void),
      from: seen,
      startedAtNanos: yield* Clock.monotonicTimeNanos
    }
  })

  const hear = (heard: Heard): ObjectChange | undefined => {
    const resourceVersion = heard._tag === "Present" ? heard.object.resourceVersion : heard.resourceVersion
    if (resourceVersion <= seen) return undefined
    seen = resourceVersion
    backoff = undefined
    if (heard._tag === "Bookmark") return undefined
    isThere = heard._tag === "Present"
    return heard
  }

  const hearAll = (lines: ReadonlyArray<string>): ReadonlyArray<ObjectChange> => {
    const changes: Array<ObjectChange> = []
    for (const line of lines) {
      const answer = source.read(line)
      if (Result.isFailure(answer)) {
        failure = answer.failure
        return changes
      }
      const change = hear(answer.success)
      if (change !== undefined) changes.push(change)
    }
    return changes
  }

  const pause = Effect.fnUntraced(function*(error: KubeError): Effect.fn.Return<undefined, KubeError> {
    backoff ??= yield* RetryPolicy.start
    yield* backoff(error)
  })

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

  const ended = ({ from, startedAtNanos }: Watch) =>
    Effect.gen(function*() {
      const lasted = Duration.nanos((yield* Clock.monotonicTimeNanos) - startedAtNanos)
      if (seen === from && Duration.isLessThan(lasted, shortestWatch)) return yield* recover(endedAtOnce(source))
      backoff = undefined
      return undefined
    })

  /** Goes on after a watch is over, be it without an error. */
  const goOn = (watch: Watch, error: KubeError | undefined): Pull.Pull<Changes, KubeError> =>
    Effect.suspend(() => {
      current = undefined
      failure = undefined
      return Effect.flatMap(
        Effect.andThen(watch.end, error === undefined ? ended(watch) : recover(error)),
        (change) => change === undefined ? pull : Effect.succeed(Array.of(change))
      )
    })

  const pullFrom = (watch: Watch): Pull.Pull<Changes, KubeError> =>
    Effect.matchEffect(watch.pull, {
      onSuccess: (lines) => {
        const changes = hearAll(lines)
        return Array.isReadonlyArrayNonEmpty(changes) ? Effect.succeed(changes) : pull
      },
      onFailure: (error) => goOn(watch, Cause.isDone(error) ? undefined : error)
    })

  const pull: Pull.Pull<Changes, KubeError> = Effect.suspend(() => {
    if (current === undefined) return Effect.andThen(begin, pull)
    return failure === undefined ? pullFrom(current) : goOn(current, failure)
  })
  return pull
}

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
