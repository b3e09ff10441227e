import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Objects from "../src/contenders/Objects.ts"
import { carryOut } from "../src/contenders/Worker.ts"

const resource = { ...Objects.small, namespace: "default", name: "a" }

describe("Worker", () => {
  it.effect("tries until it succeeds, and says how often that failed and why", () =>
    Effect.gen(function*() {
      let tries = 0
      const answer = yield* carryOut(
        (_, attempt) =>
          Effect.andThen(
            attempt("acquire", Effect.suspend(() => ++tries % 3 === 0 ? Effect.void : Effect.fail({ _tag: "Busy" }))),
            attempt("release", Effect.void)
          ),
        { resource, pairs: 2 }
      )
      assert.lengthOf(answer.pairMicros, 2)
      assert.strictEqual(answer.attempts, 8)
      assert.deepStrictEqual(answer.failures, { "acquire: Busy": 4 })
    }))
})
