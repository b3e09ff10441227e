/** What one process sees of a contention, put down as it happens. */
import type { Contended, Turn } from "./Message.ts"

/** One that is being made. */
export interface Recording {
  /** A fiber asks for the lock; to be called when its section begins, with what all sections by one acquisition share. */
  readonly asked: () => (acquisition: unknown) => void
  /** A request is sent. If it releases the lock, to be called when it is answered. */
  readonly sent: (isRelease: boolean) => () => void
  readonly end: () => Contended
}

type Making = { -readonly [Key in keyof Turn]: Turn[Key] }

/** Counts what begins between these two. */
export const make = (micros: () => number, fromMicros: number, untilMicros: number): Recording => {
  const waiting = new Set<{ readonly askedMicros: number }>()
  const turns: Array<Making> = []
  let last: unknown
  let [acquisitions, sumMicros, longestMicros, requests] = [0, 0, 0, 0]
  const isCounted = (atMicros: number) => atMicros >= fromMicros && atMicros < untilMicros

  return {
    asked: () => {
      const ask = { askedMicros: micros() }
      waiting.add(ask)
      return (acquisition) => {
        waiting.delete(ask)
        const startedMicros = micros()
        const waitedMicros = startedMicros - ask.askedMicros
        if (acquisition !== last) turns.push({ ...ask, startedMicros })
        last = acquisition
        if (!isCounted(startedMicros)) return
        acquisitions++
        sumMicros += waitedMicros
        longestMicros = Math.max(longestMicros, waitedMicros)
      }
    },
    sent: (isRelease) => {
      const sentMicros = micros()
      if (isCounted(sentMicros)) requests++
      const turn = turns.at(-1)
      if (!isRelease || turn === undefined) return () => {}
      turn.sentMicros ??= sentMicros
      return () => {
        turn.answeredMicros ??= micros()
      }
    },
    end: () => {
      for (const { askedMicros } of waiting) longestMicros = Math.max(longestMicros, untilMicros - askedMicros)
      return {
        _tag: "Contended",
        acquisitions,
        waits: { sumMicros, longestMicros },
        turns: turns.filter(({ startedMicros }) => isCounted(startedMicros)),
        requests
      }
    }
  }
}
