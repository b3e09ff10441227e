/** The way of one process to the server, and what goes wrong on it: a `KubeTransport`. */
import { KubeError, type KubeRequest, KubeTransport, RequestTimeout, Timeout, Unavailable } from "@kubelock/kube"
import { Cause, type Clock, Deferred, Duration, Effect, Queue, Stream } from "effect"
import type { Dice, Plan, RequestFault } from "./Plan.ts"
import type { ProcessClock } from "./ProcessClock.ts"
import { bookmarkOf, type Change, type SimulatedServer } from "./SimulatedServer.ts"

/** What all processes share. */
export interface Weather {
  /** While the server is away, connections are refused. */
  isServerAway: boolean
  /** From now on nothing goes wrong any more. */
  isOver: boolean
}

export interface SimulatedNetwork {
  readonly transport: KubeTransport["Service"]
  /** Breaks every connection. */
  readonly cut: () => void
  /** The watches that there are say nothing any more. */
  readonly silence: () => void
}

/** What one is told of what goes on. */
export interface Onlooker {
  readonly fault: (kind: RequestFault) => void
  readonly changed: (change: Change, way: { readonly sentAtMillis: number; readonly isAstray: boolean }) => void
  /** A watch has begun after this resourceVersion. */
  readonly watched: (from: string | undefined) => void
}

const requestTimeoutAtMost = Duration.seconds(10)

/** As long as the library asks its watches to last. */
const watchLasts = Duration.seconds(30)

const broken = ({ method, path }: KubeRequest, isSent: boolean) =>
  new KubeError({
    method,
    path,
    reason: new Unavailable({
      outcomeUnknown: isSent,
      message: isSent ? "the connection broke" : "nothing listens there"
    })
  })

export const make = ({ clock, dice, onlooker, plan, server, truth, weather }: {
  readonly plan: Plan
  readonly server: SimulatedServer
  readonly weather: Weather
  readonly truth: Clock.Clock
  /** The process's own. */
  readonly clock: ProcessClock
  readonly dice: Dice
  readonly onlooker: Onlooker
}): SimulatedNetwork => {
  /** How each is broken. */
  const connections = new Set<() => void>()
  const watches = new Set<{ isSilent: boolean }>()

  const faultOf = (method: string): RequestFault | undefined => {
    if (weather.isOver) return undefined
    const drawn = (Object.entries(plan.requestFaults) as ReadonlyArray<[RequestFault, number]>)
      .filter(([, perMille]) => dice.chance(perMille / 1_000))
    const [kind] = drawn.find(([kind]) => !kind.endsWith(" twice") || kind.startsWith(method)) ?? []
    if (kind !== undefined) onlooker.fault(kind)
    return kind
  }

  const latencyMillis = () => dice.between(0, plan.latencyMillisAtMost)
  const pass = (millis: number) => millis <= 0 ? Effect.void : truth.sleep(Duration.millis(millis))

  const exchange = Effect.fnUntraced(function*(request: KubeRequest, sentAtMillis: number) {
    const fault = faultOf(request.method)
    const upMillis = fault === "late" ? dice.between(0, 2 * plan.ttlMillis) : latencyMillis()
    const downMillis = latencyMillis()
    const answered = yield* Deferred.make<{ readonly status: number; readonly body: string }, KubeError>()
    let isGivenUp = false
    const breakIt = (isSent: boolean) => {
      isGivenUp = true
      Deferred.doneUnsafe(answered, Effect.fail(broken(request, isSent)))
    }
    const cut = () => breakIt(true)
    const answer = (status: number, headers: Readonly<Record<string, string>>, body: string) =>
      Deferred.doneUnsafe(
        answered,
        status < 300
          ? Effect.succeed({ status, body })
          : Effect.fail(KubeError.fromResponse(request, { status, headers, body }))
      )
    const handle = () => {
      const { answer, change } = server.handle(request)
      if (change !== undefined) onlooker.changed(change, { sentAtMillis, isAstray: isGivenUp })
      return answer
    }
    const journey = Effect.gen(function*() {
      yield* pass(upMillis)
      if (weather.isServerAway) return breakIt(false)
      switch (fault) {
        case "request lost":
          return breakIt(true)
        case "swallowed":
          return
        case "throttled":
        case "unavailable":
        case "conflict":
          yield* pass(downMillis)
          return answer({ throttled: 429, unavailable: 503, conflict: 409 }[fault], { "retry-after": "1" }, "")
      }
      const first = handle()
      switch (fault) {
        case "answer lost":
          return breakIt(true)
        case "left unanswered":
          return
        case "done and 504":
          yield* pass(downMillis)
          return answer(504, {}, "")
      }
      if (fault === "GET twice" || fault === "PATCH twice") {
        yield* pass(latencyMillis())
        const second = handle()
        const { body, headers, status } = fault === "PATCH twice" || dice.chance(0.5) ? second : first
        yield* pass(downMillis)
        return answer(status, headers, body)
      }
      yield* pass(downMillis)
      return answer(first.status, first.headers, first.body)
    })
    connections.add(cut)
    // Who gives up on a request does not call it back.
    yield* Effect.forkDetach(journey)
    return yield* Effect.onExit(Deferred.await(answered), () =>
      Effect.sync(() => {
        isGivenUp = true
        connections.delete(cut)
      }))
  })

  const timedOut = ({ method, path }: KubeRequest, outcomeUnknown: boolean) =>
    new KubeError({ method, path, reason: new Timeout({ outcomeUnknown, message: "no answer in time" }) })

  const request = Effect.fnUntraced(function*(request: KubeRequest) {
    const atMost = Duration.min(yield* RequestTimeout, requestTimeoutAtMost)
    if (!Duration.isPositive(atMost)) return yield* timedOut(request, false)
    const sentAtMillis = truth.currentTimeMillisUnsafe()
    // A process may stand still between deciding and sending, and between the answer and reading it.
    yield* clock.awake
    const { body, status } = yield* exchange(request, sentAtMillis).pipe(
      Effect.timeoutOrElse({ duration: atMost, orElse: () => Effect.fail(timedOut(request, true)) }),
      Effect.onExit(() => clock.awake)
    )
    return { status, body, dateMillis: Math.floor(truth.currentTimeMillisUnsafe() / 1_000) * 1_000 }
  })

  const stream = (request: KubeRequest) =>
    Stream.unwrap(Effect.gen(function*() {
      yield* clock.awake
      yield* pass(latencyMillis())
      if (weather.isServerAway) return yield* broken(request, false)
      const queue = yield* Queue.make<{ readonly line: string; readonly atMillis: number }, KubeError | Cause.Done>()
      const watch = { isSilent: false }
      let lastMillis = 0
      const line = (line: string) => {
        if (watch.isSilent) return
        lastMillis = Math.max(lastMillis, truth.currentTimeMillisUnsafe() + latencyMillis())
        Queue.offerUnsafe(queue, { line, atMillis: lastMillis })
      }
      const end = () => {
        if (!watch.isSilent) Queue.endUnsafe(queue)
      }
      const cut = () => Queue.failCauseUnsafe(queue, Cause.fail(broken(request, true)))
      onlooker.watched(request.query?.["resourceVersion"])
      const unwatch = server.watch(request, { line, end })
      watches.add(watch)
      connections.add(cut)
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          unwatch()
          watches.delete(watch)
          connections.delete(cut)
        })
      )
      yield* Effect.forkScoped(Effect.andThen(
        truth.sleep(watchLasts),
        Effect.sync(() => {
          line(bookmarkOf(server.revision()))
          end()
        })
      ))
      const lines = Stream.mapEffect(Stream.fromQueue(queue), ({ atMillis, line }) =>
        pass(atMillis - truth.currentTimeMillisUnsafe()).pipe(Effect.andThen(clock.awake), Effect.as(line)))
      return Stream.timeoutOrElse(lines, {
        duration: request.silenceAtMost ?? Duration.infinity,
        orElse: () =>
          Stream.fail(timedOut(request, false))
      })
    }))

  return {
    transport: KubeTransport.of({ request, stream }),
    cut: () => {
      for (const cut of Array.from(connections)) cut()
    },
    silence: () => {
      for (const watch of watches) watch.isSilent = true
    }
  }
}
