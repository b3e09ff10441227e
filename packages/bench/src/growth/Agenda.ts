/** What will happen, the earliest first; of what happens at the same time, what was planned first. */
export interface Agenda {
  readonly plan: (atMillis: number, happen: () => void) => void
  /** Lets everything happen up to this time. */
  readonly runUntil: (endMillis: number) => void
  readonly nowMillis: () => number
}

interface Entry {
  readonly atMillis: number
  readonly order: number
  readonly happen: () => void
}

const isBefore = (left: Entry, right: Entry): boolean =>
  left.atMillis < right.atMillis || (left.atMillis === right.atMillis && left.order < right.order)

/** A binary heap. */
export const make = (): Agenda => {
  const heap: Array<Entry> = []
  let planned = 0
  let nowMillis = 0

  const raise = (entry: Entry) => {
    let at = heap.length
    while (at > 0) {
      const above = heap[(at - 1) >> 1]!
      if (isBefore(above, entry)) break
      heap[at] = above
      at = (at - 1) >> 1
    }
    heap[at] = entry
  }

  const sink = (entry: Entry) => {
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      if (left >= heap.length) break
      const child = left + 1 < heap.length && isBefore(heap[left + 1]!, heap[left]!) ? left + 1 : left
      if (isBefore(entry, heap[child]!)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = entry
  }

  return {
    plan: (atMillis, happen) => raise({ atMillis, order: planned++, happen }),
    runUntil: (endMillis) => {
      while (heap.length > 0 && heap[0]!.atMillis <= endMillis) {
        const { atMillis, happen } = heap[0]!
        const last = heap.pop()!
        if (heap.length > 0) sink(last)
        nowMillis = atMillis
        happen()
      }
      nowMillis = endMillis
    },
    nowMillis: () => nowMillis
  }
}
