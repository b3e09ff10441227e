import { spawn } from "node:child_process"
import { once } from "node:events"
import { execPath } from "node:process"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))

const run = async (args: ReadonlyArray<string>, interruptAt?: string) => {
  const child = spawn(execPath, [main, ...args], { env: { ...process.env, NO_COLOR: "1" } })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk
      if (interruptAt !== undefined && output.includes(interruptAt)) child.kill("SIGINT")
    })
  }
  const [code] = await once(child, "close")
  return { code: code as number | null, output }
}

describe("the demo", { timeout: 180_000 }, () => {
  it("loses no update under the lock, says who held it, and what it cost", async () => {
    const { code, output } = await run(["--workers", "2", "--rounds", "3"])
    expect(output).toMatch(/worker-\d +held the lock \(token \d+\), counter 5 → 6/)
    expect(output).toMatch(/acquired 6 times, \d\.\d\d requests each/)
    expect(output).toContain("6 of 6 sections, 0 overlapped another; counter 6 of 6: 0 updates lost.")
    expect(code).toBe(0)
  })

  it("loses updates without it, says so, and exits with 1", async () => {
    // Processes start one after another: each has work for longer than that takes.
    const { code, output } = await run(["--no-lock", "--workers", "3", "--rounds", "60"])
    expect(output).toContain("WITHOUT a lock")
    expect(output).toMatch(
      /180 of 180 sections, [1-9]\d* overlapped another; counter \d+ of 180: [1-9]\d* updates lost/
    )
    expect(code).toBe(1)
  })

  it("ends cleanly on Ctrl-C", async () => {
    const { code, output } = await run(["--workers", "2", "--rounds", "10000"], "held the lock")
    expect(code).toBe(130)
    expect(output).not.toMatch(/error|exception/i)
  })

  it("ends as cleanly when nobody reads along any more", async () => {
    const child = spawn(execPath, [main, "--rounds", "10000"])
    let complaints = ""
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      complaints += chunk
    })
    child.stdout.once("data", () => child.stdout.destroy())
    const [code] = await once(child, "close")
    expect(code).toBe(130)
    expect(complaints).toBe("")
  })

  it("says in a line what is wrong with its arguments", async () => {
    expect(await run(["--kubeconfig", "/nowhere/kubeconfig"])).toMatchObject({
      code: 1,
      output: expect.stringMatching(/^\ninvalid kubeconfig "\/nowhere\/kubeconfig": .*\n$/)
    })
    expect((await run(["--context", "prod"])).output).toBe(
      "\n--context says which context of a kubeconfig: give --kubeconfig too\n"
    )
    expect((await run(["--workers", "0"])).output).toContain("between 1 and 32")
    expect((await run(["--help"])).output).toContain("--no-lock")
  })
})
