import { isTrue, resourcePathOf, segmentsOf, verbOf } from "#internal/Route"
import { assert, describe, it } from "@effect/vitest"

const route = (path: string) => {
  const found = resourcePathOf(segmentsOf(path))
  return found === undefined
    ? undefined
    : [found.group, found.version, found.resource, found.namespace, found.name, found.subresource]
}

describe("Route", () => {
  it.each([
    ["/api/v1/configmaps", ["", "v1", "configmaps", undefined, undefined, undefined]],
    ["/api/v1/namespaces/a/configmaps/", ["", "v1", "configmaps", "a", undefined, undefined]],
    ["/api/v1/namespaces/a/configmaps/b", ["", "v1", "configmaps", "a", "b", undefined]],
    ["/api/v1/namespaces/a/pods/b/status", ["", "v1", "pods", "a", "b", "status"]],
    ["/api/v1/namespaces", ["", "v1", "namespaces", undefined, undefined, undefined]],
    ["/api/v1/namespaces/a", ["", "v1", "namespaces", undefined, "a", undefined]],
    ["/api/v1/namespaces/a/finalize", ["", "v1", "namespaces", undefined, "a", "finalize"]],
    ["/apis/apps/v1/namespaces/a/deployments/b", ["apps", "v1", "deployments", "a", "b", undefined]],
    ["/apis/g/v1/things/a%2Fb", ["g", "v1", "things", undefined, "a/b", undefined]],
    ["/apis/apps/v1", undefined],
    ["/api/v1", undefined],
    ["/version", undefined],
    ["/%ff", undefined]
  ])("reads %s", (path, expected) => {
    assert.deepStrictEqual(route(path), expected)
  })

  it.each([
    ["GET", "/api/v1/configmaps", false, "list"],
    ["GET", "/api/v1/configmaps", true, "watch"],
    ["GET", "/api/v1/namespaces/a/configmaps/b", true, "get"],
    ["POST", "/api/v1/configmaps", false, "create"],
    ["DELETE", "/api/v1/configmaps", false, "deletecollection"],
    ["DELETE", "/api/v1/namespaces/a/configmaps/b", false, "delete"],
    ["PUT", "/api/v1/configmaps", false, undefined],
    ["POST", "/api/v1/namespaces/a/configmaps/b", false, undefined]
  ])("takes %s %s (watching: %s) for %s", (method, path, isWatch, expected) => {
    assert.strictEqual(verbOf(resourcePathOf(segmentsOf(path))!, method, isWatch), expected)
  })

  it("takes for true whatever is not plainly false", () => {
    assert.deepStrictEqual(["true", "1", "", "x"].map(isTrue), [true, true, true, true])
    assert.deepStrictEqual(["false", "0", null].map(isTrue), [false, false, false])
  })
})
