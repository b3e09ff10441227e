import { assert, describe, it } from "@effect/vitest"
import { AnnotationStore, KubeLock, ResourceRef } from "@kubelock/kube"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { overHttp, unreached } from "./suites/httpScene.ts"
import * as Scenes from "./suites/lockScenes.ts"
import { namesIn, promised } from "./suites/observabilityDocs.ts"
import { endOf, measuredIn, observed, pathOf, type Telemetry } from "./suites/telemetry.ts"

// What docs/OBSERVABILITY.md says is seen, seen.

const lock = { "kubelock.lock": "x", "kubelock.resource": "configmaps/object in default", "kubelock.owner": "me" }

const logged = ({ logs }: Telemetry) => logs.map(({ level, text }) => `${level} ${text}`)

const named = ({ spans }: Telemetry, name: string) => spans.filter((span) => span.name === name)

/** A metric of Effect's own, or none of a lock's. */
const counted = (telemetry: Telemetry, prefix: string) =>
  Object.fromEntries(Object.entries(measuredIn(telemetry)).filter(([name]) => name.startsWith(prefix)))

describe("the spans", () => {
  it.effect("of a section are part of the span of its lock being held", () =>
    Effect.gen(function*() {
      const { spans } = yield* observed(Scenes.renewed)
      assert.deepStrictEqual(spans.map((span) => pathOf(span).join(" < ")), [
        "caller",
        "KubeLock.acquire < caller",
        "KubeLock.wait < KubeLock.acquire < caller",
        "KubeLock.hold < caller",
        "work < KubeLock.hold < caller",
        "KubeLock.renew < KubeLock.hold < caller",
        "KubeLock.renew < KubeLock.hold < caller",
        "KubeLock.release < caller"
      ])
      assert.isTrue(spans.every((span) => endOf(span) === "success"))
    }))

  it.effect("say which lock, on which object, for whom, and with which token", () =>
    Effect.gen(function*() {
      const seen = yield* observed(Scenes.renewed)
      const token = named(seen, "KubeLock.hold")[0]?.attributes.get("kubelock.fencing_token")
      assert.match(String(token), /^\d+$/)
      for (const name of ["KubeLock.acquire", "KubeLock.hold", "KubeLock.renew", "KubeLock.release"]) {
        const [span] = named(seen, name)
        assert.deepStrictEqual(Object.fromEntries(span!.attributes), { ...lock, "kubelock.fencing_token": token }, name)
      }
      assert.deepStrictEqual(Object.fromEntries(named(seen, "KubeLock.wait")[0]!.attributes), lock)
    }))

  it.effect("of several locks name them all, in the order in which they were asked for", () =>
    Effect.gen(function*() {
      const seen = yield* observed(Scenes.several)
      assert.strictEqual(named(seen, "KubeLock.acquire")[0]?.attributes.get("kubelock.lock"), "b, a")
      assert.deepStrictEqual(named(seen, "KubeLock.hold").map(({ attributes }) => attributes.get("kubelock.lock")), [
        "a",
        "b"
      ])
    }))

  it.effect("of a renewal of several name them all, and are linked to those of their being held", () =>
    Effect.gen(function*() {
      const seen = yield* observed(Scenes.renewedTogether)
      const holds = named(seen, "KubeLock.hold")
      const [first, ...later] = named(seen, "KubeLock.renew")
      assert.deepStrictEqual(pathOf(first!), ["KubeLock.renew"])
      assert.deepStrictEqual(first!.links.map(({ span }) => span.spanId), holds.map(({ spanId }) => spanId))
      assert.strictEqual(first!.attributes.get("kubelock.lock"), "x, y, z")
      assert.strictEqual(first!.attributes.get("kubelock.owner"), "me, you")
      assert.deepStrictEqual([first!, later.at(-1)!].map(endOf), ["success", "success"])
      assert.include(later.map(endOf), "failure")
    }))

  it.effect("of single attempts say as much", () =>
    Effect.gen(function*() {
      const seen = yield* observed(Scenes.attempts)
      const attributesOf = (name: string) => named(seen, name).map(({ attributes }) => [...attributes.keys()])
      const [common, token] = [Object.keys(lock), "kubelock.fencing_token"]
      assert.deepStrictEqual(attributesOf("KubeLock.acquire")[0], [...common, token])
      assert.deepStrictEqual(attributesOf("KubeLock.acquire")[1], common)
      assert.deepStrictEqual(attributesOf("KubeLock.renew"), [[...common, token]])
      assert.deepStrictEqual(attributesOf("KubeLock.release"), [[...common, token], common])
      assert.deepStrictEqual(named(seen, "KubeLock.releaseAll")[0]?.attributes.get("kubelock.lock"), "a, b")
    }))

  it.effect("of a refused write are no error, and its status is told; nothing of a watch is part of anybody's trace", () =>
    Effect.gen(function*() {
      const seen = yield* observed(overHttp)
      const requests = named(seen, "KubeTransport.request")
      const told = requests.map((span) => [
        pathOf(span)[1],
        span.attributes.get("http.request.method"),
        span.attributes.get("http.response.status_code"),
        span.attributes.get("kubelock.watch"),
        endOf(span)
      ])
      assert.deepStrictEqual(told, [
        ["KubeLock.wait", "PATCH", 422, false, "success"],
        ["KubeLock.wait", "GET", 200, false, "success"],
        [undefined, "GET", 200, true, "success"],
        ["KubeLock.wait", "PATCH", 200, false, "success"],
        ["KubeLock.renew", "PATCH", 200, false, "success"],
        ["KubeLock.release", "PATCH", 200, false, "success"]
      ])
      assert.match(
        String(requests[0]?.attributes.get("url.path")),
        /^\/api\/v1\/namespaces\/default\/configmaps\/object-0$/
      )
      assert.deepStrictEqual(counted(seen, "kubelock_conflicts"), { "kubelock_conflicts_total{}": 1 })
      assert.property(measuredIn(seen), "kubelock_clock_offset_seconds{}")
    }))
})

describe("the logs", () => {
  it.effect("say nothing where all is well", () =>
    Effect.gen(function*() {
      for (const scene of [Scenes.renewed, Scenes.outcomes, Scenes.written, Scenes.several]) {
        assert.deepStrictEqual((yield* observed(scene)).logs, [])
      }
    }))

  it.effect("tell who waits long, ever more seldom, and for whom", () =>
    Effect.gen(function*() {
      const { logs } = yield* observed(Scenes.waited)
      assert.deepStrictEqual(logs.map(({ level, span }) => [level, span]), [
        ["Info", "KubeLock.wait"],
        ["Info", "KubeLock.wait"]
      ])
      assert.strictEqual(logs[0]?.text, "Still waiting for a lock after 1m")
      assert.deepInclude(logs[0]?.attributes, lock)
      assert.match(String(logs[0]?.attributes["kubelock.holder"]), /^"go" since 1970-01-01T00:00:00Z/)
    }))

  it.effect("warn of the first renewal that fails, and not of those after it", () =>
    Effect.gen(function*() {
      const seen = yield* observed(Scenes.notRenewedAtOnce)
      const text = "Warn A lock could not be renewed yet; unless it can in time, it is lost"
      assert.deepStrictEqual(logged(seen), [text, text])
      assert.include(seen.logs[0]?.attributes["kubelock.problem"], "you may not")
      assert.deepInclude(seen.logs[0]?.attributes, lock)
      const renewals = counted(seen, "kubelock_renewals")
      assert.isAbove(renewals["kubelock_renewals_total{outcome=failed}"]!, 2)
      assert.isAbove(renewals["kubelock_renewals_total{outcome=renewed}"]!, 1)
      assert.isTrue(named(seen, "KubeLock.renew").map(endOf).includes("failure"))
    }))

  it.effect("warn once of a renewal of several that fails, and name those that are still held", () =>
    Effect.gen(function*() {
      const { logs } = yield* observed(Scenes.renewedTogether)
      assert.deepStrictEqual(logs.map(({ attributes, level }) => [level, attributes["kubelock.lock"]]), [
        ["Warn", "x, y"],
        ["Error", "x"]
      ])
      assert.deepInclude(logs[0]?.attributes, { "kubelock.owner": "me, you" })
      assert.match(String(logs[0]?.attributes["kubelock.problem"]), /^Could not renew locks: it is down/)
    }))

  it.effect.each(Object.entries(Scenes.losses))(
    "are an error when a lock is lost: %s",
    ([reason, scene]) =>
      Effect.gen(function*() {
        const seen = yield* observed(scene)
        const errors = seen.logs.filter(({ level }) => level === "Error")
        assert.deepStrictEqual(errors.map(({ text }) => text), ["A lock was lost"])
        assert.deepInclude(errors[0]?.attributes, lock)
        assert.include(errors[0]?.attributes["kubelock.problem"], `"me" has lost lock "x"`)
        assert.strictEqual(errors[0]?.span, "KubeLock.hold")
        assert.deepStrictEqual(counted(seen, "kubelock_losses"), { [`kubelock_losses_total{reason=${reason}}`]: 1 })
        assert.deepStrictEqual(named(seen, "work").map(endOf), ["interruption"])
        assert.strictEqual(measuredIn(seen)["kubelock_held{}"], 0)
      })
  )

  it.effect("warn at the end of a section whose lock was lost unseen, which counts as a loss", () =>
    Effect.gen(function*() {
      const seen = yield* observed(Scenes.lostAtRelease)
      assert.deepStrictEqual(logged(seen), ["Warn A lock was lost before it could be released"])
      assert.deepStrictEqual(counted(seen, "kubelock_losses"), { "kubelock_losses_total{reason=Broken}": 1 })
    }))

  it.effect("warn of what may stay on the object", () =>
    Effect.gen(function*() {
      const notReleased = yield* observed(Scenes.notReleased)
      assert.deepStrictEqual(logged(notReleased), ["Warn A lock could not be released; it is held until it expires"])
      assert.deepStrictEqual(notReleased.logs[0]?.span, "KubeLock.release")
      const notInTime = yield* observed(Scenes.notReleasedInTime)
      assert.deepStrictEqual(logged(notInTime), [
        "Warn A lock could not be released in time; unless a request still arrives, it is held until it expires"
      ])
      assert.deepInclude(notInTime.logs[0]?.attributes, lock)
      const left = yield* observed(Scenes.leftBehind)
      assert.deepStrictEqual(logged(left), [
        "Warn A lock may have been left behind, and will then be held until it expires"
      ])
      assert.strictEqual(left.logs[0]?.attributes["kubelock.annotations"], Scenes.key)
    }))

  it.effect("say once that an object cannot be watched", () =>
    Effect.gen(function*() {
      const { logs } = yield* observed(Scenes.unwatched)
      assert.deepStrictEqual(logs.map(({ level, text }) => [level, text.slice(0, 27)]), [
        ["Warn", "An object cannot be watched"]
      ])
      assert.include(logs[0]?.attributes["kubelock.problem"], "you may not")
    }))

  it.effect("say when the clock is off, and again only after it was right; each tolerance for itself", () =>
    Effect.gen(function*() {
      const { logs } = yield* observed(Scenes.clockOff)
      const said = logs.map((
        { level, text }
      ) => [level, ...text.match(/clock is .* the API server's|here \d+s/g) ?? []])
      assert.deepStrictEqual(said, [
        ["Warn", "clock is 10s ahead of the API server's", "here 1s"],
        ["Warn", "clock is 10s ahead of the API server's", "here 6s"],
        ["Warn", "clock is 10s behind the API server's", "here 1s"],
        ["Warn", "clock is 10s behind the API server's", "here 6s"]
      ])
    }))
})

describe("the metrics", () => {
  it.effect("count acquisitions by how they ended, and what is held", () =>
    Effect.gen(function*() {
      const seen = yield* observed(Scenes.outcomes)
      const outcome = (outcome: string) => `kubelock_acquisitions_total{outcome=${outcome}}`
      assert.deepStrictEqual(counted(seen, "kubelock_acquisitions"), {
        [outcome("acquired")]: 3,
        [outcome("handed over")]: 1,
        [outcome("unavailable")]: 1,
        [outcome("failed")]: 1,
        [outcome("timed out")]: 1,
        [outcome("interrupted")]: 1
      })
      assert.deepStrictEqual(counted(seen, "kubelock_held"), { "kubelock_held{}": 0 })
      assert.deepStrictEqual(counted(seen, "kubelock_wait"), { "kubelock_wait_seconds{}": 2 })
      assert.deepStrictEqual(counted(seen, "kubelock_hold"), { "kubelock_hold_seconds{}": 4 })
    }))

  it.effect("count every lock of several once, also where a later object cannot be had", () =>
    Effect.gen(function*() {
      const [free, held] = ["free", "held"].map((name) => ResourceRef.configMap({ namespace: "default", name })) as [
        ResourceRef.ResourceRef,
        ResourceRef.ResourceRef
      ]
      const layer = Layer.provide(KubeLock.layer, AnnotationStore.layerMemory([free, held]))
      const seen = yield* observed(
        Effect.gen(function*() {
          const wanted = [free, held].flatMap((resource) => ["x", "y"].map((name) => ({ resource, name })))
          const { withLocks } = yield* KubeLock.makeAll(wanted)
          yield* withLocks(Effect.void)
          const lock = yield* KubeLock.make({ resource: held, name: "y" })
          const impatient = yield* KubeLock.makeAll(wanted.map((one) => ({ ...one, waitAtMost: "1 second" })))
          yield* lock.withLock(Effect.gen(function*() {
            const fiber = yield* Effect.forkChild(Effect.flip(impatient.withLocks(Effect.void)))
            yield* TestClock.adjust("1 second")
            yield* Fiber.join(fiber)
          }))
        }).pipe(Effect.provide(Layer.fresh(layer)))
      )
      assert.deepStrictEqual(counted(seen, "kubelock_acquisitions"), {
        "kubelock_acquisitions_total{outcome=acquired}": 5,
        "kubelock_acquisitions_total{outcome=timed out}": 4
      })
    }))

  it.effect("count renewals that somebody asked for, and no fenced writes", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(counted(yield* observed(Scenes.written), "kubelock_renewals"), {
        "kubelock_renewals_total{outcome=renewed}": 1
      })
    }))
})

it.effect("docs/OBSERVABILITY.md names what is seen, and nothing else", () =>
  Effect.gen(function*() {
    const { losses, ...scenes } = Scenes
    const all = [
      overHttp,
      unreached,
      ...Object.values(losses),
      ...Object.values(scenes).filter((scene) => Effect.isEffect(scene))
    ]
    const seen = yield* Effect.forEach(all, (scene) => observed(scene))
    assert.deepStrictEqual(namesIn(seen), promised)
  }))
