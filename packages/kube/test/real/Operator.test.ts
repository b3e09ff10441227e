/** What the guides for operators say, done on a real API server: their manifests applied, and each of their commands typed. */
import { assert, describe, layer } from "@effect/vitest"
import { AnnotationStore, HeldLock, isForbidden, KubeError, KubeLock, KubeTransport, ResourceRef } from "@kubelock/kube"
import { Clock, Deferred, Effect, Fiber, Layer, Logger, Result, Schedule, Schema, Stream, Struct } from "effect"
import * as Yaml from "effect/encoding/Yaml"
import * as SharedControlPlane from "../../../testing/test/SharedControlPlane.ts"
import { fencesOf, read } from "../suites/guides.ts"
import {
  asPod,
  Cluster,
  cluster,
  guide,
  helm,
  key,
  objectNow,
  other,
  putText,
  resource,
  rolePath,
  textNow,
  untilRightsAre,
  untyped,
  verbs
} from "../suites/operator.ts"

/** What came of it: nothing, or the verb that is missing. */
const missing = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.result(effect), (result) => {
    if (Result.isSuccess(result)) return undefined
    const { failure } = result
    assert.isTrue(failure instanceof KubeError && isForbidden(failure), String(failure))
    return /Grant the verb "(\w+)"/.exec(String(failure))?.[1]
  })

type Probe = Effect.Effect<string | undefined, never, KubeLock | AnnotationStore | KubeTransport | Cluster>

/** What each verb is for, tried on an object. */
const probesOf = (ref: ResourceRef.ResourceRef): Readonly<Record<(typeof verbs)[number], Probe>> => ({
  patch: missing(Effect.gen(function*() {
    const locks = yield* KubeLock
    yield* locks.release(yield* locks.renew(yield* locks.acquire({ resource: ref, name: "probe" })))
  })),
  get: missing(Effect.flatMap(KubeLock, (locks) => locks.inspect({ resource: ref, name: "probe" }))),
  watch: missing(Effect.gen(function*() {
    const { changes } = yield* AnnotationStore
    const { metadata } = yield* objectNow
    yield* putText("{}")
    yield* putText(undefined)
    yield* Stream.runDrain(Stream.take(changes(ref, BigInt(metadata.resourceVersion)), 2))
  })),
  // What is asked after a 410: see docs/PROTOCOL.md.
  list: missing(Effect.flatMap(KubeTransport, ({ request }) =>
    request({
      method: "GET",
      path: ResourceRef.toPath(ref).replace(/\/[^/]*$/, ""),
      query: { fieldSelector: `metadata.name=${ref.name}` }
    })))
})

const Pod = Schema.Struct({
  spec: Schema.Struct({
    tolerations: Schema.Array(Schema.Struct({ key: Schema.String, tolerationSeconds: Schema.Int }))
  })
})

const Deployment = Schema.Struct({
  spec: Schema.Struct({
    template: Schema.Struct({
      metadata: Schema.Record(Schema.String, Schema.Unknown),
      spec: Schema.StructWithRest(
        Schema.Struct({ containers: Schema.Array(Schema.Record(Schema.String, Schema.Unknown)) }),
        [Schema.Record(Schema.String, Schema.Unknown)]
      )
    })
  })
})

const template = Schema.decodeUnknownSync(Deployment)(Yaml.parse(read("docs/manifests/deployment.yaml"))).spec.template

const services = cluster.pipe(Layer.provideMerge(SharedControlPlane.layer))

const pod = "deployer-5d8f7c9b4-x2k4p"
const names = guide("stuckLocks", "namespace=prod")
const lookNow = guide("stuckLocks", "seen=$(kubectl")
const look = `${names}${lookNow}`
const breakIt = guide("stuckLocks", "kubectl -n \"$namespace\" patch")
const nightly = "kubelock.giantswarm.io/nightly"
const refused = "The request is invalid: the server rejected our request due to an error in our request"

/** A record of a process that is none of this library's. */
const record = (owner: string, createdAt: Date) =>
  JSON.stringify({ owner, createdAt: createdAt.toISOString(), ttl: 43_200_000_000_000 })

const daysFromNow = (days: number) =>
  Effect.map(Clock.currentTimeMillis, (millis) => new Date(millis + days * 86_400_000))

layer(services, { excludeTestServices: true })("Those who follow the guides", (it) => {
  describe("In a Pod", () => {
    it.effect("the manifests are what the server knows: there is no field in them that it would ignore", () =>
      Effect.gen(function*() {
        const { applied, shell } = yield* Cluster
        assert.deepStrictEqual(applied.trim().split("\n"), [
          "namespace/prod created",
          "configmap/deploys created",
          "serviceaccount/deployer created",
          "role.rbac.authorization.k8s.io/deploys-lock created",
          "rolebinding.rbac.authorization.k8s.io/deploys-lock created",
          "deployment.apps/deployer created"
        ])
        const { printed } = yield* shell(
          "sed s/readOnlyRoot/readOnly/ deployment.yaml | kubectl apply --dry-run=server -f -"
        )
        assert.include(printed, "unknown field \"spec.template.spec.containers[0].securityContext.readOnlyFilesystem\"")
      }))

    it.effect("the namespace admits the Deployment's Pods, and none that are less careful", () =>
      Effect.gen(function*() {
        const { admin } = yield* Cluster
        const create = (spec: object) =>
          admin("POST", "/api/v1/namespaces/prod/pods?dryRun=All&fieldValidation=Strict", {
            apiVersion: "v1",
            kind: "Pod",
            metadata: { ...template.metadata, name: "one" },
            spec
          })
        const { spec } = yield* Schema.decodeUnknownEffect(Pod)(yield* create(template.spec))
        // The five minutes of the guide.
        assert.deepStrictEqual(spec.tolerations.map(Struct.get("tolerationSeconds")), [300, 300])
        const [container] = template.spec.containers
        const careless = [
          Struct.omit(template.spec, ["securityContext"]),
          { ...template.spec, containers: [Struct.omit(container!, ["securityContext"])] }
        ]
        for (const spec of careless) {
          const { message } = yield* Effect.flip(create(spec))
          assert.include(message, "violates PodSecurity \"restricted:latest\"")
        }
      }))

    it.effect("kubectl says of the rights what the guide says", () =>
      Effect.gen(function*() {
        const { shell } = yield* Cluster
        const { printed } = yield* shell(guide("inAPod", "kubectl -n prod auth can-i"))
        const shown = fencesOf(read("docs/guides/in-a-pod.md"), "").filter((fence) => /^(yes|no)$/m.test(fence))
        assert.deepStrictEqual(shown, [`${printed.trim()}\n`])
      }))

    it.effect("the service account takes the lock, keeps it, waits for it, and gives it back", () =>
      Effect.gen(function*() {
        const { shell } = yield* Cluster
        const mayEnd = yield* Deferred.make<void>()
        const sections: Array<string> = []
        const section = (pod: string, work: Effect.Effect<void>) =>
          Effect.gen(function*() {
            const lock = yield* KubeLock.make({ ...helm, renewEvery: "100 millis", requestTimeout: "5 seconds" })
            yield* lock.withLock(Effect.andThen(Effect.sync(() => sections.push(pod)), work))
          }).pipe(asPod(pod), Effect.forkChild)
        const first = yield* section("first", Deferred.await(mayEnd))
        const text = yield* textNow.pipe(
          Effect.repeat({ schedule: Schedule.spaced("10 millis"), until: (text) => text !== undefined })
        )
        const shown = yield* shell(guide("inAPod", "kubectl -n prod get configmap deploys"))
        assert.include(shown.printed, "\"owner\":\"first-1-0k3j9xq1z5ab\"")
        const second = yield* section("second", Effect.void)
        yield* Effect.repeat(textNow, { schedule: Schedule.spaced("10 millis"), until: (now) => now !== text })
        assert.deepStrictEqual(sections, ["first"])
        yield* Deferred.succeed(mayEnd, undefined)
        yield* Effect.andThen(Fiber.join(first), Fiber.join(second))
        assert.deepStrictEqual(sections, ["first", "second"])
        assert.isUndefined(yield* textNow)
      }))

    it.effect("each verb is needed for what the README's table says, and for nothing else", () =>
      Effect.gen(function*() {
        const { admin } = yield* Cluster
        const [, table = ""] = read("README.md").split(/^\| verb +\| what for +\|\n\|.*\n/m)
        const rows = [.../^(?:\|.*\n)+/.exec(table)?.[0].matchAll(/^\| `(\w+)` /gm) ?? []].map(([, verb]) => verb!)
        const probes = probesOf(resource)
        assert.deepStrictEqual(rows, Object.keys(probes))
        const outcomes = Effect.gen(function*() {
          return Object.fromEntries(
            yield* Effect.forEach(
              Object.entries(probes),
              ([verb, probe]) => Effect.map(probe, (missed) => [verb, missed])
            )
          )
        }).pipe(asPod("prober"))
        assert.deepStrictEqual(yield* outcomes, { patch: undefined, get: undefined, watch: undefined, list: undefined })
        const role = yield* Schema.decodeUnknownEffect(
          Schema.StructWithRest(
            Schema.Struct({ rules: Schema.Tuple([Schema.Record(Schema.String, Schema.Unknown)]) }),
            [Schema.Record(Schema.String, Schema.Unknown)]
          )
        )(yield* admin("GET", rolePath))
        const grant = (verbs: ReadonlyArray<string>) =>
          Effect.andThen(
            admin("PUT", rolePath, {
              ...Struct.omit(role, ["metadata"]),
              metadata: { name: "deploys-lock" },
              rules: [{ ...role.rules[0], verbs }]
            }),
            untilRightsAre(verbs)
          )
        for (const dropped of verbs) {
          yield* grant(verbs.filter((verb) => verb !== dropped))
          assert.deepStrictEqual(yield* outcomes, {
            patch: undefined,
            get: undefined,
            watch: undefined,
            list: undefined,
            [dropped]: dropped
          })
        }
        yield* grant(verbs)
      }))

    it.effect("no other object may be touched", () =>
      Effect.gen(function*() {
        for (const ref of [other, ResourceRef.configMap({ namespace: "default", name: "deploys" })]) {
          for (const [verb, probe] of Object.entries(probesOf(ref))) {
            assert.strictEqual(yield* probe, verb, ref.name)
          }
        }
        const { request } = yield* KubeTransport
        const all = request({ method: "GET", path: "/api/v1/namespaces/prod/configmaps" })
        assert.strictEqual(yield* missing(all), "list")
      }).pipe(asPod("curious")))

    it.effect("the ConfigMap can be applied again under a lock, and not be replaced", () =>
      Effect.gen(function*() {
        const { shell } = yield* Cluster
        const locks = yield* KubeLock
        const lease = yield* locks.acquire(helm)
        yield* shell("kubectl apply -f lock.yaml")
        const renewed = yield* locks.renew(lease)
        yield* shell("kubectl replace -f lock.yaml")
        assert.strictEqual((yield* Effect.flip(locks.renew(renewed)))._tag, "NotFound")
        yield* shell("kubectl apply -f lock.yaml")
      }).pipe(asPod("holder")))
  })

  describe("A stuck lock", () => {
    it.effect("of a holder that lives: seen, not broken by a look that is too old, then broken; who waits has it", () =>
      Effect.gen(function*() {
        const { admin, shell } = yield* Cluster
        yield* admin("POST", "/api/v1/namespaces/prod/pods", {
          metadata: { name: pod },
          spec: template.spec
        })
        const logs: Array<string> = []
        const held = yield* Deferred.make<HeldLock["Service"]>()
        const holder = yield* Effect.gen(function*() {
          const lock = yield* KubeLock.make(helm)
          return yield* lock.withLock(
            Effect.andThen(Effect.flatMap(HeldLock, (lock) => Deferred.succeed(held, lock)), Effect.never)
          )
        }).pipe(
          asPod(pod),
          Effect.provide(
            Logger.layer([Logger.make(({ logLevel, message }) => logs.push(`${logLevel} ${String(message)}`))])
          ),
          Effect.forkChild
        )
        const lock = yield* Deferred.await(held)
        const waiter = yield* Effect.gen(function*() {
          const lock = yield* KubeLock.make(helm)
          yield* lock.withLock(Effect.void)
        }).pipe(asPod("waiter"), Effect.forkChild)

        const seen = (yield* shell(look)).printed.split("\n")
        assert.include(seen[0], `"owner":"${pod}-1-0k3j9xq1z5ab"`)
        assert.include(seen[0], `"ttl":30000000000,`)
        assert.match(seen[1]!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
        assert.include((yield* shell(guide("stuckLocks", "kubectl -n prod get pods"))).printed, pod)

        yield* lock.renew
        const late = yield* shell(breakIt)
        assert.deepStrictEqual([late.printed.trim(), late.exitCode], [refused, 1])
        assert.isTrue(yield* lock.isHeld)

        yield* shell(look)
        assert.strictEqual((yield* shell(breakIt)).printed.trim(), "configmap/deploys patched")
        const error = yield* Effect.flip(Fiber.join(holder))
        assert.deepInclude(error, { _tag: "LockLost" })
        assert.include(String(error), "somebody broke the lock")
        assert.deepStrictEqual(logs, ["Error A lock was lost"])
        yield* Fiber.join(waiter)

        assert.include(
          (yield* shell(guide("stuckLocks", "kubectl -n prod delete pod"))).printed,
          `pod "${pod}" deleted`
        )
      }))

    it.effect("whose holder does not hear of it: its fenced write is refused by the server", () =>
      Effect.gen(function*() {
        const { shell } = yield* Cluster
        const lock = yield* KubeLock.make({ ...helm, watch: false })
        const held = yield* lock.acquire
        yield* shell(look)
        yield* shell(breakIt)
        assert.isTrue(yield* held.isHeld)
        const error = yield* Effect.flip(held.write([{ op: "add", path: "/data", value: { version: "1" } }]))
        assert.deepInclude(error, { _tag: "LockLost" })
        assert.notProperty(yield* objectNow, "data")
      }).pipe(Effect.scoped, asPod("deaf"), Effect.provide(Logger.layer([]))))

    it.effect("that has expired needs no breaking", () =>
      Effect.gen(function*() {
        yield* putText(record("dead", yield* daysFromNow(-1)))
        const locks = yield* KubeLock
        yield* locks.release(yield* locks.acquire(helm))
      }).pipe(asPod("next")))

    it.effect.each([
      { what: "words", text: "no record" },
      { what: "nothing", text: "" },
      {
        what: "signs that shells and YAML know",
        text: "[\"a'b\\c\\\\d\te\nf\u007fg\u0001 é \u2028 \u{e0001} 🔒 <&> ]"
      },
      { what: "JSON with a wrong owner", text: "{\"owner\": 7}" }
    ])("that is no record is had by nobody until it is broken: $what", ({ text }) =>
      Effect.gen(function*() {
        const { shell } = yield* Cluster
        const locks = yield* KubeLock
        yield* putText(text)
        assert.strictEqual((yield* Effect.flip(locks.acquire(helm)))._tag, "MalformedRecord")
        yield* shell(look)
        yield* putText(`${text} `)
        assert.strictEqual((yield* shell(breakIt)).printed.trim(), refused)
        yield* putText(text)
        assert.strictEqual((yield* shell(breakIt)).printed.trim(), "configmap/deploys patched")
        yield* locks.release(yield* locks.acquire(helm))
      }).pipe(asPod("next")))

    it.effect("of the future is said to be that, and broken like any other", () =>
      Effect.gen(function*() {
        const { shell } = yield* Cluster
        const locks = yield* KubeLock
        yield* putText(record("<fast & early>", yield* daysFromNow(1)))
        assert.include((yield* locks.inspect(helm)).warning, "future")
        assert.strictEqual((yield* Effect.flip(locks.acquire(helm)))._tag, "OwnerMismatch")
        yield* shell(look)
        assert.strictEqual((yield* shell(breakIt)).printed.trim(), "configmap/deploys patched")
      }).pipe(asPod("next")))

    it.effect("that is not there is not broken; only the plain way says so of nothing", () =>
      Effect.gen(function*() {
        const { shell } = yield* Cluster
        const plainly = guide("stuckLocks", "kubectl -n prod annotate configmap deploys")
        assert.strictEqual((yield* shell(look)).printed.split("\n")[0], "%!q(<nil>)")
        const nothing = yield* shell(breakIt)
        assert.strictEqual(nothing.exitCode, 1)
        assert.include(nothing.printed, "unable to parse")
        yield* putText(record("dead", yield* daysFromNow(0)))
        for (let time = 0; time < 2; time++) {
          assert.strictEqual((yield* shell(plainly)).printed.trim(), "configmap/deploys annotated")
          assert.isUndefined(yield* textNow)
        }
        // An object with no annotations at all.
        yield* shell("kubectl replace -f lock.yaml")
        assert.include((yield* shell(look)).printed, "error calling index: index of untyped nil")
      }))

    it.effect("is the one that was named at the beginning, and no other: each name is put in once", () =>
      Effect.gen(function*() {
        const { admin, shell } = yield* Cluster
        const text = record("me", yield* daysFromNow(0))
        yield* putText(text)
        const path = ResourceRef.toPath(other)
        yield* admin("PUT", path, { metadata: { name: "other", annotations: { a: "b", [nightly]: "no record" } } })
        yield* shell(names.replace("deploys", "other").replace("helm", "nightly"))
        assert.include((yield* shell(lookNow)).printed, "no record")
        const written = yield* shell(guide("stuckLocks", "kubectl -n \"$namespace\" get \"$object\" --show-managed"))
        assert.match(written.printed, new RegExp(`f:${nightly}: .*[^]*\\n {4}manager: .*[^]*\\n {4}time: `))
        assert.strictEqual((yield* shell(breakIt)).printed.trim(), "configmap/other patched")
        assert.notInclude(JSON.stringify(yield* admin("GET", path)), nightly)
        assert.strictEqual(yield* textNow, text)
      }))

    it.effect("is found among all others", () =>
      Effect.gen(function*() {
        const { admin, shell } = yield* Cluster
        const text = record("me", yield* daysFromNow(0))
        yield* putText(text)
        // By such a character grep would take all of it for binary, and show nothing.
        yield* admin("PUT", ResourceRef.toPath(other), {
          metadata: { name: "other", annotations: { [nightly]: "\0" } }
        })
        const here = yield* shell(guide("stuckLocks", "kubectl -n prod get configmap deploys"))
        assert.strictEqual(here.printed.trim(), `${key} ${text}`)
        const everywhere = yield* shell(guide("stuckLocks", "kubectl get configmaps -A"))
        assert.include(everywhere.printed.split("\n"), `prod deploys ${key} ${text}`)
      }))

    it.effect("is judged by the API server's clock", () =>
      Effect.gen(function*() {
        const { shell } = yield* Cluster
        const [server, mine] = (yield* shell(guide("stuckLocks", "kubectl -n prod create configmap"))).printed.trim()
          .split("\n")
        assert.isBelow(Math.abs(Date.parse(server!) - Date.parse(mine!)), 60_000)
        assert.include((yield* shell("kubectl -n prod get configmap what-time-is-it")).printed, "NotFound")
      }))
  })

  it("leave no command of the guides untyped", () => {
    assert.deepStrictEqual(untyped(), [])
  })
})
