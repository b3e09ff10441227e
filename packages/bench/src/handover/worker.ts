/** One process of the benchmark: its fibers want a lock as they are told; or it writes the object, or watches it. */
import { type AnnotationEdit, LockName } from "@kubelock/core"
import {
  AnnotationStore,
  HeldLock,
  KubeAnnotationStore,
  KubeLock,
  KubeTransport,
  type LockLost,
  type NotAcquired,
  ResourceRef
} from "@kubelock/kube"
import { Clock, Effect, Layer, Random, Result, Schema, Stream } from "effect"
import { argv } from "node:process"
import * as Worker from "../contenders/Worker.ts"
import * as AtOnce from "./AtOnce.ts"
import { type Contend, Order, Settings, type Watch, type Watched, type Write, type Written } from "./Message.ts"
import * as Recording from "./Recording.ts"
import { isTurnless } from "./turnless.ts"

const refOf = (name: string) => ResourceRef.configMap({ namespace: "default", name })

const lockName = Result.getOrThrow(LockName.make("contended"))

const writtenKey = "kubelock.giantswarm.io/written"

/** As long as a record. */
const written = "x".repeat(150)

const makeMicros = Effect.map(Clock.Clock, (clock) => () => Number(clock.monotonicTimeNanosUnsafe() / 1_000n))

const sleepUntil = Effect.fnUntraced(function*(micros: () => number, atMicros: number) {
  yield* Effect.sleep(Math.max(0, atMicros - micros()) / 1_000)
})

const storeOver = (transport: KubeTransport["Service"]) =>
  Layer.fresh(Layer.provide(KubeAnnotationStore.layer, Layer.succeed(KubeTransport, transport)))

/** The transport, and a note of what goes through it. */
const noted = (transport: KubeTransport["Service"], recording: Recording.Recording): KubeTransport["Service"] => ({
  ...transport,
  request: (request) =>
    Effect.suspend(() => {
      const answered = recording.sent(request.method === "PATCH" && request.body?.includes(`"op":"remove"`) === true)
      return Effect.tap(transport.request(request), () => Effect.sync(answered))
    })
})

/** Runs a section under the lock. It is told what tells its acquisition from others. */
type WithLock = (
  section: (acquisition: unknown) => Effect.Effect<void>
) => Effect.Effect<void, LockLost | NotAcquired | AnnotationEdit.EditRefused>

const withLockBy = Effect.fnUntraced(function*({ configMap, contender, strategy }: typeof Contend.Type) {
  const resource = refOf(configMap)
  Object.assign(globalThis, { [isTurnless]: strategy._tag === "Turnless" })
  if (strategy._tag === "AtOnce") {
    const withLock = yield* AtOnce.make(resource, lockName, contender)
    const atOnce: WithLock = (section) => withLock(Effect.suspend(() => section({})))
    return atOnce
  }
  const lock = yield* Effect.provide(
    KubeLock.make({ resource, name: lockName, owner: contender }),
    yield* Layer.build(Layer.fresh(KubeLock.layer))
  )
  const inTurn: WithLock = (section) =>
    lock.withLock(Effect.flatMap(HeldLock, ({ fencingToken }) => section(fencingToken)))
  return inTurn
})

const contend = Effect.fnUntraced(function*(order: typeof Contend.Type) {
  const { beginMicros, configMap, fibers, fromMicros, holdMillis, strategy, thinkMillisAtMost, untilMicros } = order
  const micros = yield* makeMicros
  const recording = Recording.make(micros, fromMicros, untilMicros)
  const store = strategy._tag === "InMemory"
    ? AnnotationStore.layerMemory([refOf(configMap)])
    : storeOver(noted(yield* KubeTransport, recording))
  const hold = holdMillis === 0 ? Effect.void : Effect.sleep(holdMillis)
  const think = thinkMillisAtMost === 0
    ? Effect.void
    : Effect.flatMap(Random.next, (random) => Effect.sleep(random * thinkMillisAtMost))
  const contention = Effect.gen(function*() {
    const withLock = yield* withLockBy(order)
    const fiber = Effect.suspend(() => {
      const started = recording.asked()
      return withLock((acquisition) => {
        started(acquisition)
        return hold
      })
    }).pipe(Effect.andThen(think), Effect.forever)
    yield* sleepUntil(micros, beginMicros)
    yield* Effect.raceFirst(
      sleepUntil(micros, untilMicros),
      Effect.all(Array.from({ length: fibers }, () => fiber), { concurrency: "unbounded", discard: true })
    )
    return recording.end()
  })
  return yield* Effect.scoped(Effect.provide(contention, store))
})

const write = Effect.fnUntraced(function*({ configMap, everyMillis, times }: typeof Write.Type) {
  const micros = yield* makeMicros
  const store = yield* AnnotationStore
  const writes: Array<typeof Written.Type["writes"][number]> = []
  // So that the store knows whether there are annotations.
  yield* store.get(refOf(configMap))
  for (let time = 0; time < times; time++) {
    const sentMicros = micros()
    const [expected, value] = time % 2 === 0 ? [undefined, written] : [written, undefined]
    const { resourceVersion } = yield* store.edit(refOf(configMap), [{ key: writtenKey, expected, value }])
    writes.push({ resourceVersion: String(resourceVersion), sentMicros, answeredMicros: micros() })
    yield* Effect.sleep(everyMillis)
  }
  return { _tag: "Written" as const, writes }
})

const watch = Effect.fnUntraced(function*({ configMap, untilMicros }: typeof Watch.Type) {
  const micros = yield* makeMicros
  const store = yield* AnnotationStore
  const events: Array<typeof Watched.Type["events"][number]> = []
  const { resourceVersion } = yield* store.get(refOf(configMap))
  const changes = Stream.runForEach(store.changes(refOf(configMap), resourceVersion), (change) =>
    Effect.sync(() => {
      if (change._tag === "Present") {
        events.push({ resourceVersion: String(change.object.resourceVersion), seenMicros: micros() })
      }
    }))
  yield* Effect.raceFirst(sleepUntil(micros, untilMicros), changes)
  return { _tag: "Watched" as const, events }
})

const obey = Effect.fnUntraced(function*(order: Order) {
  if (order._tag === "Contend") return yield* contend(order)
  const store = storeOver(yield* KubeTransport)
  return yield* order._tag === "Write" ? Effect.provide(write(order), store) : Effect.provide(watch(order), store)
})

const main = Effect.gen(function*() {
  const { kubeconfig } = yield* Schema.decodeUnknownEffect(Settings)(argv[2])
  yield* Effect.provide(Worker.answer(Order, obey), KubeTransport.layerText(kubeconfig))
})

Worker.run(main)
