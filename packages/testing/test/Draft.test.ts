import { fromJson } from "#internal/Draft"
import { assert, describe, it } from "@effect/vitest"
import type { ResourceType } from "@kubelock/testing/ResourceType"
import { builtIn } from "@kubelock/testing/ResourceType"
import { Result } from "effect"

const configMaps = builtIn.find((type) => type.kind === "ConfigMap")!
const things: ResourceType = { group: "g", version: "v1", resource: "things", kind: "Thing", namespaced: true }

const read = (body: { readonly [key: string]: unknown }, type = configMaps): unknown =>
  Result.match(fromJson(type, body), { onFailure: (problem) => problem, onSuccess: (draft) => draft })

const configMap = (metadata: object, rest: object = {}) => ({ apiVersion: "v1", kind: "ConfigMap", metadata, ...rest })

describe("Draft", () => {
  it("leaves out what is empty, managed, or unknown in metadata", () => {
    const metadata = {
      name: "a",
      namespace: "",
      labels: {},
      annotations: { x: null, y: "1" },
      finalizers: [],
      ownerReferences: null,
      managedFields: [{}],
      selfLink: "/a",
      unknown: 1
    }
    assert.deepStrictEqual(read({ metadata }), configMap({ name: "a", annotations: { x: "", y: "1" } }))
  })

  it("keeps what stands beside metadata, but for the nulls of a built-in kind", () => {
    assert.deepStrictEqual(read({ data: { k: "v" }, binaryData: null }), configMap({}, { data: { k: "v" } }))
    assert.deepStrictEqual(read({ spec: null }, things), {
      apiVersion: "g/v1",
      kind: "Thing",
      metadata: {},
      spec: null
    })
  })

  it.each([
    [{ metadata: 5 }, "number into Go struct field ConfigMap.metadata of type v1.ObjectMeta"],
    [{ metadata: { name: 5 } }, "number into Go struct field ObjectMeta.metadata.name of type string"],
    [
      { metadata: { annotations: "x" } },
      "string into Go struct field ObjectMeta.metadata.annotations of type map[string]string"
    ],
    [
      { metadata: { annotations: { a: true } } },
      "bool into Go struct field ObjectMeta.metadata.annotations of type string"
    ],
    [{ metadata: { labels: { a: [1] } } }, "array into Go struct field ObjectMeta.metadata.labels of type string"],
    [{ metadata: { finalizers: [{}] } }, "object into Go struct field ObjectMeta.metadata.finalizers of type string"],
    [{ metadata: { generation: "1" } }, "string into Go struct field ObjectMeta.metadata.generation of type int64"]
  ])("complains about %o as Go does", (body, problem) => {
    assert.strictEqual(read(body), `json: cannot unmarshal ${problem}`)
  })

  it("names the fields of a custom resource as Go does", () => {
    assert.strictEqual(
      read({ metadata: { annotations: { a: 1 } } }, things),
      "json: cannot unmarshal number into Go struct field ObjectMeta.annotations of type string"
    )
  })
})
