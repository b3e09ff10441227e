import * as Operation from "#internal/Operation"
import { assert, describe, it } from "@effect/vitest"
import { type AnnotationEdit, InvalidConfig, LockRecord, type Transition } from "@kubelock/core"
import { Result } from "effect"

// The machine by itself: what it is told, and what it then wants. That it comes to the truth whatever happens is shown elsewhere.

type Edit = Transition.RecordEdit | Transition.RemovalEdit
type Decision = Result.Result<ReadonlyArray<Edit>, "no" | InvalidConfig>

const at = (wallNanos: bigint, monotonicNanos = 0n): Operation.Instant => ({ wallNanos, monotonicNanos })

const record = (fields: Partial<LockRecord.LockRecord> = {}): LockRecord.LockRecord => ({
  owner: "me",
  createdAtNanos: 10n,
  ttlNanos: 5n,
  id: "mine",
  ...fields
})

/** Writes a record where there was none. */
const taking = (key: string, written = record()): Transition.RecordEdit => ({
  key,
  expected: undefined,
  value: LockRecord.format(written),
  record: written
})

/** Removes what was there. */
const removing = (key: string, removed = record()): Transition.RemovalEdit => ({
  key,
  expected: LockRecord.format(removed),
  value: undefined,
  removed
})

/** Removes what could not be read. */
const breaking = (key: string): Transition.RemovalEdit => ({ key, expected: "{", value: undefined, removed: undefined })

const seen = (annotations: AnnotationEdit.Annotations) => ({ uid: "u", resourceVersion: 1n, annotations })

const attempt = (edits: ReadonlyArray<Edit>, sentAt = at(10n)): Operation.Attempt<Edit> => ({ edits, sentAt })

const taken = attempt([taking("x")])
const removed = attempt([removing("x")])

const task = (
  decision: Decision,
  more: Partial<Operation.Task<Edit, "no" | "over" | InvalidConfig>> = {}
): Operation.Task<Edit, "no" | "over" | InvalidConfig> => ({ decide: () => decision, ...more })
const sends = task(Result.succeed(taken.edits))
const invalid = new InvalidConfig({ field: "locks", value: "x", problem: "it is asked for twice" })

const begun = Operation.start(sends, at(10n)).state
const isRead: Operation.State<Edit> = { ...begun, isRead: true }
const afterRefusals = (...attempts: ReadonlyArray<Operation.Attempt<Edit>>) =>
  attempts.reduce((state, refused) => Operation.refused(sends, state, refused).state, begun)
const afterFailures = (...attempts: ReadonlyArray<Operation.Attempt<Edit>>) =>
  attempts.reduce((state, failed) => Operation.failed(state, failed, true).state, begun)

const nextAfterRead = (
  state: Operation.State<Edit>,
  annotations: AnnotationEdit.Annotations,
  now = at(12n),
  of = task(Result.fail("no"))
) => Operation.read(of, state, seen(annotations), now).next

describe("the beginning", () => {
  it("is a read where nothing is believed, and else what is decided on that", () => {
    assert.deepStrictEqual(Operation.start(sends, at(10n)), {
      state: { isRead: false, lastRefused: undefined, refused: [], perhapsMade: [] },
      next: { _tag: "Read", isConflict: false }
    })
    const told: Array<unknown> = []
    const believes = task(Result.succeed(taken.edits), {
      believed: { a: "b" },
      decide: (annotations, now) => {
        told.push([annotations, now])
        return Result.succeed(taken.edits)
      }
    })
    const { next, state } = Operation.start(believes, at(10n, 7n))
    assert.deepStrictEqual(next, { _tag: "Send", attempt: { edits: taken.edits, sentAt: at(10n, 7n) } })
    assert.deepStrictEqual(told, [[{ a: "b" }, at(10n, 7n)]])
    assert.deepStrictEqual(state, begun)
  })

  it("refuses for what is only believed nothing but what no object could make right", () => {
    assert.deepStrictEqual(Operation.start(task(Result.fail("no"), { believed: {} }), at(10n)).next, {
      _tag: "Read",
      isConflict: false
    })
    assert.deepStrictEqual(Operation.start(task(Result.fail(invalid), { believed: {} }), at(10n)).next, {
      _tag: "Refuse",
      error: invalid
    })
  })
})

describe("a refusal", () => {
  it("is read about; that somebody was faster is known where the try rested on what was read", () => {
    const first = Operation.refused(sends, begun, taken)
    assert.deepStrictEqual(first, {
      state: { ...begun, lastRefused: taken, refused: [taken] },
      next: { _tag: "Read", isConflict: false }
    })
    const second = Operation.refused(sends, { ...first.state, isRead: true }, removed)
    assert.deepStrictEqual(second, {
      state: { isRead: true, lastRefused: removed, refused: [taken, removed], perhapsMade: [] },
      next: { _tag: "Read", isConflict: true }
    })
  })

  it("is the end at once where the task says so, but never while a write may have been made", () => {
    const asked: Array<unknown> = []
    const ends = task(Result.succeed(taken.edits), {
      ending: (attempt, seen) => {
        asked.push([attempt, seen])
        return "over"
      }
    })
    assert.deepStrictEqual(Operation.refused(ends, begun, taken).next, { _tag: "Refuse", error: "over" })
    assert.deepStrictEqual(asked, [[taken, undefined]])
    assert.strictEqual(Operation.refused(ends, afterFailures(removed), taken).next._tag, "Read")
    assert.strictEqual(asked.length, 1)
  })

  it("is the end after it was read about, where the task says so then", () => {
    const object = seen({ other: "1" })
    const asked: Array<unknown> = []
    const ends = task(Result.succeed(taken.edits), {
      ending: (attempt, seen) => {
        asked.push(attempt)
        return attempt === removed && seen === object ? "over" : undefined
      }
    })
    const after = (state: Operation.State<Edit>) => Operation.read(ends, state, object, at(12n)).next
    assert.deepStrictEqual(after(afterRefusals(taken, removed)), { _tag: "Refuse", error: "over" })
    assert.strictEqual(after(afterRefusals(removed, taken))._tag, "Send")
    // What failed since, or was read since, makes the refusal old.
    assert.strictEqual(after(Operation.failed(afterRefusals(removed), taken, false).state)._tag, "Send")
    assert.strictEqual(after(Operation.read(sends, afterRefusals(removed), object, at(12n)).state)._tag, "Send")
    assert.deepStrictEqual(asked, [removed, taken])
  })
})

describe("a failure", () => {
  it("is read about, and what became of the write is remembered as unknown only where it is", () => {
    const refusedOnce = afterRefusals(taken)
    const unknown = Operation.failed(refusedOnce, removed, true)
    assert.deepStrictEqual(unknown, {
      state: { ...refusedOnce, lastRefused: undefined, perhapsMade: [removed] },
      next: { _tag: "Read", isConflict: false }
    })
    assert.deepStrictEqual(Operation.failed(unknown.state, taken, true).state.perhapsMade, [removed, taken])
    assert.deepStrictEqual(Operation.failed(unknown.state, taken, false).state.perhapsMade, [removed])
  })
})

describe("a read", () => {
  it("is what the next decision rests on, and a ground to refuse", () => {
    const decides = task(Result.succeed(removed.edits))
    assert.deepStrictEqual(Operation.read(decides, begun, seen({}), at(12n, 3n)), {
      state: isRead,
      next: { _tag: "Send", attempt: { edits: removed.edits, sentAt: at(12n, 3n) } }
    })
    assert.deepStrictEqual(nextAfterRead(begun, {}), { _tag: "Refuse", error: "no" })
    const told: Array<unknown> = []
    const tells = task(Result.fail("no"), {
      decide: (annotations, now) => {
        told.push([annotations, now])
        return Result.fail("no")
      }
    })
    nextAfterRead(begun, { a: "b" }, at(12n, 3n), tells)
    assert.deepStrictEqual(told, [[{ a: "b" }, at(12n, 3n)]])
  })

  const there = { x: LockRecord.format(record()) }

  it("shows a write of ours by its record, be it refused or lost", () => {
    for (const state of [afterRefusals(taken), afterFailures(taken)]) {
      assert.deepStrictEqual(nextAfterRead(state, there), { _tag: "Made", attempt: taken })
      assert.strictEqual(nextAfterRead(state, {})._tag, "Refuse")
      assert.strictEqual(nextAfterRead(state, { x: LockRecord.format(record({ id: "theirs" })) })._tag, "Refuse")
    }
    assert.strictEqual(nextAfterRead(begun, there)._tag, "Refuse")
  })

  it("shows which of several writes it was", () => {
    const later = attempt([taking("x", record({ createdAtNanos: 11n }))])
    const text = { x: LockRecord.format(record({ createdAtNanos: 11n })) }
    for (const state of [afterRefusals(taken, later), afterFailures(taken, later)]) {
      assert.deepStrictEqual(nextAfterRead(state, text), { _tag: "Made", attempt: later })
    }
  })

  it("takes a record for ours as long as it is valid, its last instant included, by the task's own time", () => {
    const state = afterRefusals(taken)
    assert.strictEqual(nextAfterRead(state, there, at(15n))._tag, "Made")
    assert.strictEqual(nextAfterRead(state, there, at(16n))._tag, "Refuse")
    const byMonotonic = task(Result.fail("no"), { timeOf: ({ monotonicNanos }) => monotonicNanos })
    assert.strictEqual(nextAfterRead(state, there, at(16n, 15n), byMonotonic)._tag, "Made")
    assert.strictEqual(nextAfterRead(state, there, at(15n, 16n), byMonotonic)._tag, "Refuse")
  })

  it("wants to see all that a write of several leaves", () => {
    const both = attempt([taking("x"), taking("y")])
    for (const state of [afterRefusals(both), afterFailures(both)]) {
      assert.strictEqual(nextAfterRead(state, { ...there, y: there.x })._tag, "Made")
      assert.strictEqual(nextAfterRead(state, there)._tag, "Refuse")
    }
    const removals = afterFailures(attempt([removing("x"), removing("y")]))
    assert.strictEqual(nextAfterRead(removals, {})._tag, "Made")
    assert.strictEqual(nextAfterRead(removals, there)._tag, "Refuse")
  })

  it("does not take a lock that is gone for one that a refused release removed", () => {
    assert.strictEqual(nextAfterRead(afterRefusals(removed), {})._tag, "Refuse")
  })

  it("does not take a record that is gone for one that was written", () => {
    assert.strictEqual(nextAfterRead(afterFailures(taken), {})._tag, "Refuse")
  })

  describe("after a removal whose answer was lost", () => {
    const state = afterFailures(attempt([removing("x")], at(12n)))
    const after = (text: string | undefined) => nextAfterRead(state, text === undefined ? {} : { x: text })._tag
    const theirs = (createdAtNanos: bigint, id?: string) =>
      LockRecord.format({ owner: "them", createdAtNanos, ttlNanos: 5n, ...(id === undefined ? {} : { id }) })

    it("shows that it was made: by nothing there, or by an acquisition that came after it", () => {
      assert.strictEqual(after(undefined), "Made")
      assert.strictEqual(after(theirs(12n, "theirs")), "Made")
      assert.strictEqual(after(theirs(12n)), "Made")
    })

    it("shows that it was not made: by what it was to remove, or anything that may have been there before it", () => {
      assert.strictEqual(after(there.x), "Refuse")
      assert.strictEqual(after("{"), "Refuse")
      assert.strictEqual(after(theirs(11n, "theirs")), "Refuse")
      assert.strictEqual(after(LockRecord.format(record({ createdAtNanos: 13n }))), "Refuse")
    })

    it("knows a Go program's record again by its text alone", () => {
      const { id: _, ...anonymous } = record({ createdAtNanos: 12n })
      const removal = afterFailures(attempt([removing("x", anonymous)], at(12n)))
      assert.strictEqual(nextAfterRead(removal, { x: LockRecord.format(anonymous) })._tag, "Refuse")
      assert.strictEqual(nextAfterRead(removal, { x: theirs(12n) })._tag, "Made")
      assert.strictEqual(nextAfterRead(removal, { x: theirs(12n, "theirs") })._tag, "Made")
    })

    it("can be of what could not be read", () => {
      const broken = afterFailures(attempt([breaking("x")], at(12n)))
      assert.strictEqual(nextAfterRead(broken, { x: "{" })._tag, "Refuse")
      assert.strictEqual(nextAfterRead(broken, { x: theirs(12n, "theirs") })._tag, "Made")
      assert.strictEqual(nextAfterRead(broken, { x: theirs(12n) })._tag, "Made")
    })
  })
})
