/** The locks of this repository. Its arguments: `attempts` or `managed`, and the kubeconfig's text. */
import { KubeAnnotationStore, KubeLock, KubeTransport, type ManagedLock, ResourceRef } from "@kubelock/kube"
import { Effect, Layer } from "effect"
import { argv } from "node:process"
import * as Worker from "./Worker.ts"

const [, , way, kubeconfig = ""] = argv
const name = "bench"
const owner = "bench"

const attempts = Effect.map(KubeLock, (locks): Worker.Pair => (resource, attempt) =>
  Effect.flatMap(
    attempt("acquire", locks.acquire({ resource, name, owner })),
    (lease) => attempt("release", locks.release(lease))
  ))

const managed = Effect.gen(function*() {
  const locks = yield* KubeLock
  // A program makes its lock once.
  const made = new Map<string, ManagedLock>()
  return ((resource, attempt) =>
    Effect.gen(function*() {
      const path = ResourceRef.toPath(resource)
      const lock = made.get(path) ?? (yield* Effect.orDie(locks.make({ resource, name, owner })))
      made.set(path, lock)
      yield* attempt("withLock", lock.withLock(Effect.void))
    })) satisfies Worker.Pair
})

Worker.run(
  Effect.flatMap(way === "managed" ? managed : attempts, Worker.serve).pipe(
    Effect.provide(KubeLock.layer.pipe(
      Layer.provide(KubeAnnotationStore.layer),
      Layer.provide(KubeTransport.layerText(kubeconfig))
    ))
  )
)
