/** A contention: processes, one of them with many fibers, want one lock of one object. */
import { type KubeResponse, KubeTransport, ResourceRef } from "@kubelock/kube"
import { Deferred, Effect, FileSystem, Schema } from "effect"
import { join } from "node:path"
import { Message, Orders, type Outcome } from "./Contention.ts"
import * as OtherProcess from "./OtherProcess.ts"

/** How much is contended. */
export interface Settings {
  readonly kubeconfig: string
  readonly processes: number
  /** In the first of the processes; the others have one each. */
  readonly fibers: number
  /** At least so many, by all together; who is waiting then is still served. */
  readonly acquisitions: number
  /** How many watches of ConfigMaps the server has open. */
  readonly openWatches: Effect.Effect<number>
}

// A process takes most of a second of processor time to load everything.
const startingAtOnce = 2

const namespace = "default"

const ConfigMap = Schema.fromJsonString(Schema.Struct({
  metadata: Schema.Struct({ annotations: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)) })
}))

const makeConfigMap = Effect.fnUntraced(function*(name: string) {
  const transport = yield* KubeTransport
  const path = ResourceRef.toPath(ResourceRef.configMap({ namespace, name }))
  yield* Effect.acquireRelease(
    transport.request({
      method: "POST",
      path: path.slice(0, path.lastIndexOf("/")),
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name } })
    }),
    () => Effect.orDie(transport.request({ method: "DELETE", path }))
  )
  const annotations = transport.request({ method: "GET", path }).pipe(
    Effect.flatMap(({ body }: KubeResponse) => Schema.decodeEffect(ConfigMap)(body)),
    Effect.map(({ metadata }) => Object.keys(metadata.annotations ?? {}))
  )
  return { annotations }
})

/** Starts a process; when it is ready, yields what there is to come. */
const startContender = Effect.fnUntraced(function*(orders: typeof Orders.Type, go: Effect.Effect<void>) {
  const { exitCode, next } = yield* OtherProcess.start({
    script: "contender.ts",
    message: Message,
    orders: yield* Schema.encodeEffect(Orders)(orders),
    inputEnds: go
  })
  yield* next("Ready")
  const end = Effect.gen(function*() {
    const served = yield* next("Served")
    const { connections } = yield* next("Closed")
    const code = yield* exitCode
    if (code === 0) return { served, connections }
    return yield* new OtherProcess.ProcessFailed({ message: `${orders.contender} ended with exit code ${code}` })
  })
  return { end }
})

/** Runs it. The processes begin together, when all are ready. */
export const contend = Effect.fnUntraced(
  function*({ acquisitions, fibers, kubeconfig, openWatches, processes }: Settings) {
    const files = yield* FileSystem.FileSystem
    const folder = yield* files.makeTempDirectoryScoped({ prefix: "kubelock-contention-" })
    const counter = join(folder, "counter")
    yield* files.writeFileString(counter, "0 0 nobody")
    const configMap = folder.split("-").at(-1)!.toLowerCase()
    const { annotations } = yield* makeConfigMap(configMap)
    const before = yield* openWatches
    const go = yield* Deferred.make<void>()
    const contenders = yield* Effect.forEach(
      Array.from({ length: processes }, (_, index) => index),
      (index) =>
        startContender({
          contender: `contender-${index + 1}`,
          kubeconfig,
          namespace,
          configMap,
          fibers: index === 0 ? fibers : 1,
          acquisitions,
          folder
        }, Deferred.await(go)),
      { concurrency: startingAtOnce }
    )
    yield* Deferred.succeed(go, undefined)
    const ended = yield* Effect.forEach(contenders, ({ end }) => end, { concurrency: "unbounded" })
    const [counted] = (yield* files.readFileString(counter)).split(" ")
    const outcome: Outcome = {
      served: ended.map(({ served }) => served),
      connectionsLeft: ended.flatMap(({ connections }) => connections),
      counted: Number(counted),
      annotationsLeft: yield* annotations,
      openWatches: [before, yield* openWatches]
    }
    return outcome
  },
  (contention, { kubeconfig }) => Effect.provide(Effect.scoped(contention), KubeTransport.layerText(kubeconfig))
)
