import { assert, describe, it, layer } from "@effect/vitest"
import { KubeApiServer } from "@kubelock/testing"
import { Effect, Struct } from "effect"
import { TestClock } from "effect/testing"
import {
  at,
  configMaps,
  jsonPatch,
  mergePatch,
  metadataListOnly,
  metadataOnly,
  type RequestOptions,
  send
} from "./support/Client.ts"

const annotation = "kubelock.giantswarm.io/x"
const k = "/metadata/annotations/kubelock.giantswarm.io~1x"
const leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"

const configMap = (name: string, metadata: object = {}, rest: object = {}) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "default", ...metadata },
  ...rest
})

const status = (code: number, reason: string, message: string, details?: object) => ({
  kind: "Status",
  apiVersion: "v1",
  metadata: {},
  status: "Failure",
  message,
  reason,
  ...(details === undefined ? {} : { details }),
  code
})

const generic422 = status(422, "Invalid", "the server rejected our request due to an error in our request", {})
const conflictOn = (name: string) =>
  status(
    409,
    "Conflict",
    `Operation cannot be fulfilled on configmaps "${name}": the object has been modified; please apply your changes to ` +
      "the latest version and try again",
    { name, kind: "configmaps" }
  )

const call = (method: string, path: string, options?: RequestOptions) =>
  Effect.flatMap(KubeApiServer, (server) => send(server, method, path, options))

const put = (object: ReturnType<typeof configMap>) => Effect.flatMap(KubeApiServer, (server) => server.put(object))

const patch = (name: string, body: unknown, contentType = jsonPatch, accept?: string) =>
  call("PATCH", `${configMaps}/${name}`, { body, contentType, accept })

const byNumber = (a: number, b: number) => a - b

const revision = (body: unknown) => Number(at(body, "metadata", "resourceVersion"))

layer(KubeApiServer.layer())("KubeApiServer: JSON Patch as compare-and-set", (it) => {
  const take = [{ op: "test", path: k, value: null }, { op: "add", path: k, value: "v1" }]
  const takeMap = [
    { op: "test", path: "/metadata/annotations", value: null },
    { op: "add", path: "/metadata/annotations", value: { [annotation]: "v1" } }
  ]

  it.effect("takes what is absent beside other annotations, once", () =>
    Effect.gen(function*() {
      yield* put(configMap("cas1", { annotations: { other: "1" } }))
      const first = yield* patch("cas1", take)
      assert.strictEqual(first.status, 200)
      assert.deepStrictEqual(at(first.body, "metadata", "annotations"), { other: "1", [annotation]: "v1" })
      const second = yield* patch("cas1", take)
      assert.strictEqual(second.status, 422)
      assert.deepStrictEqual(second.body, generic422)
    }))

  it.effect("refuses to take what is present, be it empty", () =>
    Effect.gen(function*() {
      yield* put(configMap("cas2", { annotations: { [annotation]: "" } }))
      assert.deepStrictEqual((yield* patch("cas2", take)).body, generic422)
    }))

  it.effect("refuses to add below a map that does not exist, and takes the map as a whole", () =>
    Effect.gen(function*() {
      yield* put(configMap("cas3", { annotations: {} }))
      assert.deepStrictEqual((yield* patch("cas3", take)).body, generic422)
      assert.deepStrictEqual((yield* patch("cas3", [take[1]])).body, generic422)
      assert.strictEqual((yield* patch("cas3", takeMap)).status, 200)
      assert.deepStrictEqual((yield* patch("cas3", takeMap)).body, generic422)
    }))

  it.effect("replaces and removes by exact value; the last annotation takes the map along", () =>
    Effect.gen(function*() {
      yield* put(configMap("cas4", { annotations: { [annotation]: "old" } }))
      const replace = [{ op: "test", path: k, value: "old" }, { op: "replace", path: k, value: "new" }]
      assert.strictEqual((yield* patch("cas4", replace)).status, 200)
      assert.deepStrictEqual((yield* patch("cas4", replace)).body, generic422)
      const removed = yield* patch("cas4", [{ op: "test", path: k, value: "new" }, { op: "remove", path: k }])
      assert.strictEqual(removed.status, 200)
      assert.isUndefined(at(removed.body, "metadata", "annotations"))
      assert.deepStrictEqual((yield* patch("cas4", [take[0]])).body, generic422)
      assert.strictEqual((yield* patch("cas4", takeMap)).status, 200)
    }))

  it.effect("creates by a replace alone", () =>
    Effect.gen(function*() {
      yield* put(configMap("cas5", { annotations: { other: "1" } }))
      const reply = yield* patch("cas5", [{ op: "replace", path: k, value: "v1" }])
      assert.strictEqual(at(reply.body, "metadata", "annotations", annotation), "v1")
    }))

  it.effect("tests uid and resourceVersion", () =>
    Effect.gen(function*() {
      const object = yield* put(configMap("cas6", { annotations: { other: "1" } }))
      for (const field of ["uid", "resourceVersion"] as const) {
        const path = `/metadata/${field}`
        assert.deepStrictEqual((yield* patch("cas6", [{ op: "test", path, value: "1" }])).body, generic422)
        assert.strictEqual((yield* patch("cas6", [{ op: "test", path, value: object.metadata[field] }])).status, 200)
      }
    }))

  it.effect("answers a stale resourceVersion with a conflict", () =>
    Effect.gen(function*() {
      yield* put(configMap("cas7"))
      const reply = yield* patch("cas7", [{ op: "replace", path: "/metadata/resourceVersion", value: "1" }])
      assert.strictEqual(reply.status, 409)
      assert.deepStrictEqual(reply.body, conflictOn("cas7"))
    }))

  it.effect("names the cause of a value that is no string", () =>
    Effect.gen(function*() {
      yield* put(configMap("cas8", { annotations: { other: "1" } }))
      const reply = yield* patch("cas8", [{ op: "add", path: k, value: 5 }])
      assert.strictEqual(reply.status, 422)
      assert.strictEqual(at(reply.body, "details", "causes", 0, "field"), "patch")
      assert.include(
        String(at(reply.body, "message")),
        "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.annotations of type string"
      )
    }))

  it.effect("gives a race of 32 one winner", () =>
    Effect.gen(function*() {
      yield* put(configMap("race", { annotations: { other: "1" } }))
      const replies = yield* Effect.all(Array.from({ length: 32 }, () => patch("race", take)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(replies.map((reply) => reply.status).toSorted(byNumber), [
        200,
        ...Array.from({ length: 31 }, () => 422)
      ])
    }))

  it.effect("lets 32 write different annotations without a conflict, and loses nothing", () =>
    Effect.gen(function*() {
      yield* put(configMap("many", { annotations: { other: "1" } }))
      yield* Effect.all(
        Array.from({ length: 32 }, (_, i) =>
          patch("many", [{ op: "add", path: `/metadata/annotations/a${i}`, value: "x" }])),
        { concurrency: "unbounded" }
      )
      const { body } = yield* call("GET", `${configMaps}/many`)
      assert.lengthOf(Object.keys(at(body, "metadata", "annotations") ?? {}), 33)
    }))
})

layer(KubeApiServer.layer())("KubeApiServer: patches refused", (it) => {
  it.effect.each(
    [
      ["a malformed JSON Patch", "{bad", jsonPatch, 400, "BadRequest"],
      ["a JSON Patch that is no list", "{}", jsonPatch, 400, "BadRequest"],
      ["an empty body", "", jsonPatch, 400, "BadRequest"],
      ["a malformed merge patch", "{bad", mergePatch, 400, "BadRequest"],
      ["a list as a merge patch", "[]", mergePatch, 400, "BadRequest"],
      ["plain JSON", "[]", "application/json", 415, "UnsupportedMediaType"],
      ["Server-Side Apply", "{}", "application/apply-patch+yaml", 415, "UnsupportedMediaType"],
      ["another name", { metadata: { name: "b" } }, mergePatch, 400, "BadRequest"],
      ["another namespace", { metadata: { namespace: "b" } }, mergePatch, 400, "BadRequest"],
      ["another uid", { metadata: { uid: "b" } }, mergePatch, 422, "Invalid"],
      ["another kind", { kind: "Secret" }, mergePatch, 422, "Invalid"]
    ] as const
  )("refuses %s", ([, body, contentType, code, reason]) =>
    Effect.gen(function*() {
      yield* put(configMap("a", { annotations: { other: "1" } }))
      const reply = yield* patch("a", body, contentType)
      assert.deepStrictEqual([reply.status, at(reply.body, "code"), at(reply.body, "reason")], [code, code, reason])
    }))

  it.effect("misses the object before it looks at the patch", () =>
    Effect.gen(function*() {
      const reply = yield* patch("missing", "{bad")
      assert.deepStrictEqual(
        reply.body,
        status(404, "NotFound", "configmaps \"missing\" not found", { name: "missing", kind: "configmaps" })
      )
    }))

  it.effect("takes a content type with parameters, and kubectl's strategic merge patch", () =>
    Effect.gen(function*() {
      yield* put(configMap("b"))
      assert.strictEqual((yield* patch("b", [], `${jsonPatch}; charset=utf-8`)).status, 200)
      const body = { metadata: { annotations: { a: "1" } } }
      const reply = yield* patch("b", body, "application/strategic-merge-patch+json")
      assert.deepStrictEqual(at(reply.body, "metadata", "annotations"), { a: "1" })
    }))

  it.effect("leaves everything as it was after a refusal", () =>
    Effect.gen(function*() {
      const before = yield* put(configMap("c", { annotations: { other: "1" } }))
      yield* patch("c", [{ op: "add", path: k, value: "v" }, { op: "test", path: k, value: "w" }])
      const { body } = yield* call("GET", `${configMaps}/c`)
      assert.deepStrictEqual(at(body, "metadata"), { ...before.metadata })
    }))
})

layer(KubeApiServer.layer())("KubeApiServer: resourceVersion", (it) => {
  it.effect("rises by one with every write to any object, not with a write that changes nothing", () =>
    Effect.gen(function*() {
      const a = revision((yield* call("POST", configMaps, { body: configMap("rv1") })).body)
      const b = revision((yield* call("POST", configMaps, { body: configMap("rv2") })).body)
      assert.strictEqual(b, a + 1)
      const unchanged = yield* patch("rv1", { metadata: { annotations: { x: null } } }, mergePatch)
      assert.strictEqual(revision(unchanged.body), a)
      const changed = yield* patch("rv1", { metadata: { annotations: { x: "1" } } }, mergePatch)
      assert.strictEqual(revision(changed.body), b + 1)
      yield* call("DELETE", `${configMaps}/rv2`)
      assert.strictEqual(revision((yield* call("GET", configMaps)).body), b + 2)
    }))

  it.effect.each(
    [
      ["the current one", "current", 200],
      ["a stale one", "1", 409],
      ["one from the future", "99999999", 409],
      ["0", "0", 200],
      ["the empty one", "", 200],
      ["none", null, 200],
      ["letters", "abc", 500]
    ] as const
  )("in a merge patch of a ConfigMap: %s", ([, resourceVersion, code]) =>
    Effect.gen(function*() {
      const { metadata } = yield* put(configMap("rv3"))
      const version = resourceVersion === "current" ? metadata.resourceVersion : resourceVersion
      const reply = yield* patch("rv3", { metadata: { resourceVersion: version, annotations: { x: "1" } } }, mergePatch)
      assert.strictEqual(reply.status, code)
    }))

  it.effect("is a conflict when stale, even if nothing would change", () =>
    Effect.gen(function*() {
      yield* put(configMap("rv4"))
      const reply = yield* patch("rv4", { metadata: { resourceVersion: "1" } }, mergePatch)
      assert.deepStrictEqual(reply.body, conflictOn("rv4"))
    }))

  it.effect("must be given where a type takes no unconditional update", () =>
    Effect.gen(function*() {
      yield* call("POST", leases, { body: { metadata: { name: "l" } } })
      const reply = yield* call("PUT", `${leases}/l`, { body: { metadata: { name: "l" } } })
      assert.strictEqual(reply.status, 422)
      assert.deepStrictEqual(at(reply.body, "details"), {
        name: "l",
        group: "coordination.k8s.io",
        kind: "leases",
        causes: [{
          reason: "FieldValueInvalid",
          message: "Invalid value: 0: must be specified for an update",
          field: "metadata.resourceVersion"
        }]
      })
    }))

  it.effect("lets one of 32 with the same one through", () =>
    Effect.gen(function*() {
      const { metadata } = yield* put(configMap("rv5"))
      const replies = yield* Effect.all(
        Array.from({ length: 32 }, (_, i) =>
          patch(
            "rv5",
            { metadata: { resourceVersion: metadata.resourceVersion, annotations: { x: `${i}` } } },
            mergePatch
          )),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        replies.map((reply) => reply.status).toSorted(byNumber),
        [200, ...Array.from({ length: 31 }, () => 409)]
      )
    }))
})

layer(KubeApiServer.layer())("KubeApiServer: create, read, replace, delete", (it) => {
  it.effect("says the time of the clock that it runs on", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("12345 millis")
      for (const [path, status] of [["/version", 200], [configMaps, 200], [`${configMaps}/nothing`, 404]] as const) {
        const reply = yield* call("GET", path)
        assert.deepStrictEqual([reply.status, reply.headers.date], [status, "Thu, 01 Jan 1970 00:00:12 GMT"])
      }
    }))

  it.effect("creates an object and gives it an identity", () =>
    Effect.gen(function*() {
      const reply = yield* call("POST", configMaps, { body: { metadata: { name: "new" }, data: { a: "b" } } })
      assert.strictEqual(reply.status, 201)
      assert.strictEqual(reply.headers["content-type"], "application/json")
      assert.deepInclude(reply.body, { apiVersion: "v1", kind: "ConfigMap", data: { a: "b" } })
      assert.match(
        String(at(reply.body, "metadata", "uid")),
        /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/
      )
      assert.match(String(at(reply.body, "metadata", "creationTimestamp")), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
      assert.deepStrictEqual((yield* call("GET", `${configMaps}/new`)).body, reply.body)
    }))

  it.effect("refuses a second one of the same name", () =>
    Effect.gen(function*() {
      yield* put(configMap("twice"))
      const reply = yield* call("POST", configMaps, { body: configMap("twice") })
      assert.strictEqual(reply.status, 409)
      assert.deepStrictEqual(
        reply.body,
        status(409, "AlreadyExists", "configmaps \"twice\" already exists", { name: "twice", kind: "configmaps" })
      )
    }))

  it.effect("makes up a name", () =>
    Effect.gen(function*() {
      const one = yield* call("POST", configMaps, { body: { metadata: { generateName: "gen-" } } })
      const two = yield* call("POST", configMaps, { body: { metadata: { generateName: "gen-" } } })
      assert.match(String(at(one.body, "metadata", "name")), /^gen-[a-z0-9]{5}$/)
      assert.notStrictEqual(at(one.body, "metadata", "name"), at(two.body, "metadata", "name"))
    }))

  it.effect.each(
    [
      ["malformed JSON", "{bad", 400],
      ["a list", [], 400],
      ["nothing", "", 400],
      ["another kind", { apiVersion: "v1", kind: "Secret", metadata: { name: "x" } }, 400],
      ["another version", { apiVersion: "v9", kind: "ConfigMap", metadata: { name: "x" } }, 400],
      ["another namespace", configMap("x", { namespace: "other" }), 400],
      ["an annotation that is no string", configMap("x", { annotations: { a: 1 } }), 400],
      ["no name", configMap("", { name: undefined }), 422],
      ["a bad name", configMap("Bad_Name"), 422],
      ["a resourceVersion", configMap("x", { resourceVersion: "5" }), 500]
    ] as const
  )("creates nothing from %s", ([, body, code]) =>
    Effect.gen(function*() {
      const reply = yield* call("POST", configMaps, { body })
      assert.deepStrictEqual([reply.status, at(reply.body, "kind")], [code, "Status"])
      assert.strictEqual((yield* call("GET", `${configMaps}/x`)).status, 404)
    }))

  it.effect("creates nothing in a namespace that does not exist", () =>
    Effect.gen(function*() {
      const reply = yield* call("POST", "/api/v1/namespaces/missing/configmaps", { body: { metadata: { name: "x" } } })
      assert.deepStrictEqual(
        reply.body,
        status(404, "NotFound", "namespaces \"missing\" not found", { name: "missing", kind: "namespaces" })
      )
      yield* call("POST", "/api/v1/namespaces", { body: { metadata: { name: "missing" } } })
      const retried = yield* call("POST", "/api/v1/namespaces/missing/configmaps", {
        body: { metadata: { name: "x" } }
      })
      assert.strictEqual(retried.status, 201)
      yield* call("DELETE", "/api/v1/namespaces/missing")
      assert.strictEqual((yield* call("GET", "/api/v1/namespaces/missing/configmaps/x")).status, 404)
    }))

  it.effect("replaces an object and keeps its identity", () =>
    Effect.gen(function*() {
      const { metadata } = yield* put(configMap("put1", { annotations: { a: "1" } }, { data: { k: "v" } }))
      const reply = yield* call("PUT", `${configMaps}/put1`, {
        body: configMap("put1", { labels: { b: "2" }, creationTimestamp: "2020-01-01T00:00:00Z" })
      })
      assert.strictEqual(reply.status, 200)
      assert.deepStrictEqual(at(reply.body, "metadata"), {
        name: "put1",
        namespace: "default",
        labels: { b: "2" },
        uid: metadata.uid,
        creationTimestamp: metadata.creationTimestamp,
        resourceVersion: String(Number(metadata.resourceVersion) + 1)
      })
      assert.isUndefined(at(reply.body, "data"))
    }))

  it.effect("replaces nothing with a stale resourceVersion, another uid, or under another name", () =>
    Effect.gen(function*() {
      yield* put(configMap("put2"))
      const stale = yield* call("PUT", `${configMaps}/put2`, { body: configMap("put2", { resourceVersion: "1" }) })
      assert.deepStrictEqual(stale.body, conflictOn("put2"))
      const uid = yield* call("PUT", `${configMaps}/put2`, { body: configMap("put2", { uid: "other" }) })
      assert.strictEqual(uid.status, 409)
      const name = yield* call("PUT", `${configMaps}/put2`, { body: configMap("other") })
      assert.strictEqual(name.status, 400)
      const missing = yield* call("PUT", `${configMaps}/other`, { body: configMap("other") })
      assert.strictEqual(missing.status, 404)
    }))

  it.effect("creates by a PUT where the type allows it", () =>
    Effect.gen(function*() {
      const reply = yield* call("PUT", `${leases}/fresh`, { body: { metadata: { name: "fresh" } } })
      assert.strictEqual(reply.status, 201)
    }))

  it.effect("deletes, and says so", () =>
    Effect.gen(function*() {
      const { metadata } = yield* put(configMap("del1"))
      const reply = yield* call("DELETE", `${configMaps}/del1`)
      assert.deepStrictEqual(reply.body, {
        kind: "Status",
        apiVersion: "v1",
        metadata: {},
        status: "Success",
        details: { name: "del1", kind: "configmaps", uid: metadata.uid }
      })
      assert.strictEqual((yield* call("DELETE", `${configMaps}/del1`)).status, 404)
    }))

  it.effect("deletes under preconditions", () =>
    Effect.gen(function*() {
      const { metadata } = yield* put(configMap("del2"))
      const remove = (preconditions: object) => call("DELETE", `${configMaps}/del2`, { body: { preconditions } })
      for (const preconditions of [{ uid: "x" }, { resourceVersion: "1" }]) {
        const reply = yield* remove(preconditions)
        assert.strictEqual(reply.status, 409)
        assert.deepStrictEqual(at(reply.body, "details"), { name: "del2", kind: "ConfigMap" })
      }
      const { resourceVersion, uid } = metadata
      assert.strictEqual((yield* remove({ resourceVersion, uid })).status, 200)
    }))

  it.effect("keeps an object with finalizers until they are gone", () =>
    Effect.gen(function*() {
      yield* put(configMap("fin", { finalizers: ["kubelock.dev/x"] }))
      const marked = yield* call("DELETE", `${configMaps}/fin`)
      assert.isString(at(marked.body, "metadata", "deletionTimestamp"))
      const added = yield* patch("fin", { metadata: { finalizers: ["kubelock.dev/x", "kubelock.dev/y"] } }, mergePatch)
      assert.strictEqual(added.status, 422)
      assert.strictEqual((yield* call("GET", `${configMaps}/fin`)).status, 200)
      assert.strictEqual((yield* patch("fin", { metadata: { finalizers: null } }, mergePatch)).status, 200)
      assert.strictEqual((yield* call("GET", `${configMaps}/fin`)).status, 404)
    }))

  it.effect("deletes a collection by its labels", () =>
    Effect.gen(function*() {
      yield* put(configMap("col1", { labels: { col: "1" } }))
      yield* put(configMap("col2", { labels: { col: "2" } }))
      const reply = yield* call("DELETE", `${configMaps}?labelSelector=col=1`)
      assert.strictEqual(at(reply.body, "items", 0, "metadata", "name"), "col1")
      assert.strictEqual((yield* call("GET", `${configMaps}/col1`)).status, 404)
      assert.strictEqual((yield* call("GET", `${configMaps}/col2`)).status, 200)
    }))

  it.effect("does nothing in a dry run", () =>
    Effect.gen(function*() {
      const before = yield* put(configMap("dry"))
      assert.strictEqual((yield* call("POST", `${configMaps}?dryRun=All`, { body: configMap("dry2") })).status, 201)
      assert.strictEqual((yield* call("GET", `${configMaps}/dry2`)).status, 404)
      const body = { metadata: { annotations: { a: "1" } } }
      const patched = yield* call("PATCH", `${configMaps}/dry?dryRun=All`, { body, contentType: mergePatch })
      assert.deepStrictEqual(at(patched.body, "metadata", "annotations"), { a: "1" })
      assert.strictEqual((yield* call("DELETE", `${configMaps}/dry?dryRun=All`)).status, 200)
      assert.strictEqual((yield* call("DELETE", `${configMaps}/dry`, { body: { dryRun: ["All"] } })).status, 200)
      assert.strictEqual((yield* call("DELETE", `${configMaps}?dryRun=All`)).status, 200)
      const { body: after } = yield* call("GET", `${configMaps}/dry`)
      assert.deepStrictEqual(at(after, "metadata"), { ...before.metadata })
      assert.strictEqual((yield* call("DELETE", `${configMaps}/dry?dryRun=maybe`)).status, 422)
    }))

  it.effect("counts a generation where the type has one; a Deployment's counts annotations too", () =>
    Effect.gen(function*() {
      for (const [resource, annotated] of [["statefulsets", 1], ["deployments", 2]] as const) {
        const path = `/apis/apps/v1/namespaces/default/${resource}`
        const created = yield* call("POST", path, { body: { metadata: { name: "d" }, spec: { replicas: 1 } } })
        assert.strictEqual(at(created.body, "metadata", "generation"), 1)
        const annotate = { body: { metadata: { annotations: { a: "1" } } }, contentType: mergePatch }
        const scale = { body: { spec: { replicas: 2 } }, contentType: mergePatch }
        assert.strictEqual(at((yield* call("PATCH", `${path}/d`, annotate)).body, "metadata", "generation"), annotated)
        assert.strictEqual(at((yield* call("PATCH", `${path}/d`, scale)).body, "metadata", "generation"), annotated + 1)
      }
    }))
})

layer(KubeApiServer.layer())("KubeApiServer: annotations", (it) => {
  const annotate = (annotations: object) =>
    Effect.andThen(put(configMap("ann")), patch("ann", { metadata: { annotations } }, mergePatch))

  it.effect("names what is wrong with a key", () =>
    Effect.gen(function*() {
      const reply = yield* annotate({ "bad key": "1" })
      const message =
        "Invalid value: \"bad key\": name part must consist of alphanumeric characters, '-', '_' or '.', and " +
        "must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for " +
        "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
      assert.deepStrictEqual(
        reply.body,
        status(422, "Invalid", `ConfigMap "ann" is invalid: metadata.annotations: ${message}`, {
          name: "ann",
          kind: "ConfigMap",
          causes: [{ reason: "FieldValueInvalid", message, field: "metadata.annotations" }]
        })
      )
    }))

  it.effect.each(
    [
      ["a", 200],
      ["a".repeat(63), 200],
      ["a".repeat(64), 422],
      ["-a", 422],
      ["a_", 422],
      ["A.b_c-9", 200],
      ["UP.example/y", 200],
      ["example.com/y", 200],
      ["a b/y", 422],
      ["/y", 422],
      ["x/", 422],
      ["a/b/c", 422],
      ["é", 422],
      [`${"a".repeat(253)}/y`, 200],
      [`${"a".repeat(254)}/y`, 422]
    ] as const
  )("takes the key %s with %s", ([key, code]) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* annotate({ [key]: "1" })).status, code)
    }))

  it.effect("takes 262144 bytes of keys and values, and not one more", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* annotate({ key: "x".repeat(262_144 - 3) })).status, 200)
      const reply = yield* annotate({ key: "x".repeat(262_144 - 2) })
      assert.strictEqual(reply.status, 422)
      assert.deepStrictEqual(at(reply.body, "details", "causes"), [{
        reason: "FieldValueTooLong",
        message: "Too long: may not be more than 262144 bytes",
        field: "metadata.annotations"
      }])
      assert.strictEqual((yield* annotate({ key: "ä".repeat((262_144 - 3) / 2 + 1) })).status, 422)
    }))

  it.effect("stores null as the empty string", () =>
    Effect.gen(function*() {
      yield* put(configMap("null", { annotations: { other: "1" } }))
      const reply = yield* patch("null", [{ op: "add", path: k, value: null }])
      assert.strictEqual(at(reply.body, "metadata", "annotations", annotation), "")
    }))
})

layer(KubeApiServer.layer())("KubeApiServer: metadata only", (it) => {
  const partial = { apiVersion: "meta.k8s.io/v1", kind: "PartialObjectMetadata" }

  it.effect("answers GET, PUT, PATCH and POST of a big object in few bytes", () =>
    Effect.gen(function*() {
      const big = configMap("big", { annotations: { a: "1" } }, { data: { k: "x".repeat(900 * 1024) } })
      const replies = [
        yield* call("POST", configMaps, { body: big, accept: metadataOnly }),
        yield* call("GET", `${configMaps}/big`, { accept: metadataOnly }),
        yield* call("PUT", `${configMaps}/big`, { body: big, accept: metadataOnly }),
        yield* patch("big", [{ op: "add", path: k, value: "1" }], jsonPatch, metadataOnly)
      ]
      for (const reply of replies) {
        assert.isBelow(reply.text.length, 1024)
        assert.deepInclude(reply.body, partial)
        assert.isUndefined(at(reply.body, "data"))
        assert.strictEqual(at(reply.body, "metadata", "name"), "big")
      }
      assert.lengthOf(String(at((yield* call("GET", `${configMaps}/big`)).body, "data", "k")), 900 * 1024)
    }))

  it.effect("lists as PartialObjectMetadataList", () =>
    Effect.gen(function*() {
      yield* put(configMap("m1", { labels: { m: "1" } }, { data: { a: "b" } }))
      const reply = yield* call("GET", `${configMaps}?labelSelector=m=1`, { accept: metadataListOnly })
      assert.deepInclude(reply.body, { apiVersion: "meta.k8s.io/v1", kind: "PartialObjectMetadataList" })
      assert.deepInclude(at(reply.body, "items", 0), partial)
      assert.isUndefined(at(reply.body, "items", 0, "data"))
    }))

  it.effect("still answers errors with a Status, a deletion too", () =>
    Effect.gen(function*() {
      yield* put(configMap("m2"))
      assert.strictEqual(at((yield* call("GET", `${configMaps}/no`, { accept: metadataOnly })).body, "kind"), "Status")
      assert.strictEqual(
        at((yield* call("DELETE", `${configMaps}/m2`, { accept: metadataOnly })).body, "kind"),
        "Status"
      )
    }))

  it.effect.each(
    [
      [`${configMaps}/m3`, metadataListOnly, 406],
      [configMaps, metadataOnly, 406],
      [`${configMaps}/m3`, "text/plain", 406],
      [`${configMaps}/m3`, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v9", 406],
      [`${configMaps}/m3`, "application/json;as=Table;g=meta.k8s.io;v=v1,application/json", 200],
      [`${configMaps}/m3`, `application/vnd.kubernetes.protobuf,${metadataOnly}`, 200],
      [`${configMaps}/m3`, "*/*", 200]
    ] as const
  )("answers %s as %s with %s", ([path, accept, code]) =>
    Effect.gen(function*() {
      yield* put(configMap("m3"))
      assert.strictEqual((yield* call("GET", path, { accept })).status, code)
    }))
})

layer(KubeApiServer.layer({ maxHistory: 64 }))("KubeApiServer: lists, paths and discovery", (it) => {
  it.effect("lists one namespace or all of them", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      for (const namespace of ["default", "kube-system"]) yield* server.put(configMap("l", { namespace }))
      const names = (path: string) =>
        Effect.map(call("GET", path), ({ body }) => {
          const items = at(body, "items")
          return Array.isArray(items) ? items.map((item) => at(item, "metadata", "namespace")) : []
        })
      assert.deepStrictEqual(yield* names(configMaps), ["default"])
      assert.deepStrictEqual(yield* names("/api/v1/configmaps"), ["default", "kube-system"])
      assert.deepStrictEqual(yield* names("/api/v1/configmaps?fieldSelector=metadata.namespace%3Dkube-system"), [
        "kube-system"
      ])
      assert.deepStrictEqual(yield* names(`${configMaps}?fieldSelector=metadata.name=other`), [])
      assert.deepStrictEqual(yield* names("/api/v1/namespaces/nowhere/configmaps"), [])
    }))

  it.effect("leaves kind and apiVersion out of a built-in list's items", () =>
    Effect.gen(function*() {
      yield* put(configMap("l"))
      const { body } = yield* call("GET", configMaps)
      assert.deepInclude(body, { apiVersion: "v1", kind: "ConfigMapList" })
      assert.isUndefined(at(body, "items", 0, "kind"))
    }))

  it.effect.each(
    [
      ["GET", "/api/v1/nosuch", 404, "application/json"],
      ["GET", `${configMaps}/a/status`, 404, "application/json"],
      ["GET", "/apis/apps/v2", 404, "application/json"],
      ["GET", "/apis/no.such/v1/things", 404, "text/plain; charset=utf-8"],
      ["GET", "/apis/no.such", 404, "text/plain; charset=utf-8"],
      ["GET", "/foo", 404, "text/plain; charset=utf-8"],
      ["GET", "/%ff", 404, "text/plain; charset=utf-8"],
      ["PUT", configMaps, 405, "application/json"],
      ["POST", `${configMaps}/a`, 405, "application/json"],
      ["POST", "/api/v1/configmaps", 405, "application/json"],
      ["OPTIONS", `${configMaps}/a`, 405, "application/json"],
      ["GET", `${configMaps}?fieldSelector=data.k=v`, 400, "application/json"],
      ["GET", `${configMaps}?resourceVersion=99999999`, 504, "application/json"],
      ["GET", `${configMaps}?resourceVersion=abc`, 400, "application/json"],
      ["GET", "/healthz", 200, "text/plain; charset=utf-8"],
      ["GET", "/livez", 200, "text/plain; charset=utf-8"],
      ["GET", "/readyz", 200, "text/plain; charset=utf-8"]
    ] as const
  )("answers %s %s with %s", ([method, path, code, contentType]) =>
    Effect.gen(function*() {
      const reply = yield* call(method, path)
      assert.deepStrictEqual([reply.status, reply.headers["content-type"]], [code, contentType])
    }))

  it.effect("says what it serves", () =>
    Effect.gen(function*() {
      assert.isString(at((yield* call("GET", "/version")).body, "gitVersion"))
      assert.deepStrictEqual(at((yield* call("GET", "/api")).body, "versions"), ["v1"])
      assert.strictEqual(at((yield* call("GET", "/apis")).body, "kind"), "APIGroupList")
      const group = yield* call("GET", "/apis/coordination.k8s.io")
      assert.deepStrictEqual(at(group.body, "preferredVersion"), {
        groupVersion: "coordination.k8s.io/v1",
        version: "v1"
      })
      const resources = yield* call("GET", "/apis/coordination.k8s.io/v1")
      assert.deepStrictEqual(at(resources.body, "resources", 0), {
        name: "leases",
        singularName: "lease",
        namespaced: true,
        kind: "Lease",
        verbs: ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
      })
      const openApi = yield* call("GET", "/openapi/v3")
      const url = at(openApi.body, "paths", "apis/coordination.k8s.io/v1", "serverRelativeURL")
      assert.strictEqual((yield* call("GET", String(url))).status, 200)
    }))

  it.effect("allows everything to everybody who asks", () =>
    Effect.gen(function*() {
      const reply = yield* call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
        body: { spec: {} }
      })
      assert.deepStrictEqual([reply.status, at(reply.body, "status", "allowed")], [201, true])
    }))

  it.effect("refuses a body over 3 MiB", () =>
    Effect.gen(function*() {
      const reply = yield* call("POST", configMaps, { body: "x".repeat(3 * 1024 * 1024 + 1) })
      assert.strictEqual(reply.status, 413)
    }))

  it.effect("refuses a body in another format", () =>
    Effect.gen(function*() {
      const reply = yield* call("POST", configMaps, { body: "kind: ConfigMap", contentType: "application/yaml" })
      assert.strictEqual(reply.status, 415)
    }))
})

layer(KubeApiServer.layer())("KubeApiServer: custom resources", (it) => {
  const widgets = "/apis/example.com/v1/namespaces/default/widgets"
  const widget = (name: string) => ({
    apiVersion: "example.com/v1",
    kind: "Widget",
    metadata: { name },
    spec: { x: 1 }
  })
  const definition = {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "widgets.example.com" },
    spec: {
      group: "example.com",
      scope: "Namespaced",
      names: { kind: "Widget", plural: "widgets", shortNames: ["wd"] },
      versions: [{ name: "v1", served: true, storage: true }, { name: "v0", served: false, storage: false }]
    }
  }
  const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

  it.effect("come and go with their definition", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* call("GET", widgets)).status, 404)
      const defined = yield* call("POST", definitions, { body: definition })
      assert.strictEqual(defined.status, 201)
      assert.strictEqual(at(defined.body, "status", "conditions", 1, "type"), "Established")
      assert.strictEqual((yield* call("POST", widgets, { body: widget("w") })).status, 201)
      assert.strictEqual((yield* call("GET", "/apis/example.com/v0")).status, 404)
      assert.strictEqual((yield* call("DELETE", `${definitions}/widgets.example.com`)).status, 200)
      assert.strictEqual((yield* call("GET", widgets)).status, 404)
      yield* call("POST", definitions, { body: definition })
      assert.deepStrictEqual(at((yield* call("GET", widgets)).body, "items"), [])
    }))

  it.effect("refuse a definition of another name", () =>
    Effect.gen(function*() {
      const body = { ...definition, metadata: { name: "gadgets.example.com" } }
      assert.strictEqual((yield* call("POST", definitions, { body })).status, 422)
    }))

  it.effect("are stricter than built-in kinds", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      yield* server.register({
        group: "example.com",
        version: "v1",
        resource: "things",
        kind: "Thing",
        namespaced: false
      })
      const things = "/apis/example.com/v1/things"
      const thing = { apiVersion: "example.com/v1", kind: "Thing", metadata: { name: "t" } }
      assert.strictEqual((yield* call("POST", things, { body: { metadata: { name: "t" } } })).status, 400)
      const created = yield* call("POST", things, { body: thing })
      assert.strictEqual(at(created.body, "metadata", "generation"), 1)
      assert.strictEqual((yield* call("PUT", `${things}/t`, { body: thing })).status, 422)
      const patchAs = (contentType: string, body: unknown) => call("PATCH", `${things}/t`, { body, contentType })
      assert.strictEqual((yield* patchAs("application/strategic-merge-patch+json", {})).status, 415)
      assert.strictEqual((yield* patchAs(mergePatch, { metadata: { resourceVersion: "0" } })).status, 422)
      assert.strictEqual((yield* patchAs(mergePatch, { metadata: { annotations: { a: "1" } } })).status, 200)
      const list = yield* call("GET", things)
      assert.deepInclude(at(list.body, "items", 0), { kind: "Thing", apiVersion: "example.com/v1" })
    }))
})

describe("KubeApiServer: direct access", () => {
  const a = { apiVersion: "v1", kind: "ConfigMap", namespace: "default", name: "a" }

  it.effect("puts, gets and deletes", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      const first = yield* server.put(configMap("a", {}, { data: { k: "1" } }))
      const second = yield* server.put({ ...first, data: { k: "2" } })
      assert.strictEqual(Number(second.metadata.resourceVersion), Number(first.metadata.resourceVersion) + 1)
      assert.deepStrictEqual(yield* server.get(a), second)
      yield* server.delete(a)
      const refused = yield* Effect.flip(server.get(a))
      assert.deepStrictEqual([refused._tag, refused.status.code], ["RequestRefused", 404])
    }).pipe(Effect.provide(KubeApiServer.layer())))

  it.effect("refuses what HTTP would refuse", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      const code = (object: Parameters<typeof server.put>[0]) =>
        Effect.map(Effect.flip(server.put(object)), ({ status }) => status.code)
      assert.strictEqual(yield* code({ ...configMap("a"), kind: "Nonsense" }), 400)
      assert.strictEqual(yield* code(configMap("a", { namespace: "missing" })), 404)
      assert.strictEqual(yield* code(configMap("a", { annotations: { "a b": "" } })), 422)
    }).pipe(Effect.provide(KubeApiServer.layer())))

  it.effect("logs who asked for what, and how long it was", () =>
    Effect.gen(function*() {
      const server = yield* KubeApiServer
      yield* call("POST", `${configMaps}?fieldManager=me`, { body: "{\"metadata\":{\"name\":\"ä\"}}", client: "one" })
      const got = yield* call("GET", "/version", { client: "two" })
      assert.deepStrictEqual((yield* server.requests).map((entry) => Struct.omit(entry, ["responseBytes"])), [
        {
          client: "one",
          method: "POST",
          path: configMaps,
          query: "fieldManager=me",
          status: 422,
          requestBody: "{\"metadata\":{\"name\":\"ä\"}}",
          requestBytes: 26
        },
        { client: "two", method: "GET", path: "/version", query: "", status: 200, requestBody: "", requestBytes: 0 }
      ])
      assert.strictEqual((yield* server.requests)[1]?.responseBytes, got.text.length)
      yield* call("GET", "/version", { client: "two" })
      const traffic = yield* server.traffic
      assert.deepStrictEqual(traffic.get("two"), { requests: 2, requestBytes: 0, responseBytes: 2 * got.text.length })
      assert.deepStrictEqual([...traffic.keys()], ["one", "two"])
      assert.strictEqual(traffic.get("one")?.requestBytes, 26)
      yield* server.clearRequests
      assert.deepStrictEqual(yield* server.requests, [])
      assert.strictEqual((yield* server.traffic).size, 0)
    }).pipe(Effect.provide(KubeApiServer.layer())))
})
