import { execFileSync } from "node:child_process"
import { execPath } from "node:process"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "vitest"

const turnless = new URL("../../src/handover/turnless.ts", import.meta.url).href

/** When the third in a list would try, as a worker finds it before and after it asks to do without turns, and what holds the lock. */
const program = `
  import { Turns } from "@kubelock/kube"
  const record = (process) => ({ owner: process, id: process + "-1" })
  const turns = ["a", "b", "c"].flatMap((process) => [record(process), undefined]).reduce(
    (turns, record, index) => Turns.observe(turns, { _tag: "Seen", resourceVersion: BigInt(index + 1), record, nowMillis: index }),
    Turns.make("c")
  )
  const held = Turns.observe(turns, { _tag: "Seen", resourceVersion: 9n, record: record("d"), nowMillis: 9 })
  const told = () => [Turns.tryAtMillis(turns, 0), Turns.tryAtMillis(held, 0)].map(String)
  const before = told()
  globalThis[Symbol.for("@kubelock/bench/isTurnless")] = true
  console.log(JSON.stringify([before, told()]))
`

describe("a lock without turns", () => {
  it("is tried at once by whoever asks for that, and as ever by everyone else; never while it is held", () => {
    const told = execFileSync(execPath, ["--import", turnless, "--input-type=module", "--eval", program], {
      cwd: fileURLToPath(new URL("../..", import.meta.url)),
      encoding: "utf8"
    })
    assert.deepStrictEqual(JSON.parse(told), [["25", "undefined"], ["-Infinity", "undefined"]])
  })
})
