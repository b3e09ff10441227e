import { NodeHttpClient, NodeServices } from "@effect/platform-node"
import { assert, describe, it, layer } from "@effect/vitest"
import { ControlPlane, type RunningControlPlane } from "@kubelock/testing/ControlPlane"
import { DateTime, Effect, Fiber, FileSystem, Option, Schema, Stream } from "effect"
import { HttpClientRequest } from "effect/http"
import { ChildProcess, ChildProcessSpawner } from "effect/process"

const Kubeconfig = Schema.fromJsonString(Schema.Struct({
  clusters: Schema.NonEmptyArray(Schema.Struct({
    cluster: Schema.Struct({ server: Schema.String, "certificate-authority-data": Schema.StringFromBase64 })
  })),
  users: Schema.NonEmptyArray(Schema.Struct({
    user: Schema.Struct({
      "client-certificate-data": Schema.StringFromBase64,
      "client-key-data": Schema.StringFromBase64
    })
  }))
}))

/** Asks as the user of a kubeconfig, with nothing but what the kubeconfig says; yields the status code. */
const askAs = Effect.fnUntraced(function*(
  kubeconfig: string,
  method: "GET" | "POST" | "PUT" | "PATCH",
  path: string,
  body?: unknown
) {
  const { clusters: [{ cluster }], users: [{ user }] } = yield* Schema.decodeEffect(Kubeconfig)(kubeconfig)
  const request = HttpClientRequest.make(method)(`${cluster.server}${path}`).pipe(
    HttpClientRequest.bodyText(
      JSON.stringify(body ?? null),
      method === "PATCH" ? "application/json-patch+json" : "application/json"
    )
  )
  const dispatcher = yield* NodeHttpClient.makeDispatcherOptions({
    connect: {
      ca: cluster["certificate-authority-data"],
      cert: user["client-certificate-data"],
      key: user["client-key-data"]
    }
  })
  const client = yield* Effect.provideService(NodeHttpClient.makeUndici, NodeHttpClient.Dispatcher, dispatcher)
  const response = yield* client.execute(method === "GET" ? HttpClientRequest.get(request.url) : request)
  return response.status
}, Effect.scoped)

const configMaps = "/api/v1/namespaces/default/configmaps"
const configMap = (name: string) => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name } })
const annotate = [{ op: "add", path: "/metadata/annotations", value: { a: "b" } }]

/** The command lines of all processes that work in a folder. */
const processesIn = Effect.fnUntraced(function*(folder: string) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const lines = yield* spawner.lines(ChildProcess.make("ps", ["-axww", "-o", "pid=,args="]))
  return lines.filter((line) => line.includes(folder))
})

/** The kube-apiserver of a control plane: its process id, as `ps` shows it. */
const serverProcesses = (folder: string) =>
  Effect.map(
    Effect.provide(processesIn(folder), NodeServices.layer),
    (lines) => lines.flatMap((line) => /^ *(\d+) \S*kube-apiserver /.exec(line)?.slice(1) ?? [])
  )

layer(ControlPlane.layer())("ControlPlane", (it) => {
  it.effect("is what it says it is, and its admin may do everything", () =>
    Effect.gen(function*() {
      const controlPlane = yield* ControlPlane
      assert.match(controlPlane.version, /^v1\.\d+\.\d+/)
      assert.match(controlPlane.url, /^https:\/\/127\.0\.0\.1:\d+$/)
      assert.strictEqual(yield* askAs(controlPlane.kubeconfig, "POST", configMaps, configMap("by-admin")), 201)
      assert.strictEqual(yield* askAs(controlPlane.kubeconfig, "GET", `${configMaps}/by-admin`), 200)
      assert.include(controlPlane.caCertificatePem, "BEGIN CERTIFICATE")
    }))

  it.effect("lets a user of one namespace do what the rules say, and nothing else", () =>
    Effect.gen(function*() {
      const controlPlane = yield* ControlPlane
      yield* controlPlane.request("POST", configMaps, configMap("mine"))
      yield* controlPlane.request("POST", configMaps, configMap("other"))
      const kubeconfig = yield* controlPlane.makeUser({
        name: "locker",
        namespace: "default",
        rules: [{ apiGroups: [""], resources: ["configmaps"], resourceNames: ["mine"], verbs: ["get", "patch"] }]
      })
      assert.strictEqual(yield* askAs(kubeconfig, "GET", `${configMaps}/mine`), 200)
      assert.strictEqual(yield* askAs(kubeconfig, "PATCH", `${configMaps}/mine`, annotate), 200)
      assert.strictEqual(yield* askAs(kubeconfig, "PUT", `${configMaps}/mine`, configMap("mine")), 403)
      assert.strictEqual(yield* askAs(kubeconfig, "GET", `${configMaps}/other`), 403)
      assert.strictEqual(yield* askAs(kubeconfig, "GET", configMaps), 403)
    }))

  it.effect("lets a user of all namespaces in everywhere, also a second one of the same name", () =>
    Effect.gen(function*() {
      const controlPlane = yield* ControlPlane
      const reader = controlPlane.makeUser({
        name: "reader",
        rules: [{ apiGroups: [""], resources: ["namespaces", "configmaps"], verbs: ["get", "list"] }]
      })
      for (const kubeconfig of yield* Effect.all([reader, reader])) {
        assert.strictEqual(yield* askAs(kubeconfig, "GET", "/api/v1/namespaces/kube-system"), 200)
        assert.strictEqual(yield* askAs(kubeconfig, "GET", "/api/v1/configmaps"), 200)
        assert.strictEqual(yield* askAs(kubeconfig, "GET", "/api/v1/secrets"), 403)
      }
    }))

  it.effect("knows a user without rules, by its groups too, and none whose certificate has expired", () =>
    Effect.gen(function*() {
      const controlPlane = yield* ControlPlane
      const nobody = yield* controlPlane.makeUser({ name: "nobody" })
      assert.strictEqual(yield* askAs(nobody, "GET", "/api/v1/namespaces/default"), 403)
      const master = yield* controlPlane.makeUser({ name: "another-admin", groups: ["system:masters"] })
      assert.strictEqual(yield* askAs(master, "GET", "/api/v1/namespaces/default"), 200)
      const late = yield* controlPlane.makeUser({
        name: "late",
        groups: ["system:masters"],
        notAfter: DateTime.makeUnsafe("2020-01-01T00:00:00Z")
      })
      assert.strictEqual(yield* askAs(late, "GET", "/api/v1/namespaces/default"), 401)
    }))

  it.effect("serves custom resources once they are registered", () =>
    Effect.gen(function*() {
      const controlPlane = yield* ControlPlane
      for (const namespaced of [true, false]) {
        const kind = namespaced ? "Widget" : "ClusterWidget"
        const resource = `${kind.toLowerCase()}s`
        yield* controlPlane.registerCustomResource({ group: "example.com", version: "v1", resource, kind, namespaced })
        const path = `/apis/example.com/v1${namespaced ? "/namespaces/default" : ""}/${resource}`
        const object = { apiVersion: "example.com/v1", kind, metadata: { name: "a" }, spec: { any: "thing" } }
        const created = yield* controlPlane.request("POST", path, object)
        assert.containSubset(created, object)
        assert.strictEqual(yield* askAs(controlPlane.kubeconfig, "PATCH", `${path}/a`, annotate), 200)
      }
    }))

  it.effect("is there again after kube-apiserver was killed, with all that was stored", () =>
    Effect.gen(function*() {
      const controlPlane = yield* ControlPlane
      yield* controlPlane.request("POST", configMaps, configMap("kept"))
      const before = yield* serverProcesses(controlPlane.logsFolder)
      assert.lengthOf(before, 1)
      yield* controlPlane.restart
      const after = yield* serverProcesses(controlPlane.logsFolder)
      assert.lengthOf(after, 1)
      assert.notStrictEqual(after[0], before[0])
      assert.strictEqual(yield* askAs(controlPlane.kubeconfig, "GET", `${configMaps}/kept`), 200)
    }))

  it.effect("answers nothing that etcd must answer while that is stopped, and all of it afterwards", () =>
    Effect.gen(function*() {
      const controlPlane = yield* ControlPlane
      const write = controlPlane.request("POST", configMaps, configMap("late"))
      const writing = yield* Effect.scoped(Effect.gen(function*() {
        yield* controlPlane.pauseEtcd
        const writing = yield* Effect.forkDetach(write)
        // Far more time than the write takes otherwise.
        yield* Effect.repeat(askAs(controlPlane.kubeconfig, "GET", "/version"), { times: 50 })
        assert.isUndefined(writing.pollUnsafe())
        return writing
      }))
      assert.containSubset(yield* Fiber.join(writing), configMap("late"))
    }))

  it.effect("tells why a request was refused", () =>
    Effect.gen(function*() {
      const controlPlane = yield* ControlPlane
      const error = yield* Effect.flip(controlPlane.request("GET", `${configMaps}/missing`))
      assert.strictEqual(error._tag, "RequestRefused")
      assert.include(error.message, `GET ${configMaps}/missing: configmaps "missing" not found`)
      const unknown = yield* Effect.flip(controlPlane.request("GET", "/apis/nobody.example.com/v1/things"))
      assert.strictEqual(unknown._tag === "RequestRefused" ? unknown.status.code : 0, 404)
    }))
})

describe("A control plane's life", () => {
  it.effect("can be shared with others, and ends with its scope", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* Effect.scoped(Effect.gen(function*() {
        const running = yield* ControlPlane.start()
        assert.lengthOf(
          (yield* processesIn(running.logsFolder)).filter((line) => /^ *\d+ \S*(etcd|kube-apiserver) /.test(line)),
          2
        )
        assert.isTrue(yield* fs.exists(`${running.logsFolder}/kube-apiserver.log`))
        const sent: RunningControlPlane = JSON.parse(JSON.stringify(running))
        yield* Effect.gen(function*() {
          const { kubeconfig, makeUser } = yield* ControlPlane
          assert.strictEqual(yield* askAs(kubeconfig, "GET", "/api/v1/secrets"), 200)
          assert.strictEqual(yield* askAs(yield* makeUser({ name: "guest" }), "GET", "/api/v1/secrets"), 403)
        }).pipe(Effect.provide(ControlPlane.layerRunning(sent)))
        return running.logsFolder
      }))
      assert.deepStrictEqual(yield* processesIn(folder), [])
      assert.isFalse(yield* fs.exists(folder))
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("ends with its process, also when that is killed", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
      const child = yield* spawner.spawn(ChildProcess.make(process.execPath, [
        "--input-type=module",
        "--eval",
        `import { ControlPlane } from "@kubelock/testing/ControlPlane"
         import { Effect } from "effect"
         const program = Effect.gen(function*() {
           console.log((yield* ControlPlane).logsFolder)
           yield* Effect.never
         })
         await Effect.runPromise(program.pipe(Effect.provide(ControlPlane.layer())))`
      ], { cwd: import.meta.dirname, extendEnv: true, stderr: "inherit" }))
      const folder = Option.getOrThrow(yield* child.stdout.pipe(Stream.decodeText(), Stream.splitLines, Stream.runHead))
      assert.isAtLeast((yield* processesIn(folder)).length, 2)

      yield* child.kill({ killSignal: "SIGKILL" })
      const isGone = Effect.gen(function*() {
        return (yield* processesIn(folder)).length === 0 && !(yield* fs.exists(folder))
      })
      yield* Effect.repeat(Effect.delay(isGone, 50), { until: (gone) => gone })
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})
