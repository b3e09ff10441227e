import { describe, expect, it } from "vitest"
import * as Protocol from "./Protocol.ts"
import { search } from "./Search.ts"
import * as Worlds from "./worlds.ts"

// Every interleaving of a few clients that are the library's own code: see Protocol.ts.

const statesAtMost = 1_000_000

describe("whatever happens between", () => {
  it.each(Object.entries(Worlds.complete))(
    "%s: nobody holds the lock beside another, tokens rise, nothing is left",
    (name, config) => {
      const { depth, isComplete, states, violation } = search(Protocol.world(config), statesAtMost)
      console.log(`${name}: ${states} states, ${depth} steps deep`)
      expect(violation).toBeUndefined()
      expect(isComplete).toBe(true)
    }
  )

  it("clocks that are apart by no more than margin and delay allow bear a tick more, since both comparisons are strict", () => {
    expect(search(Protocol.world(Worlds.apart(1)), statesAtMost)).toMatchObject({
      isComplete: true,
      violation: undefined
    })
  })

  it("clocks that are further apart let two holders in, and the shortest way to it is told in words", () => {
    const { violation } = search(Protocol.world(Worlds.apart(2)), statesAtMost)
    expect(violation?.problem).toBe("A and B hold the lock at once")
    expect(violation?.trace).toHaveLength(11)
    expect(violation?.trace.at(-1)).toContain("B is told: made")
  })
})

describe("a search", () => {
  // A counter that may be raised by two clients that each read and write it.
  const world = (last: number) => ({
    initial: 0,
    events: (count: number) => count < 9 ? [1, 2].map((step) => ({ told: `+${step}`, after: count + step })) : [],
    violation: (count: number) => count === last ? `it is ${last}` : undefined,
    textOf: String
  })

  it("looks at every state once, and says how deep they lie", () => {
    expect(search(world(-1), 100)).toEqual({ states: 11, depth: 5, isComplete: true, violation: undefined })
  })

  it("finds the shortest way to what is wrong", () => {
    expect(search(world(4), 100).violation).toEqual({ problem: "it is 4", trace: ["+2", "+2"] })
  })

  it("says that it was cut off", () => {
    expect(search(world(-1), 5)).toMatchObject({ states: 5, isComplete: false, violation: undefined })
  })
})
