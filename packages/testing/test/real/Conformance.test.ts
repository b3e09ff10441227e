import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as SharedControlPlane from "../SharedControlPlane.ts"
import { cases } from "./cases.ts"
import { Embedded, Real, transcriptOf } from "./Side.ts"

const sides = Layer.merge(Embedded.layer, Layer.provide(Real.layer, SharedControlPlane.layer))

layer(sides, { excludeTestServices: true })("The embedded server answers as a real one", (it) => {
  for (const [index, [name, program]] of Object.entries(cases).entries()) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const namespace = `case-${index}`
        const real = yield* transcriptOf(yield* Real, namespace, program)
        const embedded = yield* transcriptOf(yield* Embedded, namespace, program)
        assert.deepStrictEqual(embedded, real)
      }))
  }
})
