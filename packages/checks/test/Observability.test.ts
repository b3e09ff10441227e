import { describe, expect, it } from "vitest"
import { codeOf, filesBelow, read } from "./Sources.ts"

// The names in docs/OBSERVABILITY.md are those in the source. That they are seen as it says is tested where the locks are.

const source = filesBelow("packages/kube/src", ".ts").map(codeOf).join("\n")

/** The names in the first cells of a section's tables, or in another one. */
const namesInDocs = (section: string, cell = 0): ReadonlyArray<string> =>
  (read("docs/OBSERVABILITY.md").text.split(`## ${section}\n`)[1]?.split(/^## /m)[0] ?? "").split("\n").flatMap(
    (line) => {
      const [, name] = /^`([^`]+)`/.exec(line.split("|")[cell + 1]?.trim() ?? "") ?? []
      return line.startsWith("|") && name !== undefined ? [name] : []
    }
  ).toSorted()

const namesInSource = (pattern: RegExp): ReadonlyArray<string> =>
  [...new Set([...source.matchAll(pattern)].map(([, name]) => name!))].toSorted()

const isAttribute = (name: string) => !/^Kube[LT]/.test(name)

describe("docs/OBSERVABILITY.md", () => {
  it("has a row for every span, and no other", () => {
    const spans = namesInSource(/"(Kube(?:Lock|Transport)\.[a-zA-Z]+)"/g)
    expect(spans.length).toBeGreaterThan(10)
    expect(namesInDocs("Spans").filter((name) => !isAttribute(name))).toEqual(spans)
  })

  it("has a row for every attribute, and no other", () => {
    const attributes = namesInSource(/"((?:kubelock|http|url)\.[a-z_.]+)"/g)
    expect(attributes.length).toBeGreaterThan(8)
    expect(namesInDocs("Spans").filter(isAttribute)).toEqual(attributes)
  })

  it("has a row for every metric, and no other", () => {
    const metrics = namesInSource(/\bMetric\.(?:counter|gauge|histogram|frequency|summary|timer)\(\s*"([^"]+)"/g)
    expect(metrics.length).toBeGreaterThan(6)
    expect(namesInDocs("Metrics")).toEqual(metrics)
  })

  it("has a row for every log message, and no other", () => {
    // Of one that is put together: what it begins with.
    const messages = namesInSource(/\bEffect\.log\w*\(\s*["`](.+?)(?:"|`|\$\{)/g)
    expect(messages.length).toBeGreaterThan(8)
    expect(namesInDocs("Logs", 1).map((message) => message.replace(/…$/, ""))).toEqual(messages)
    expect(source.match(/\bEffect\.log\w*\(/g)).toHaveLength(messages.length)
  })
})
