import * as Attempts from "#internal/Attempts"
import { assert, describe, it } from "@effect/vitest"
import { AnnotationEdit, LockName, Ttl } from "@kubelock/core"
import {
  type AnnotationStore,
  Conflict,
  Forbidden,
  KubeError,
  type Lease,
  ResourceRef,
  Unavailable
} from "@kubelock/kube"
import { Effect, Fiber, Logger, Metric, References, Result, Stream } from "effect"
import { TestClock } from "effect/testing"

// What is done to locks, over a store that answers as it is told.

const resource = ResourceRef.configMap({ namespace: "n", name: "o" })
const names = ["x", "y"].map((name) => Result.getOrThrow(LockName.make(name)))
const ttl = Result.getOrThrow(Ttl.make("1 minute"))
const requests = names.map((lock) => ({ lock, owner: "me", id: "me-1", ttl }))
const failing = (reason: KubeError["reason"]) =>
  new KubeError({ method: "PATCH", path: ResourceRef.toPath(resource), reason })
const answerLost = failing(new Unavailable({ outcomeUnknown: true, message: "the connection broke" }))
const forbidden = failing(new Forbidden({ message: "you may not patch this" }))
const after = { uid: "u", resourceVersion: 1n, annotations: {} }

const over = (answers: Partial<AnnotationStore["Service"]>) =>
  Attempts.make({
    get: () => Effect.succeed(after),
    edit: () => Effect.succeed(after),
    changes: () => Stream.never,
    clockOffset: Effect.undefined,
    ...answers
  })

/** Passes time until it has ended. */
const outlast = Effect.fnUntraced(function*<A, E>(fiber: Fiber.Fiber<A, E>) {
  while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("1 second")
  return yield* Fiber.join(fiber)
})

const failureOf = <A>(effect: Effect.Effect<A, { readonly _tag: string }>) =>
  Effect.gen(function*() {
    const failure = yield* outlast(yield* Effect.forkChild(Effect.flip(effect)))
    if (!(failure instanceof KubeError)) return yield* Effect.die(failure)
    return failure
  })

const isRemoval = ([edit]: ReadonlyArray<AnnotationEdit.AnnotationEdit>) => edit?.value === undefined

describe("an acquisition that was interrupted", () => {
  it.effect("gives back all that it may have written at once, so that it takes no longer than one of them", () =>
    Effect.gen(function*() {
      const seen = { tries: 0, reads: 0 }
      const attempts = over({
        get: () => Effect.suspend(() => ++seen.reads === 3 ? Effect.never : Effect.succeed(after)),
        edit: (_, edits) =>
          isRemoval(edits)
            ? Effect.delay(Effect.succeed(after), "1 second")
            : Effect.suspend(() => {
              seen.tries++
              return Effect.fail(answerLost)
            })
      })
      const taking = yield* Effect.forkChild(attempts.acquire({ resource, requests }))
      while (seen.reads < 3) yield* TestClock.adjust("1 second")
      assert.strictEqual(seen.tries, 2)
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(taking))
      yield* TestClock.adjust("999 millis")
      const isTooEarly = taking.pollUnsafe() !== undefined
      yield* TestClock.adjust("1 millis")
      const isInTime = taking.pollUnsafe() !== undefined
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual({ isTooEarly, isInTime }, { isTooEarly: false, isInTime: true })
    }))

  it.effect("is over at once where it pauses, since others were faster", () =>
    Effect.gen(function*() {
      let refusals = 0
      const attempts = over({
        edit: (_, edits) =>
          isRemoval(edits) ? Effect.succeed(after) : Effect.suspend(() => {
            refusals++
            return Effect.fail(new AnnotationEdit.EditRefused({ keys: ["k"] }))
          })
      })
      const taking = yield* Effect.forkChild(attempts.acquire({ resource, requests, believed: {} }), {
        startImmediately: true
      })
      // The first was decided on what was only believed: it is followed by no pause.
      assert.strictEqual(refusals, 2)
      yield* Fiber.interrupt(taking)
      assert.strictEqual(refusals, 2)
    }))

  it.effect("says which annotations it may have left behind", () =>
    Effect.gen(function*() {
      const annotations: Array<unknown> = []
      const logger = Logger.layer([Logger.make(({ fiber }) => {
        annotations.push(fiber.getRef(References.CurrentLogAnnotations)["kubelock.annotations"])
      })])
      const attempts = over({
        edit: () => Effect.fail(answerLost),
        get: () => Effect.never
      })
      const taking = yield* Effect.forkChild(
        Effect.provide(attempts.acquire({ resource, requests, believed: {} }), logger)
      )
      yield* TestClock.adjust("10 seconds")
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(taking))
      yield* outlast(interrupting)
      assert.deepStrictEqual(annotations, ["kubelock.giantswarm.io/x, kubelock.giantswarm.io/y"])
    }))
})

describe("what is given back", () => {
  it.effect("is each by itself where not all is there, however late that is found out", () =>
    Effect.gen(function*() {
      const removed: Array<string> = []
      const attempts = over({
        edit: (_, edits) =>
          edits.length === 1
            ? Effect.sync(() => {
              removed.push(edits[0]!.key)
              return after
            })
            : Effect.delay(new AnnotationEdit.EditRefused({ keys: [] }), "1 minute")
      })
      const edits = names.map((name) => ({ key: LockName.toKey(name), expected: undefined, value: "a record" }))
      yield* outlast(yield* Effect.forkChild(attempts.giveBack(resource, edits)))
      assert.deepStrictEqual(removed, names.map(LockName.toKey))
    }))
})

describe("a write that failed", () => {
  const conflicts = Effect.map(
    Metric.snapshot,
    (metrics) =>
      metrics.flatMap((metric) =>
        metric.id === "kubelock_conflicts_total" && metric.type === "Counter" ? [Number(metric.state.count)] : []
      )
  )

  it.effect("is known not to have been made where that was said, and is no conflict", () =>
    Effect.gen(function*() {
      const before = yield* conflicts
      const error = yield* failureOf(over({ edit: () => Effect.fail(forbidden) }).acquire({ resource, requests }))
      assert.strictEqual(error.reason._tag, "Forbidden")
      assert.isFalse(error.outcomeUnknown)
      assert.deepStrictEqual(yield* conflicts, before)
    }))

  it.effect("is a conflict where others were faster, whichever way that was said", () =>
    Effect.gen(function*() {
      const conflict = failing(new Conflict({ message: "the object has been modified" }))
      const answers = [new AnnotationEdit.EditRefused({ keys: ["k"] }), conflict]
      const edit = () =>
        Effect.suspend(() => {
          const answer = answers.shift()
          return answer === undefined ? Effect.succeed(after) : Effect.fail(answer)
        })
      const taking = over({ edit }).acquire({ resource, requests })
      yield* outlast(yield* Effect.forkChild(taking))
      assert.deepStrictEqual(yield* conflicts, [2])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("is one of which nobody knows, where an earlier one was lost", () =>
    Effect.gen(function*() {
      const answers = [answerLost, forbidden]
      const edit = () => Effect.suspend(() => Effect.fail(answers.shift() ?? forbidden))
      const error = yield* failureOf(over({ edit }).acquire({ resource, requests }))
      assert.strictEqual(error.reason._tag, "Forbidden")
      assert.isTrue(error.outcomeUnknown)
    }))

  it.effect("is a conflict at last, where others are always faster", () =>
    Effect.gen(function*() {
      const refused = new AnnotationEdit.EditRefused({ keys: ["k"] })
      const error = yield* failureOf(over({ edit: () => Effect.fail(refused) }).acquire({ resource, requests }))
      assert.strictEqual(error.reason._tag, "Conflict")
      assert.strictEqual(error.method, "PATCH")
      assert.include(error.message, "Others write the locks of configmaps/o in n faster than they can be read")
    }))
})

describe("the purpose of a request", () => {
  const lease = (name: LockName.LockName): Lease => ({
    resource,
    name,
    owner: "me",
    id: "me-1",
    record: { owner: "me", createdAtNanos: 0n, ttlNanos: ttl, id: "me-1" },
    fencingToken: 1n
  })

  it.effect("names the locks, as far as it is about some, and the owner, where there is one", () =>
    Effect.gen(function*() {
      const purpose = (...[operation, locks, owner]: Parameters<typeof Attempts.forPurpose>) =>
        Effect.map(
          Effect.flip(Attempts.forPurpose(operation, locks, owner)(Effect.fail(answerLost))),
          (error) => error.purpose
        )
      assert.strictEqual(yield* purpose("list", []), "list locks")
      assert.strictEqual(yield* purpose("inspect", ["x"]), `inspect lock "x"`)
      assert.strictEqual(yield* purpose("acquire", ["x", "y"], "me"), `acquire locks "x", "y" as "me"`)
    }))

  it.effect("is told of what acquires, and of what releases", () =>
    Effect.gen(function*() {
      const attempts = over({ edit: () => Effect.fail(forbidden) })
      const acquiring = yield* failureOf(attempts.acquire({ resource, requests: requests.slice(1) }))
      assert.strictEqual(acquiring.purpose, `acquire lock "y" as "me"`)
      const releasing = yield* failureOf(attempts.release(resource, names.map(lease)))
      assert.strictEqual(releasing.purpose, `release locks "x", "y" as "me"`)
    }))
})
