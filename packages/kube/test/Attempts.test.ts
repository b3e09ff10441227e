import * as Attempts from "#internal/Attempts"
import { assert, describe, it } from "@effect/vitest"
import { LockName, Ttl } from "@kubelock/core"
import { type AnnotationStore, KubeError, ResourceRef, Unavailable } from "@kubelock/kube"
import { Effect, Fiber, Result, Stream } from "effect"
import { TestClock } from "effect/testing"

const resource = ResourceRef.configMap({ namespace: "n", name: "o" })
const request = {
  lock: Result.getOrThrow(LockName.make("x")),
  owner: "me",
  id: "me-1",
  ttl: Result.getOrThrow(Ttl.make("1 minute"))
}
const answerLost = new KubeError({
  method: "PATCH",
  path: ResourceRef.toPath(resource),
  reason: new Unavailable({ outcomeUnknown: true, message: "the connection broke" })
})
const after = { uid: "u", resourceVersion: 1n, annotations: {} }

describe("an acquisition that was interrupted", () => {
  it.effect("gives back all that it may have written at once, so that it takes no longer than one of them", () =>
    Effect.gen(function*() {
      const seen = { tries: 0, reads: 0 }
      const store: AnnotationStore["Service"] = {
        get: () => Effect.suspend(() => ++seen.reads === 3 ? Effect.never : Effect.succeed(after)),
        edit: (_, [edit]) =>
          edit?.value === undefined
            ? Effect.delay(Effect.succeed(after), "1 second")
            : Effect.suspend(() => {
              seen.tries++
              return Effect.fail(answerLost)
            }),
        changes: () => Stream.never,
        clockOffset: Effect.undefined
      }
      const taking = yield* Effect.forkChild(Attempts.make(store).acquire({ resource, requests: [request] }))
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
})
