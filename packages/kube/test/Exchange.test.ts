import * as Exchange from "#internal/Exchange"
import { assert, describe, it } from "@effect/vitest"
import { Array, Cause, Effect, Fiber } from "effect"
import fc from "fast-check"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
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

/** Answers with these pieces, one after the other. */
const inPieces = (pieces: Array<Buffer>): Exchange.Opened["body"] =>
  Effect.suspend(() => {
    const piece = pieces.shift()
    return piece === undefined ? Cause.done() : Effect.succeed(Array.of(piece))
  })

describe("text that comes in pieces", () => {
  const tornAnywhere = fc.tuple(fc.string({ unit: "grapheme" }), fc.array(fc.nat())).map(([text, cuts]) => {
    const bytes = Buffer.from(text)
    const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
    return { bytes, text, pieces: at.slice(1).map((end, index) => Buffer.from(bytes.subarray(at[index], end))) }
  })

  it.effect("is as it was, wherever it was torn, and so are the pieces", () =>
    Effect.promise(() =>
      fc.assert(fc.asyncProperty(tornAnywhere, async ({ bytes, pieces, text }) => {
        assert.strictEqual(await Effect.runPromise(Exchange.readText(inPieces([...pieces]))), text)
        assert.isTrue(Buffer.concat(pieces).equals(bytes))
      }))
    ))

  it.effect("keeps no piece that was read to the end of a line", () =>
    Effect.gen(function*() {
      let piece: WeakRef<ArrayBufferLike> | undefined
      const lines = Exchange.linesOf(Effect.suspend(() => {
        if (piece !== undefined) return Effect.never
        const bytes = Buffer.alloc(65_536, "one\n")
        piece = new WeakRef(bytes.buffer)
        return Effect.succeed(Array.of(bytes))
      }))
      const waiting = yield* Effect.forkChild(Effect.andThen(lines, lines), { startImmediately: true })
      setFlagsFromString("--expose-gc")
      const collect: () => void = runInNewContext("gc")
      const isKept = Effect.callback<boolean>((resume) =>
        void setImmediate(() => {
          collect()
          resume(Effect.succeed(piece?.deref() !== undefined))
        })
      )
      assert.isFalse(yield* Effect.repeat(isKept, { while: (isKept) => isKept, times: 20 }))
      yield* Fiber.interrupt(waiting)
    }))
})
