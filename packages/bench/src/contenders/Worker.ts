/** The side of a process that takes orders from standard input, and answers on standard output. */
import { NodeRuntime } from "@effect/platform-node"
import { ResourceRef } from "@kubelock/kube"
import { Cause, Clock, Console, Effect, Logger, References, Schema, Stream } from "effect"
import { stdin } from "node:process"
import { Order } from "./Message.ts"

/** Tries until it succeeds, and keeps count. */
export type Attempt = <A, E>(what: string, effect: Effect.Effect<A, E>) => Effect.Effect<A>

/** Takes the lock and gives it back, through `attempt`. */
export type Pair = (resource: ResourceRef.ResourceRef, attempt: Attempt) => Effect.Effect<void>

/** After so many in a row it is not the other writers any more. */
const failuresInARowAtMost = 1_000

const nameOf = (failure: unknown): string => {
  if (typeof failure !== "object" || failure === null) return String(failure)
  if ("reason" in failure) return nameOf(failure.reason)
  return "_tag" in failure ? String(failure._tag) : "unknown"
}

/** So many pairs, one after the other. */
export const carryOut = Effect.fnUntraced(
  function*(pair: Pair, { pairs, resource }: { readonly pairs: number; readonly resource: ResourceRef.ResourceRef }) {
    const pairMicros: Array<number> = []
    const failures: Record<string, number> = {}
    let attempts = 0

    // As little as can be: it is measured along with what it surrounds.
    const attempt: Attempt = <A, E>(what: string, effect: Effect.Effect<A, E>) => {
      let failuresInARow = 0
      const once: Effect.Effect<A> = Effect.suspend(() => {
        attempts++
        return effect
      }).pipe(Effect.catch((failure) => {
        const name = `${what}: ${nameOf(failure)}`
        failures[name] = (failures[name] ?? 0) + 1
        return ++failuresInARow > failuresInARowAtMost ? Effect.die(failure) : once
      }))
      return once
    }

    for (let done = 0; done < pairs; done++) {
      const begun = yield* Clock.monotonicTimeNanos
      yield* pair(resource, attempt)
      pairMicros.push(Number((yield* Clock.monotonicTimeNanos) - begun) / 1_000)
    }
    return { pairMicros, attempts, failures }
  }
)

/** Answers each order that comes on standard input, until that ends. */
export const answer = Effect.fnUntraced(function*<A, B extends object, E, R>(
  order: Schema.Codec<A, unknown>,
  carryOut: (order: A) => Effect.Effect<B, E, R>
) {
  const decode = Schema.decodeEffect(Schema.fromJsonString(order))
  yield* Stream.fromAsyncIterable<Uint8Array, Cause.UnknownError>(
    stdin,
    (cause) => new Cause.UnknownError(cause)
  ).pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.mapEffect((line) => decode(line)),
    Stream.runForEach((order) => Effect.flatMap(carryOut(order), (answer) => Console.log(JSON.stringify(answer))))
  )
})

/** Carries out the orders of a benchmark. */
export const serve = (pair: Pair) =>
  // A program names its object once.
  answer(Order, (order) => carryOut(pair, { ...order, resource: ResourceRef.make(order.resource) }))

/** Runs it. Standard output is for answers alone. */
export const run = <E>(main: Effect.Effect<void, E>): void =>
  main.pipe(
    Effect.onError((cause) => Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logFatal(cause)),
    Effect.provideService(References.MinimumLogLevel, "Fatal"),
    Effect.provideService(Logger.LogToStderr, true),
    NodeRuntime.runMain({ disableErrorReporting: true })
  )
