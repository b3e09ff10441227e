/**
 * The embedded server beside a real one. Where they differ, the embedded one is wrong.
 *
 * The random sequences of the last test take their seed from `KUBELOCK_SEED`, or any, and say which; `KUBELOCK_RUNS` says how
 * many.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, type Scope } from "effect"
import fc from "fast-check"
import process from "node:process"
import * as SharedControlPlane from "../SharedControlPlane.ts"
import { cases } from "./cases.ts"
import { operations, perform } from "./operations.ts"
import { type Client, Embedded, Real, transcriptOf } from "./Side.ts"

const sides = Layer.merge(Embedded.layer, Layer.provide(Real.layer, SharedControlPlane.layer))

const numRuns = Number(process.env["KUBELOCK_RUNS"] ?? 100)

// On a server that outlives a run, as in vitest's watch mode, every run needs names of its own.
const run = crypto.randomUUID().slice(0, 8)

/** Runs a program on both servers, and fails at the first answer in which they differ. */
const compare = Effect.fnUntraced(function*<E>(
  namespace: string,
  program: (client: Client) => Effect.Effect<void, E, Scope.Scope>
) {
  const real = yield* transcriptOf(yield* Real, namespace, program)
  const embedded = yield* transcriptOf(yield* Embedded, namespace, program)
  for (const [step, entry] of embedded.entries()) assert.deepStrictEqual(entry, real[step])
  assert.lengthOf(embedded, real.length)
})

layer(sides, { excludeTestServices: true })("The embedded server answers as a real one", (it) => {
  for (const [index, [name, program]] of Object.entries(cases).entries()) {
    it.effect(name, () => compare(`case-${run}-${index}`, program))
  }

  it.effect("whatever several clients do to a few objects, one after the other", () =>
    Effect.gen(function*() {
      const seed = Number(process.env["KUBELOCK_SEED"] ?? Math.floor(Math.random() * 0x7fffffff))
      console.log(`KUBELOCK_SEED=${seed} KUBELOCK_RUNS=${numRuns}`)
      const context = yield* Effect.context<Real | Embedded>()
      let sequence = 0
      const property = fc.asyncProperty(operations, (operations) =>
        Effect.runPromiseWith(context)(compare(`sequence-${run}-${sequence++}`, perform(operations))))
      yield* Effect.promise(() =>
        fc.assert(property, { seed, numRuns })
      )
    }), 60_000 + numRuns * 300)
})
