import { parser } from "@prometheus-io/lezer-promql"
import { Schema } from "effect"
import * as Yaml from "effect/encoding/Yaml"
import { describe, expect, it } from "vitest"
import { documented, seriesOf } from "../../kube/test/suites/prometheus.ts"
import { read } from "./Sources.ts"

// The dashboard and the alert rules ask for what docs/OBSERVABILITY.md says there is, all of it, in PromQL that can be read. That it arrives under
// these names is tested by packages/kube/test/MetricsExport.test.ts.

const Target = Schema.Struct({ refId: Schema.String, expr: Schema.String })

const Panel = Schema.Struct({
  id: Schema.Int,
  type: Schema.Literals(["row", "stat", "timeseries"]),
  title: Schema.NonEmptyString,
  description: Schema.optionalKey(Schema.NonEmptyString),
  gridPos: Schema.Struct({ x: Schema.Int, y: Schema.Int, w: Schema.Int, h: Schema.Int }),
  datasource: Schema.optionalKey(Schema.Struct({ type: Schema.String, uid: Schema.String })),
  targets: Schema.optionalKey(Schema.Array(Target))
})

const Dashboard = Schema.fromJsonString(Schema.Struct({
  uid: Schema.NonEmptyString,
  schemaVersion: Schema.Int,
  templating: Schema.Struct({
    list: Schema.Array(
      Schema.Struct({ name: Schema.String, type: Schema.String, definition: Schema.optionalKey(Schema.String) })
    )
  }),
  panels: Schema.Array(Panel)
}))

const Rules = Schema.Struct({
  groups: Schema.Array(Schema.Struct({
    name: Schema.NonEmptyString,
    rules: Schema.Array(Schema.Struct({
      alert: Schema.NonEmptyString,
      expr: Schema.String,
      for: Schema.optionalKey(Schema.String),
      labels: Schema.Struct({ severity: Schema.Literals(["critical", "warning"]) }),
      annotations: Schema.Struct({ summary: Schema.NonEmptyString, description: Schema.NonEmptyString })
    }))
  }))
})

const dashboard = Schema.decodeUnknownSync(Dashboard)(read("docs/grafana/kubelock.json").text)
const alerts = Schema.decodeUnknownSync(Rules)(Yaml.parse(read("docs/grafana/alerts.yaml").text))
const rules = alerts.groups.flatMap(({ rules }) => rules)

/** Grafana puts in its variables before Prometheus reads an expression. */
const filledIn = (expression: string) =>
  expression.replaceAll(/\$__(?:rate_interval|range)\b/g, "5m").replaceAll(/\$(?:job|instance)\b/g, ".*")

interface Selector {
  readonly metric: string
  readonly range: boolean
  readonly matchers: ReadonlyArray<{ readonly label: string; readonly value: string }>
}

interface Read {
  /** Where it cannot be read. */
  readonly errors: ReadonlyArray<string>
  readonly selectors: ReadonlyArray<Selector>
  /** What `by` and `without` name. */
  readonly groupedBy: ReadonlyArray<string>
  /** Each call, with whether it is handed a range. */
  readonly calls: ReadonlyArray<{ readonly name: string; readonly ofRange: boolean }>
}

const readPromql = (expression: string): Read => {
  const errors: Array<string> = []
  const selectors: Array<Selector> = []
  const groupedBy: Array<string> = []
  const calls: Array<{ name: string; ofRange: boolean }> = []
  parser.parse(expression).iterate({
    enter: ({ from, name, node, to, type }) => {
      const text = expression.slice(from, to)
      const textOf = (child: { from: number; to: number } | null) =>
        child === null ? "" : expression.slice(child.from, child.to)
      if (type.isError) errors.push(`${expression.slice(0, from)} ⚠ ${expression.slice(from)}`)
      if (name === "GroupingLabels") {
        groupedBy.push(...node.getChildren("LabelName").map((label) => textOf(label)))
      }
      if (name === "VectorSelector") {
        const matchers = node.getChild("LabelMatchers")?.getChildren("UnquotedLabelMatcher") ?? []
        selectors.push({
          metric: textOf(node.getChild("Identifier")),
          range: node.parent?.name === "MatrixSelector",
          matchers: matchers.map((matcher) => ({
            label: textOf(matcher.getChild("LabelName")),
            value: textOf(matcher.getChild("StringLiteral")).slice(1, -1)
          }))
        })
      }
      if (name === "FunctionCall") {
        calls.push({ name: textOf(node.getChild("FunctionIdentifier")), ofRange: /^\w+\([^()]*\[\w+\]\)$/.test(text) })
      }
    }
  })
  return { errors, selectors, groupedBy, calls }
}

const metrics = new Map(
  documented.flatMap((metric) => seriesOf(metric.name, metric.kind).map((series) => [series, metric] as const))
)

/** Labels that Prometheus has of where a series comes from. */
const ofTheProcess = ["job", "instance"]

const expressions: ReadonlyArray<readonly [string, string]> = [
  ...dashboard.panels.flatMap(({ targets = [], title }) =>
    targets.map(({ expr, refId }) => [`panel "${title}" ${refId}`, filledIn(expr)] as const)
  ),
  ...dashboard.templating.list.flatMap(({ definition, name }) => {
    const [, selector] = /^label_values\((.*), \w+\)$/.exec(definition ?? "") ?? []
    return selector === undefined ? [] : [[`variable ${name}`, filledIn(selector)] as const]
  }),
  ...rules.map(({ alert, expr }) => [`alert ${alert}`, expr] as const)
]

describe.each(expressions)("%s", (_, expression) => {
  const { calls, errors, groupedBy, selectors } = readPromql(expression)

  it("is PromQL", () => {
    expect(errors).toEqual([])
    const wantsRange = new Set(["rate", "increase", "max_over_time"])
    for (const { name, ofRange } of calls) expect.soft(ofRange, name).toBe(wantsRange.has(name))
  })

  it("asks for metrics, labels and values that there are", () => {
    expect(selectors.length).toBeGreaterThan(0)
    for (const { matchers, metric } of selectors) {
      const found = metrics.get(metric)
      expect.soft(found, metric).toBeDefined()
      for (const { label, value } of matchers) {
        if (ofTheProcess.includes(label)) continue
        expect.soft(found!.labels[label] ?? [], `${metric} ${label}`).toContain(value)
      }
      const known = [...ofTheProcess, ...Object.keys(found!.labels), ...(found!.kind === "histogram" ? ["le"] : [])]
      for (const label of groupedBy) expect(known).toContain(label)
    }
  })

  it("takes the rates of counters alone", () => {
    const ofRanges = selectors.filter(({ range }) => range).map(({ metric }) => metrics.get(metric)!.kind)
    expect(ofRanges).not.toContain("gauge")
  })
})

describe("the dashboard", () => {
  const { panels, schemaVersion, templating } = dashboard

  it("is one that Grafana can migrate", () => {
    expect(schemaVersion).toBeGreaterThanOrEqual(36)
    const ids = panels.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    for (const { targets = [] } of panels) {
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length)
    }
  })

  it("has its panels beside each other", () => {
    const taken = new Set<string>()
    for (const { gridPos: { h, w, x, y }, title } of panels) {
      expect.soft(x >= 0 && w > 0 && h > 0 && x + w <= 24, title).toBe(true)
      for (let column = x; column < x + w; column++) {
        for (let line = y; line < y + h; line++) {
          expect.soft(taken.has(`${column} ${line}`), title).toBe(false)
          taken.add(`${column} ${line}`)
        }
      }
    }
  })

  it("asks whichever data source, job and instance are chosen", () => {
    expect(templating.list.map(({ name }) => name)).toEqual(["datasource", "job", "instance"])
    for (const { datasource, description, targets, title, type } of panels) {
      if (type === "row") continue
      expect.soft(description, title).toBeDefined()
      expect.soft(datasource, title).toEqual({ type: "prometheus", uid: "${datasource}" })
      for (const { expr } of targets ?? []) {
        for (const { matchers } of readPromql(expr.replaceAll(/\$__\w+/g, "5m")).selectors) {
          expect.soft(matchers.slice(0, 2), title).toEqual([
            { label: "job", value: "$job" },
            { label: "instance", value: "$instance" }
          ])
        }
      }
    }
  })

  it("shows every metric", () => {
    const shown = panels.flatMap(({ targets = [] }) =>
      targets.flatMap(({ expr }) => readPromql(filledIn(expr)).selectors)
    )
    const names = shown.map(({ metric }) => metrics.get(metric)!.name)
    expect([...new Set(names)].toSorted()).toEqual(documented.map(({ name }) => name).toSorted())
  })
})

describe("the alerts", () => {
  it("are about what docs/OBSERVABILITY.md says to look at, by night and by day", () => {
    const [, night = "", day = ""] =
      /What to be woken up for: ([\s\S]*?)\. What to look at by day: ([\s\S]*?)\.\n\n/.exec(
        read("docs/OBSERVABILITY.md").text
      ) ?? []
    const named = (text: string) => [...text.matchAll(/`(\w+)/g)].map(([, name]) => name!)
    const about = (severity: "critical" | "warning") =>
      rules.filter(({ labels }) => labels.severity === severity).map(({ expr }) =>
        readPromql(expr).selectors[0]!.metric
      )
    expect(about("critical")).toEqual(named(night))
    expect(about("warning")).toEqual(named(day))
    expect(rules).toHaveLength(3)
  })

  it("are those of docs/OBSERVABILITY.md, each as grave as it says", () => {
    const rows = read("docs/OBSERVABILITY.md").text.matchAll(/^\| `(Kubelock\w+)` +\| `(\w+)`/gm)
    expect(Array.from(rows, ([, alert, severity]) => [alert, severity]))
      .toEqual(rules.map(({ alert, labels }) => [alert, labels.severity]))
  })

  it("have names of their own", () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length)
  })
})

describe("what reads the expressions", () => {
  it.each(["sum(", "rate(x[5m)", "sum by job (x)", "x{a=}"])("refuses %s", (expression) => {
    expect(readPromql(expression).errors).not.toEqual([])
  })
})
