import { assert, describe, it } from "@effect/vitest"
import { AnnotationStore, Identity, KubeLock, ResourceRef } from "@kubelock/kube"
import { Effect, Layer } from "effect"
import { execFileSync } from "node:child_process"
import { hostname } from "node:os"
import { execPath, pid } from "node:process"

const resource = ResourceRef.configMap({ namespace: "default", name: "a" })
const layer = Layer.provide(KubeLock.layer, AnnotationStore.layerMemory([resource]))

const ownerElsewhere = () =>
  execFileSync(execPath, [
    "--input-type=module",
    "--eval",
    `import { Identity } from "@kubelock/kube"
     import { Effect } from "effect"
     console.log(Effect.runSync(Effect.map(Identity.Identity, ({ owner }) => owner)))`
  ], { cwd: import.meta.dirname, encoding: "utf8" }).trim()

describe("the default owner", () => {
  it.effect("is of the host, the process and chance, and the same for all of the process", () =>
    Effect.gen(function*() {
      const { owner, process } = yield* Identity.Identity
      assert.strictEqual(owner, `${hostname()}-${pid}-${process}`)
      assert.match(process, /^[0-9a-z]{12}$/)
      assert.deepStrictEqual(yield* Identity.Identity, { owner, process })
    }))

  it.effect("is another in another process", () =>
    Effect.gen(function*() {
      const owners = new Set([ownerElsewhere(), ownerElsewhere(), (yield* Identity.Identity).owner])
      assert.strictEqual(owners.size, 3)
    }))

  it.effect("is what the program says, where it says so", () =>
    Effect.gen(function*() {
      const locks = yield* KubeLock
      const lease = yield* locks.acquire({ resource, name: "x" }).pipe(Identity.withOwner("operator-5.3.0"))
      assert.strictEqual(lease.owner, "operator-5.3.0")
      assert.isTrue(lease.id.startsWith(`${(yield* Identity.Identity).process}-`))
    }).pipe(Effect.provide(layer)))
})

describe("another process", () => {
  it.effect("is one under a name of its own, whose acquisitions are told by it", () =>
    Effect.gen(function*() {
      const locks = yield* KubeLock
      const lease = yield* locks.acquire({ resource, name: "x" }).pipe(Identity.asProcess("second"))
      assert.strictEqual(lease.owner, "second")
      assert.isTrue(lease.id.startsWith("second-"))
    }).pipe(Effect.provide(Layer.fresh(layer))))

  it.effect("may share its owner with others", () =>
    Effect.gen(function*() {
      const identity = Effect.flatMap(Identity.Identity, Effect.succeed)
      const shared = identity.pipe(Identity.withOwner("all"), Identity.asProcess("second"))
      assert.deepStrictEqual(yield* shared, { owner: "all", process: "second" })
    }))
})

describe("an acquisition's id", () => {
  it.effect("is never another's", () =>
    Effect.gen(function*() {
      const ids = yield* Effect.replicateEffect(Identity.nextAcquisitionId, 1_000)
      assert.strictEqual(new Set(ids).size, 1_000)
    }))
})
