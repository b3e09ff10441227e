/** A client that writes another annotation of an object, 50 times a second. Its argument is the kubeconfig's text. */
import { KubeTransport, ResourceRef } from "@kubelock/kube"
import { Clock, Effect, FiberHandle, Schedule } from "effect"
import { argv } from "node:process"
import * as Worker from "../contenders/Worker.ts"
import { Order } from "./Message.ts"

const writer = Effect.gen(function*() {
  const { request } = yield* KubeTransport
  let writes = 0
  let begun = yield* Clock.monotonicTimeNanos

  const write = (path: string) =>
    Effect.suspend(() =>
      request({
        method: "PATCH",
        path,
        headers: {
          accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
          "content-type": "application/merge-patch+json"
        },
        body: JSON.stringify({ metadata: { annotations: { "bench.kubelock.dev/busy": String(++writes) } } })
      })
    ).pipe(Effect.orDie, Effect.uninterruptible)

  const writing = yield* FiberHandle.make()
  yield* Worker.answer(
    Order,
    Effect.fnUntraced(function*({ resource }) {
      yield* FiberHandle.clear(writing)
      const now = yield* Clock.monotonicTimeNanos
      const told = { writes, millis: Number(now - begun) / 1_000_000 }
      writes = 0
      begun = now
      if (resource !== undefined) {
        yield* FiberHandle.run(writing, Effect.repeat(write(ResourceRef.toPath(resource)), Schedule.fixed("20 millis")))
      }
      return told
    })
  )
})

Worker.run(writer.pipe(Effect.scoped, Effect.provide(KubeTransport.layerText(argv[2] ?? ""))))
