import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Event, faultKinds } from "./History.ts"
import * as Verdict from "./Verdict.ts"

type Untimed<E> = E extends Event ? Omit<E, "atMicros"> : never

const at = (millis: number, event: Untimed<Event>): Event => ({ ...event, atMicros: millis * 1_000 })

const nanos = (millis: number) => BigInt(millis) * 1_000_000n

const recordOf = (acquisition: string, createdAtMillis: number) => ({
  acquisition,
  createdAtNanos: nanos(createdAtMillis),
  ttlNanos: nanos(2_000)
})

const observed = (
  millis: number,
  resourceVersion: bigint,
  acquisition?: string,
  { createdAtMillis = millis, uid = "u", written }: { createdAtMillis?: number; uid?: string; written?: string } = {}
) =>
  at(millis, {
    _tag: "Observed",
    uid,
    resourceVersion,
    ...(acquisition === undefined ? undefined : { record: recordOf(acquisition, createdAtMillis) }),
    ...(written === undefined ? undefined : { written })
  })

const entered = (millis: number, worker: string, acquisition: string, token: bigint, accepted = true) =>
  at(millis, { _tag: "Entered", worker, section: `${worker} under ${acquisition}`, acquisition, token, accepted })
const used = (millis: number, worker: string, acquisition: string, token: bigint, accepted = true) =>
  at(millis, { _tag: "Used", worker, section: `${worker} under ${acquisition}`, token, accepted })
const left = (millis: number, worker: string, acquisition: string) =>
  at(millis, { _tag: "Left", worker, section: `${worker} under ${acquisition}` })

const wrote = (
  millis: number,
  value: string,
  outcome: "Made" | "Refused" | "Unknown",
  statuses: ReadonlyArray<number>,
  resourceVersion?: bigint
) =>
  at(millis, {
    _tag: "Wrote",
    worker: "ts-1",
    section: "s",
    value,
    outcome,
    statuses,
    ...(resourceVersion === undefined ? undefined : { resourceVersion })
  })

const fault = (id: number, kind: typeof faultKinds[number], fromMillis: number, toMillis: number, worker?: string) => [
  at(fromMillis, { _tag: "FaultBegan", fault: id, kind, ...(worker === undefined ? undefined : { worker }) }),
  at(toMillis, { _tag: "FaultEnded", fault: id })
]

const workers = [
  { worker: "ts-1", language: "TypeScript", ttlMillis: 2_000 },
  { worker: "ts-2", language: "TypeScript", ttlMillis: 2_000 },
  { worker: "go-3", language: "Go", ttlMillis: 2_000 }
] as const

const began = at(0, { _tag: "Began", seed: 1, seconds: 20, workers })

const inOrder = (events: ReadonlyArray<Event>) => events.toSorted((one, other) => one.atMicros - other.atMicros)

/** Everything that must happen, before the events at hand (which are between 4 and 10 seconds) and after. */
const before = [
  began,
  ...faultKinds.flatMap((kind, id) => fault(id, kind, 100, 200)),
  at(210, { _tag: "ObjectMade", resourceVersion: 5n }),
  at(300, { _tag: "ControllerWrote" }),
  observed(1_000, 10n)
]
const healed = [
  at(12_000, { _tag: "Healed" }),
  ...workers.flatMap(({ worker }, index) => {
    const [millis, token, acquisition] = [13_000 + 1_000 * index, BigInt(50 + 10 * index), `${worker}-last`]
    return [
      observed(millis, token, acquisition),
      entered(millis + 10, worker, acquisition, token),
      used(millis + 20, worker, acquisition, token),
      left(millis + 30, worker, acquisition),
      observed(millis + 40, token + 1n)
    ]
  })
]
const ended = [
  ...workers.map(({ worker }) => at(20_000, { _tag: "Ended", worker, incarnation: 1, how: "Asked" })),
  at(25_000, { _tag: "Found", held: [] }),
  at(30_000, { _tag: "Over" })
]

const history = (...events: ReadonlyArray<Event>) => inOrder([...before, ...events, ...healed, ...ended])

const without = (events: ReadonlyArray<Event>, isLeftOut: (event: Event) => boolean) =>
  events.filter((event) => !isLeftOut(event))

/** ts-1 is in a section from 5010 to 5050. */
const taken = observed(5_000, 20n, "a1")
const entry = entered(5_010, "ts-1", "a1", 20n)
const written = observed(5_030, 21n, "a1", { written: "a1 20 1" })
const claim = wrote(5_040, "a1 20 1", "Made", [200], 21n)
const exit = left(5_050, "ts-1", "a1")
const released = observed(5_060, 22n)
const first = [taken, entry, used(5_020, "ts-1", "a1", 20n), written, claim, exit, released]

/** ts-2 in a section of its own, from 6010 to 6020. */
const second = [
  observed(6_000, 30n, "b1"),
  entered(6_010, "ts-2", "b1", 30n),
  left(6_020, "ts-2", "b1"),
  observed(6_030, 31n)
]

/** ts-2 in a section while ts-1 is in its own. */
const beside = [entered(5_045, "ts-2", "b0", 25n), left(5_047, "ts-2", "b0")]

const rulesOf = (events: ReadonlyArray<Event>) => [
  ...new Set(Verdict.judge(events).violations.map(({ rule }) => rule))
]

describe("a history under fire", () => {
  const good = history(...first, ...second)

  it("that is as it should be has nothing wrong with it, and these figures", () => {
    const { figures, violations } = Verdict.judge(good)
    assert.deepStrictEqual(violations, [])
    assert.deepStrictEqual(figures.acquisitions, { TypeScript: 4, Go: 1 })
    assert.strictEqual(figures.sections, 5)
    assert.deepStrictEqual(Object.values(figures.faults), faultKinds.map(() => 1))
  })

  it("is the same after it was written and read", () => {
    const lines = good.map((event) => Schema.encodeSync(Event)(event))
    assert.deepStrictEqual(lines.map((line) => Schema.decodeSync(Event)(line)), good)
  })

  it.each<[Verdict.Rule, string, ReadonlyArray<Event>]>([
    ["Overlap", "two sections at once", history(...first, ...beside)],
    [
      "Overlap",
      "two sections at once under one acquisition",
      history(
        ...first,
        at(5_012, { _tag: "Entered", worker: "ts-1", section: "x", acquisition: "a1", token: 20n, accepted: true }),
        at(5_013, { _tag: "Left", worker: "ts-1", section: "x" })
      )
    ],
    [
      "Overlap",
      "two at once, and another worker was stopped",
      history(...first, ...beside, ...fault(90, "Stop", 5_012, 9_000, "go-3"))
    ],
    [
      "Overlap",
      "two at once, and the first was cut off, which is no excuse",
      history(...first, ...beside, ...fault(90, "Cut", 5_012, 9_000, "ts-1"))
    ],
    [
      "Overlap",
      "two at once, and the first was stopped too long before",
      history(...first, ...beside, ...fault(90, "Stop", 1_100, 3_009, "ts-1"))
    ],
    [
      "Overlap",
      "two at once, of an object that was made again before both",
      history(
        ...first,
        ...beside,
        ...fault(90, "ObjectRemade", 4_000, 4_900),
        at(4_800, { _tag: "ObjectMade", resourceVersion: 20n })
      )
    ],
    [
      "Late",
      "a token that is too low, though it is refused",
      history(...second, entered(6_100, "ts-1", "a0", 25n, false))
    ],
    ["Late", "a token that another acquisition had", history(...second, entered(6_100, "ts-1", "a0", 30n, false))],
    [
      "StaleAccepted",
      "a worker that was stopped, and comes again after its successor",
      history(...first, ...beside, ...fault(90, "Stop", 5_015, 5_045, "ts-1"), used(5_048, "ts-1", "a1", 20n))
    ],
    ["RightfulRefused", "a section that may begin, and is refused", history(entered(6_100, "ts-1", "a0", 35n, false))],
    ["RightfulRefused", "a use that is refused", history(...first, used(5_045, "ts-1", "a1", 20n, false))],
    ["OutsideSection", "a use before any section", history(used(4_000, "ts-1", "a1", 20n))],
    ["OutsideSection", "an end without a beginning", history(left(4_000, "ts-1", "a1"))],
    [
      "StaleWriteAccepted",
      "a write while nobody had the lock",
      history(observed(4_000, 12n, undefined, { written: "a 1 1" }))
    ],
    [
      "StaleWriteAccepted",
      "a write while somebody else had the lock",
      history(...first, observed(6_000, 30n, "b1"), observed(6_010, 31n, "b1", { written: "a1 20 2" }))
    ],
    ["StaleWriteAccepted", "a write that took the lock", history(observed(4_000, 12n, "a0", { written: "a0 11 1" }))],
    [
      "WrittenTwice",
      "a write that was made again",
      history(
        taken,
        written,
        observed(5_031, 22n, "a1", { written: "a1 20 2" }),
        observed(5_032, 23n, "a1", { written: "a1 20 1" }),
        observed(5_033, 24n)
      )
    ],
    [
      "WriteLost",
      "a write that was made, and is another",
      history(...first, wrote(5_045, "a1 20 2", "Made", [200], 21n))
    ],
    [
      "WriteLost",
      "a write that was made, and is not there",
      history(...first, wrote(5_045, "a1 20 2", "Made", [200], 23n))
    ],
    [
      "RefusedButMade",
      "a write that was refused, and is there",
      history(taken, written, wrote(5_040, "a1 20 1", "Refused", [422]), released)
    ],
    [
      "ReplacedWhileHeld",
      "a record in place of one that is valid",
      history(taken, observed(5_060, 22n, "b0"), observed(5_070, 23n))
    ],
    [
      "ReplacedWhileHeld",
      "a record in place of one that is valid up to this very instant",
      history(taken, observed(7_000, 22n, "b0"), observed(7_070, 23n))
    ],
    [
      "Resurrected",
      "a record in place of its successor, which has expired",
      history(
        taken,
        entry,
        exit,
        observed(7_001, 22n, "b0"),
        observed(9_010, 23n, "a1"),
        observed(9_020, 24n)
      )
    ],
    [
      "SlowRecovery",
      "nobody who has the lock in time after its holder was killed",
      history(...second, ...fault(90, "Kill", 6_015, 6_500, "ts-2"))
    ],
    [
      "SlowRecovery",
      "nobody in time, and a short outage",
      history(...second, ...fault(90, "Kill", 6_015, 6_016, "ts-2"), ...fault(91, "ServerKilled", 6_100, 8_400))
    ],
    [
      "NotServed",
      "a worker that does not come back",
      without(
        good,
        (event) => "worker" in event && event.worker === "ts-1" && event.atMicros > 12e6 && event._tag !== "Ended"
      )
    ],
    [
      "WorkerDied",
      "a worker that ends by itself",
      history(at(7_000, { _tag: "Ended", worker: "ts-1", incarnation: 1, how: "Itself" }))
    ],
    [
      "DidNotEnd",
      "a worker that had to be killed at the end",
      history(at(21_000, { _tag: "Ended", worker: "ts-1", incarnation: 1, how: "Late" }))
    ],
    ["LeftOver", "a lock that is held at the end", history(at(26_000, { _tag: "Found", held: ["contended"] }))],
    [
      "NeverInjected",
      "a kind of fault that never came",
      without(good, (event) => "fault" in event && event.fault === 0)
    ],
    ["NeverInjected", "no other writer", without(good, ({ _tag }) => _tag === "ControllerWrote")],
    ["HistoryBroken", "no beginning of the faults' end", without(good, ({ _tag }) => _tag === "Healed")],
    ["HistoryBroken", "no end", good.slice(0, -1)],
    ["HistoryBroken", "an event that is out of order", good.toSpliced(-1, 0, good[1]!)],
    ["HistoryBroken", "a version that was seen before", history(...second, observed(7_000, 31n))]
  ])("shows %s: %s", (rule, _, events) => {
    assert.include(rulesOf(events), rule)
    const besides = rulesOf(events).filter((found) => found !== rule)
    // Without an end of the faults nobody was served after it.
    assert.deepStrictEqual(besides, rule === "HistoryBroken" && besides.includes("NotServed") ? ["NotServed"] : [])
  })

  it("shows that nobody of a language had the lock", () => {
    const events = without(good, (event) => "worker" in event && event.worker === "go-3" && event._tag !== "Ended")
    assert.deepStrictEqual(rulesOf(events), ["NothingAcquired"])
  })

  it.each<[string, ReadonlyArray<Event>]>([
    [
      "a worker that was stopped in its section may be found there, if all that it does then is refused",
      history(...first, ...beside, ...fault(90, "Stop", 5_015, 5_044, "ts-1"), used(5_048, "ts-1", "a1", 20n, false))
    ],
    [
      "a worker that was stopped may come late, if it is refused",
      history(...second, ...fault(90, "Stop", 5_000, 6_050, "ts-1"), entered(6_051, "ts-1", "a0", 25n, false))
    ],
    [
      "a worker whose object is no more may be found in its section",
      history(
        ...first,
        ...beside,
        ...fault(90, "ObjectRemade", 5_041, 5_044),
        at(5_043, { _tag: "ObjectMade", resourceVersion: 24n }),
        used(5_048, "ts-1", "a1", 20n, false)
      )
    ],
    [
      "sections that pass a lock on share a token",
      history(
        ...first,
        at(5_052, { _tag: "Entered", worker: "ts-1", section: "x", acquisition: "a1", token: 20n, accepted: true }),
        at(5_053, { _tag: "Left", worker: "ts-1", section: "x" })
      )
    ],
    [
      "a section ends with its worker",
      history(taken, entry, at(5_015, { _tag: "Ended", worker: "ts-1", incarnation: 1, how: "Killed" }), ...beside)
    ],
    [
      "a record may be replaced right after it has expired",
      history(taken, observed(7_001, 22n, "b0"), observed(7_070, 23n))
    ],
    [
      "a record may be replaced at once by one on an object that was made again",
      history(taken, observed(5_060, 22n, "b0", { uid: "v" }), observed(5_070, 23n, undefined, { uid: "v" }))
    ],
    [
      "who has not known that they had a lock may take it once more",
      history(taken, observed(7_001, 22n, "b0"), observed(9_010, 23n, "a1"), observed(9_020, 24n))
    ],
    [
      "what was written while nobody watched may have been made",
      history(...second, at(6_040, { _tag: "Missed" }), wrote(6_050, "b1 30 1", "Made", [200], 40n))
    ],
    [
      "a write that was refused after an answer was lost may have been made",
      history(taken, written, wrote(5_040, "a1 20 1", "Refused", [0, 422]), released)
    ],
    [
      "a lock has recovered when it is taken, also by one who does not find out about it",
      history(...second, observed(8_100, 32n, "c1"), ...fault(90, "Kill", 6_015, 6_016, "ts-2"))
    ],
    [
      "a lock may recover late because the API server was away",
      history(...second, ...fault(90, "Kill", 6_015, 6_016, "ts-2"), ...fault(91, "ServerKilled", 6_100, 8_600))
    ]
  ])("has nothing wrong with it: %s", (_, events) => {
    assert.deepStrictEqual(Verdict.judge(events).violations, [])
  })

  it("tells how long recoveries took: from the loss, or from the last write of the record since", () => {
    const { recoveries } =
      Verdict.judge(history(...first, ...second, ...fault(90, "Kill", 5_015, 5_500, "ts-1"))).figures
    assert.deepStrictEqual(recoveries, [{
      kind: "Kill",
      worker: "ts-1",
      tookMillis: 6_000 - 5_030,
      boundMillis: 2_000 + Verdict.attemptMillis,
      isThroughOutage: false
    }])
  })
})
