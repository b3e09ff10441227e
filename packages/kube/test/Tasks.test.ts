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
  const standing = { lease: lease("x"), renewedAt: at(77n, 100n) }
  const annotations = { [key("x")]: text("x") }
  const createdAt = (now: Operation.Instant, task = Tasks.renew(standing)) =>
    edits(task.decide(annotations, now)).map(({ record }) => record.createdAtNanos)

  it("believes that its record is there", () => {
    assert.deepStrictEqual(Tasks.renew(standing).believed, annotations)
  })

  it("writes the wall clock's time, but none before its record's and what the monotonic clock has counted since", () => {
    assert.deepStrictEqual(createdAt(at(14n, 102n)), [14n])
    assert.deepStrictEqual(createdAt(at(3n, 102n)), [12n])
    assert.deepStrictEqual(createdAt(at(3n, 100n)), [11n])
    assert.deepStrictEqual(createdAt(at(3n, 102n), Tasks.renew(standing, () => 13n)), [13n])
    assert.deepStrictEqual(createdAt(at(3n, 102n), Tasks.renew(standing, ({ monotonicNanos }) => monotonicNanos)), [
      102n
    ])
  })

  it("judges by the monotonic clock whether it is over, wherever the wall clock stands", () => {
    const { decide, timeOf } = Tasks.renew(standing)
    assert.strictEqual(timeOf?.(at(3n, 102n)), 12n)
    assert.isTrue(Result.isSuccess(decide(annotations, at(1_000n, 105n))))
    const late = Result.getOrThrow(Result.flip(decide(annotations, at(3n, 106n))))
    assert.strictEqual(late._tag, "NotFound")
  })

  it("is of this acquisition alone", () => {
    const again = LockRecord.format({ ...lease("x").record, id: "again" })
    const refusal = Result.getOrThrow(Result.flip(Tasks.renew(standing).decide({ [key("x")]: again }, at(12n, 102n))))
    assert.strictEqual(refusal._tag, "OwnerMismatch")
    assert.strictEqual(refusal.resource, "configmaps/o in n")
  })
})
