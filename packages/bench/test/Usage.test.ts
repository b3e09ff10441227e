import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { execPath, pid } from "node:process"
import * as Usage from "../src/contenders/Usage.ts"

describe("Usage", () => {
  it("finds the processor time of a thread", () => {
    assert.strictEqual(Usage.cpuMillisIn("2810000000 991234 57\n"), 2_810)
  })

  it.effect("sees what a process computes, and what it reads", () =>
    Effect.gen(function*() {
      const before = yield* Usage.of(pid)
      const files = yield* FileSystem.FileSystem
      for (let times = 0; times < 3; times++) yield* files.readFile(execPath)
      const after = yield* Usage.of(pid)
      const { size } = yield* files.stat(execPath)
      assert.isAtLeast(after.bytes - before.bytes, 3 * Number(size))
      assert.isAbove(after.cpuMillis, before.cpuMillis)
    }).pipe(Effect.provide(NodeServices.layer)))

  it("adds what was read and what was written", () => {
    assert.strictEqual(Usage.bytesIn("rchar: 1000\nwchar: 20\nsyscr: 5\nsyscw: 6\nread_bytes: 7\n"), 1_020)
  })

  it("finds what is in memory", () => {
    assert.strictEqual(Usage.residentBytesIn("VmHWM:\t  2000 kB\nVmRSS:\t  1000 kB\nRssAnon:\t 10 kB\n"), 1_024_000)
  })
})
