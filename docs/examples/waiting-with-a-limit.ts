/**
 * Waiting for a lock, but not for ever.
 *
 * `waitAtMost` limits the waiting, not the work. The error names the holder, since when and until when it has the lock, so that a person who
 * reads it knows whom to ask. `withLockIfAvailable` does not wait at all.
 *
 * Here a night job has the lock, and a deployment does not wait for the morning.
 *
 * Run it: node docs/examples/waiting-with-a-limit.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { AnnotationStore, KubeLock, ResourceRef } from "@kubelock/kube"
import { Console, Deferred, Effect, Fiber, Layer, Option } from "effect"

const resource = ResourceRef.configMap({ namespace: "prod", name: "deploys" })

const program = Effect.gen(function*() {
  const nightJob = yield* KubeLock.make({ resource, name: "helm", owner: "night-job" })
  const lock = yield* KubeLock.make({ resource, name: "helm", owner: "alice", waitAtMost: "200 millis" })

  const begun = yield* Deferred.make<void>()
  const night = yield* Effect.forkChild(
    nightJob.withLock(Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
  )
  yield* Deferred.await(begun)

  yield* Console.log("deploying").pipe(
    lock.withLock,
    Effect.catchTag("WaitTimeout", (error) => Console.log(`not deployed. ${error.message}`))
  )

  const perhaps = yield* lock.withLockIfAvailable(Effect.succeed("deployed"))
  yield* Console.log(Option.getOrElse(perhaps, () => "not deployed: somebody has the lock"))
  yield* Fiber.interrupt(night)
})

const inMemory = KubeLock.layer.pipe(Layer.provide(AnnotationStore.layerMemory([resource])))

program.pipe(Effect.provide(inMemory), NodeRuntime.runMain)
