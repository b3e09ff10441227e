/** What the metrics are called where they arrive: by OTLP, and for a scraper. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric, Schema } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpMetrics, OtlpSerialization, PrometheusMetrics } from "effect/observability"
import { json, serve } from "./KubeTransportFixtures.ts"
import { overHttp } from "./suites/httpScene.ts"
import * as Scenes from "./suites/lockScenes.ts"
import { documented, type Kind, seriesOf, translatedName } from "./suites/prometheus.ts"

const DataPoints = Schema.Struct({
  dataPoints: Schema.Array(Schema.Struct({ attributes: Schema.Array(Schema.Struct({ key: Schema.String })) }))
})

const Exported = Schema.fromJsonString(Schema.Struct({
  resourceMetrics: Schema.Array(Schema.Struct({
    scopeMetrics: Schema.Array(Schema.Struct({
      metrics: Schema.Array(Schema.Struct({
        name: Schema.String,
        unit: Schema.String,
        sum: Schema.optionalKey(
          Schema.Struct({
            ...DataPoints.fields,
            isMonotonic: Schema.Literal(true),
            // Cumulative: Prometheus knows no other.
            aggregationTemporality: Schema.Literal(2)
          })
        ),
        gauge: Schema.optionalKey(DataPoints),
        histogram: Schema.optionalKey(
          Schema.Struct({ ...DataPoints.fields, aggregationTemporality: Schema.Literal(2) })
        )
      }))
    }))
  }))
}))

/** Whatever makes a metric say something. */
const everything = Effect.forEach(
  [overHttp, Scenes.renewed, Scenes.outcomes, Scenes.notRenewedAtOnce, ...Object.values(Scenes.losses)],
  (scene) => scene
)

/** With metrics that nobody else counts in. */
const withOwnMetrics = Effect.provideServiceEffect(Metric.MetricRegistry, Effect.sync(() => new Map()))

const sorted = (names: Iterable<string>) =>
  [...new Set(names)].filter((name) => name.startsWith("kubelock_")).toSorted()

const wanted = sorted(documented.flatMap(({ kind, name }) => seriesOf(name, kind)))

describe("The metrics arrive under the names that docs/OBSERVABILITY.md has", () => {
  it.effect("in Prometheus, from an exporter of OTLP", () =>
    Effect.gen(function*() {
      const collector = yield* serve((_, response) => json(response, 200, {}))
      yield* everything.pipe(
        Effect.provide(
          OtlpMetrics.layer({ url: `${collector.origin}/v1/metrics`, resource: { serviceName: "deployer" } }).pipe(
            Layer.provide(OtlpSerialization.layerJson),
            Layer.provide(FetchHttpClient.layer)
          )
        ),
        withOwnMetrics
      )
      // They count from the beginning, so the longest is the last.
      const [last] = collector.received.map(({ body }) => body).toSorted((left, right) => right.length - left.length)
      const { resourceMetrics } = yield* Schema.decodeEffect(Exported)(last!)
      const metrics = resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics).flatMap(({ metrics }) => metrics)
      const series = metrics.flatMap(({ histogram, name, sum, unit }) => {
        const kind: Kind = sum !== undefined ? "counter" : histogram !== undefined ? "histogram" : "gauge"
        return seriesOf(translatedName(name, unit, kind), kind)
      })
      assert.deepStrictEqual(sorted(series), wanted)
      for (const { labels, name, unit } of documented) {
        const metric = metrics.find((metric) => metric.name === name)!
        const points = (metric.sum ?? metric.gauge ?? metric.histogram)!.dataPoints
        const keys = new Set(points.flatMap(({ attributes }) => attributes.map(({ key }) => key)))
        assert.deepStrictEqual([...keys].toSorted(), [...Object.keys(labels), ...(unit === "1" ? [] : ["unit"])], name)
      }
    }))

  it.effect("from what serves them to a scraper", () =>
    Effect.gen(function*() {
      yield* everything
      const lines = (yield* PrometheusMetrics.format()).split("\n").filter((line) => !line.startsWith("#"))
      assert.deepStrictEqual(sorted(lines.map((line) => /^\w*/.exec(line)![0])), wanted)
    }).pipe(withOwnMetrics))

  it("of which none would be another if a gauge had no unit", () => {
    assert.strictEqual(translatedName("kubelock_held", "1", "gauge"), "kubelock_held_ratio")
    assert.strictEqual(translatedName("kubelock_hold", "s", "histogram"), "kubelock_hold_seconds")
    assert.strictEqual(translatedName("kubelock.total.losses", "1", "counter"), "kubelock_losses_total")
  })
})
