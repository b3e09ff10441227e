import { assert, describe, it } from "@effect/vitest"
import { KubeApiServer } from "@kubelock/testing"
import { Effect, Schema } from "effect"
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process, { execPath } from "node:process"
import { read, root } from "./Sources.ts"

// Every program of docs/examples is run, and prints what it should.

const folder = join(root, "docs/examples")

const start = (file: string, env: Record<string, string> = {}) => {
  const child = spawn(execPath, [join(folder, file)], {
    env: { ...process.env, NO_COLOR: "1", ...env },
    // None outlives its test for long, whatever becomes of that.
    timeout: 50_000,
    killSignal: "SIGKILL"
  })
  const process_ = { child, output: "", ended: once(child, "close").then(([code]) => code as number | null) }
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      process_.output += chunk
    })
  }
  return process_
}

const programs: Readonly<Record<string, ReadonlyArray<RegExp>>> = {
  "with-lock-in-a-service.ts": [
    /^5.3.0: begins$/,
    /^5.3.0: done$/,
    /^5.4.0: begins$/,
    /^5.4.0: done$/
  ],
  "fenced-write.ts": [
    /^stored 5.3.0$/,
    /^"alice" has lost lock "helm" on configmaps\/deploys in default: its record was removed/,
    /^the section has ended: Broken$/,
    /^stored 6.0.0$/,
    /^the object says {"version":"6.0.0"}$/
  ],
  "waiting-with-a-limit.ts": [
    /^not deployed. "alice" has waited 200ms for lock "helm" .* it is held by "night-job" since /,
    /^not deployed: somebody has the lock$/
  ],
  "several-locks.ts": [
    /^moved \d to the (west|east)$/,
    /^moved \d to the (west|east)$/,
    /^east 8, west 12$/
  ]
}

const configMap = { apiVersion: "v1", kind: "ConfigMap", namespace: "default", name: "deploys" }

const Annotated = Schema.Struct({
  metadata: Schema.Struct({ annotations: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)) })
})

const annotations = Effect.flatMap(KubeApiServer, (server) => server.get(configMap)).pipe(
  Effect.flatMap(Schema.decodeUnknownEffect(Annotated)),
  Effect.map(({ metadata }) => Object.keys(metadata.annotations ?? {}))
)

/** Makes the object that programs lock, and yields the file of a kubeconfig. */
const lockedObject = Effect.gen(function*() {
  const server = yield* KubeApiServer
  const { name, namespace } = configMap
  yield* server.put({ ...configMap, metadata: { name, namespace, annotations: { other: "x" } } })
  const home = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "kubelock-"))),
    (home) => Effect.sync(() => rmSync(home, { recursive: true }))
  )
  const kubeconfig = join(home, "kubeconfig")
  writeFileSync(kubeconfig, server.kubeconfig)
  return kubeconfig
})

const running = (file: string, env: Record<string, string>) =>
  Effect.acquireRelease(
    Effect.sync(() => start(file, env)),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

const untilItSays = Effect.fnUntraced(function*(program: ReturnType<typeof start>, words: string) {
  while (!program.output.includes(words)) {
    assert.isNull(program.child.exitCode, program.output)
    yield* Effect.sleep("5 millis")
  }
})

/** The most memory that a process has had, or, where Linux does not tell, what it has. */
const peakBytes = (pid: number): number => {
  const kilobytes = process.platform === "linux"
    ? /VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
    : execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" })
  return Number(kilobytes) * 1024
}

/** What docs/manifests/deployment.yaml allows it. */
const memoryLimit = Number(/limits: \{ memory: (\d+)Mi \}/.exec(read("docs/manifests/deployment.yaml").text)?.[1]) *
  1024 ** 2

describe("docs/examples", () => {
  it.live.each(Object.entries(programs))(
    "%s prints what it should, and ends",
    ([file, lines]) =>
      Effect.gen(function*() {
        const program = start(file)
        const code = yield* Effect.promise(() => program.ended)
        const printed = program.output.trimEnd().split("\n")
        assert.strictEqual(printed.length, lines.length, program.output)
        for (const [index, line] of lines.entries()) assert.match(printed[index]!, line)
        assert.strictEqual(code, 0)
      })
  )

  it.live("graceful-shutdown.ts gives its lock back on SIGTERM, before it ends", () =>
    Effect.gen(function*() {
      const kubeconfig = yield* lockedObject
      const program = yield* running("graceful-shutdown.ts", { KUBECONFIG: kubeconfig })
      yield* untilItSays(program, "has the lock, token ")
      assert.deepStrictEqual(yield* annotations, ["other", "kubelock.giantswarm.io/helm"])
      program.child.kill("SIGTERM")
      const code = yield* Effect.promise(() => program.ended)
      assert.deepStrictEqual(yield* annotations, ["other"])
      assert.deepStrictEqual(program.output.trimEnd().split("\n").slice(1), [
        "told to end: cleaning up, still under the lock",
        "the lock is given back"
      ])
      assert.strictEqual(code, 130)
    }).pipe(Effect.scoped, Effect.provide(KubeApiServer.layer())))

  it.live("in-a-pod.ts works in one replica at a time, and in the next as soon as that is told to end", () =>
    Effect.gen(function*() {
      const env = { KUBECONFIG: yield* lockedObject, POD_NAMESPACE: configMap.namespace }
      const [one, next] = [yield* running("in-a-pod.ts", env), yield* running("in-a-pod.ts", env)]
      const works = "works, token "
      while (!one.output.includes(works) && !next.output.includes(works)) yield* Effect.sleep("5 millis")
      const [first, second] = one.output.includes(works) ? [one, next] : [next, one]
      while ((yield* (yield* KubeApiServer).openWatches) < 2) yield* Effect.sleep("5 millis")
      assert.isBelow(peakBytes(first.child.pid!), memoryLimit)
      assert.notInclude(second.output, works)
      first.child.kill("SIGTERM")
      yield* untilItSays(second, works)
      second.child.kill("SIGTERM")
      assert.deepStrictEqual(yield* Effect.promise(() => Promise.all([first.ended, second.ended])), [130, 130])
      assert.include(first.output, "told to end, or the lock is lost: cleans up")
      assert.deepStrictEqual(yield* annotations, ["other"])
    }).pipe(Effect.scoped, Effect.provide(KubeApiServer.layer())))

  it("are all run, and all in the table of their README", () => {
    const files = readdirSync(folder).filter((file) => file.endsWith(".ts")).toSorted()
    // The tests among them are run by vitest itself, as a project of its own.
    const tests = files.filter((file) => file.endsWith(".test.ts"))
    const run = [...Object.keys(programs), "graceful-shutdown.ts", "in-a-pod.ts", ...tests]
    assert.deepStrictEqual(run.toSorted(), files)
    const rows = [...read("docs/examples/README.md").text.matchAll(/^\| \[([^\]]+)\]\(([^)]+)\)/gm)]
    assert.deepStrictEqual(rows.map(([, title]) => title!).toSorted(), files)
    assert.isTrue(rows.every(([, title, link]) => title === link))
  })

  it("use nothing but what users can install", () => {
    const packages = /^(?:effect|effect\/.+|@effect\/(?:platform-node|vitest)|@kubelock\/(?:kube|testing))$/
    for (const file of readdirSync(folder).filter((file) => file.endsWith(".ts"))) {
      for (const [, from] of read(`docs/examples/${file}`).text.matchAll(/\bfrom "([^"]+)"/g)) {
        assert.match(from!, packages)
      }
    }
  })
})
