/** One process of a contention: its fibers want one lock, again and again, until it was acquired often enough by all together. */
import { NodeRuntime } from "@effect/platform-node"
import { HeldLock, KubeAnnotationStore, KubeLock, KubeTransport, ResourceRef } from "@kubelock/kube"
import { Array, Cause, Clock, Console, Effect, Layer, Logger, Schema } from "effect"
import * as fs from "node:fs"
import { join } from "node:path"
import { argv, getActiveResourcesInfo, stdin } from "node:process"
import { Message, Orders } from "./Contention.ts"

const micros = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos / 1_000n))

const tell = (message: Message) => Effect.flatMap(Schema.encodeEffect(Message)(message), Console.log)

const untilInputEnds = Effect.callback<void>((resume) => {
  stdin.once("end", () => resume(Effect.void)).resume()
})

/** Long enough for another section to come in, and as long as the measurements of `Turns` took. */
const section = Effect.sleep("2 millis")

const contend = Effect.fnUntraced(function*(orders: typeof Orders.Type) {
  let [requests, watches, overlaps, tokensOutOfOrder] = [0, 0, 0, 0]
  const transport = yield* KubeTransport
  const counting = Layer.succeed(KubeTransport, {
    request: (request) =>
      Effect.suspend(() => {
        requests++
        return transport.request(request)
      }),
    stream: (request) => {
      watches++
      return transport.stream(request)
    }
  })

  const inside = join(orders.folder, "inside")
  const counter = join(orders.folder, "counter")
  const enter = Effect.sync(() => {
    try {
      fs.closeSync(fs.openSync(inside, "wx"))
      return true
    } catch {
      overlaps++
      return false
    }
  })
  const leave = (hasEntered: boolean) => Effect.sync(() => hasEntered && fs.rmSync(inside))
  /** Counts without any care, and says how far. */
  const count = Effect.fnUntraced(function*(token: bigint) {
    const [counted = "", lastToken = "", lastContender] = fs.readFileSync(counter, "utf8").split(" ")
    // Fibers of one process may have the lock one after the other by one acquisition.
    if (token < BigInt(lastToken) || (token === BigInt(lastToken) && lastContender !== orders.contender)) {
      tokensOutOfOrder++
    }
    yield* section
    fs.writeFileSync(counter, `${Number(counted) + 1} ${token} ${orders.contender}`)
    return Number(counted) + 1
  })

  const waitsMicros: Array<number> = []
  const turns = new Set<bigint>()
  const contention = Effect.gen(function*() {
    const lock = yield* KubeLock.make({
      resource: ResourceRef.configMap({ namespace: orders.namespace, name: orders.configMap }),
      name: "contended",
      owner: orders.contender
    })
    const fiber = Effect.gen(function*() {
      let times = 0
      let counted = 0
      do {
        const askedAtMicros = yield* micros
        counted = yield* lock.withLock(Effect.gen(function*() {
          const { fencingToken } = yield* HeldLock
          waitsMicros.push((yield* micros) - askedAtMicros)
          turns.add(fencingToken)
          return yield* Effect.acquireUseRelease(enter, () => count(fencingToken), leave)
        }))
        times++
      } while (counted < orders.acquisitions)
      return times
    })
    yield* tell({ _tag: "Ready" })
    yield* untilInputEnds
    const fromMicros = yield* micros
    const timesPerFiber = yield* Effect.all(Array.makeBy(orders.fibers, () => fiber), { concurrency: "unbounded" })
    return { timesPerFiber, fromMicros, toMicros: yield* micros }
  })
  const done = yield* Effect.provide(
    contention,
    Layer.provide(KubeLock.layer, Layer.provide(KubeAnnotationStore.layer, counting))
  )
  return {
    _tag: "Served",
    contender: orders.contender,
    waitsMicros,
    turns: turns.size,
    requests,
    watches,
    overlaps,
    tokensOutOfOrder,
    ...done
  } as const
})

// Everything else that keeps a process alive shows by its not ending.
const isOfConnection = (resource: string) => /TCP|TLS|HTTP/.test(resource)

const main = Effect.gen(function*() {
  const orders = yield* Schema.decodeUnknownEffect(Orders)(argv[2])
  const served = yield* Effect.provide(contend(orders), KubeTransport.layerText(orders.kubeconfig))
  yield* tell(served)
  yield* tell({ _tag: "Closed", connections: getActiveResourcesInfo().filter(isOfConnection) })
})

// Standard output is for messages alone.
main.pipe(
  Effect.onError((cause) => Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logError(cause)),
  Effect.provideService(Logger.LogToStderr, true),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
