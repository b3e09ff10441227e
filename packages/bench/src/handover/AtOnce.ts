/** A lock as one would first write it over the annotation store: whoever sees it free tries to take it. What turns are held against. */
import { AnnotationEdit, LockName, LockRecord } from "@kubelock/core"
import { AnnotationStore, Identity, type ObjectChange, type ResourceRef } from "@kubelock/kube"
import { Clock, Effect, Latch, Result, Stream } from "effect"

const ttlNanos = 30_000_000_000n

/** Follows the object, until the scope is closed. What it answers runs a section under the lock. */
export const make = Effect.fnUntraced(
  function*(resource: ResourceRef.ResourceRef, name: LockName.LockName, owner: string) {
    const store = yield* AnnotationStore
    const key = LockName.toKey(name)
    const from = yield* store.get(resource)
    let latest: ObjectChange = { _tag: "Present", object: from }
    const isChanged = Latch.makeUnsafe(false)
    yield* Effect.forkScoped(Stream.runForEach(store.changes(resource, from.resourceVersion), (change) => {
      latest = change
      isChanged.openUnsafe()
      return Effect.void
    }))

    /** The resourceVersion at which the lock is seen free, if it is one after this. */
    const freeAfter = (resourceVersion: bigint) => {
      if (latest._tag === "Deleted" || latest.object.resourceVersion <= resourceVersion) return undefined
      return AnnotationEdit.get(latest.object.annotations, key) === undefined
        ? latest.object.resourceVersion
        : undefined
    }
    const untilFreeAfter = Effect.fnUntraced(function*(resourceVersion: bigint) {
      while (true) {
        const free = freeAfter(resourceVersion)
        if (free !== undefined) return free
        isChanged.closeUnsafe()
        yield* isChanged.await
      }
    })

    /** Whether it was got. */
    const tryOnce = Effect.fnUntraced(function*<A, E, R>(section: Effect.Effect<A, E, R>) {
      const createdAtNanos = yield* Clock.currentTimeNanos
      const value = LockRecord.format({ owner, createdAtNanos, ttlNanos, id: yield* Identity.nextAcquisitionId })
      return yield* Effect.acquireUseRelease(
        Effect.result(store.edit(resource, [{ key, expected: undefined, value }])),
        Effect.fnUntraced(function*(answer) {
          if (Result.isSuccess(answer)) {
            yield* section
            return true
          }
          if (answer.failure._tag === "EditRefused") return false
          return yield* answer.failure
        }),
        (answer) =>
          Result.isSuccess(answer) ? store.edit(resource, [{ key, expected: value, value: undefined }]) : Effect.void
      )
    })

    return Effect.fnUntraced(function*<A, E, R>(section: Effect.Effect<A, E, R>) {
      let seen = -1n
      do seen = yield* untilFreeAfter(seen)
      while (!(yield* tryOnce(section)))
    })
  }
)
