/** Writes the history to its file, event by event. */
import { Clock, Effect, Schema } from "effect"
import * as fs from "node:fs"
import { Event } from "./History.ts"

type WithoutTime<E> = E extends Event ? Omit<E, "atMicros"> : never

/** Notes that this happens now. */
export type Record = (event: WithoutTime<Event>) => void

const encode = Schema.encodeSync(Event)

/** Until the scope closes. What was noted is in the file at once, whatever becomes of this process. */
export const make = Effect.fnUntraced(function*(file: string) {
  const clock = yield* Clock.Clock
  const fromNanos = clock.monotonicTimeNanosUnsafe()
  const descriptor = yield* Effect.acquireRelease(
    Effect.sync(() => fs.openSync(file, "w")),
    (descriptor) => Effect.sync(() => fs.closeSync(descriptor))
  )
  const record: Record = (event) => {
    const atMicros = Number((clock.monotonicTimeNanosUnsafe() - fromNanos) / 1_000n)
    fs.writeSync(descriptor, `${encode({ ...event, atMicros })}\n`)
  }
  return record
})
