/**
 * A lock as the section sees it that has it, until it is given back. Several sections may have one acquisition after one another:
 * see `Lane`.
 *
 * Sections may be many and ask little of their locks: what they can ask is made when they do.
 */
import { InvalidConfig, LockName } from "@kubelock/core"
import { Clock, Duration, Effect, Exit, JsonPointer, Latch, Predicate, Result, Schema, type Tracer } from "effect"
import type { JsonPatchOperation } from "../AnnotationStore.ts"
import { HeldLock } from "../HeldLock.ts"
import * as LockMetrics from "../LockMetrics.ts"
import { LockLost, Released } from "../ManagedLockError.ts"
import * as ResourceRef from "../ResourceRef.ts"
import type * as Attributes from "./Attributes.ts"
import * as Given from "./Given.ts"
import * as JsonPatch from "./JsonPatch.ts"
import type { Settings } from "./Settings.ts"
import type { Tenure } from "./Tenure.ts"

/** A lock, held. */
export interface Section {
  /** How spans and logs name it. */
  readonly attributes: Attributes.OfHeld
  readonly held: HeldLock["Service"]
  /** Of its being held. */
  readonly span: Tracer.Span
  /** Does so once; whoever comes second waits for the first. */
  readonly giveBack: Effect.Effect<void>
  /** Calls back when the lock is lost before it is given back, or at once if it is, until what it returns is called. */
  readonly onLost: (callback: (error: LockLost) => void) => () => void
}

/** Begins one. `leave` leaves the lock to the next, or releases it. */
export const begin = (
  tenure: Tenure,
  settings: Settings,
  leave: (nowNanos: bigint) => Effect.Effect<void>
): Effect.Effect<Section> =>
  Effect.flatMap(
    Effect.makeSpan("KubeLock.hold", { attributes: tenure.attributes }),
    (span) =>
      Effect.andThen(
        LockMetrics.holding,
        Effect.clockWith((clock) => Effect.succeed(make(tenure, settings, leave, span, clock)))
      )
  )

const make = (
  tenure: Tenure,
  { run }: Settings,
  leave: (nowNanos: bigint) => Effect.Effect<void>,
  span: Tracer.Span,
  clock: Clock.Clock
): Section => {
  const startedAtNanos = clock.monotonicTimeNanosUnsafe()
  const { fencingToken, id, name, owner, resource } = tenure.lease()
  tenure.heldDuring(span)

  let isGivenBack = false
  /** Whether it was held to the end. One that is lost goes on saying why. */
  let isReleased = false
  const isLeft = Latch.makeUnsafe(false)
  const giveBack = Effect.uninterruptible(Effect.suspend(() => {
    if (isGivenBack) return isLeft.await
    isGivenBack = true
    const nowNanos = clock.monotonicTimeNanosUnsafe()
    isReleased = tenure.remainingNanos(nowNanos) > 0n
    span.end(clock.currentTimeNanosUnsafe(), Exit.void)
    return Effect.ensuring(
      Effect.andThen(LockMetrics.heldFor(Duration.nanos(nowNanos - startedAtNanos)), leave(nowNanos)),
      isLeft.open
    )
  }))

  const remainingNanos = () => isReleased ? 0n : tenure.remainingNanos(clock.monotonicTimeNanosUnsafe())
  const released = () =>
    isReleased
      ? new LockLost({
        lock: name,
        resource: ResourceRef.describe(resource),
        owner,
        nowNanos: clock.currentTimeNanosUnsafe(),
        reason: new Released()
      })
      : undefined
  const held = HeldLock.of({
    resource,
    name,
    owner,
    id,
    fencingToken,
    record: Effect.sync(() => tenure.lease().record),
    remaining: Effect.sync(() => Duration.nanos(remainingNanos())),
    isHeld: Effect.sync(() => remainingNanos() > 0n),
    // What becomes of it after it was left to the next is no loss of this one's.
    lost: Effect.suspend(() =>
      tenure.lost.pipe(Effect.catch((error) => isReleased ? Effect.never : Effect.fail(error)))
    ),
    renew: Effect.suspend((): typeof tenure.renew => released() ?? run(tenure.renew)),
    release: giveBack,
    write: (given) =>
      Effect.suspend(() => Effect.fromResult(validateOperations(name, given))).pipe(
        Effect.flatMap((operations): ReturnType<Tenure["write"]> =>
          released() ?? run(tenure.write(operations, released))
        )
      )
  })
  return {
    attributes: tenure.attributes,
    held,
    span,
    giveBack,
    onLost: (callback) =>
      tenure.onLost((error) => {
        if (!isReleased) callback(error)
      })
  }
}

// Deeper than any object, and not too deep to be looked at.
const maxLevels = 1_000

/** Operations that can be sent, and leave the lock's own record alone; as they are at one time. */
const validateOperations = (
  lock: LockName.LockName,
  given: ReadonlyArray<JsonPatchOperation>
): Result.Result<ReadonlyArray<JsonPatchOperation>, InvalidConfig> =>
  Result.gen(function*() {
    const operations = yield* Given.read("operations", given, JsonPatch.wellFormed)
    const refuse = (value: unknown, problem: string) => Result.fail(InvalidConfig.of("operations", value, problem))
    if (!isOperations(operations)) {
      return yield* refuse(operations, "a list of the operations of JSON Patch is needed, their values as JSON")
    }
    if (!isWithin(maxLevels, operations)) return yield* refuse("", `it is nested deeper than ${maxLevels} levels`)
    const wordsOf = ({ op, path }: JsonPatchOperation) => `${op} ${path}`
    const relative = operations.find((operation) =>
      pointersOf(operation).some((pointer) => pointer !== "" && !pointer.startsWith("/"))
    )
    if (relative !== undefined) {
      return yield* refuse(wordsOf(relative), "a path begins with a slash, as in /data/key")
    }
    const own = ["metadata", "annotations", LockName.toKey(lock)]
    const holdsOwn = (pointer: string) => {
      const tokens = pointer.split("/").slice(1).map(JsonPointer.unescapeToken)
      return tokens.every((token, index) => index >= own.length || token === own[index])
    }
    const wrong = operations.find((operation) =>
      (operation.op !== "test" && holdsOwn(operation.path)) || (operation.op === "move" && holdsOwn(operation.from))
    )
    if (wrong !== undefined) {
      return yield* refuse(
        wordsOf(wrong),
        "it would change the annotation of the lock itself; name what is beside it, as /metadata/labels or /data/key"
      )
    }
    return operations
  })

const pointersOf = (operation: JsonPatchOperation): ReadonlyArray<string> =>
  "from" in operation ? [operation.path, operation.from] : [operation.path]

const Operations = Schema.Array(Schema.Union([
  Schema.Struct({ op: Schema.Literals(["add", "replace", "test"]), path: Schema.String, value: Schema.Unknown }),
  Schema.Struct({ op: Schema.Literal("remove"), path: Schema.String }),
  Schema.Struct({ op: Schema.Literals(["move", "copy"]), path: Schema.String, from: Schema.String })
]))

// They were read from JSON: their values are of it.
const isOperations: (operations: unknown) => boolean = Schema.is(Operations)

const isWithin = (levels: number, value: unknown): boolean =>
  !Predicate.isObjectOrArray(value) ||
  (levels > 0 && Object.values(value).every((inner) => isWithin(levels - 1, inner)))
