import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { execPath } from "node:process"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

// What `npx kubelock-apiserver` runs. That a packed package has it is seen by `npm run check:packages`.

const main = fileURLToPath(new URL("../src/internal/ApiServerCommand.ts", import.meta.url))
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))

let folder = ""

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "kubelock-command-"))
})

afterAll(() => rmSync(folder, { recursive: true }))

const file = (name: string, text?: string) => {
  const path = join(folder, name)
  if (text !== undefined) writeFileSync(path, text)
  return path
}

const start = (args: ReadonlyArray<string>) => {
  const child = spawn(execPath, [main, ...args], { env: { ...process.env, NO_COLOR: "1" } })
  const running = { child, output: "", over: once(child, "close") }
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      running.output += chunk
    })
  }
  return running
}

const run = async (...args: ReadonlyArray<string>) => {
  const running = start(args)
  const [code] = await running.over
  return { code, output: running.output }
}

/** Starts it, does something while it listens, ends it with the signal, and yields what was done. */
const whileItRuns = async <A>(
  args: ReadonlyArray<string>,
  use: (listening: { readonly url: string; readonly kubeconfig: string }) => Promise<A>,
  signal: NodeJS.Signals = "SIGINT"
): Promise<A> => {
  const running = start(args)
  await once(running.child.stdout, "data")
  const [, url = ""] = /listens on (\S+)$/m.exec(running.output) ?? []
  const [, kubeconfig = ""] = /^ +export KUBECONFIG='(.*)'$/m.exec(running.output) ?? []
  try {
    return await use({ url, kubeconfig })
  } finally {
    running.child.kill(signal)
    expect(await running.over).toEqual([130, null])
  }
}

const get = async (url: string, path: string) => {
  const answer = await fetch(`${url}${path}`)
  return { status: answer.status, body: await answer.json() }
}

const deploys = `apiVersion: v1
kind: ConfigMap
metadata: { name: deploys }
data: { version: none }
`

describe("kubelock-apiserver", () => {
  it.each<NodeJS.Signals>(["SIGINT", "SIGTERM"])("listens, says what to type next, and ends on %s", async (signal) => {
    const written = await whileItRuns([], async ({ kubeconfig, url }) => {
      expect((await get(url, "/api/v1/namespaces/default/configmaps")).body).toMatchObject({ items: [] })
      expect(JSON.parse(readFileSync(kubeconfig, "utf8")).clusters[0].cluster.server).toBe(url)
      return kubeconfig
    }, signal)
    expect(existsSync(written)).toBe(false)
  })

  it("writes the kubeconfig to where it is told, for its owner alone", async () => {
    const wanted = file("kubeconfig")
    await whileItRuns(["--kubeconfig", wanted, "--token", "secret"], async ({ kubeconfig, url }) => {
      expect(kubeconfig).toBe(wanted)
      expect(statSync(wanted).mode & 0o777).toBe(0o600)
      expect(url).toMatch(/^https:/)
      expect(JSON.parse(readFileSync(wanted, "utf8")).users[0].user.token).toBe("secret")
    })
    expect(existsSync(wanted)).toBe(true)
  })

  it("puts objects in place, as YAML or JSON, by default in the namespace that kubectl would take", async () => {
    const prod = { apiVersion: "v1", kind: "Namespace", metadata: { name: "prod" } }
    const inProd = { apiVersion: "v1", kind: "Secret", metadata: { namespace: "prod", name: "mine" } }
    const files = [
      file("deploys.yaml", deploys),
      file("prod.json", JSON.stringify(prod)),
      file("mine.json", JSON.stringify(inProd))
    ]
    await whileItRuns(files.flatMap((file) => ["--object", file]), async ({ url }) => {
      expect((await get(url, "/api/v1/namespaces/default/configmaps/deploys")).body).toMatchObject({
        data: { version: "none" }
      })
      expect((await get(url, "/api/v1/namespaces/prod/secrets/mine")).status).toBe(200)
    })
  })

  it("listens where it is told, and says so if it cannot", async () => {
    const other = createServer().listen(0, "127.0.0.1")
    await once(other, "listening")
    const address = other.address()
    const port = typeof address === "object" ? String(address?.port) : ""
    try {
      const { code, output } = await run("--port", port)
      expect(output).toMatch(new RegExp(`Cannot listen on 127.0.0.1:${port}: .*EADDRINUSE`))
      expect(code).toBe(1)
    } finally {
      other.close()
    }
  })

  it.each<readonly [what: string, args: () => ReadonlyArray<string>, problem: RegExp]>([
    ["a kubeconfig's folder", () => ["--kubeconfig", file("nowhere/kubeconfig")], /nowhere\/kubeconfig/],
    ["an object's text", () => ["--object", file("two.yaml", `${deploys}---\n${deploys}`)], /Multiple YAML documents/],
    ["an object", () => ["--object", file("no.yaml", "kind: ConfigMap\n")], /apiVersion/],
    [
      "an object's kind",
      () => ["--object", file("kind.yaml", deploys.replace("ConfigMap", "Config"))],
      /no kind "Config"/
    ]
  ])("says what is wrong with %s", async (_, args, problem) => {
    const { code, output } = await run(...args())
    expect(output).toMatch(problem)
    expect(output).not.toMatch(/^ +at .*:\d+/m)
    expect(output).not.toContain("listens on")
    expect(code).toBe(1)
  })

  it("tells its version, which is that of its package, and its options", async () => {
    expect(await run("--version")).toMatchObject({ code: 0, output: expect.stringContaining(version) })
    const { output } = await run("--help")
    for (const option of ["--port", "--tls", "--token", "--kubeconfig", "--object"]) expect(output).toContain(option)
  })
})
