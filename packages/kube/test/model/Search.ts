/**
 * Breadth-first search through everything that can happen. Pure, and knows nothing of locks.
 *
 * **Details**
 *
 * States are told apart by a hash of 53 bits of their text: of a million states, two share one with a probability of about 1 in
 * 18,000, and then one of them is not looked at. The first violation that is found is one with the shortest trace.
 */

/** Something that can happen, in words, and what comes of it. */
export interface Event<State> {
  readonly told: string
  readonly after: State
}

/** A world to search. */
export interface World<State> {
  readonly initial: State
  /** Everything that can happen next. */
  readonly events: (state: State) => ReadonlyArray<Event<State>>
  /** What is wrong with a state, in words, if anything is. */
  readonly violation: (state: State) => string | undefined
  /** Tells states apart. */
  readonly textOf: (state: State) => string
}

/** What was found. */
export interface Found {
  readonly states: number
  /** Of the last state that was looked at. */
  readonly depth: number
  /** Whether there was nothing more to look at. */
  readonly isComplete: boolean
  readonly violation: { readonly problem: string; readonly trace: ReadonlyArray<string> } | undefined
}

/** Looks at every state that can be reached, or at so many of them. */
export const search = <State>(world: World<State>, statesAtMost: number): Found => {
  const seen = new Set<number>([hash(world.textOf(world.initial))])
  // For the trace: by which event each state was reached, and from which.
  const parents: Array<number> = [-1]
  const told: Array<string> = [""]
  let level: Array<readonly [State, number]> = [[world.initial, 0]]
  let depth = 0

  const traceTo = (index: number): ReadonlyArray<string> =>
    index <= 0 ? [] : [...traceTo(parents[index]!), told[index]!]

  while (level.length > 0) {
    const next: Array<readonly [State, number]> = []
    for (const [state, index] of level) {
      const problem = world.violation(state)
      if (problem !== undefined) {
        return { states: parents.length, depth, isComplete: false, violation: { problem, trace: traceTo(index) } }
      }
      for (const event of world.events(state)) {
        const key = hash(world.textOf(event.after))
        if (seen.has(key)) continue
        if (parents.length >= statesAtMost) {
          return { states: parents.length, depth, isComplete: false, violation: undefined }
        }
        seen.add(key)
        next.push([event.after, parents.length])
        parents.push(index)
        told.push(event.told)
      }
    }
    level = next
    if (level.length > 0) depth++
  }
  return { states: parents.length, depth, isComplete: true, violation: undefined }
}

// FNV-1a over two halves (Fowler, Noll and Vo), of which 53 bits fit into a number that is compared exactly.
const hash = (text: string): number => {
  let low = 0x811c9dc5
  let high = 0x9dc5811c
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    low = Math.imul(low ^ code, 0x01000193)
    high = Math.imul(high ^ code ^ (low >>> 13), 0x01000197)
  }
  return (high >>> 11) * 0x1_0000_0000 + (low >>> 0)
}
