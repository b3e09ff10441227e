import * as Exchange from "#internal/Exchange"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Dispatcher } from "undici"

describe("an exchange whose time is over", () => {
  it.effect("is never sent, though its turn comes while whoever waited for it goes on", () =>
    Effect.gen(function*() {
      let handler: Dispatcher.DispatchHandler = {}
      class Queueing extends Dispatcher {
        override dispatch(_: Dispatcher.DispatchOptions, given: Dispatcher.DispatchHandler) {
          handler = given
          return false
        }
      }
      const done: Array<string> = []
      const controller: Dispatcher.DispatchController = {
        aborted: false,
        paused: false,
        reason: null,
        rawHeaders: null,
        rawTrailers: null,
        abort: () => void done.push("given up"),
        pause: () => {},
        resume: () => {}
      }
      let timeIsOver = () => {}
      const exchange = Exchange.exchange(
        new Queueing(),
        { path: "/", method: "PATCH" },
        () => done.push("sent"),
        (onOver) => {
          timeIsOver = onOver
          return () => {}
        }
      )
      const fiber = yield* Effect.forkChild(
        Effect.tap(Effect.flip(exchange), () => Effect.sync(() => handler.onRequestStart?.(controller, {}))),
        { startImmediately: true }
      )
      timeIsOver()
      assert.strictEqual(yield* Fiber.join(fiber), Exchange.timeIsOver)
      assert.deepStrictEqual(done, ["given up"])
    }))
})
