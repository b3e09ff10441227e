import { Cause, Effect, Exit, Logger, Metric, Option, References, Tracer } from "effect"

/** A log line. */
export interface SeenLog {
  readonly level: string
  readonly text: string
  readonly attributes: Readonly<Record<string, unknown>>
  /** The span it is part of. */
  readonly span: string | undefined
}

/** What a person is told of what a program does. */
export interface Telemetry {
  readonly spans: ReadonlyArray<Tracer.NativeSpan>
  readonly logs: ReadonlyArray<SeenLog>
  readonly metrics: ReadonlyArray<Metric.Metric.Snapshot>
}

/** Runs a program with a tracer, a logger and metrics of its own. What goes on at the end of the effect is heard, too. */
export const observed = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Telemetry, E, R> =>
  Effect.gen(function*() {
    const spans: Array<Tracer.NativeSpan> = []
    const logs: Array<SeenLog> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    const logger = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
      const [text] = Array.isArray(message) ? message : [message]
      logs.push({
        level: logLevel,
        text: String(text),
        attributes: fiber.getRef(References.CurrentLogAnnotations),
        span: fiber.cache.span?._tag === "Span" ? fiber.cache.span.name : undefined
      })
    })
    const registry = new Map()
    yield* effect.pipe(
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(Tracer.Tracer, tracer),
      Effect.provideService(Metric.MetricRegistry, registry)
    )
    const metrics = yield* Effect.provideService(Metric.snapshot, Metric.MetricRegistry, registry)
    return { spans, logs, metrics }
  })

/** The names of the spans around one, from the inside. */
export const pathOf = (span: Tracer.AnySpan): ReadonlyArray<string> =>
  span._tag === "Span"
    ? [span.name, ...Option.match(span.parent, { onNone: () => [], onSome: pathOf })]
    : []

/** How a span has ended: `undefined` if it has not. */
export const endOf = ({ status }: Tracer.NativeSpan): "success" | "failure" | "interruption" | undefined => {
  if (status._tag === "Started") return undefined
  if (Exit.isSuccess(status.exit)) return "success"
  return Cause.hasInterruptsOnly(status.exit.cause) ? "interruption" : "failure"
}

/** A metric as `name{attribute=value}`, and what it says: of a histogram, how often. The unit is left out. */
export const measuredIn = ({ metrics }: Telemetry): Readonly<Record<string, number>> =>
  Object.fromEntries(metrics.map(({ attributes = {}, id, state }) => {
    const labels = Object.entries(attributes).filter(([key]) => key !== "unit").map(([key, value]) => `${key}=${value}`)
    const value = "value" in state ? state.value : "count" in state ? state.count : Number.NaN
    return [`${id}{${labels.join(",")}}`, Number(value)]
  }))
