import * as Settings from "#internal/Settings"
import { assert, describe, it } from "@effect/vitest"
import { ResourceRef } from "@kubelock/kube"
import { Duration, Result } from "effect"
import { readFileSync } from "node:fs"

const guide = readFileSync(new URL("../../../docs/guides/choosing-ttl.md", import.meta.url), "utf8")

const [table = ""] = /(?:^\|.*\n)+/m.exec(guide.split("## Situations\n")[1] ?? "") ?? []
const rows = table.trim().split("\n").slice(2).map((row) => row.split("|").slice(1, 5).map((cell) => cell.trim()))

const seconds = (nanos: bigint) => Duration.toSeconds(Duration.nanos(nanos))
const rounded = (seconds: number) => Math.round(seconds * 10) / 10

describe("the situations of docs/guides/choosing-ttl.md", () => {
  it.each(rows)("%s: %s come to what it says", (_, options = "", others, outage) => {
    const given = Object.fromEntries(
      Array.from(options.matchAll(/(\w+): "([^"]+)"/g), ([, name, value]) => [name!, value!])
    )
    const resource = ResourceRef.configMap({ namespace: "prod", name: "deploys" })
    const settings = Result.getOrThrow(Settings.make({ resource, name: "helm", ...given }, "alice"))
    const [ttl, delay] = [seconds(settings.ttl), seconds(settings.takeoverDelayNanos)]
    const [every, margin] = [settings.terms.renewEvery, settings.terms.safetyMargin].map(Duration.toSeconds)
    assert.deepStrictEqual([others, outage], [
      `${rounded(ttl - every! + delay)}–${rounded(ttl + delay)} s`,
      `${rounded(ttl - margin! - every!)} s`
    ])
  })

  it("are some", () => {
    assert.isAbove(rows.length, 5)
  })
})
