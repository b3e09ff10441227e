/** What the two messages cost that a handover at least consists of: a patch, and its event. Pure. */
import * as Statistics from "../Statistics.ts"
import type { Watched, Written } from "./Message.ts"

/** In milliseconds, the medians. */
export interface Cost {
  readonly watchers: number
  /** From sending a patch to its answer. */
  readonly patchMillis: number
  /** From sending a patch to its being seen by a process that watches. */
  readonly eventMillis: number
}

export const costOf = (
  writes: typeof Written.Type["writes"],
  watched: ReadonlyArray<typeof Watched.Type["events"]>
): Cost => {
  const sentMicros = new Map(writes.map((write) => [write.resourceVersion, write.sentMicros]))
  const eventMillis = watched.flat().flatMap(({ resourceVersion, seenMicros }) => {
    const sent = sentMicros.get(resourceVersion)
    return sent === undefined ? [] : [(seenMicros - sent) / 1_000]
  })
  return {
    watchers: watched.length,
    patchMillis: Statistics.median(
      writes.map(({ answeredMicros, sentMicros }) => (answeredMicros - sentMicros) / 1_000)
    ),
    eventMillis: Statistics.median(eventMillis)
  }
}
