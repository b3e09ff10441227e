import * as Settings from "#internal/Settings"
import { assert, describe, it } from "@effect/vitest"
import { type ManagedLockOptions, ResourceRef } from "@kubelock/kube"
import { Duration, Result } from "effect"
import { readFileSync } from "node:fs"

// What the documents say of an option that is left out, held against what holds then.

/** The defaults, by the option's name: the second cells of the first table after a heading. */
const defaultsIn = (path: string, heading: string): Readonly<Record<string, string>> => {
  const text = readFileSync(new URL(`../../../docs/${path}`, import.meta.url), "utf8")
  const [table = ""] = /(?:^\|.*\n)+/m.exec(text.split(`${heading}\n`)[1] ?? "") ?? []
  const rows = table.trim().split("\n").slice(2).map((row) => row.split("|").slice(1, 3).map((cell) => cell.trim()))
  return Object.fromEntries(rows.map(([option, byDefault]) => [option!.replaceAll("`", ""), byDefault!]))
}

const resource = ResourceRef.configMap({ namespace: "prod", name: "deploys" })

const settingsOf = (options: Partial<ManagedLockOptions>) => {
  const { terms, ...settings } = Result.getOrThrow(Settings.make({ resource, name: "helm", ...options }, "alice"))
  const seconds = Duration.toSeconds
  return {
    ttl: seconds(Duration.nanos(settings.ttl)),
    renewEvery: seconds(terms.renewEvery),
    requestTimeout: seconds(terms.requestTimeout),
    safetyMargin: seconds(terms.safetyMargin),
    takeoverDelay: seconds(Duration.nanos(settings.takeoverDelayNanos)),
    waitAtMost: seconds(settings.waitAtMost),
    localHandover: seconds(settings.localHandover),
    watch: terms.watch
  }
}

const words = {
  ttl: "30 seconds",
  renewEvery: "a third of `ttl`",
  requestTimeout: "half of `renewEvery`, at most 10 seconds and what fits",
  safetyMargin: "a tenth of `ttl`, at most a second",
  takeoverDelay: "0",
  waitAtMost: "for ever",
  localHandover: "100 ms",
  watch: "`true`"
}

describe("the defaults of a managed lock", () => {
  it("are what the words mean", () => {
    const still = { takeoverDelay: 0, waitAtMost: Infinity, localHandover: 0.1, watch: true }
    assert.deepStrictEqual(settingsOf({}), {
      ttl: 30,
      renewEvery: 10,
      requestTimeout: 5,
      safetyMargin: 1,
      ...still
    })
    assert.deepStrictEqual(settingsOf({ ttl: "3 seconds" }), {
      ttl: 3,
      renewEvery: 1,
      requestTimeout: 0.5,
      safetyMargin: 0.3,
      ...still
    })
    assert.deepStrictEqual(settingsOf({ ttl: "5 minutes" }), {
      ttl: 300,
      renewEvery: 100,
      requestTimeout: 10,
      safetyMargin: 1,
      ...still
    })
    assert.strictEqual(settingsOf({ renewEvery: "28 seconds" }).requestTimeout, 1)
  })

  it("are said by docs/OPTIONS.md in these words", () => {
    assert.deepInclude(defaultsIn("OPTIONS.md", "# Options"), words)
  })

  it("are said by their docstrings in these words", () => {
    const source = readFileSync(new URL("../src/ManagedLock.ts", import.meta.url), "utf8")
    for (const [option, byDefault] of Object.entries(words)) {
      const [, docstring = ""] = new RegExp(`/\\*\\*((?:(?!\\*/)[^])*)\\*/\\s+readonly ${option}\\?:`).exec(source) ??
        []
      const said = docstring.replaceAll(/\s*\n\s*\* ?/g, " ").replace(", and at most what fits", " and what fits")
      assert.include(said, `Default: ${byDefault.replace("`true`", "true")}`)
    }
  })

  it("are said by docs/guides/choosing-ttl.md in the same", () => {
    const said = defaultsIn("guides/choosing-ttl.md", "## What each costs and buys")
    assert.isAbove(Object.keys(said).length, 4)
    assert.deepInclude(words, said)
  })
})
