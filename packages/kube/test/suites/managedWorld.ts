import { AnnotationEdit, LockRecord } from "@kubelock/core"
import {
  AnnotationStore,
  Conflict,
  Forbidden,
  Identity,
  KubeError,
  KubeLock,
  MemoryObjects,
  RequestTimeout,
  ResourceRef,
  Throttled,
  Timeout,
  Unavailable
} from "@kubelock/kube"
import { Clock, Context, Deferred, Duration, Effect, Fiber, Layer, Result, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

// Managed locks over a store in memory whose every request a test may stop, lose, refuse and count.

export const resource = ResourceRef.configMap({ namespace: "default", name: "object" })
export const lockName = "x"
export const keyOf = (name: string) => `kubelock.giantswarm.io/${name}`

/** What becomes of a request. */
export interface Fate {
  /** Run before it is made. */
  readonly before?: Effect.Effect<void>
  /** Default: yes. */
  readonly isMade?: boolean
  /** Run after it was made. */
  readonly after?: Effect.Effect<void>
  /** The answer, in place of the store's. */
  readonly instead?: AnnotationEdit.EditRefused | KubeError
}

/** A request that was made of the store, and when. */
export interface Sent {
  readonly number: number
  readonly method: "GET" | "PATCH"
  readonly atMillis: number
  readonly path: string
  readonly edits: ReadonlyArray<AnnotationEdit.AnnotationEdit>
  readonly hasOperations: boolean
  /** How long the caller allows. */
  readonly timeoutMillis: number
}

/** The store, as a test has it in hand. */
export class Control extends Context.Service<Control, {
  /** What becomes of the requests from now on. By default they are made and answered at once. */
  readonly fate: (fate: (sent: Sent) => Fate | undefined) => Effect.Effect<void>
  /** What becomes of the next writes, in their order; of reads, and of what comes after them, nothing but what is asked. */
  readonly nextWrites: (...fates: ReadonlyArray<Fate>) => Effect.Effect<void>
  readonly sent: Effect.Effect<ReadonlyArray<Sent>>
  /** From now on no watch tells of a deletion: as one that had expired, and begins anew. */
  readonly hideDeletions: Effect.Effect<void>
  /** How many watches were ever opened. */
  readonly watches: Effect.Effect<number>
}>()("@kubelock/kube/test/Control") {}

const path = ResourceRef.toPath(resource)
const patch = (reason: KubeError["reason"]) => new KubeError({ method: "PATCH", path, reason })

export const timeout = patch(new Timeout({ outcomeUnknown: true, message: "no answer in time" }))
const untilTimeout = Effect.flatMap(RequestTimeout, Effect.sleep)

/** The answers that an API server, or what is before it, can give in place of what was wanted. */
export const fates = {
  ok: {},
  /** As long as the caller allows. */
  hang: { isMade: false, after: untilTimeout, instead: timeout },
  hangMade: { after: untilTimeout, instead: timeout },
  answerLost: { instead: patch(new Unavailable({ outcomeUnknown: true, message: "the connection broke" })) },
  requestLost: {
    isMade: false,
    instead: patch(new Unavailable({ outcomeUnknown: true, message: "the connection broke" }))
  },
  conflict: { isMade: false, instead: patch(new Conflict({ message: "the object has been modified" })) },
  refused: { isMade: false, instead: new AnnotationEdit.EditRefused({ keys: [], said: "a webhook says no" }) },
  throttled: { isMade: false, instead: patch(new Throttled({ retryAfterMillis: 1_000, message: "too many" })) },
  unavailable: {
    isMade: false,
    instead: patch(new Unavailable({ outcomeUnknown: true, message: "service unavailable" }))
  },
  unreachable: {
    isMade: false,
    instead: patch(new Unavailable({ outcomeUnknown: false, message: "connection refused" }))
  },
  forbidden: { isMade: false, instead: patch(new Forbidden({ message: "you may not patch this" })) }
} satisfies Record<string, Fate>

const controlled = Layer.effectContext(Effect.gen(function*() {
  const store = yield* AnnotationStore
  let fateOf: (sent: Sent) => Fate | undefined = () => undefined
  const log: Array<Sent> = []
  let watches = 0
  let areDeletionsHidden = false
  const through = <A, E>(
    request: Pick<Sent, "method" | "path" | "edits" | "hasOperations">,
    made: Effect.Effect<A, E>
  ) =>
    Effect.gen(function*() {
      const sent = {
        ...request,
        number: log.length + 1,
        atMillis: yield* monotonicMillis,
        timeoutMillis: Duration.toMillis(yield* RequestTimeout)
      }
      log.push(sent)
      const { after = Effect.void, before = Effect.void, instead, isMade = true } = fateOf(sent) ?? {}
      yield* before
      const answer = isMade ? yield* Effect.result(made) : undefined
      yield* after
      if (instead !== undefined) return yield* instead
      return answer === undefined ?
        yield* Effect.die("a request that is not made needs an answer")
        : yield* Effect.fromResult(answer)
    })
  return Context.make(AnnotationStore, {
    get: (ref) =>
      Effect.catchTag(
        through({ method: "GET", path: ResourceRef.toPath(ref), edits: [], hasOperations: false }, store.get(ref)),
        "EditRefused",
        Effect.die
      ),
    edit: (ref, edits, operations = []) =>
      through({
        method: "PATCH",
        path: ResourceRef.toPath(ref),
        edits,
        hasOperations: operations.length > 0
      }, store.edit(ref, edits, operations)),
    changes: (ref, from) =>
      Stream.unwrap(Effect.sync(() => {
        watches++
        return Stream.filter(store.changes(ref, from), ({ _tag }) => !(areDeletionsHidden && _tag === "Deleted"))
      })),
    clockOffset: store.clockOffset
  }).pipe(Context.add(Control, {
    fate: (fate) =>
      Effect.sync(() => {
        fateOf = fate
      }),
    nextWrites: (...fates) =>
      Effect.sync(() => {
        const left = [...fates]
        fateOf = ({ method }) => method === "PATCH" ? left.shift() : undefined
      }),
    sent: Effect.sync(() => [...log]),
    hideDeletions: Effect.sync(() => {
      areDeletionsHidden = true
    }),
    watches: Effect.sync(() => watches)
  }))
}))

export const monotonicMillis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)

/** These objects, behind a store that can be controlled. */
export const worldOf = (objects: Iterable<ResourceRef.ResourceRef>) =>
  Layer.provideMerge(Layer.fresh(controlled), Layer.fresh(AnnotationStore.layerMemory(objects)))

/** One process with locks of its own, in a world that others may share. It ends with the scope. */
export const asProcess = (name: string) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const services = yield* Layer.buildWithScope(Layer.fresh(KubeLock.layer), scope)
    return yield* Effect.provide(effect, services)
  }).pipe(Identity.asProcess(name))

/** A world of one process, "me", and one object; what is acquired is released at its end. */
export const inWorld = <A, E, R>(effect: Effect.Effect<A, E, R>) => inWorldOf([resource])(asProcess("me")(effect))

/** A world of these objects. In the end it answers everything, so that what is acquired is released, and nothing hangs. */
export const inWorldOf = (objects: Iterable<ResourceRef.ResourceRef>) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const ended = yield* Deferred.make<void>()
    const running = yield* Effect.forkChild(
      Effect.ensuring(Scope.provide(effect, scope), Deferred.succeed(ended, undefined))
    )
    yield* Deferred.await(ended)
    yield* (yield* Control).fate(() => undefined)
    // What it has begun and not ended is interrupted, which takes its time.
    const exit = yield* untilEnded(running)
    const closing = yield* Effect.forkChild(Scope.close(scope, exit))
    yield* untilEnded(closing)
    return yield* exit
  }).pipe(Effect.provide(worldOf(objects)))

/** What the object carries, by whoever asks past the store. */
export const annotations = (ref: ResourceRef.ResourceRef = resource) =>
  Effect.flatMap(
    MemoryObjects,
    (objects) => Effect.map(objects.get(ref), (object) => object?.metadata.annotations ?? {})
  )

/** The record of a lock, if there is one that can be read. */
export const recordOf = (name: string = lockName, ref?: ResourceRef.ResourceRef) =>
  Effect.map(
    annotations(ref),
    ({ [keyOf(name)]: text }) => text === undefined ? undefined : Result.getOrUndefined(LockRecord.parse(text))
  )

/** Does to a lock's annotation what any client of the cluster can do. */
export const overwrite = (text: string | undefined, name: string = lockName, ref: ResourceRef.ResourceRef = resource) =>
  Effect.gen(function*() {
    const objects = yield* MemoryObjects
    const { [keyOf(name)]: _, ...others } = yield* annotations(ref)
    yield* objects.put(ref, text === undefined ? others : { ...others, [keyOf(name)]: text })
    yield* settle
  })

/** A lock of somebody who never gives it back. */
export const foreignRecord = Effect.map(
  Clock.currentTimeNanos,
  (createdAtNanos): LockRecord.LockRecord => ({
    owner: "somebody else",
    createdAtNanos,
    ttlNanos: 3_600_000_000_000n,
    id: "theirs-1"
  })
)

/** Somebody else takes the lock, whoever has it. */
export const takeOver = Effect.gen(function*() {
  const record = yield* foreignRecord
  yield* overwrite(LockRecord.format(record))
  return record
})

/** Lets all fibers go on as far as they can without time passing. */
export const settle = TestClock.adjust(0)

/** Passes time, step by step, until the fiber has ended. */
export const untilEnded = <A, E>(fiber: Fiber.Fiber<A, E>, step: Duration.Input = "100 millis") =>
  Effect.gen(function*() {
    yield* settle
    for (let steps = 0; fiber.pollUnsafe() === undefined; steps++) {
      if (steps > 10_000) return yield* Effect.die("the fiber does not end")
      yield* TestClock.adjust(step)
    }
    return yield* Fiber.await(fiber)
  })

/** Of a clock whose wall part was set: the monotonic one goes on. */
export interface SettableClock {
  readonly clock: Clock.Clock
  /** Sets the wall clock forward, or back. */
  readonly jump: (by: Duration.Input) => Effect.Effect<void>
  /** Lets time pass that no timer of this process has seen: it was stopped. */
  readonly stop: (by: Duration.Input) => Effect.Effect<void>
}

/** A clock beside the test's own, for one process. */
export const settableClock = Effect.map(Clock.Clock, (clock): SettableClock => {
  let wallNanos = 0n
  let stoppedNanos = 0n
  const nanosOf = (duration: Duration.Input) => BigInt(Math.round(Duration.toMillis(duration) * 1e6))
  const currentTimeNanosUnsafe = () => clock.currentTimeNanosUnsafe() + wallNanos + stoppedNanos
  const currentTimeMillisUnsafe = () => Number(currentTimeNanosUnsafe() / 1_000_000n)
  const monotonicTimeNanosUnsafe = () => clock.monotonicTimeNanosUnsafe() + stoppedNanos
  return {
    clock: {
      currentTimeMillisUnsafe,
      currentTimeMillis: Effect.sync(currentTimeMillisUnsafe),
      currentTimeNanosUnsafe,
      currentTimeNanos: Effect.sync(currentTimeNanosUnsafe),
      monotonicTimeNanosUnsafe,
      monotonicTimeNanos: Effect.sync(monotonicTimeNanosUnsafe),
      sleep: (duration) => clock.sleep(duration)
    },
    jump: (by) =>
      Effect.sync(() => {
        wallNanos += nanosOf(by)
      }),
    stop: (by) =>
      Effect.sync(() => {
        stoppedNanos += nanosOf(by)
      })
  }
})
