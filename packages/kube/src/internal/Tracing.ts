/** Spans of what is done all the time, for whoever looks at them. */
import { Effect, type Fiber, Tracer } from "effect"

/** In a span of its own, which is handed in; in none where nobody would be told of it, as by Effect's own tracer. */
export const spanned = <A, E, R>(
  name: string,
  options: () => Tracer.SpanOptionsNoTrace,
  use: (span: Tracer.Span | undefined, fiber: Fiber.Fiber<unknown, unknown>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) =>
    fiber.getRef(Tracer.Tracer) === Tracer.nativeTracer
      ? use(undefined, fiber)
      : Effect.useSpan(name, options(), (span) => use(span, fiber))
  )
