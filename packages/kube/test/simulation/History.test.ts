import { LockRecord } from "@kubelock/core"
import { describe, expect, it } from "vitest"
import { type Happening, type History, problemsOf, type Rules, type Section } from "./History.ts"

// What must not happen, each planted in a history in which nothing is wrong.

const rules: Rules = {
  locks: ["x", "y"],
  takeoverDelayMillis: 100,
  localHandoverMillis: 50,
  driftMillis: 5,
  isCalm: false,
  freeMillisAtMost: undefined,
  brokenMillisAtMost: undefined
}

const key = (lock: string) => `kubelock.giantswarm.io/${lock}`
const record = (
  client: string,
  createdAtMillis: number,
  { id = `${client}-1`, owner = client, ttlMillis = 1_000 } = {}
) =>
  LockRecord.format({
    owner,
    createdAtNanos: BigInt(createdAtMillis) * 1_000_000n,
    ttlNanos: BigInt(ttlMillis) * 1_000_000n,
    id
  })

const section = (client: string, number = 1, lock = "x"): Section => ({ number, client, lock })

interface Part {
  readonly by?: string
  readonly sentAtMillis?: number
  readonly atMostWallMillis?: number
  readonly isAstray?: boolean
  readonly written?: ReadonlyArray<string>
}

const changed = (
  atMillis: number,
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
  { atMostWallMillis = atMillis, by = "A", isAstray = false, sentAtMillis = atMillis, written = [] }: Part = {}
): Happening => ({
  _tag: "Changed",
  atMillis,
  by,
  resourceVersion: atMillis,
  atMostWallMillis,
  isAstray,
  sentAtMillis,
  before,
  after,
  written
})

const entered = (
  atMillis: number,
  of: Section,
  { beside = [], id = `${of.client}-1`, token = BigInt(atMillis) }: {
    readonly id?: string
    readonly token?: bigint
    readonly beside?: ReadonlyArray<Section>
  } = {}
): Happening => ({ _tag: "Entered", atMillis, section: of, id, token, isHolding: true, beside })

const asked = (atMillis: number, of: Section): Happening => ({ _tag: "Asked", atMillis, section: of })
const left = (atMillis: number, of: Section, because?: string): Happening => ({
  _tag: "Left",
  atMillis,
  section: of,
  because
})
const finished = (atMillis: number, of: Section): Happening => ({ _tag: "Finished", atMillis, section: of })
const wrote = (outcome: "made" | "refused" | "lost" | "unknown"): Happening => ({
  _tag: "Wrote",
  atMillis: 60,
  section: section("A"),
  value: "x 1 1",
  outcome
})

const held = { [key("x")]: record("A", 10) }
const written = (atMillis = 50, by = "A") =>
  changed(atMillis, held, { [key("x")]: record("A", 50) }, { by, written: ["x 1 1"] })
const worked = (atMillis: number, of: Section, beside: ReadonlyArray<Section> = []): Happening => ({
  _tag: "Worked",
  atMillis,
  section: of,
  beside
})

const right: ReadonlyArray<Happening> = [
  asked(0, section("A")),
  changed(10, {}, held),
  entered(20, section("A")),
  written(),
  wrote("made"),
  finished(80, section("A")),
  left(80, section("A")),
  changed(90, { [key("x")]: record("A", 50) }, {}),
  asked(95, section("B", 2)),
  changed(100, {}, { [key("x")]: record("B", 100) }, { by: "B" }),
  entered(110, section("B", 2)),
  finished(115, section("B", 2)),
  changed(120, { [key("x")]: record("B", 100) }, {}, { by: "B" }),
  left(130, section("B", 2))
]

const problems = (
  happenings: ReadonlyArray<Happening>,
  more: Partial<History> = {},
  other: Partial<Rules> = {}
) => problemsOf({ happenings, last: {}, endedAtMillis: 100_000, unfinished: [], ...more }, { ...rules, ...other })

describe("a history", () => {
  it("may have nothing wrong with it", () => {
    expect(problems(right, {}, { isCalm: true, freeMillisAtMost: 10 })).toEqual([])
  })

  it.each<[string, ReadonlyArray<string>, string]>([
    [
      "two sections at once",
      problems([entered(10, section("A"), { beside: [section("B", 2)] })]),
      "beside section 2 of B"
    ],
    [
      "work at once",
      problems([worked(5, section("A"), [section("B", 2)])]),
      "beside section 2 of B"
    ],
    [
      "a token that falls",
      problems([entered(20, section("A")), entered(30, section("B"), { token: 19n })]),
      "token of section 1 of B under x is 19, after 20"
    ],
    [
      "a token that stays, of another acquisition",
      problems([entered(20, section("A")), entered(30, section("B"), { token: 20n })]),
      "is 20, after 20"
    ],
    [
      "a token that rises within one acquisition",
      problems([entered(20, section("A")), entered(30, section("A", 2), { token: 21n })]),
      "is 21, after 20"
    ],
    [
      "a lock that is taken at its last instant",
      problems([changed(1_110, held, { [key("x")]: record("B", 1_110) }, { by: "B" })]),
      "B replaced the lock of A before its time"
    ],
    [
      "a lock that somebody else gives back",
      problems([changed(500, held, {}, { by: "B" })]),
      "B removed the lock of A before its time"
    ],
    [
      "a renewal of what has expired",
      problems([entered(20, section("A")), changed(1_020, held, { [key("x")]: record("A", 1_020) })]),
      "renewed x, which had expired at 1010 ms"
    ],
    [
      "a watch from now on",
      problems([{ _tag: "Watched", atMillis: 1, client: "A", from: undefined }]),
      "watches from now on"
    ],
    [
      "a lock that is written again after it was gone",
      problems([entered(20, section("A")), changed(30, held, {}, { by: "operator" }), changed(40, {}, held)]),
      "A wrote x again, which was gone"
    ],
    [
      "a renewal that goes back",
      problems([changed(10, {}, held), changed(50, held, { [key("x")]: record("A", 40) })]),
      "A dated x 40 ms, which was 50 ms at least"
    ],
    [
      "a lock that is left to the next for too long",
      problems([entered(20, section("A")), entered(80, section("A", 2), { token: 20n })]),
      "section 2 of A under x was left a lock that had been taken 60 ms before"
    ],
    [
      "a lock that is left to the next where none may be",
      problems([entered(20, section("A")), entered(20, section("A", 2), { token: 20n })], {}, {
        localHandoverMillis: 0
      }),
      "section 2 of A under x was left a lock that had been taken 0 ms before"
    ],
    [
      "a section that is not interrupted",
      problems([{ _tag: "Overran", atMillis: 5, section: section("A") }]),
      "section 1 of A under x goes on, and its lock is lost"
    ],
    [
      "a section that is not told that its lock was broken",
      problems([entered(20, section("A")), changed(30, held, {}, { by: "operator" }), worked(41, section("A"))], {}, {
        brokenMillisAtMost: 10
      }),
      "section 1 of A under x still works, and its lock is gone since 30 ms"
    ],
    [
      "a lock that is given back before its section has ended",
      problems([entered(20, section("A")), changed(30, held, {}), finished(40, section("A"))]),
      "A gave x back, and section 1 of A under x had not ended"
    ],
    [
      "a lock that is given back before the last of its sections has ended",
      problems([
        entered(20, section("A")),
        finished(25, section("A")),
        entered(30, section("A", 2), { token: 20n }),
        changed(35, held, {})
      ]),
      "section 2 of A under x had not ended"
    ],
    ["a write by another", problems([entered(20, section("B")), written()]), "A wrote x 1 1, and the lock was A's"],
    [
      "a write by an earlier section of the same process",
      problems([entered(5, section("A"), { id: "A-0" }), written()]),
      "A wrote x 1 1, and the lock was A's"
    ],
    [
      "a write under a free lock",
      problems([changed(50, {}, {}, { written: ["x 1 1"] })]),
      "A wrote x 1 1, and the lock was free's"
    ],
    ["a write that was made twice", problems([written(), written(55)]), "x 1 1 was made 2 times"],
    ["a write that was told made, and was not", problems([wrote("made")]), "was told made, and was made 0 times"],
    ["a write that was told refused, and was made", problems([written(), wrote("refused")]), "was made 1 times"],
    [
      "half of two locks",
      problems([changed(5, {}, { [key("x")]: record("A", 5, { owner: "several" }) })]),
      "A took only x"
    ],
    [
      "a lock that is held in the end",
      problems([], { last: { [key("x")]: record("A", 99_500) } }),
      "still held in the end"
    ],
    [
      "a lock that was left behind, and nobody was told",
      problems([changed(10, {}, held)], { last: held }),
      "was left behind, and nobody was told"
    ],
    [
      "a lock that was left behind, and taken by another since",
      problems([
        changed(10, {}, held),
        changed(2_000, held, { [key("x")]: record("B", 2_000) }, { by: "B" })
      ]),
      "was left behind until B took it at 2000 ms, and nobody was told"
    ],
    ["a process that does not end", problems([], { unfinished: ["A"] }), "A did not come to an end"],
    [
      "a free lock that nobody is given",
      problems([asked(0, section("A")), changed(2_000, {}, held)], {}, { freeMillisAtMost: 1_000 }),
      "section 1 of A under x waited from 0 ms to 2000 ms for a lock that was free"
    ],
    [
      "an expired lock that nobody is given",
      problems([changed(10, {}, held), asked(500, section("B"))], {}, { freeMillisAtMost: 1_000 }),
      "waited from 1010 ms to 100000 ms"
    ],
    ["a loss in a calm", problems([left(5, section("A"), "LockLost")], {}, { isCalm: true }), "LockLost"],
    [
      "a warning in a calm",
      problems([{ _tag: "Said", atMillis: 5, client: "A", level: "Warn", text: "hm" }], {}, { isCalm: true }),
      "A said: hm"
    ]
  ])("is told apart from one with %s", (_, found, expected) => {
    expect(found).toContainEqual(expect.stringContaining(expected))
  })

  it("may have what looks like it", () => {
    expect(problems([
      entered(20, section("A")),
      // The next section of one acquisition, which shares its token.
      entered(30, section("A", 2), { token: 20n }),
      worked(40, section("A", 2)),
      // After its time, by whoever's clock was furthest ahead.
      changed(1_000, held, { [key("x")]: record("B", 1_111) }, { by: "B", atMostWallMillis: 1_111 }),
      // Decided on before, however late it arrived.
      changed(1_500, held, { [key("x")]: record("A", 1_015) }, { sentAtMillis: 1_015 }),
      // By a person.
      changed(1_600, held, {}, { by: "operator" }),
      // Late, by a request that was given up.
      changed(1_700, {}, held, { isAstray: true, sentAtMillis: 10 }),
      changed(1_800, held, {}, { by: "operator" }),
      { _tag: "Said", atMillis: 1_900, client: "A", level: "Error", text: "A lock was lost" }
    ])).toEqual([])
  })

  it("may have a lock taken from a process that has stood still, and left behind by none", () => {
    const pause: Happening = { _tag: "Fault", atMillis: 20, kind: "pause", on: "A" }
    const taken = changed(2_000, held, { [key("x")]: record("B", 2_000) }, { by: "B" })
    expect(problems([changed(10, {}, held), pause, taken])).toEqual([])
    expect(problems([changed(10, {}, held), pause], { last: held })).toHaveLength(1)
  })

  it("may have a lock taken from one who says afterwards that nobody knows what became of it", () => {
    const taken = changed(2_000, held, { [key("x")]: record("B", 2_000) }, { by: "B" })
    const told = "An earlier write got no answer; it may or may not have been applied."
    expect(problems([changed(10, {}, held), taken, left(3_000, section("A"), told)])).toEqual([])
    expect(problems([changed(10, {}, held), left(1_500, section("A"), told), taken])).toHaveLength(1)
    expect(problems([changed(10, {}, held), taken, left(3_000, section("B"), told)])).toHaveLength(1)
    expect(problems([changed(10, {}, held), taken, left(3_000, section("A"), "unavailable")])).toHaveLength(1)
    expect(problems([changed(10, {}, held), left(3_000, section("A"), told)], { last: held })).toHaveLength(1)
  })

  it.each(["crash", "termination"])("need not serve those who are no more after a %s", (kind) => {
    const over = [asked(0, section("A")), { _tag: "Fault", atMillis: 5, kind, on: "A" }] as const
    expect(problems(over, {}, { freeMillisAtMost: 100 })).toEqual([])
    expect(problems(over.slice(0, 1), {}, { freeMillisAtMost: 100 })).toHaveLength(1)
  })

  it("may keep those waiting whose own process has not left the lock", () => {
    const untilLate = [
      changed(10, {}, held),
      entered(20, section("A")),
      asked(30, section("A", 2)),
      changed(40, held, {}, { by: "operator" }),
      left(5_000, section("A")),
      changed(5_005, {}, { [key("x")]: record("A", 5_005, { id: "A-2" }) }),
      entered(5_010, section("A", 2), { id: "A-2" })
    ]
    expect(problems(untilLate, {}, { freeMillisAtMost: 100 })).toEqual([])
    expect(problems([...untilLate.slice(0, 5), left(5_200, section("B", 3))], {}, { freeMillisAtMost: 100 })).toEqual([
      "section 2 of A under x waited from 5000 ms to 5200 ms for a lock that was free"
    ])
  })

  it.each<[string, Happening]>([
    ["a crash", { _tag: "Fault", atMillis: 20, kind: "crash", on: "A" }],
    ["a request that was given up", changed(10, {}, held, { isAstray: true })],
    ["a warning", { _tag: "Said", atMillis: 20, client: "A", level: "Warn", text: "A lock could not be released" }]
  ])("may end with a lock that has expired, and is explained by %s", (_, explanation) => {
    expect(problems([explanation], { last: held })).toEqual([])
  })
})
