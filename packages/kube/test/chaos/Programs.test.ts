import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { Event } from "./History.ts"

const run = (script: string, ...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [join(import.meta.dirname, script), ...args], {
    encoding: "utf8",
    env: { PATH: process.env["PATH"] }
  })
  return { status, stderr: stderr.trim().split("\n"), stdout: stdout.trim().split("\n") }
}

/** Runs the checker on a history of these lines. */
const check = (...lines: ReadonlyArray<string>) => {
  const folder = fs.mkdtempSync(join(tmpdir(), "kubelock-history-"))
  try {
    fs.writeFileSync(join(folder, "history"), lines.map((line) => `${line}\n`).join(""))
    return run("check.ts", join(folder, "history"))
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
}

const over = Schema.encodeSync(Event)({ _tag: "Over", atMicros: 0 })

describe("npm run chaos", () => {
  it("says in one line what it needs and how to get it", () => {
    const { status, stderr } = run("main.ts")
    assert.strictEqual(status, 1)
    assert.lengthOf(stderr, 1)
    for (const variable of ["KUBEBUILDER_ASSETS", "KUBELOCK_GO_PEER", "KUBELOCK_TOXIPROXY"]) {
      assert.match(stderr[0]!, new RegExp(`it needs .*${variable}.*${variable}=\\$\\(.ci/.*/build\\).*npm run chaos$`))
    }
  })
})

describe("the checker", () => {
  it("tells every violation, and exits with 1", () => {
    const { status, stdout } = check(over)
    assert.strictEqual(status, 1)
    assert.include(stdout, "VIOLATION HistoryBroken, line 1: it has no beginning")
    assert.include(stdout, "overlaps: 0")
  })

  it("says which line it cannot read", () => {
    const { status, stderr } = check(over, over.slice(0, 10))
    assert.strictEqual(status, 1)
    assert.match(stderr[0]!, /line 2, is no event/)
  })
})
