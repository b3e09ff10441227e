import { parse } from "#internal/Selector"
import { assert, describe, it } from "@effect/vitest"
import type { KubeObject } from "@kubelock/testing/KubeObject"
import type { ResourceType } from "@kubelock/testing/ResourceType"
import { builtIn } from "@kubelock/testing/ResourceType"
import { Result } from "effect"

const typeOf = (resource: string): ResourceType => builtIn.find((type) => type.resource === resource)!

const object: KubeObject = {
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: {
    name: "a",
    namespace: "default",
    uid: "",
    resourceVersion: "",
    creationTimestamp: "",
    labels: { app: "x", tier: "1" }
  },
  status: { phase: "Running" }
}

const selects = (options: { fields?: string; labels?: string }, type = typeOf("configmaps")) =>
  Result.match(parse(type, { fields: options.fields, labels: options.labels }), {
    onFailure: (status) => status.code,
    onSuccess: (selector) => selector(object)
  })

describe("Selector", () => {
  it.each([
    ["metadata.name=a", true],
    ["metadata.name==a", true],
    ["metadata.name!=a", false],
    ["metadata.name=b", false],
    ["metadata.namespace=default,metadata.name=a", true],
    ["metadata.namespace=other,metadata.name=a", false],
    ["", true],
    ["data.k=v", 400],
    ["bad", 400]
  ])("takes the field selector %s for %s", (fields, expected) => {
    assert.strictEqual(selects({ fields }), expected)
  })

  it("knows which fields a type can be selected by", () => {
    assert.strictEqual(selects({ fields: "status.phase=Running" }, typeOf("pods")), true)
    assert.strictEqual(selects({ fields: "spec.nodeName=" }, typeOf("pods")), true)
    assert.strictEqual(selects({ fields: "metadata.namespace=default" }, typeOf("nodes")), 400)
  })

  it.each([
    ["app=x", true],
    ["app==x,tier=1", true],
    ["app=y", false],
    ["app!=y", true],
    ["other!=y", true],
    ["app", true],
    ["other", false],
    ["!other", true],
    ["!app", false],
    ["app in (x,y)", true],
    ["app in (y, z),tier", false],
    ["app notin (y)", true],
    ["app notin (x)", false],
    ["constructor", false],
    ["!!", 400],
    ["app in x", 400],
    ["app=x y", 400]
  ])("takes the label selector %s for %s", (labels, expected) => {
    assert.strictEqual(selects({ labels }), expected)
  })
})
