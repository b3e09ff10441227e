/**
 * A worker: its fibers want one lock again and again, and ask the parent, who is the resource that the lock protects, before
 * everything that they do under it.
 *
 * A section computes for a while without listening to anybody before each thing that it does, as it may also do right before a fenced
 * write leaves: a process that is stopped in the midst of that goes on as if nothing had happened.
 */
import { NodeRuntime } from "@effect/platform-node"
import {
  HeldLock,
  KubeAnnotationStore,
  type KubeError,
  KubeLock,
  KubeTransport,
  type LockLost,
  type MalformedRecord,
  ResourceRef,
  type WaitTimeout
} from "@kubelock/kube"
import { Cause, Console, Deferred, Effect, Exit, Layer, Logger, Random, References, Schema, Stream } from "effect"
import { argv, exit, stdin } from "node:process"
import { type Message, Message as MessageText, Orders, Verdict } from "./Message.ts"

const fibers = 2

/** How many of all sections last longer than the TTL. */
const longSections = 1 / 50

const tell = (message: Message) => Effect.flatMap(Effect.orDie(Schema.encodeEffect(MessageText)(message)), Console.log)

const nothing = new Int32Array(new SharedArrayBuffer(4))

/** Listens to nobody meanwhile, as a computation would, and leaves the processor to others. */
const compute = (atLeastMillis: number, atMostMillis: number) =>
  Effect.map(Random.nextBetween(atLeastMillis, atMostMillis), (millis) => void Atomics.wait(nothing, 0, 0, millis))

const pause = (atMostMillis: number) => Effect.flatMap(Random.nextBetween(0, atMostMillis), Effect.sleep)

/** The parent's answers, by the number of what was asked. */
const makeParent = () => {
  const ended = Deferred.makeUnsafe<boolean>()
  const waiting = new Map([[0, ended]])
  let asked = 0
  const answer = ({ accepted, request }: typeof Verdict.Type) => {
    const verdict = waiting.get(request)
    waiting.delete(request)
    if (verdict !== undefined) Deferred.doneUnsafe(verdict, Exit.succeed(accepted))
  }
  /** Tells something, and waits for the verdict. */
  const ask = Effect.fnUntraced(function*(message: (request: number) => Message) {
    const request = ++asked
    const verdict = yield* Deferred.make<boolean>()
    waiting.set(request, verdict)
    yield* tell(message(request))
    return yield* Deferred.await(verdict)
  })
  /** Ends with the parent. */
  const listen = Stream.fromAsyncIterable<Uint8Array, Cause.UnknownError>(
    stdin,
    (cause) => new Cause.UnknownError(cause)
  ).pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.mapEffect((line) => Schema.decodeEffect(Verdict)(line)),
    Stream.runForEach((verdict) => Effect.sync(() => answer(verdict)))
  )
  return { ask, listen, ended: Deferred.await(ended) }
}

const nameOf = (failure: KubeError | LockLost | MalformedRecord | WaitTimeout): string =>
  failure._tag === "KubeError" || failure._tag === "LockLost"
    ? `${failure._tag} ${failure.reason._tag}`
    : failure._tag

const work = Effect.fnUntraced(function*({ configMap, incarnation, lock: name, namespace, ttlMillis, worker }: Orders) {
  const { ask, ended, listen } = makeParent()
  // Nobody is answered any more once this has ended, so nothing here shall wait for it.
  yield* Effect.forkDetach(Effect.andThen(listen, Effect.sync(() => exit(1))))
  // To be listened to is no reason to live.
  stdin.unref()
  const transport = yield* KubeTransport
  /** What the API server has answered to each fenced write, as often as it was sent. */
  const statuses = new Map<string, Array<number>>()
  const computing = Layer.succeed(KubeTransport, {
    ...transport,
    request: (request) => {
      const answers = statuses.get(/"([^" ]+ \d+ \d+)"/.exec(request.body ?? "")?.[1] ?? "")
      if (answers === undefined) return transport.request(request)
      return Effect.gen(function*() {
        yield* compute(0, 20)
        const sent = answers.push(0) - 1
        const answered = (status: number) =>
          Effect.sync(() => {
            answers[sent] = status
          })
        return yield* transport.request(request).pipe(
          Effect.tap(({ status }) => answered(status)),
          Effect.tapError(({ status = 0 }) => answered(status))
        )
      })
    }
  })

  let sections = 0
  let writes = 0

  const fencedWrite = Effect.fnUntraced(function*(held: HeldLock["Service"], section: string) {
    const value = `${held.id} ${held.fencingToken} ${++writes}`
    const answers: Array<number> = []
    statuses.set(value, answers)
    const wrote = (outcome: "Made" | "Refused" | "Unknown", resourceVersion?: bigint) =>
      tell({
        _tag: "Wrote",
        section,
        value,
        outcome,
        statuses: answers,
        ...(resourceVersion === undefined ? undefined : { resourceVersion })
      })
    yield* tell({ _tag: "Write" })
    yield* held.write([{ op: "add", path: "/data/written", value }]).pipe(
      Effect.onExit((exit) => {
        statuses.delete(value)
        if (Exit.isSuccess(exit)) return wrote("Made", exit.value.resourceVersion)
        const failure = Cause.findErrorOption(exit.cause)
        return wrote(failure._tag === "Some" && failure.value._tag !== "KubeError" ? "Refused" : "Unknown")
      }),
      // It may be made later.
      Effect.catchTag("KubeError", (error) => tell({ _tag: "Failed", failure: `write: ${nameOf(error)}` }))
    )
  })

  const section = Effect.gen(function*() {
    const held = yield* HeldLock
    const section = `${worker}/${incarnation}/${++sections}`
    const { fencingToken: token, id: acquisition } = held
    const steps = (yield* Random.next) < longSections
      ? Math.ceil(1.5 * ttlMillis / 35)
      : yield* Random.nextIntBetween(1, 4)
    const writesAt = (yield* Random.next) < 1 / 2 ? yield* Random.nextIntBetween(1, steps) : 0
    const inside = Effect.gen(function*() {
      for (let step = 1; step <= steps; step++) {
        yield* compute(2, 30)
        if (!(yield* ask((request) => ({ _tag: "Use", request, section, token })))) return
        if (step === writesAt) yield* fencedWrite(held, section)
        yield* pause(20)
      }
    })
    yield* Effect.acquireUseRelease(
      ask((request) => ({ _tag: "Enter", request, section, acquisition, token })),
      (accepted) => accepted ? inside : Effect.void,
      (accepted) => accepted ? ask((request) => ({ _tag: "Leave", request, section })) : Effect.void
    )
  })

  yield* Effect.gen(function*() {
    const lock = yield* KubeLock.make({
      resource: ResourceRef.configMap({ namespace, name: configMap }),
      name,
      owner: worker,
      ttl: ttlMillis,
      // A dozen processes share few cores here: one may not get to run for longer than a tenth of its TTL.
      safetyMargin: ttlMillis / 3
    })
    const fiber = lock.withLock(section).pipe(
      Effect.catchTags({
        InvalidConfig: Effect.die,
        // Its path is there, and it tests for nothing.
        OperationsRefused: Effect.die
      }),
      Effect.catch((failure) =>
        Effect.andThen(tell({ _tag: "Failed", failure: nameOf(failure) }), Effect.sleep("100 millis"))
      ),
      Effect.andThen(pause(50)),
      Effect.forever
    )
    yield* tell({ _tag: "Ready" })
    yield* Effect.raceFirst(
      ended,
      Effect.all(Array.from({ length: fibers }, () => fiber), { concurrency: "unbounded" })
    )
  }).pipe(Effect.provide(Layer.provide(KubeLock.layer, Layer.provide(KubeAnnotationStore.layer, computing))))
})

const main = Effect.gen(function*() {
  const orders = yield* Schema.decodeUnknownEffect(Orders)(argv[2])
  yield* Effect.provide(work(orders), KubeTransport.layerFile(orders.kubeconfigFile, { userAgent: orders.worker }))
})

// Standard output is for messages alone.
main.pipe(
  Effect.onError((cause) => Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logFatal(cause)),
  // That locks are lost is no news here.
  Effect.provideService(References.MinimumLogLevel, "Fatal"),
  Effect.provideService(Logger.LogToStderr, true),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
