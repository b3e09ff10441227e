/**
 * One object as one process sees it: its changes, followed once for all who wait for its locks or hold them, and the turns of
 * those locks.
 *
 * **Details**
 *
 * What is followed is told by the watch alone, in order: an answer that overtakes it would hide from the turns what came between.
 * Where there is no watch yet, it begins at an answer. Without the right to watch, the object is read now and then instead, while
 * somebody waits. Whether it may be watched by now is tried again and again: an API server that has just started refuses for a moment
 * what it allows.
 */
import { AnnotationEdit, LockName, LockRecord } from "@kubelock/core"
import { Clock, Context, Duration, Effect, Latch, Option, Random, Result, type Scope, Stream, Tracer } from "effect"
import { type AnnotationStore, type ObjectChange, type ObjectMetadata, resourceVersionOf } from "../AnnotationStore.ts"
import { isConflict, isResourceNotFound, isThrottled, isTimeout, isUnavailable, type KubeError } from "../KubeError.ts"
import { RequestTimeout } from "../KubeTransport.ts"
import type * as ResourceRef from "../ResourceRef.ts"
import * as Turns from "../Turns.ts"
import type { Attempts } from "./Attempts.ts"
import * as BoundedMap from "./BoundedMap.ts"
import * as Deadlines from "./Deadlines.ts"

/** One object, seen. */
export interface ObjectView {
  /** The object as last seen. */
  readonly latest: () => ObjectChange | undefined
  /** How its changes come to be known. */
  readonly following: () => "not" | "by watch" | "by reading"
  /** Sees that it is followed, from here on if it was not yet. */
  readonly follow: (from: ObjectMetadata) => Effect.Effect<void>
  /**
   * Looks, and again as often as what was seen says, until something is found. Whoever waits is not woken up in between. Fails if changes
   * cannot be followed any more.
   */
  readonly until: <A>(look: Look<A>) => Effect.Effect<A, KubeError>
  /** Calls back after every change, until what it returns is called. */
  readonly onChange: (callback: () => void) => () => void
  /** The turns of one lock; kept from the first time that they are asked for, now by the monotonic clock. */
  readonly turnsOf: (lock: LockName.LockName, nowNanos: bigint) => Turns.Turns
  /** Tells the turns of one lock, if they are kept, what happened. */
  readonly observe: (lock: LockName.LockName, event: Turns.Event) => void
}

// Between reads: as often as a person would not notice, and seldom enough that thirty processes that wait cost the server less
// than one that works. Each process draws its own.
const firstPause = Duration.millis(100)
const longestPause = Duration.seconds(2)
const pauseGrowth = 1.5

// As often as the server ends a watch that works, and has it taken up again.
const watchAgainAfter = Duration.seconds(30)

/** What one who waits looks for. It is told whether it looks because its time is up. */
export type Look<A> = (isTimeUp: boolean) => Sight<A>

/** What was looked for; or how long to wait until the next look, unless a change is seen before after which it is due. */
export type Sight<A> =
  | { readonly found: A }
  | { readonly waitAtMost: Duration.Duration; readonly isDue: () => boolean }

interface Watcher {
  readonly changed: () => void
  readonly fail: (error: KubeError) => void
}

/** The view of an object nobody has looked at yet. It ends with the scope. */
export const make = Effect.fnUntraced(function*({ attempts, process, resource, sayUnwatched, store }: {
  readonly attempts: Attempts
  readonly store: AnnotationStore["Service"]
  readonly resource: ResourceRef.ResourceRef
  /** Whose view it is: the `process` of its `Identity`. */
  readonly process: string
  /** Tells that the object cannot be watched. */
  readonly sayUnwatched: (error: KubeError) => Effect.Effect<void>
}): Effect.fn.Return<ObjectView, never, Scope.Scope> {
  const scope = yield* Effect.scope
  // No waiter has a fiber of its own for the time that it waits at most: after every change that may be another.
  const deadlines = yield* Deadlines.make
  // Of locks that nobody here asks for any more, what is forgotten is no more than whose turn it was.
  const kept = BoundedMap.make<KeptTurns>(1_024)
  const watchers = new Set<Watcher>()
  const callbacks = new Set<() => void>()
  const isWaitedFor = Latch.makeUnsafe(false)
  let latest: ObjectChange | undefined
  let following: "not" | "by watch" | "by reading" = "not"

  const turnsOf = (lock: LockName.LockName, nowNanos: bigint) => {
    const known = kept.get(lock)
    if (known !== undefined) return known.turns
    const first: KeptTurns = {
      key: LockName.toKey(lock),
      text: undefined,
      holder: undefined,
      turns: Turns.make(process)
    }
    if (latest !== undefined) seeTurns(first, latest, nowNanos)
    kept.set(lock, first)
    return first.turns
  }

  const remove = (watcher: Watcher) => {
    watchers.delete(watcher)
    if (watchers.size === 0) isWaitedFor.closeUnsafe()
  }

  const see = (change: ObjectChange) =>
    Effect.map(Clock.monotonicTimeNanos, (nowNanos) => {
      if (latest !== undefined && resourceVersionOf(change) <= resourceVersionOf(latest)) return
      latest = change
      for (const turns of kept.values()) seeTurns(turns, change, nowNanos)
      // Copies: who is told may ask to be told again, at once, and may have others told no more.
      for (const callback of Array.from(callbacks)) callback()
      for (const watcher of Array.from(watchers)) if (watchers.has(watcher)) watcher.changed()
    })

  const endWith = (error: KubeError) =>
    Effect.sync(() => {
      following = "not"
      for (const watcher of Array.from(watchers)) watcher.fail(error)
    })

  const readAgain = Effect.gen(function*() {
    const before = latest
    const answer = yield* Effect.result(attempts.read(resource))
    if (Result.isSuccess(answer)) yield* see({ _tag: "Present", object: answer.success })
    else if (isResourceNotFound(answer.failure)) yield* seeGone
    else return yield* answer.failure
    return latest !== before
  })

  // A deletion that nobody told of was a write at least: the next version can be no other change of this object.
  const seeGone = Effect.suspend(() =>
    latest?._tag === "Present"
      ? see({ _tag: "Deleted", resourceVersion: latest.object.resourceVersion + 1n })
      : Effect.void
  )

  let pause = firstPause
  const followByReading = Effect.gen(function*() {
    const untilNanos = (yield* Clock.monotonicTimeNanos) + Duration.toNanosUnsafe(watchAgainAfter)
    while (true) {
      const leftNanos = untilNanos - (yield* Clock.monotonicTimeNanos)
      if (leftNanos <= 0n) return
      if (Option.isNone(yield* Effect.timeoutOption(isWaitedFor.await, Duration.nanos(leftNanos)))) return
      yield* Effect.sleep(Duration.times(pause, yield* Random.nextBetween(0.5, 1)))
      if (watchers.size === 0) continue
      pause = (yield* readAgain) ? firstPause : Duration.min(longestPause, Duration.times(pause, pauseGrowth))
    }
  })

  const watchFrom = Effect.fnUntraced(function*(resourceVersion: bigint): Effect.fn.Return<void, KubeError> {
    let from = resourceVersion
    while (true) {
      const answer = yield* Effect.result(Stream.runForEach(store.changes(resource, from), see))
      if (Result.isSuccess(answer)) return
      if (!isLasting(answer.failure)) return yield* answer.failure
      following = "by reading"
      yield* sayUnwatched(answer.failure)
      yield* followByReading
      following = "by watch"
      from = latest === undefined ? from : resourceVersionOf(latest)
    }
  })

  const followFrom = (from: ObjectMetadata) => {
    pause = firstPause
    return watchFrom(from.resourceVersion).pipe(
      Effect.catchTag("KubeError", endWith),
      // Whoever comes first may be in a hurry; those who come later share this.
      Effect.provideService(RequestTimeout, Duration.infinity),
      Effect.updateContext((context: Context.Context<never>) => Context.omit(Tracer.ParentSpan)(context))
    )
  }

  return {
    latest: () => latest,
    following: () => following,
    follow: (from) =>
      Effect.suspend(() => {
        if (following === "by watch") return Effect.void
        const seen = see({ _tag: "Present", object: from })
        if (following === "by reading") return seen
        following = "by watch"
        return Effect.andThen(seen, Effect.asVoid(Effect.forkIn(followFrom(from), scope)))
      }),
    until: <A>(look: Look<A>) =>
      Effect.withFiber((fiber) =>
        Effect.callback<A, KubeError>((resume) => {
          let callOff = () => {}
          let isDue = () => true
          let looks = 0
          const end = () => {
            callOff()
            remove(watcher)
          }
          const lookNow = (isTimeUp: boolean) => {
            const number = ++looks
            const sight = look(isTimeUp)
            if ("found" in sight) {
              end()
              return resume(Effect.succeed(sight.found))
            }
            isDue = sight.isDue
            const callOffBefore = callOff
            const callOffThis = deadlines(fiber, sight.waitAtMost, () => lookNow(true))
            // Where no time was left, it has looked again.
            if (number === looks) callOff = callOffThis
            callOffBefore()
          }
          const watcher: Watcher = {
            changed: () => {
              if (isDue()) lookNow(false)
            },
            fail: (error) => {
              end()
              resume(Effect.fail(error))
            }
          }
          watchers.add(watcher)
          isWaitedFor.openUnsafe()
          lookNow(false)
          return Effect.sync(end)
        })
      ),
    onChange: (callback) => {
      callbacks.add(callback)
      return () => {
        callbacks.delete(callback)
      }
    },
    turnsOf,
    observe: (lock, event) => {
      const known = kept.get(lock)
      if (known !== undefined) known.turns = Turns.observe(known.turns, event)
    }
  }
})

// Without the right to watch, say. Reading then tells whether anything else is wrong.
const isLasting = (error: KubeError): boolean =>
  !(isConflict(error) || isThrottled(error) || isUnavailable(error) || isTimeout(error))

/** The turns of one lock, and what they were last told. */
interface KeptTurns {
  readonly key: string
  turns: Turns.Turns
  text: string | undefined
  holder: Turns.Holder | undefined
}

const seeTurns = (kept: KeptTurns, change: ObjectChange, nowNanos: bigint): void => {
  const text = change._tag === "Present" ? AnnotationEdit.get(change.object.annotations, kept.key) : undefined
  // Most changes of an object are of other locks.
  if (text !== kept.text) {
    kept.text = text
    kept.holder = text === undefined ? undefined : holderIn(text)
  }
  kept.turns = Turns.observe(kept.turns, {
    _tag: "Seen",
    resourceVersion: resourceVersionOf(change),
    record: kept.holder,
    nowMillis: Number(nowNanos) / 1e6
  })
}

/** What cannot be read is held by nobody that takes turns. */
const holderIn = (text: string): Turns.Holder => Result.getOrElse(LockRecord.parse(text), () => ({ owner: "" }))
