import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as ProcessClock from "./simulation/ProcessClock.ts"
import { makeCluster } from "./suites/processes.ts"
import { observed } from "./suites/telemetry.ts"

describe("a program that a loss ends, and its layer with it", () => {
  it.effect("has told of the loss before", () =>
    Effect.gen(function*() {
      const clock = ProcessClock.make(yield* Clock.Clock, 0, 1)
      const cluster = yield* makeCluster()
      const program = Effect.scoped(Effect.gen(function*() {
        const process = yield* cluster.start("p")
        const lock = yield* process.make({ ttl: "3 seconds" })
        return yield* lock.withLock(Effect.never)
      }))
      const { logs } = yield* observed(Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(Effect.provideService(program, Clock.Clock, clock))
        yield* TestClock.adjust("500 millis")
        clock.pause()
        yield* TestClock.adjust("10 seconds")
        clock.resume()
        const error = yield* Effect.flip(Fiber.join(fiber))
        assert.strictEqual(error._tag, "LockLost")
      }))
      assert.deepStrictEqual(logs.map(({ text }) => text), ["A lock was lost"])
    }))
})
