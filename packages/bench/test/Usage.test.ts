import { assert, describe, it } from "@effect/vitest"
import * as Usage from "../src/contenders/Usage.ts"

describe("Usage", () => {
  it("finds the processor time whatever the program is called", () => {
    const fields = "S 1 2 3 0 -1 4194304 500 0 0 0 250 31 7 8 20 0 11 0 100 200 300"
    assert.strictEqual(Usage.cpuMillisIn(`42 (node) ${fields}`), 2_810)
    assert.strictEqual(Usage.cpuMillisIn(`42 (a) b (c) ${fields}`), 2_810)
  })

  it("adds what was read and what was written", () => {
    assert.strictEqual(Usage.bytesIn("rchar: 1000\nwchar: 20\nsyscr: 5\nsyscw: 6\nread_bytes: 7\n"), 1_020)
  })

  it("finds what is in memory", () => {
    assert.strictEqual(Usage.residentBytesIn("VmHWM:\t  2000 kB\nVmRSS:\t  1000 kB\nRssAnon:\t 10 kB\n"), 1_024_000)
  })
})
