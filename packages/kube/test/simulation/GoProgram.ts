/**
 * A program that uses the Go library: it reads, decides, and writes back what it has read with a lock in it or out of it, which fails if
 * anybody wrote in between. It polls, renews nothing, and its records have no id.
 */
import { AnnotationEdit, LockName, LockRecord, LockState } from "@kubelock/core"
import { type KubeError, type KubeTransport, ResourceRef } from "@kubelock/kube"
import { Clock, Effect, Result } from "effect"
import { resource } from "./SimulatedServer.ts"

interface Read {
  readonly metadata: { readonly annotations?: AnnotationEdit.Annotations; readonly [field: string]: unknown }
  readonly [field: string]: unknown
}

const path = ResourceRef.toPath(resource)

export const make = ({ request }: KubeTransport["Service"], lock: LockName.LockName, ttlMillis: number) => {
  const read = Effect.map(request({ method: "GET", path }), ({ body }): Read => JSON.parse(body))
  const write = (object: Read, annotations: AnnotationEdit.Annotations) =>
    request({ method: "PUT", path, body: JSON.stringify({ ...object, metadata: { ...object.metadata, annotations } }) })
  const key = LockName.toKey(lock)

  return {
    /** Whether it has the lock now. Where it cannot tell, it has not. */
    acquire: Effect.fnUntraced(function*(owner: string): Effect.fn.Return<boolean, KubeError> {
      const object = yield* read
      const nowNanos = yield* Clock.currentTimeNanos
      const annotations = object.metadata.annotations ?? {}
      const state = LockState.read(annotations, lock, nowNanos)
      if (state._tag === "Held") return false
      const record = { owner, createdAtNanos: nowNanos, ttlNanos: BigInt(ttlMillis) * 1_000_000n }
      yield* write(object, { ...annotations, [key]: LockRecord.format(record) })
      return true
    }),

    /** Removes what it wrote. */
    release: Effect.fnUntraced(function*(owner: string): Effect.fn.Return<void, KubeError> {
      const object = yield* read
      const { [key]: text, ...others } = object.metadata.annotations ?? {}
      const record = text === undefined ? undefined : Result.getOrUndefined(LockRecord.parse(text))
      if (record?.owner === owner) yield* write(object, others)
    })
  }
}
