import { AnnotationEdit, LockName, LockRecord, LockState, Transition, Ttl } from "@kubelock/core"
import { Result, Struct } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"

const name = (text: string) => Result.getOrThrow(LockName.make(text))
const locks = [name("x"), name("y")] as const
const owners = ["a", "b", ""] as const
const ids = ["1", "2", undefined] as const

// Domains as small as the rules allow: an off-by-one at the edge of a TTL is met in every few runs.
const nanos = fc.bigInt(0n, 6n)
const ttl = fc.bigInt(1n, 3n).map((nanos) => Result.getOrThrow(Ttl.make(nanos)))
const id = fc.constantFrom(...ids).map((id) => (id === undefined ? {} : { id }))
const request = fc.tuple(
  fc.record({ lock: fc.constantFrom(...locks), owner: fc.constantFrom(...owners), ttl }),
  id
).map(([request, id]): Transition.AcquireRequest => ({ ...request, ...id }))

const record = fc.tuple(
  fc.record({ owner: fc.constantFrom(...owners), createdAtNanos: nanos, ttlNanos: fc.bigInt(0n, 3n) }),
  id,
  fc.constantFrom({}, { others: [`"fence":7`] })
).map(([fields, id, others]): LockRecord.LockRecord => ({ ...fields, ...id, ...others }))
const value = fc.oneof({ weight: 8, arbitrary: record.map(LockRecord.format) }, fc.constantFrom("", "{}", "null", "[]"))
const annotations: fc.Arbitrary<AnnotationEdit.Annotations> = fc.dictionary(
  fc.constantFrom("other", ...locks.map(LockName.toKey)),
  value,
  { noNullPrototype: true }
)

const decisions: Record<
  string,
  (
    annotations: AnnotationEdit.Annotations,
    request: Transition.AcquireRequest,
    nowNanos: bigint
  ) => Result.Result<AnnotationEdit.AnnotationEdit, { readonly _tag: string; readonly lock?: string | undefined }>
> = {
  acquire: Transition.acquire,
  renew: Transition.renew,
  release: Transition.release,
  expire: Transition.expire,
  break: Transition.break
}

const holds = (
  property: (annotations: AnnotationEdit.Annotations, request: Transition.AcquireRequest, nowNanos: bigint) => void
) => fc.assert(fc.property(annotations, request, nanos, property), { numRuns: 1_000 })

const holderOf = (record: LockRecord.LockRecord) => Struct.omit(record, ["others"])

const perform = (annotations: AnnotationEdit.Annotations, edit: AnnotationEdit.AnnotationEdit) =>
  Result.getOrThrow(AnnotationEdit.apply(annotations, [edit]))

describe.each(Object.entries(decisions))("%s", (_, decide) => {
  it("edits its own key alone, and expects there exactly what it read", () => {
    holds((annotations, request, nowNanos) => {
      const edit = Result.getOrNull(decide(annotations, request, nowNanos))
      if (edit === null) return
      const key = LockName.toKey(request.lock)
      expect(edit.key).toBe(key)
      expect(edit.expected).toBe(AnnotationEdit.get(annotations, key))
    })
  })

  it("changes nothing when it refuses, and says which lock", () => {
    holds((annotations, request, nowNanos) => {
      const before = JSON.stringify(annotations)
      const decision = decide(Object.freeze(annotations), request, nowNanos)
      expect(JSON.stringify(annotations)).toBe(before)
      if (Result.isFailure(decision)) expect(decision.failure.lock).toBe(request.lock)
    })
  })

  it("does not depend on other annotations", () => {
    holds((annotations, request, nowNanos) => {
      const key = LockName.toKey(request.lock)
      const text = AnnotationEdit.get(annotations, key)
      const alone = text === undefined ? {} : { [key]: text }
      expect(decide(annotations, request, nowNanos)).toEqual(decide(alone, request, nowNanos))
    })
  })
})

describe("Transition", () => {
  it("acquires exactly what is free or expired: never is there a second holder", () => {
    holds((annotations, request, nowNanos) => {
      const before = LockState.read(annotations, request.lock, nowNanos)
      const decision = Transition.acquire(annotations, request, nowNanos)
      expect(Result.isSuccess(decision)).toBe(before._tag === "Free" || before._tag === "Expired")
      if (Result.isFailure(decision)) {
        const expected = before._tag === "Malformed"
          ? "MalformedRecord"
          : before._tag === "Held" && before.record.owner === request.owner
          ? "AlreadyExists"
          : "OwnerMismatch"
        expect(decision.failure._tag).toBe(expected)
        return
      }
      const after = LockState.read(perform(annotations, decision.success), request.lock, nowNanos)
      expect(after).toEqual({ _tag: "Held", record: decision.success.record, text: decision.success.value })
      expect(decision.success.record).toStrictEqual({
        owner: request.owner,
        createdAtNanos: nowNanos,
        ttlNanos: request.ttl,
        ...(request.id === undefined ? {} : { id: request.id })
      })
    })
  })

  it("leaves out of a record what was not asked for", () => {
    const idsOf = (request: Transition.AcquireRequest) => {
      const { record } = Result.getOrThrow(Transition.acquire({}, request, 0n))
      return [Object.keys(record).toSorted(), record.id]
    }
    const asked = { lock: locks[0], owner: "a", ttl: Result.getOrThrow(Ttl.make("1 second")) }
    expect(idsOf(asked)).toStrictEqual([["createdAtNanos", "owner", "ttlNanos"], undefined])
    expect(idsOf({ ...asked, id: "1" })).toStrictEqual([["createdAtNanos", "id", "owner", "ttlNanos"], "1"])
  })

  it("restores the map when a lock is released after it was acquired", () => {
    holds((annotations, request, nowNanos) => {
      const taken = Result.getOrNull(Transition.acquire(annotations, request, nowNanos))
      if (taken === null || taken.expected !== undefined) return
      const held = perform(annotations, taken)
      const released = perform(held, Result.getOrThrow(Transition.release(held, request, nowNanos)))
      expect(released).toEqual(annotations)
    })
  })

  it("expires strictly after createdAt + ttl", () => {
    fc.assert(fc.property(record, nanos, (record, nowNanos) => {
      const state = LockState.read({ [LockName.toKey(locks[0])]: LockRecord.format(record) }, locks[0], nowNanos)
      expect(state._tag).toBe(record.createdAtNanos + record.ttlNanos < nowNanos ? "Expired" : "Held")
    }))
  })

  it("renews one's own held lock alone, never shortens it, and keeps all else", () => {
    holds((annotations, request, nowNanos) => {
      const before = LockState.read(annotations, request.lock, nowNanos)
      const decision = Transition.renew(annotations, request, nowNanos)
      const mine = before._tag === "Held" && before.record.owner === request.owner &&
        (request.id === undefined || before.record.id === request.id)
      const refusal = { Free: "NotFound", Held: "OwnerMismatch", Expired: "NotFound", Malformed: "MalformedRecord" }
      expect(Result.isSuccess(decision) ? "renewed" : decision.failure._tag).toBe(
        mine ? "renewed" : refusal[before._tag]
      )
      if (Result.isFailure(decision) || before._tag !== "Held") return
      const { createdAtNanos, ...kept } = decision.success.record
      const { createdAtNanos: createdBefore, ...keptBefore } = before.record
      expect(kept).toEqual(keptBefore)
      expect(createdAtNanos).toBe(createdBefore >= nowNanos ? createdBefore + 1n : nowNanos)
    })
  })

  it("leaves an expired lock alone for as long as the taker chooses to, strictly", () => {
    fc.assert(fc.property(annotations, request, nanos, fc.bigInt(0n, 3n), (annotations, request, nowNanos, delay) => {
      const decision = Transition.acquire(annotations, { ...request, takeoverDelayNanos: delay }, nowNanos)
      const before = Transition.acquire(annotations, request, nowNanos - delay)
      expect(Result.isSuccess(decision)).toBe(Result.isSuccess(before))
      if (Result.isFailure(decision)) return
      expect(decision.success.expected).toBe(Result.getOrThrow(before).expected)
      expect(decision.success.record.createdAtNanos).toBe(nowNanos)
    }))
  })

  it("renews at what one clock says and writes no earlier time than another", () => {
    holds((annotations, request, nowNanos) => {
      for (const createdAtNanos of [0n, 2n, 9n]) {
        const decision = Transition.renew(annotations, { ...request, createdAtNanos }, nowNanos)
        const plain = Transition.renew(annotations, request, nowNanos)
        expect(Result.isSuccess(decision)).toBe(Result.isSuccess(plain))
        if (Result.isFailure(decision) || Result.isFailure(plain)) continue
        const atLeast = plain.success.record.createdAtNanos
        expect(decision.success.record.createdAtNanos).toBe(createdAtNanos > atLeast ? createdAtNanos : atLeast)
      }
    })
  })

  it("releases as the Go library does, unless the acquisition is named", () => {
    holds((annotations, request, nowNanos) => {
      const before = LockState.read(annotations, request.lock, nowNanos)
      const decision = Transition.release(annotations, request, nowNanos)
      const record = before._tag === "Held" || before._tag === "Expired" ? before.record : undefined
      const named = request.id !== undefined
      const isOwner = record?.owner === request.owner
      const mine = isOwner && (!named || record.id === request.id)
      const expected = before._tag === "Malformed"
        ? "MalformedRecord"
        : before._tag === "Free" || (before._tag === "Expired" && !(named && mine))
        ? "NotFound"
        : mine
        ? "released"
        : "OwnerMismatch"
      expect(Result.isSuccess(decision) ? "released" : decision.failure._tag).toBe(expected)
      if (Result.isSuccess(decision)) expect(decision.success.removed).toEqual(record)
      else if (decision.failure._tag === "NotFound") {
        expect(decision.failure.expired).toEqual(record && holderOf(record))
      }
    })
  })

  it("expires what has expired, and breaks whatever is there", () => {
    holds((annotations, request, nowNanos) => {
      const { _tag } = LockState.read(annotations, request.lock, nowNanos)
      const expire = Transition.expire(annotations, request, nowNanos)
      const refusals = { Free: "NotFound", Held: "AlreadyExists", Expired: "", Malformed: "MalformedRecord" }
      expect(Result.isSuccess(expire) ? "" : expire.failure._tag).toBe(refusals[_tag])
      expect(Result.isSuccess(Transition.break(annotations, request, nowNanos))).toBe(_tag !== "Free")
    })
  })

  it("compares an owner as it reads back", () => {
    const request = { lock: locks[0], owner: "\ud800", ttl: Result.getOrThrow(Ttl.make(3n)) }
    const taken = Result.getOrThrow(Transition.acquire({}, request, 0n))
    expect(taken.record.owner).toBe("\ufffd")
    const held = perform({}, taken)
    expect(Result.isSuccess(Transition.release(held, request, 0n))).toBe(true)
  })
})

describe("Transition.acquireAll", () => {
  it("takes all or none, and the first refusal is the answer", () => {
    fc.assert(
      fc.property(annotations, fc.array(request, { maxLength: 3 }), nanos, (annotations, requests, nowNanos) => {
        const decision = Transition.acquireAll(annotations, requests, nowNanos)
        if (new Set(requests.map(({ lock }) => lock)).size < requests.length) {
          expect(Result.getOrThrow(Result.flip(decision))).toMatchObject({
            _tag: "InvalidConfig",
            field: "locks",
            problem: "it is asked for twice"
          })
          return
        }
        const each = requests.map((request) => Transition.acquire(annotations, request, nowNanos))
        const refused = each.find(Result.isFailure)
        if (refused !== undefined) {
          expect(decision).toEqual(refused)
          return
        }
        const after = Result.getOrThrow(AnnotationEdit.apply(annotations, Result.getOrThrow(decision)))
        for (const { lock, owner } of requests) {
          expect(LockState.read(after, lock, nowNanos)).toMatchObject({ _tag: "Held", record: { owner } })
        }
      }),
      { numRuns: 1_000 }
    )
  })
})

describe("LockState.readAll", () => {
  it("finds every lock, and nothing that is none", () => {
    fc.assert(fc.property(annotations, nanos, (annotations, nowNanos) => {
      const found = LockState.readAll(annotations, nowNanos)
      const present = locks.filter((lock) => AnnotationEdit.get(annotations, LockName.toKey(lock)) !== undefined)
      expect(found).toEqual(present.map((lock) => [lock, LockState.read(annotations, lock, nowNanos)]))
    }))
  })

  it("takes no other annotation for a lock of any name", () => {
    const annotations = { "kubelock.giantswarm.io/undefined": "{}", other: "{}" }
    expect(LockState.readAll(annotations, 0n).map(([lock]) => lock)).toEqual(["undefined"])
  })
})
