import { assert, describe, it } from "@effect/vitest"
import { Turns } from "@kubelock/kube"
import * as fc from "fast-check"

const record = (process: string, acquisition = 1): Turns.Holder => ({
  owner: "shared",
  id: `${process}-${acquisition}`
})

const seen = (
  turns: Turns.Turns,
  resourceVersion: number,
  held: Turns.Holder | undefined,
  nowMillis = 10 * resourceVersion
): Turns.Turns =>
  Turns.observe(turns, { _tag: "Seen", resourceVersion: BigInt(resourceVersion), record: held, nowMillis })

const refused = (turns: Turns.Turns): Turns.Turns =>
  Turns.observe(turns, { _tag: "Refused", resourceVersion: turns.resourceVersion })

/** What is seen when the lock is taken by one after another, and released by the last at 20 ms times their number. */
const afterTurnsOf = (process: string, ...holders: ReadonlyArray<string>): Turns.Turns =>
  holders.reduce(
    (turns, holder, i) => seen(seen(turns, 2 * i + 1, record(holder, i)), 2 * i + 2, undefined),
    Turns.make(process)
  )

/** How many slots after the release a process tries. */
const slots = (turns: Turns.Turns, random = 0): number | undefined => {
  const atMillis = Turns.tryAtMillis(turns, random)
  return atMillis === undefined ? undefined : (atMillis - turns.freeSinceMillis!) / turns.slotMillis
}

describe("the list", () => {
  it("has the holders, the least recently served first, and each waits a slot for each before it", () => {
    for (const [rank, process] of ["a", "b", "c"].entries()) {
      const turns = afterTurnsOf(process, "a", "b", "c")
      assert.deepStrictEqual(turns.order, ["a", "b", "c"])
      assert.strictEqual(slots(turns), rank)
    }
  })

  it("drops who let its turn pass", () => {
    assert.deepStrictEqual(afterTurnsOf("c", "a", "b", "c", "b").order, ["c", "b"])
    assert.deepStrictEqual(afterTurnsOf("c", "a", "b", "c", "a").order, ["b", "c", "a"])
  })

  it("drops nobody for one who was not in it", () => {
    assert.deepStrictEqual(afterTurnsOf("a", "a", "b", "new").order, ["a", "b", "new"])
  })

  it("lets a waiter that was dropped try at once", () => {
    const dropped = afterTurnsOf("a", "a", "b", "c", "b")
    assert.notInclude(dropped.order, "a")
    assert.strictEqual(slots(dropped, 0.99), 0)
    assert.strictEqual(slots({ ...dropped, passedBy: 0 }, 0.99), 0)
    assert.strictEqual(slots(afterTurnsOf("c", "a", "b", "c", "b"), 0.99), 0)
  })

  it("lets one that was dropped draw among twice the slots after each refusal, up to eight, until it is served", () => {
    const dropped = { ...afterTurnsOf("a", "a", "b", "c", "b"), turnsInARow: 4 }
    const drawn = [0, 1, 2, 3, 4].map((refusals) =>
      [0, 0.5, 0.99].map((random) => slots({ ...dropped, refusals }, random))
    )
    assert.deepStrictEqual(drawn, [[0, 0, 0], [0, 1, 1], [0, 2, 3], [0, 4, 7], [0, 4, 7]])
    const others = seen(seen(refused(dropped), 9, record("d")), 10, undefined)
    assert.strictEqual(slots(others, 0.5), 1)
    const served = seen(seen(refused(dropped), 9, record("a", 9)), 10, undefined)
    assert.strictEqual(slots({ ...served, order: [] }, 0.99), 0)
  })

  it("knows a process by its ids, a Go program by its owner, and foreign ids whole", () => {
    const holders: ReadonlyArray<Turns.Holder> = [{ owner: "go" }, { owner: "x", id: "a-b-1" }, {
      owner: "x",
      id: "whole"
    }]
    const turns = holders.reduce((turns, held, i) => seen(turns, i + 1, held), Turns.make("a"))
    assert.deepStrictEqual(turns.order, ["go", "a-b", "whole"])
  })

  it("ends somewhere, though each holder comes but once", () => {
    const turns = afterTurnsOf("p0", ...Array.from({ length: 1_000 }, (_, i) => `p${i}`))
    assert.strictEqual(turns.order.length, 64)
    assert.strictEqual(turns.order.at(-1), "p999")
  })
})

describe("what is seen", () => {
  it("is nothing at first: a process that has just come tries at once", () => {
    assert.strictEqual(Turns.tryAtMillis(Turns.make("a"), 0.99), -Infinity)
    assert.strictEqual(Turns.tryAtMillis(seen(Turns.make("a"), 5, undefined), 0.99), -Infinity)
    assert.isUndefined(Turns.tryAtMillis(seen(Turns.make("a"), 5, record("b")), 0.99))
  })

  it("counts if it is newer, whatever the clock says", () => {
    const turns = afterTurnsOf("a", "a", "b")
    for (const resourceVersion of [1, 3, 4]) {
      assert.strictEqual(seen(turns, resourceVersion, record("c"), 1_000_000), turns)
    }
    assert.deepStrictEqual(seen(turns, 5, record("c"), -1_000_000).order, ["a", "b", "c"])
  })

  it("is no acquisition where it is a renewal, a Go program's too", () => {
    for (const holder of [record("b"), { owner: "go" }]) {
      const held = seen(afterTurnsOf("a", "a", "b", "c"), 7, holder)
      assert.deepStrictEqual(seen(held, 8, holder), { ...held, resourceVersion: 8n })
    }
  })

  it("is an acquisition where the holder took the lock anew", () => {
    const held = seen(afterTurnsOf("x", "a", "b"), 5, { owner: "go" })
    assert.strictEqual(seen(seen(held, 6, undefined), 7, { owner: "go" }).passedBy, held.passedBy + 1)
    assert.strictEqual(seen(held, 6, record("go")).passedBy, held.passedBy + 1)
  })

  it("leaves the time of a release as it is when the object changes elsewhere", () => {
    const turns = afterTurnsOf("b", "a", "b")
    assert.strictEqual(Turns.tryAtMillis(seen(turns, 5, undefined, 45), 0), Turns.tryAtMillis(turns, 0))
  })

  it("lets one who comes long after a release try at once", () => {
    assert.strictEqual(Turns.tryAtMillis(afterTurnsOf("c", "a", "b", "c"), 0), 60 + 20)
  })
})

describe("expiry", () => {
  const held = seen(afterTurnsOf("b", "a", "b"), 5, record("a", 2))
  const expired = Turns.observe(held, { _tag: "Expired", nowMillis: 700 })

  it("frees the lock: who waits takes turns", () => {
    assert.isUndefined(Turns.tryAtMillis(held, 0))
    assert.strictEqual(Turns.tryAtMillis(expired, 0), 700)
    assert.strictEqual(Turns.tryAtMillis(Turns.observe(expired, { _tag: "Expired", nowMillis: 800 }), 0), 700)
  })

  it("is undone by a renewal, and ended by who takes over", () => {
    assert.isUndefined(Turns.tryAtMillis(seen(expired, 6, record("a", 2)), 0))
    assert.deepStrictEqual(seen(expired, 6, record("b", 2)).order, ["a", "b"])
  })
})

describe("a refused try", () => {
  it("waits until what refused it has been seen", () => {
    const turns = refused(afterTurnsOf("a", "a", "b"))
    assert.isUndefined(Turns.tryAtMillis(turns, 0))
    assert.isUndefined(Turns.tryAtMillis(seen(turns, 5, record("c")), 0))
    assert.strictEqual(slots(seen(seen(turns, 5, record("c")), 6, undefined)), 0)
  })

  it("may have been overtaken by what refused it, and by what followed", () => {
    const decided = afterTurnsOf("a", "a", "b")
    const newer = seen(seen(decided, 5, record("c")), 6, undefined)
    const turns = Turns.observe(newer, { _tag: "Refused", resourceVersion: decided.resourceVersion })
    assert.strictEqual(slots(turns), 0)
  })

  it("leaves one who has seen nothing with nothing to do", () => {
    assert.isUndefined(Turns.tryAtMillis(refused(Turns.make("a")), 0))
  })
})

describe("a process that is alone, as far as it has seen", () => {
  const again = (turns: Turns.Turns, version: number, nowMillis: number) =>
    [record("a", version), undefined].reduce<Turns.Turns>(
      (turns, held, i) =>
        Turns.observe(turns, { _tag: "Seen", resourceVersion: BigInt(version + i), record: held, nowMillis }),
      turns
    )

  it("waits for nothing, whatever the version, as long as it has not been alone for two seconds", () => {
    let turns = Turns.make("a")
    for (let version = 1; version < 200; version += 2) {
      turns = again(turns, version, version / 1_000)
      assert.strictEqual(Turns.tryAtMillis(turns, 0.99), version / 1_000)
    }
  })

  it("leaves the slots that others draw among to them every two seconds, and then waits for nothing again", () => {
    const before = again(again(Turns.make("a"), 1, 0), 3, 1_999)
    assert.strictEqual(slots(before, 0.99), 0)
    const open = again(before, 5, 2_000)
    assert.strictEqual(slots(open, 0), 8)
    assert.strictEqual(slots(again(open, 7, 2_080), 0), 0)
    assert.strictEqual(slots(again(again(open, 7, 2_080), 9, 4_080), 0), 8)
    const newcomer = { ...open, process: "b", wasServed: false, passedBy: 3, refusals: 9 }
    assert.deepStrictEqual([0, 0.5, 0.99].map((random) => slots(newcomer, random)), [0, 4, 7])
  })

  it("leaves nobody a slot for a release that it has not seen", () => {
    const held = [3, 5].reduce(
      (turns, version) => seen(turns, version, record("a", version), 1_000 * version),
      again(Turns.make("a"), 1, 0)
    )
    assert.strictEqual(held.aloneSinceMillis, 0)
  })

  it("is so no more when another was seen", () => {
    const two = seen(seen(again(again(Turns.make("a"), 1, 0), 3, 5_000), 15, record("b", 15)), 16, undefined)
    assert.strictEqual(two.aloneSinceMillis, Infinity)
    assert.deepStrictEqual(two.order, ["a", "b"])
  })
})

describe("a process that was never served", () => {
  it("waits anywhere in the list's slots, until as many as it is long have gone before", () => {
    const newcomer = seen(seen(Turns.make("new"), 1, record("a")), 2, undefined)
    assert.strictEqual(newcomer.passedBy, 1)
    assert.strictEqual(slots({ ...newcomer, order: ["a", "b", "c", "d"], passedBy: 3 }, 0.6), 2.4)
    assert.strictEqual(slots({ ...newcomer, order: ["a", "b", "c", "d"], passedBy: 4 }, 0.6), 0)
    assert.strictEqual(slots(afterTurnsOf("new", "a", "b", "c", "a", "b"), 0.99), 0)
  })

  it("then draws among twice the slots after each refusal, up to eight", () => {
    const due = { ...afterTurnsOf("new", "a", "b", "c", "a", "b"), refusals: 0 }
    const drawn = [0, 1, 2, 3, 4].map((refusals) => [0, 0.5, 0.99].map((random) => slots({ ...due, refusals }, random)))
    assert.deepStrictEqual(drawn, [[0, 0, 0], [0, 1, 1], [0, 2, 3], [0, 4, 7], [0, 4, 7]])
    const refusedOnce = seen(seen(refused(due), 11, record("c", 9)), 12, undefined)
    assert.strictEqual(slots(refusedOnce, 0.5), 1)
  })

  it("is like any other once it is served", () => {
    assert.strictEqual(slots({ ...afterTurnsOf("new", "a", "b", "new"), refusals: 3 }, 0.99), 2)
  })
})

describe("one handover in 17", () => {
  const at17 = (process: string) => {
    const turns = seen(afterTurnsOf(process, "a", "b", "c", "b"), 16, record("d"))
    return seen(turns, 17, undefined)
  }

  it("has all in the list leave a slot to those who are not", () => {
    assert.deepStrictEqual(at17("x").order, ["c", "b", "d"])
    assert.deepStrictEqual(["c", "b", "d"].map((process) => slots(at17(process))), [1, 2, 3])
    assert.strictEqual(slots(at17("a"), 0.99), 0)
    assert.strictEqual(slots({ ...at17("x"), refusals: 3 }, 0.99), 0)
    assert.strictEqual(slots({ ...at17("x"), passedBy: 0 }, 0.99), 0)
  })
})

describe("the slot", () => {
  const answered = (times: number, roundTripMillis: number) =>
    Array.from({ length: times }).reduce<Turns.Turns>(
      (turns) => Turns.observe(turns, { _tag: "Answered", roundTripMillis }),
      Turns.make("a")
    ).slotMillis

  it("goes to one and a half round trips, and no single one moves it far", () => {
    assert.strictEqual(Turns.make("a").slotMillis, 10)
    assert.strictEqual(answered(1, 20), 12.5)
    assert.approximately(answered(100, 20), 30, 0.01)
  })

  it("has bounds", () => {
    assert.approximately(answered(100, 0.1), 5, 0.01)
    assert.strictEqual(answered(1, 60_000), 40)
    assert.approximately(answered(100, 60_000), 250, 0.01)
  })
})

describe("one that stands behind others", () => {
  const many = Array.from({ length: 20 }, (_, i) => `p${i}`)

  it("waits for eight of them at most", () => {
    assert.deepStrictEqual(many.map((process) => slots(afterTurnsOf(process, ...many))), [
      ...Array.from({ length: 8 }, (_, rank) => rank),
      ...Array.from({ length: 12 }, () => 8)
    ])
  })

  const waiting = (turns: Turns.Turns, isWaiting: boolean) => Turns.observe(turns, { _tag: "Waiting", isWaiting })
  /** The next acquisition, and its release; never the one in 17. */
  const handover = (turns: Turns.Turns, holder: string) => {
    const version = Number(turns.resourceVersion)
    return seen(seen(turns, version + 1, record(holder, version)), version + 17, undefined)
  }
  // Its turn has come, and was let pass.
  const idle = handover({ ...afterTurnsOf("a", "a", "b", "c"), resourceVersion: 2n }, "b")

  it("waits for none of them, if its last turn has found it idle", () => {
    assert.strictEqual(idle.turnsInARow, 0)
    const behind = { ...idle, order: ["b", "c", "a"] }
    assert.strictEqual(slots(behind), 0)
    assert.strictEqual(slots({ ...behind, turnsInARow: 3 }), 0)
    assert.strictEqual(slots({ ...behind, turnsInARow: 4 }), 2)
  })

  it("leaves a slot to them then, if it was refused since it was served", () => {
    const refusedOnce = handover(refused({ ...idle, order: ["b", "c", "d", "a"] }), "b")
    assert.strictEqual(slots(refusedOnce), 1)
    assert.strictEqual(slots({ ...refusedOnce, refusals: 5, order: ["b", "c", "a"] }), 1)
    assert.strictEqual(slots({ ...refusedOnce, order: ["a", "b"] }), 0)
    const dropped = { ...refusedOnce, refusals: 5, order: ["b"] }
    assert.deepStrictEqual([0, 0.49, 0.5, 0.99].map((random) => slots(dropped, random)), [0, 0, 1, 1])
  })

  it("waits for all of them again after four turns in a row that found it waiting", () => {
    const turns = Array.from({ length: 5 }).reduce<ReadonlyArray<Turns.Turns>>(
      (all) => [...all, handover(all.at(-1)!, "a")],
      [idle]
    )
    assert.deepStrictEqual(turns.map(({ turnsInARow }) => turnsInARow), [0, 1, 2, 3, 4, 4])
  })

  it("counts a turn that another took, though it was waiting; and none of others", () => {
    const before: Turns.Turns = { ...idle, order: ["a", "b", "c"], turnsInARow: 2 }
    assert.strictEqual(handover(waiting(before, true), "b").turnsInARow, 3)
    assert.strictEqual(handover(waiting(waiting(before, true), false), "b").turnsInARow, 0)
    assert.strictEqual(handover(waiting({ ...before, order: ["b", "a"] }, false), "b").turnsInARow, 2)
    assert.strictEqual(handover(waiting(before, false), "d").turnsInARow, 2)
    assert.strictEqual(handover({ ...before, order: ["b"] }, "b").turnsInARow, 2)
  })

  it("waits for all of them, whatever its own turns have said, after four in a row that the first in the list has taken", () => {
    const turns = ["b", "c", "d", "new", "a"].reduce<ReadonlyArray<Turns.Turns>>(
      (all, holder) => [...all, handover(all.at(-1)!, holder)],
      [{ ...idle, order: ["b", "c", "d", "a"] }]
    )
    assert.deepStrictEqual(turns.map(({ firstsInARow }) => firstsInARow), [0, 1, 2, 3, 3, 4])
    const behind = { ...turns.at(-1)!, turnsInARow: 0, order: ["b", "c", "a"] }
    assert.strictEqual(slots(behind), 2)
    assert.strictEqual(handover({ ...behind, order: ["b", "c", "a"] }, "c").firstsInARow, 0)
  })

  it("counts its own turn, though it sees it when it waits no longer", () => {
    assert.strictEqual(handover(waiting({ ...idle, turnsInARow: 2 }, false), "a").turnsInARow, 3)
  })
})

describe("whatever happens", () => {
  const processes = fc.constantFrom("a", "b", "c", "d", "e")
  const holders = fc.oneof(
    fc.record({ owner: fc.constant("shared"), id: fc.tuple(processes, fc.nat(3)).map(([by, n]) => `${by}-${n}`) }),
    fc.record({ owner: fc.constantFrom("go-1", "go-2") })
  )
  const times = fc.integer({ min: 0, max: 1_000 })
  const versions = fc.bigInt(0n, 60n)
  const events = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        _tag: fc.constant("Seen" as const),
        resourceVersion: versions,
        record: fc.option(holders, { nil: undefined }),
        nowMillis: times
      })
    },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Expired" as const), nowMillis: times }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Refused" as const), resourceVersion: versions }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Answered" as const), roundTripMillis: times }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Waiting" as const), isWaiting: fc.boolean() }) }
  )
  // Newer and newer, as a watch shows them, or in any order.
  const histories = fc.tuple(fc.array(events, { maxLength: 60 }), fc.boolean()).map(([all, isInOrder]) =>
    all.map((event, i) => isInOrder && event._tag === "Seen" ? { ...event, resourceVersion: BigInt(i) } : event)
  )
  const draws = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  const after = (process: string, history: ReadonlyArray<Turns.Event>) =>
    history.reduce((turns, event) => Object.freeze(Turns.observe(turns, event)), Turns.make(process))

  it("each stands in the list once, the last holder at its end", () => {
    fc.assert(fc.property(histories, (history) => {
      const { order } = after("a", history)
      assert.strictEqual(new Set(order).size, order.length)
    }))
  })

  it("all who saw the same have the same list, and no two of it try in one slot, if each turn has found them waiting", () => {
    fc.assert(fc.property(histories, (history) => {
      const { order } = after("a", history)
      const tries = order.map((process) => {
        const turns = after(process, history)
        assert.deepStrictEqual(turns.order, order)
        return Turns.tryAtMillis({ ...turns, turnsInARow: 4 }, 0)
      }).slice(0, 8).filter((at) => at !== undefined && at !== -Infinity)
      assert.strictEqual(new Set(tries).size, tries.length)
    }))
  })

  it("a free lock is tried, never before its release, and within slots that have a bound", () => {
    fc.assert(fc.property(histories, processes, draws, (history, process, random) => {
      const turns = after(process, history)
      const atMillis = Turns.tryAtMillis(turns, random)
      const isFree = turns.freeSinceMillis !== undefined && turns.resourceVersion > turns.refusedResourceVersion
      assert.strictEqual(atMillis !== undefined, isFree)
      if (atMillis === undefined || atMillis === -Infinity) return
      assert.isAtLeast(atMillis, turns.freeSinceMillis!)
      assert.isAtMost(slots(turns, random)!, Math.max(9, turns.order.length))
    }))
  })

  it("what is seen again changes nothing", () => {
    fc.assert(fc.property(histories, processes, (history, process) => {
      const again = history.flatMap((event) => Array.from({ length: event._tag === "Seen" ? 2 : 1 }, () => event))
      assert.deepStrictEqual(after(process, again), after(process, history))
    }))
  })
})
