/** That the manifests, the guide, the README and the library say the same. On a real server they are tried by real/Operator.test.ts. */
import * as Settings from "#internal/Settings"
import { ResourceRef } from "@kubelock/kube"
import { Duration, Result, Schema } from "effect"
import * as Yaml from "effect/encoding/Yaml"
import { readdirSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { fencesOf, pathOf, read } from "./suites/guides.ts"

const guide = read("docs/guides/in-a-pod.md")

const documentsOf = (text: string): ReadonlyArray<unknown> => text.split(/^---$/m).map((text) => Yaml.parse(text))

const Named = Schema.Struct({ metadata: Schema.Struct({ name: Schema.String }) })
const nameOf = (document: unknown) => Schema.decodeUnknownSync(Named)(document).metadata.name

const [account, role, binding] = documentsOf(read("docs/manifests/rights.yaml"))
const [lock] = documentsOf(read("docs/manifests/lock.yaml"))
const [deployment] = documentsOf(read("docs/manifests/deployment.yaml"))

describe("the manifests", () => {
  it("are quoted by the guide as they are, and so is the program", () => {
    const files = readdirSync(pathOf("docs/manifests"))
    expect(fencesOf(guide, "yaml").toSorted()).toEqual(files.map((file) => read(`docs/manifests/${file}`)).toSorted())
    expect(fencesOf(guide, "ts no-run")).toEqual([read("docs/examples/in-a-pod.ts")])
  })

  it("grant what the README grants", () => {
    const roles = fencesOf(read("README.md"), "yaml").filter((text) => text.includes("kind: Role\n"))
    expect(roles.map((text) => Yaml.parse(text))).toEqual([role])
  })

  it("belong together, and to the program", () => {
    expect(role).toMatchObject({ rules: [{ resourceNames: [nameOf(lock)] }] })
    expect(binding).toMatchObject({
      roleRef: { kind: "Role", name: nameOf(role) },
      subjects: [{ kind: "ServiceAccount", name: nameOf(account) }]
    })
    expect(deployment).toMatchObject({ spec: { template: { spec: { serviceAccountName: nameOf(account) } } } })
    expect(read("docs/examples/in-a-pod.ts")).toContain(`name: "${nameOf(lock)}"`)
    for (const file of ["lock", "rights", "deployment"]) {
      for (const document of documentsOf(read(`docs/manifests/${file}.yaml`))) {
        expect(document).toMatchObject({ metadata: { namespace: "prod" } })
      }
    }
  })

  it("leave a Pod the time to give its lock back, and to send the last telemetry", () => {
    const resource = ResourceRef.configMap({ namespace: "prod", name: nameOf(lock) })
    const { terms } = Result.getOrThrow(Settings.make({ resource, name: "helm" }, "me"))
    expect(guide).toContain(`\`requestTimeout\` is ${Duration.toSeconds(terms.requestTimeout)} seconds`)
    const telemetrySeconds = Number(/telemetry takes up to (\d+) seconds/.exec(guide)?.[1])
    const needed = 2 * Duration.toSeconds(terms.requestTimeout) + telemetrySeconds
    const { spec } = Schema.decodeUnknownSync(
      Schema.Struct({
        spec: Schema.Struct({
          template: Schema.Struct({ spec: Schema.Struct({ terminationGracePeriodSeconds: Schema.Int }) })
        })
      })
    )(deployment)
    expect(spec.template.spec.terminationGracePeriodSeconds).toBeGreaterThan(needed)
  })
})
