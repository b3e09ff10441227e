import { assert, describe, it } from "@effect/vitest"
import { AnnotationStore, KubeLock, ResourceRef } from "@kubelock/kube"
import { Effect, Layer, Tracer } from "effect"

const resource = ResourceRef.configMap({ namespace: "default", name: "a" })

/** The span in which the store is asked for an edit, if any. */
const spanOfEdit = Effect.gen(function*() {
  let seen: string | undefined
  const watched = Layer.effect(
    AnnotationStore,
    Effect.map(AnnotationStore, (store) => ({
      ...store,
      edit: (...args: Parameters<typeof store.edit>) =>
        Effect.withFiber((fiber) => {
          const { span } = fiber.cache
          seen = span?._tag === "Span" ? span.name : undefined
          return store.edit(...args)
        })
    }))
  )
  yield* Effect.flatMap(KubeLock, (locks) => locks.acquire({ resource, name: "l" })).pipe(
    Effect.provide(KubeLock.layer.pipe(Layer.provide(watched), Layer.provide(AnnotationStore.layerMemory([resource]))))
  )
  return seen
})

const tracer = Tracer.make({ span: (options) => new Tracer.NativeSpan(options) })

describe("the span of a single attempt", () => {
  it.effect("is around it where somebody traces", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Effect.provideService(spanOfEdit, Tracer.Tracer, tracer), "KubeLock.acquire")
    }))

  it.effect("is not made where nobody does, which leaves the caller's in force", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Effect.withSpan(spanOfEdit, "caller"), "caller")
    }))
})
