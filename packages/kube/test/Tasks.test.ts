import type * as Operation from "#internal/Operation"
import * as Tasks from "#internal/Tasks"
import { assert, describe, it } from "@effect/vitest"
import { LockName, LockRecord, Ttl } from "@kubelock/core"
import { type Lease, ResourceRef } from "@kubelock/kube"
import { Result } from "effect"
import * as fc from "fast-check"

// What is done to locks, as it is decided: what becomes of it on a server is shown elsewhere.

const resource = ResourceRef.configMap({ namespace: "n", name: "o" })
const key = (name: string) => `kubelock.giantswarm.io/${name}`
const at = (wallNanos: bigint, monotonicNanos = 0n): Operation.Instant => ({ wallNanos, monotonicNanos })

const lease = (name: string): Lease => ({
  resource,
  name: Result.getOrThrow(LockName.make(name)),
  owner: "me",
  id: `mine-${name}`,
  record: { owner: "me", createdAtNanos: 10n, ttlNanos: 5n, id: `mine-${name}` },
  fencingToken: 1n
})
const leases = [lease("x"), lease("y")]
const text = (name: string) => LockRecord.format(lease(name).record)
const theirs = LockRecord.format({ owner: "them", createdAtNanos: 10n, ttlNanos: 5n, id: "theirs" })
const both = { [key("x")]: text("x"), [key("y")]: text("y") }

const edits = <Edit, E>(decision: Result.Result<ReadonlyArray<Edit>, E>) => Result.getOrThrow(decision)

describe("what is believed of leases", () => {
  it("is the text that each has left", () => {
    assert.deepStrictEqual(Tasks.believedOf(leases), both)
  })
})

describe("the request of a lease", () => {
  it("names the acquisition, and the object in words", () => {
    assert.deepStrictEqual(Tasks.requestOf(lease("x")), {
      lock: lease("x").name,
      resource: "configmaps/o in n",
      owner: "me",
      id: "mine-x"
    })
  })
})

describe("acquire", () => {
  it("takes all by the wall clock, or none", () => {
    const ttl = Result.getOrThrow(Ttl.make(5n))
    const requests = leases.map(({ name }) => ({ lock: name, owner: "me", id: "new", ttl }))
    const believed = { a: "b" }
    const task = Tasks.acquire(requests, believed)
    assert.strictEqual(task.believed, believed)
    assert.isUndefined(Tasks.acquire(requests, undefined).believed)
    const taken = edits(task.decide({}, at(10n, 99n)))
    assert.deepStrictEqual(taken.map(({ key, record }) => [key, record.createdAtNanos]), [[key("x"), 10n], [
      key("y"),
      10n
    ]])
    const refusal = Result.getOrThrow(Result.flip(task.decide({ [key("y")]: theirs }, at(10n))))
    assert.strictEqual(refusal._tag, "OwnerMismatch")
  })
})

describe("release", () => {
  const told: Array<Tasks.NotMine | undefined> = []
  const task = Tasks.release(leases, (error) => told.push(error))
  const last = () => told.at(-1)

  it("gives back what is still held, and tells of the rest", () => {
    assert.deepStrictEqual(task.believed, both)
    assert.deepStrictEqual(edits(task.decide(both, at(12n))).map(({ key }) => key), [key("x"), key("y")])
    assert.isUndefined(last())
    const one = edits(task.decide({ ...both, [key("x")]: theirs }, at(12n)))
    assert.deepStrictEqual(one.map(({ expected, key }) => [key, expected]), [[key("y"), text("y")]])
    assert.strictEqual(last()?._tag, "OwnerMismatch")
  })

  it("fails where nothing is left to give back, and with the first that is not", () => {
    const decision = task.decide({ [key("y")]: theirs }, at(12n))
    const error = Result.getOrThrow(Result.flip(decision))
    assert.strictEqual(error._tag, "NotFound")
    assert.strictEqual(last(), error)
  })

  it("forgets what it told of an earlier decision", () => {
    task.decide({}, at(12n))
    task.decide(both, at(12n))
    assert.isUndefined(last())
  })

  it("of nothing is done", () => {
    assert.deepStrictEqual(Tasks.release([], () => {}).decide({}, at(12n)), Result.succeed([]))
  })

  it("removes what has expired by the wall clock too, since the record being there shows that nobody has it", () => {
    assert.deepStrictEqual(edits(task.decide(both, at(1_000n))).map(({ key }) => key), [key("x"), key("y")])
  })
})

describe("how long a lock is held for certain", () => {
  it("counts from before it was sent, less the margin, and is never negative", () => {
    const nanos = fc.bigInt(0n, 4n)
    fc.assert(fc.property(nanos, nanos, nanos, (renewedAt, margin, now) => {
      const standing = { lease: lease("x"), renewedAt: at(77n, renewedAt) }
      const left = renewedAt + 5n - margin - now
      assert.strictEqual(Tasks.remainingNanos(standing, margin, now), left < 0n ? 0n : left)
    }))
    const standing = { lease: lease("x"), renewedAt: at(77n, 0n) }
    assert.deepStrictEqual([3n, 4n, 5n].map((now) => Tasks.remainingNanos(standing, 1n, now)), [1n, 0n, 0n])
  })
})

describe("renew", () => {
  const standingOf = (name: string) => ({ lease: lease(name), renewedAt: at(77n, 100n) })
  const byWall = ({ wallNanos }: Operation.Instant) => wallNanos
  const renewal = (name: string, more: Partial<Tasks.Renewal<string>> = {}) => ({
    standing: standingOf(name),
    createdAtNanos: byWall,
    ended: () => undefined,
    ...more
  })
  const taskOf = (...renewals: ReadonlyArray<Tasks.Renewal<string>>) => Tasks.renew(renewals, () => {})
  const annotations = { [key("x")]: text("x") }
  const createdAt = (now: Operation.Instant, createdAtNanos = byWall) =>
    edits(taskOf(renewal("x", { createdAtNanos })).decide(annotations, now)).map(({ record }) => record.createdAtNanos)

  it("believes that its records are there", () => {
    assert.deepStrictEqual(taskOf(renewal("x")).believed, annotations)
    assert.deepStrictEqual(taskOf(renewal("x"), renewal("y")).believed, both)
  })

  it("writes the time that it is given, but none before its record's and what the monotonic clock has counted since", () => {
    assert.deepStrictEqual(createdAt(at(14n, 102n)), [14n])
    assert.deepStrictEqual(createdAt(at(3n, 102n)), [12n])
    assert.deepStrictEqual(createdAt(at(3n, 100n)), [11n])
    assert.deepStrictEqual(createdAt(at(3n, 102n), () => 13n), [13n])
    assert.deepStrictEqual(createdAt(at(3n, 102n), ({ monotonicNanos }) => monotonicNanos), [102n])
  })

  it("judges by the monotonic clock whether it is over, wherever the wall clock stands", () => {
    const { decide, timeOf } = taskOf(renewal("x"))
    assert.strictEqual(timeOf?.(at(3n, 102n), key("x")), 12n)
    assert.isTrue(Result.isSuccess(decide(annotations, at(1_000n, 105n))))
    const late = Result.getOrThrow(Result.flip(decide(annotations, at(3n, 106n))))
    assert.strictEqual(typeof late === "object" && late._tag, "NotFound")
  })

  it("is of this acquisition alone", () => {
    const again = LockRecord.format({ ...lease("x").record, id: "again" })
    const refusal = Result.getOrThrow(Result.flip(taskOf(renewal("x")).decide({ [key("x")]: again }, at(12n, 102n))))
    assert.strictEqual(typeof refusal === "object" && refusal._tag, "OwnerMismatch")
    assert.strictEqual(typeof refusal === "object" && refusal.resource, "configmaps/o in n")
  })

  it("of several has a time for each", () => {
    const later = {
      lease: { ...lease("y"), record: { ...lease("y").record, createdAtNanos: 50n } },
      renewedAt: at(77n, 101n)
    }
    const { timeOf } = taskOf(renewal("x"), renewal("y", { standing: later }))
    assert.deepStrictEqual([key("x"), key("y")].map((key) => timeOf?.(at(3n, 104n), key)), [14n, 53n])
  })

  it("of several renews each that it can, with a time for each, and tells what it has decided", () => {
    const told: Array<readonly [ReadonlyArray<Tasks.Decision<string>>, Operation.Instant]> = []
    const task = Tasks.renew(
      [renewal("x", { createdAtNanos: () => 13n }), renewal("y", { createdAtNanos: () => 14n })],
      (decisions, now) => told.push([decisions, now])
    )
    const decided = edits(task.decide(both, at(3n, 101n)))
    assert.deepStrictEqual(decided.map(({ expected, key, record }) => [key, expected, record.createdAtNanos]), [
      [key("x"), text("x"), 13n],
      [key("y"), text("y"), 14n]
    ])
    assert.deepStrictEqual(told, [[decided.map((edit) => Result.succeed(edit)), at(3n, 101n)]])
    const one = edits(task.decide({ ...both, [key("x")]: theirs }, at(3n, 101n)))
    assert.deepStrictEqual(one.map(({ key }) => key), [key("y")])
    assert.deepStrictEqual(told[1]?.[0].map(Result.isSuccess), [false, true])
  })

  it("leaves out what has ended, by the time that it is asked at, and fails where nothing is left", () => {
    const ended = ({ monotonicNanos }: Operation.Instant) => monotonicNanos > 101n ? "ended" : undefined
    const task = taskOf(renewal("x", { ended }), renewal("y"))
    assert.deepStrictEqual(edits(task.decide(both, at(3n, 101n))).map(({ key }) => key), [key("x"), key("y")])
    assert.deepStrictEqual(edits(task.decide(both, at(3n, 102n))).map(({ key }) => key), [key("y")])
    const { [key("x")]: x } = both
    assert.deepStrictEqual(task.decide({ [key("x")]: x! }, at(3n, 102n)), Result.fail("ended"))
  })
})
