import { ResourceRef } from "@kubelock/kube"
import { Result } from "effect"
import { describe, expect, it } from "vitest"

const object = { namespace: "prod", name: "a" }

describe("ResourceRef", () => {
  it.each<[ResourceRef.ResourceRef, string, string]>([
    [ResourceRef.configMap(object), "/api/v1/namespaces/prod/configmaps/a", "configmaps/a in prod"],
    [ResourceRef.secret(object), "/api/v1/namespaces/prod/secrets/a", "secrets/a in prod"],
    [ResourceRef.service(object), "/api/v1/namespaces/prod/services/a", "services/a in prod"],
    [ResourceRef.serviceAccount(object), "/api/v1/namespaces/prod/serviceaccounts/a", "serviceaccounts/a in prod"],
    [ResourceRef.pod(object), "/api/v1/namespaces/prod/pods/a", "pods/a in prod"],
    [
      ResourceRef.persistentVolumeClaim(object),
      "/api/v1/namespaces/prod/persistentvolumeclaims/a",
      "persistentvolumeclaims/a in prod"
    ],
    [ResourceRef.namespace({ name: "a" }), "/api/v1/namespaces/a", "namespaces/a"],
    [ResourceRef.node({ name: "a" }), "/api/v1/nodes/a", "nodes/a"],
    [ResourceRef.deployment(object), "/apis/apps/v1/namespaces/prod/deployments/a", "deployments.apps/a in prod"],
    [ResourceRef.statefulSet(object), "/apis/apps/v1/namespaces/prod/statefulsets/a", "statefulsets.apps/a in prod"],
    [ResourceRef.daemonSet(object), "/apis/apps/v1/namespaces/prod/daemonsets/a", "daemonsets.apps/a in prod"],
    [ResourceRef.job(object), "/apis/batch/v1/namespaces/prod/jobs/a", "jobs.batch/a in prod"],
    [ResourceRef.cronJob(object), "/apis/batch/v1/namespaces/prod/cronjobs/a", "cronjobs.batch/a in prod"],
    [
      ResourceRef.lease(object),
      "/apis/coordination.k8s.io/v1/namespaces/prod/leases/a",
      "leases.coordination.k8s.io/a in prod"
    ],
    [
      ResourceRef.make({ group: "", version: "v1", resource: "nodes", name: "system:node" }),
      "/api/v1/nodes/system%3Anode",
      "nodes/system:node"
    ]
  ])("%o", (ref, path, words) => {
    expect(ResourceRef.validate(ref)).toEqual(Result.succeed(ref))
    expect(ResourceRef.toPath(ref)).toBe(path)
    expect(ResourceRef.describe(ref)).toBe(words)
  })

  it.each<[string, Partial<ResourceRef.ResourceRef>]>([
    ["group", { group: "Upper.example.com" }],
    ["group", { group: "a/b" }],
    ["group", { group: "-a" }],
    ["group", { group: `${"a".repeat(250)}.com` }],
    ["version", { version: "" }],
    ["version", { version: "v1/x" }],
    ["type", { resource: "" }],
    ["type", { resource: "configMaps" }],
    ["type", { resource: "pods/exec" }],
    ["namespace", { namespace: "" }],
    ["namespace", { namespace: "a.b" }],
    ["namespace", { namespace: "x".repeat(64) }],
    ["name", { name: "" }],
    ["name", { name: "." }],
    ["name", { name: ".." }],
    ["name", { name: "a/b" }],
    ["name", { name: "a%2fb" }],
    ["name", { name: "\ud800" }],
    ["name", { name: "x".repeat(254) }]
  ])("refuses a bad %s: %j", (field, change) => {
    const failure = Result.getOrThrow(
      Result.flip(ResourceRef.validate({ ...ResourceRef.configMap(object), ...change }))
    )
    expect(failure.field).toBe(`resource ${field}`)
    expect(failure.problem).toMatch(/^it must be/)
  })

  it("is as it was made, whatever becomes of what it was made from", () => {
    const given = { group: "", version: "v1", resource: "configmaps", namespace: "prod", name: "a" }
    const ref = ResourceRef.make(given)
    given.name = "b"
    expect(ref).toStrictEqual({ ...given, name: "a" })
    expect(Object.isFrozen(ref)).toBe(true)
  })

  it("is checked each time where it can change", () => {
    const ref = { group: "", version: "v1", resource: "configmaps", namespace: "prod", name: "a" }
    expect(Result.isSuccess(ResourceRef.validate(ref))).toBe(true)
    ref.name = "a/b"
    expect(Result.isFailure(ResourceRef.validate(ref))).toBe(true)
  })

  it("is made of an object whose properties are its class's", () => {
    class Database {
      readonly group = ""
      readonly version = "v1"
      get resource() {
        return "configmaps"
      }
      get name() {
        return "a"
      }
    }
    expect(ResourceRef.make(new Database())).toStrictEqual({
      group: "",
      version: "v1",
      resource: "configmaps",
      name: "a"
    })
  })

  const unreadable: object = {
    get name() {
      throw new Error("unreadable")
    }
  }

  it.each<[string, unknown, string]>([
    ["nothing", undefined, "resource"],
    ["null", null, "resource"],
    ["a number", 1, "resource"],
    ["what cannot be read", unreadable, "resource"],
    ["an empty object", {}, "resource group"]
  ])("that is made of %s is refused when it is used", (_, given, field) => {
    const failure = Result.getOrThrow(Result.flip(ResourceRef.validate(ResourceRef.make(given as never))))
    expect(failure.field).toBe(field)
  })
})
