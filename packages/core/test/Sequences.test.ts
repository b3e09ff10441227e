import { type AnnotationEdit, AnnotationEdit as Edit, LockName, Transition, Ttl } from "@kubelock/core"
import { Result } from "effect"
import { describe, expect, it } from "vitest"

// Every sequence of up to six commands by two owners on a small clock, beside a model that knows nothing of annotations.

const lock = Result.getOrThrow(LockName.make("x"))
const ttl = Result.getOrThrow(Ttl.make(2n))

interface Model {
  readonly nowNanos: bigint
  readonly holder: { readonly owner: string; readonly sinceNanos: bigint } | undefined
}

const isOver = ({ holder, nowNanos }: Model) => holder !== undefined && holder.sinceNanos + ttl < nowNanos

interface Command {
  readonly name: string
  readonly decide: (
    annotations: AnnotationEdit.Annotations,
    nowNanos: bigint
  ) => Result.Result<AnnotationEdit.AnnotationEdit, { readonly _tag: string }>
  /** The model after it, or the refusal that is due. */
  readonly model: (model: Model) => Model | string
}

const ofOwner = (owner: string): Array<Command> => [
  {
    name: `${owner} acquires`,
    decide: (annotations, nowNanos) => Transition.acquire(annotations, { lock, owner, ttl }, nowNanos),
    model: (model) =>
      model.holder === undefined || isOver(model)
        ? { ...model, holder: { owner, sinceNanos: model.nowNanos } }
        : model.holder.owner === owner
        ? "AlreadyExists"
        : "OwnerMismatch"
  },
  {
    name: `${owner} renews`,
    decide: (annotations, nowNanos) => Transition.renew(annotations, { lock, owner }, nowNanos),
    model: (model) =>
      model.holder === undefined || isOver(model)
        ? "NotFound"
        : model.holder.owner === owner
        ? { ...model, holder: { owner, sinceNanos: laterThan(model.holder.sinceNanos, model.nowNanos) } }
        : "OwnerMismatch"
  },
  {
    name: `${owner} releases`,
    decide: (annotations, nowNanos) => Transition.release(annotations, { lock, owner }, nowNanos),
    model: (model) =>
      model.holder === undefined || isOver(model)
        ? "NotFound"
        : model.holder.owner === owner
        ? { ...model, holder: undefined }
        : "OwnerMismatch"
  }
]

const commands: ReadonlyArray<Command> = [
  ...ofOwner("a"),
  ...ofOwner("b"),
  {
    name: "the record is expired",
    decide: (annotations, nowNanos) => Transition.expire(annotations, { lock }, nowNanos),
    model: (model) =>
      model.holder === undefined ? "NotFound" : isOver(model) ? { ...model, holder: undefined } : "AlreadyExists"
  },
  {
    name: "the lock is broken",
    decide: (annotations, nowNanos) => Transition.break(annotations, { lock }, nowNanos),
    model: (model) => model.holder === undefined ? "NotFound" : { ...model, holder: undefined }
  }
]

// No two records of one acquisition are alike.
const laterThan = (nanos: bigint, nowNanos: bigint) => nowNanos > nanos ? nowNanos : nanos + 1n

const holderOf = (annotations: AnnotationEdit.Annotations) => {
  const raw = Edit.get(annotations, LockName.toKey(lock))
  return raw === undefined ? undefined : JSON.parse(raw).owner
}

describe("every sequence of up to six commands", () => {
  it("does what the model does", () => {
    let sequences = 0
    const explore = (annotations: AnnotationEdit.Annotations, model: Model, past: ReadonlyArray<string>): void => {
      sequences++
      if (past.length === 6) return
      explore(annotations, { ...model, nowNanos: model.nowNanos + 1n }, [...past, "a nanosecond passes"])
      for (const command of commands) {
        const decision = command.decide(annotations, model.nowNanos)
        const due = command.model(model)
        const told = [...past, command.name]
        if (typeof due === "string") {
          if (Result.isSuccess(decision) || decision.failure._tag !== due) throw new Error(`${told.join(", ")}: ${due}`)
          explore(annotations, model, told)
          continue
        }
        if (Result.isFailure(decision)) throw new Error(`${told.join(", ")}: refused, ${decision.failure._tag}`)
        const after = Result.getOrThrow(Edit.apply(annotations, [decision.success]))
        if (holderOf(after) !== due.holder?.owner) throw new Error(`${told.join(", ")}: held by ${holderOf(after)}`)
        explore(after, due, told)
      }
    }
    explore({}, { nowNanos: 0n, holder: undefined }, [])
    // 9 commands, the clock's step among them: 1 + 9 + … + 9^6.
    expect(sequences).toBe((9 ** 7 - 1) / 8)
  })
})
