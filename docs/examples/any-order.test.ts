/**
 * A property test of one's own code: whoever comes when, and whatever takes how long.
 *
 * Each run makes up some processes: when each of them comes, how long its section takes, and whether it gives up or dies. The test clock makes an
 * hour of that pass in no time. All chance comes from what is made up, the library's too. So a failure is made as small as it can be, and
 * the `Replay` that it prints makes it happen again: `{ arbitrary: { replay: "…" } }` as the last argument of the test.
 *
 * Run it with vitest and @effect/vitest.
 */
import { assert, describe, it } from "@effect/vitest"
import { AnnotationStore, Identity, KubeLock, ResourceRef } from "@kubelock/kube"
import { Duration, Effect, Fiber, Layer, Option, Random, Ref, Schema } from "effect"
import { TestClock } from "effect/testing"

// The code under test: numbers, none of which is given out twice. Where the last one is kept knows nothing of locks.
const resource = ResourceRef.configMap({ namespace: "prod", name: "numbers" })

const nextNumber = Effect.fn("nextNumber")(function*(last: Ref.Ref<number>, takes: Duration.Input) {
  const lock = yield* KubeLock.make({ resource, name: "numbers" })
  return yield* Effect.gen(function*() {
    const number = (yield* Ref.get(last)) + 1
    yield* Effect.sleep(takes)
    yield* Ref.set(last, number)
    return number
  }).pipe(lock.withLock)
})

// Few values, so that much happens at the same time.
const Seconds = Schema.Literals([0, 1, 2, 20, 40])

const Process = Schema.Struct({
  comesAfter: Seconds,
  takes: Seconds,
  fate: Schema.Literals(["has a number", "gives up after a second", "dies with the lock"])
})

// The numbers that it was given.
const live = Effect.fn(function*(process: typeof Process.Type, last: Ref.Ref<number>) {
  yield* Effect.sleep(Duration.seconds(process.comesAfter))
  const number = nextNumber(last, Duration.seconds(process.takes))
  switch (process.fate) {
    case "has a number":
      return [yield* number]
    case "gives up after a second":
      return Option.toArray(yield* Effect.timeoutOption(number, "1 second"))
    case "dies with the lock": {
      // Nobody renews or gives back what a single attempt has taken.
      const locks = yield* KubeLock
      yield* Effect.ignore(locks.acquire({ resource, name: "numbers", ttl: "30 seconds" }))
      return []
    }
  }
})

describe("nextNumber", () => {
  it.effect.prop(
    "gives nobody the number of another, and keeps no lock",
    { processes: Schema.Array(Process).check(Schema.isMaxLength(6)), seed: Schema.Int },
    ({ processes, seed }) =>
      Effect.gen(function*() {
        const last = yield* Ref.make(0)
        const all = Effect.forEach(
          processes,
          // Each of them under a name of its own, or they would be fibers of one process to the library.
          (process, index) => live(process, last).pipe(Identity.asProcess(`${index}`)),
          { concurrency: "unbounded" }
        )
        const living = yield* Effect.forkChild(all)
        yield* TestClock.adjust("1 hour")
        const numbers = (yield* Fiber.join(living)).flat()
        assert.strictEqual(new Set(numbers).size, numbers.length, `the numbers given out: ${numbers.join()}`)
        const locks = yield* KubeLock
        assert.isTrue((yield* locks.list(resource)).every(({ state }) => state._tag === "Expired"))
      }).pipe(
        Effect.provide(Layer.fresh(KubeLock.layer.pipe(Layer.provide(AnnotationStore.layerMemory([resource]))))),
        Random.withSeed(seed)
      )
  )
})
