/** What is asked of both servers. A case is a small program; what it is answered must be the same on both. */
import { Effect, type Scope } from "effect"
import { at, jsonPatch, mergePatch, metadataListOnly, metadataOnly, type NoAnswer } from "../support/Client.ts"
import { type Ask, type Client, widgets } from "./Side.ts"

type Program = (client: Client) => Effect.Effect<void, NoAnswer | "End", Scope.Scope>

const key = "kubelock.giantswarm.io/x"
const k = "/metadata/annotations/kubelock.giantswarm.io~1x"
const maxAnnotationBytes = 262_144

const configMap = (name: string, annotations?: Record<string, string>, rest: object = {}) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, ...(annotations === undefined ? {} : { annotations }) },
  ...rest
})

/** An object, and what patches make of it, one after the other, each followed by a look at the object. */
const patches =
  (object: object, asks: ReadonlyArray<readonly [contentType: string, body: unknown, options?: Ask]>): Program =>
  (client) =>
    Effect.gen(function*() {
      yield* client.ask("POST", "configmaps", { body: object })
      for (const [contentType, body, options] of asks) {
        yield* client.ask("PATCH", "configmaps/a", { body, contentType, ...options })
        yield* client.ask("GET", "configmaps/a")
      }
    })

const jsonPatches = (
  annotations: Record<string, string> | undefined,
  ...bodies: ReadonlyArray<unknown>
): Program => patches(configMap("a", annotations), bodies.map((body) => [jsonPatch, body]))

const mergePatches = (
  annotations: Record<string, string> | undefined,
  ...bodies: ReadonlyArray<unknown>
): Program => patches(configMap("a", annotations), bodies.map((body) => [mergePatch, body]))

/** Makes an object and goes on with what the server says of it. */
const withObject = (
  object: object,
  program: (client: Client, stored: unknown) => Effect.Effect<unknown, NoAnswer | "End", Scope.Scope>
): Program =>
(client) =>
  Effect.gen(function*() {
    const { body } = yield* client.ask("POST", "configmaps", { body: object })
    yield* program(client, body)
    yield* client.ask("GET", "configmaps/a")
  })

const metadataOf = (stored: unknown, field: string): string => String(at(stored, "metadata", field))

const test = (value: unknown, path = k) => ({ op: "test", path, value })
const add = (value: unknown, path = k) => ({ op: "add", path, value })
const replace = (value: unknown, path = k) => ({ op: "replace", path, value })
const remove = (path = k) => ({ op: "remove", path })

const take = [test(null), add("v1")]
const takeMap = [test(null, "/metadata/annotations"), add({ [key]: "v1" }, "/metadata/annotations")]
const swap = [test("old"), replace("new")]
const give = [test("old"), remove()]

const annotationsOf = (bytes: number) => ({ k: "x".repeat(bytes - 1) })

const asMetadata: Ask = { accept: metadataOnly }

const ofJsonPatch: Record<string, Program> = {
  "takes what is absent beside other annotations, once": jsonPatches({ other: "1" }, take, take),
  "refuses to take what is there, be it empty": jsonPatches({ [key]: "" }, take, [test("")], [test(null)]),
  "refuses to add below a map that is not there": jsonPatches(undefined, take, [add("v1")], [replace("v1")], [
    remove()
  ]),
  "takes annotations: {} for none": jsonPatches({}, take, takeMap),
  "takes the map where there is none, once": jsonPatches(undefined, takeMap, takeMap),
  "refuses to take the map where there is one": jsonPatches({ other: "1" }, takeMap),
  "replaces the exact value": jsonPatches({ [key]: "old" }, swap, swap),
  "removes the exact value": jsonPatches({ [key]: "old", other: "1" }, give, give),
  "replaces and removes nothing where it is absent": jsonPatches({ other: "1" }, swap, give),
  "takes the map along with the last annotation": jsonPatches({ [key]: "old" }, give, take, takeMap),
  "removes the last annotation and adds one again in one patch": jsonPatches(
    { [key]: "old" },
    [test("old"), remove(), add("new")],
    [remove("/metadata/annotations"), add("new")],
    [add({}, "/metadata/annotations")]
  ),
  "creates by a replace alone": jsonPatches({ other: "1" }, [replace("v1")]),
  "replaces the whole map": jsonPatches({ other: "1" }, [replace({ a: "1" }, "/metadata/annotations")], [
    replace(null, "/metadata/annotations")
  ]),
  "compares the whole map": jsonPatches(
    { a: "1", b: "2" },
    [test({ b: "2", a: "1" }, "/metadata/annotations")],
    [test({ a: "1" }, "/metadata/annotations")],
    [test({ a: "1", b: 2 }, "/metadata/annotations")]
  ),
  "makes all changes or none": jsonPatches(
    { [key]: "old", other: "1" },
    [replace("new"), test("2", "/metadata/annotations/other")],
    [replace("new"), add("2", "/metadata/annotations/more"), remove("/metadata/annotations/none")]
  ),
  "sees in a test what the patch has done so far": jsonPatches(
    { [key]: "old" },
    [replace("new"), test("new"), replace("newer")],
    [replace("x"), test("newer")]
  ),
  "edits several annotations at once": jsonPatches(
    { a: "1", b: "1" },
    [
      test("1", "/metadata/annotations/a"),
      test("1", "/metadata/annotations/b"),
      test(null, "/metadata/annotations/c"),
      remove("/metadata/annotations/a"),
      replace("2", "/metadata/annotations/b"),
      add("3", "/metadata/annotations/c")
    ]
  ),
  "writes nothing where nothing changes": jsonPatches({ [key]: "old" }, [test("old"), replace("old")], [], [
    test("old")
  ]),
  "tests any text to the letter": jsonPatches(
    { [key]: "old" },
    ...["", " ", "{\"a\":[1,\"~/\"]}", "é😀", "\u0000\b\f\t\n\r\u007f\\\"/", "null", "1"].flatMap((text) => [
      [add(text)],
      [test(text), replace("x")]
    ])
  ),
  "compares texts with <, > and & as they are written": jsonPatches(
    { [key]: "a<b>c&d\u2028e\u2029f" },
    [test("a<b>c&d\u2028e\u2029f")],
    JSON.stringify([test("a<b>c&d\u2028e\u2029f")]).replace(
      /[<>&\u2028\u2029]/g,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
    ),
    JSON.stringify([test("a<b>c&d\u2028e\u2029f")]).replace(
      /[<>&\u2028\u2029]/g,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0").toUpperCase()}`
    ),
    `[{"op":"add","path":"${k}","value":"<&>"}]`,
    `[{"op":"test","path":"${k}","value":"<&>"},{"op":"remove","path":"${k}"}]`
  ),
  "compares escaped texts as they are written": jsonPatches(
    { [key]: "A/é" },
    `[{"op":"test","path":"${k}","value":"\\u0041/é"}]`,
    `[{"op":"test","path":"${k}","value":"A\\/é"}]`,
    `[{"op":"test","path":"${k}","value":"A/\\u00e9"}]`,
    `[{"op":"test","path":"${k}","value":"A/é"}]`
  ),
  "sees what the patch itself has written as it was written": jsonPatches(
    { other: "1" },
    [add("<"), test("<")],
    `[{"op":"add","path":"${k}","value":"\\u003c"},{"op":"test","path":"${k}","value":"<"}]`,
    `[{"op":"add","path":"${k}","value":"\\u003c"},{"op":"test","path":"${k}","value":"\\u003c"}]`
  ),
  "makes one of half a surrogate pair": jsonPatches({ other: "1" }, `[{"op":"add","path":"${k}","value":"\\ud800"}]`, [
    test("\ufffd")
  ], `[{"op":"test","path":"${k}","value":"\\ud800"}]`),
  "tests values that are no text": jsonPatches(
    { [key]: "1" },
    [test(1)],
    [test(true)],
    [test({})],
    [test([])],
    [{ op: "test", path: k }]
  ),
  "refuses values that are no text": jsonPatches(
    { other: "1" },
    [add(1)],
    [add(null)],
    [add({ a: "b" })],
    [add(true)],
    [add("x", "/metadata/annotations")],
    [add(["x"], "/metadata/annotations")]
  ),
  "takes an operation without a value for null": jsonPatches({ other: "1" }, [{ op: "add", path: k }]),
  "knows move and copy": jsonPatches(
    { [key]: "old" },
    [{ op: "copy", from: k, path: "/metadata/annotations/b" }],
    [{ op: "move", from: k, path: "/metadata/annotations/c" }],
    [{ op: "move", from: "/metadata/annotations/none", path: "/metadata/annotations/d" }],
    [{ op: "copy", from: "/metadata/annotations/none", path: "/metadata/annotations/d" }]
  ),
  "refuses what is no operation": jsonPatches(
    { other: "1" },
    [{ op: "nothing", path: k, value: "1" }],
    [{ path: k, value: "1" }],
    [{ op: "add", value: "1" }],
    [{ op: "add", path: "metadata", value: "1" }],
    [{ op: "add", path: "/nowhere/at/all", value: "1" }],
    [null]
  ),
  "decodes ~0 and ~1 in paths": jsonPatches(
    { "a.b/c~d": "1" },
    [test("1", "/metadata/annotations/a.b~1c~0d")]
  ),
  "tests uid and resourceVersion": withObject(
    configMap("a"),
    (client, stored) =>
      Effect.forEach(
        ["uid", "resourceVersion"],
        (field) =>
          Effect.forEach([metadataOf(stored, field), "1"], (value) =>
            client.ask("PATCH", "configmaps/a", {
              body: [test(value, `/metadata/${field}`)],
              contentType: jsonPatch
            }))
      )
  ),
  "refuses to replace a stale resourceVersion, and takes the right one": withObject(
    configMap("a"),
    (client, stored) =>
      Effect.forEach(
        ["1", "99999999", "0", "", "abc", metadataOf(stored, "resourceVersion")],
        (resourceVersion) =>
          client.ask("PATCH", "configmaps/a", {
            body: [replace(resourceVersion, "/metadata/resourceVersion"), add({ [key]: "x" }, "/metadata/annotations")],
            contentType: jsonPatch
          })
      )
  ),
  "keeps what a client cannot change": jsonPatches(
    { other: "1" },
    [replace("00000000-0000-0000-0000-000000000000", "/metadata/uid")],
    [replace("b", "/metadata/name")],
    [replace("elsewhere", "/metadata/namespace")],
    [replace("2020-01-01T00:00:00Z", "/metadata/creationTimestamp")],
    [add("2020-01-01T00:00:00Z", "/metadata/deletionTimestamp")],
    [add(7, "/metadata/generation")],
    [replace("Secret", "/kind")],
    [replace("v2", "/apiVersion")],
    [remove("/metadata")]
  ),
  "refuses a malformed patch": patches(configMap("a", { other: "1" }), [
    [jsonPatch, "", { anyMessage: true }],
    [jsonPatch, "{", { anyMessage: true }],
    [jsonPatch, {}, { anyMessage: true }],
    [jsonPatch, "\"x\"", { anyMessage: true }],
    [jsonPatch, [1], { anyMessage: true }],
    [jsonPatch, [{ op: 1, path: k, value: "1" }], { anyMessage: true }],
    [jsonPatch, "null", { anyMessage: true }]
  ]),
  "changes data beside annotations": jsonPatches(
    { other: "1" },
    [add({ counter: "1" }, "/data")],
    [test("1", "/data/counter"), replace("2", "/data/counter"), add("v1")],
    [test("1", "/data/counter"), replace("3", "/data/counter"), replace("v2")]
  )
}

const ofMergePatch: Record<string, Program> = {
  "a merge patch sets, keeps and deletes annotations": mergePatches(
    { a: "1", b: "1" },
    { metadata: { annotations: { a: "2", c: "3" } } },
    { metadata: { annotations: { a: null, none: null } } },
    { metadata: { annotations: null } },
    { metadata: { annotations: { a: null } } },
    { metadata: { annotations: {} } },
    {}
  ),
  "a merge patch with the right, a stale and a future resourceVersion": withObject(configMap("a", { a: "1" }), (
    client,
    stored
  ) =>
    Effect.gen(function*() {
      const patch = (resourceVersion: string, annotations: object = {}) =>
        client.ask("PATCH", "configmaps/a", {
          body: { metadata: { resourceVersion, annotations } },
          contentType: mergePatch
        })
      yield* patch(metadataOf(stored, "resourceVersion"), { b: "2" })
      yield* patch(metadataOf(stored, "resourceVersion"), { b: "3" })
      yield* patch(metadataOf(stored, "resourceVersion"))
      yield* patch("999999999", { b: "4" })
      yield* patch("0", { b: "5" })
      yield* patch("", { b: "6" })
      yield* patch("abc", { b: "7" })
      yield* patch("-1", { b: "8" })
    })),
  "a merge patch with values of wrong types": mergePatches(
    { a: "1" },
    { metadata: { annotations: { a: 1 } } },
    { metadata: { annotations: { a: ["x"] } } },
    { metadata: { annotations: "x" } },
    { metadata: { annotations: { a: { b: null } } } },
    { metadata: null }
  ),
  "a merge patch that is none": patches(configMap("a"), [
    [mergePatch, "", { anyMessage: true }],
    [mergePatch, "[]", { anyMessage: true }],
    [mergePatch, "null", { anyMessage: true }],
    [mergePatch, "x", { anyMessage: true }]
  ]),
  "a merge patch beside annotations": mergePatches(
    { a: "1" },
    { data: { counter: "1" } },
    { data: { counter: "2", more: "x" } },
    { data: { counter: null } },
    { data: null }
  ),
  "a strategic merge patch of a map": patches(configMap("a", { a: "1" }), [
    ["application/strategic-merge-patch+json", { metadata: { annotations: { a: null, b: "2" } } }],
    ["application/strategic-merge-patch+json", { data: { x: "1" } }]
  ])
}

const put = (client: Client, body: object, options: Ask = {}) => client.ask("PUT", "configmaps/a", { body, ...options })

const ofPut: Record<string, Program> = {
  "a PUT replaces the whole object": withObject(
    configMap("a", { a: "1" }, { data: { x: "1" } }),
    (client) => Effect.all([put(client, configMap("a", { b: "2" })), put(client, configMap("a", { b: "2" }))])
  ),
  "a PUT with the right, a stale and a future resourceVersion": withObject(
    configMap("a"),
    (client, stored) =>
      Effect.forEach(
        [metadataOf(stored, "resourceVersion"), metadataOf(stored, "resourceVersion"), "999999999", "0", "", "abc"],
        (resourceVersion, index) =>
          put(client, {
            apiVersion: "v1",
            kind: "ConfigMap",
            metadata: { name: "a", resourceVersion, annotations: { index: String(index) } }
          })
      )
  ),
  "a PUT with the right and a wrong uid": withObject(
    configMap("a"),
    (client, stored) =>
      Effect.forEach(
        [metadataOf(stored, "uid"), "00000000-0000-0000-0000-000000000000"],
        (uid) => put(client, { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a", uid } })
      )
  ),
  "a PUT of another name or namespace, or of none": withObject(
    configMap("a"),
    (client) =>
      Effect.forEach(
        [{ name: "b" }, { name: "a", namespace: "default" }, {}],
        (metadata) => put(client, { apiVersion: "v1", kind: "ConfigMap", metadata })
      )
  ),
  "a PUT of another kind or version": withObject(configMap("a"), (client) =>
    Effect.forEach(
      [
        { kind: "Secret", apiVersion: "v1" },
        { kind: "Nothing", apiVersion: "v1" },
        { kind: "ConfigMap", apiVersion: "v2" },
        { kind: "ConfigMap" },
        { apiVersion: "v1" },
        {}
      ],
      (type) => put(client, { ...type, metadata: { name: "a" } }, { anyMessage: true })
    )),
  "a PUT of what is not there": (client) =>
    Effect.asVoid(client.ask("PUT", "configmaps/none", { body: configMap("none") })),
  "a PUT that is no JSON": withObject(
    configMap("a"),
    (client) =>
      Effect.forEach(
        ["", "{", "[]", "null", "\"x\""],
        (body) => client.ask("PUT", "configmaps/a", { body, anyMessage: true })
      )
  )
}

const ofMetadata: Record<string, Program> = {
  "metadata only: GET, PATCH, PUT, POST, DELETE": (client) =>
    Effect.gen(function*() {
      const object = configMap("a", { a: "1" }, { data: { large: "x".repeat(1_000) } })
      yield* client.ask("POST", "configmaps", { body: object, ...asMetadata })
      yield* client.ask("GET", "configmaps/a", asMetadata)
      yield* client.ask("PATCH", "configmaps/a", { body: take, contentType: jsonPatch, ...asMetadata })
      yield* client.ask("PATCH", "configmaps/a", { body: take, contentType: jsonPatch, ...asMetadata })
      yield* client.ask("PATCH", "configmaps/a", { body: {}, contentType: mergePatch, ...asMetadata })
      yield* client.ask("PUT", "configmaps/a", { body: object, ...asMetadata })
      yield* client.ask("DELETE", "configmaps/a", asMetadata)
      yield* client.ask("GET", "configmaps/a", asMetadata)
    }),
  "metadata only: LIST": (client) =>
    Effect.gen(function*() {
      for (const name of ["b", "a"]) yield* client.ask("POST", "configmaps", { body: configMap(name, { name }) })
      yield* client.ask("GET", "configmaps", { accept: metadataListOnly })
      yield* client.ask("GET", "configmaps", { accept: metadataListOnly, query: { fieldSelector: "metadata.name=a" } })
      yield* client.ask("GET", "configmaps")
    }),
  "metadata only: the wrong form, and other versions": (client) =>
    Effect.gen(function*() {
      yield* client.ask("POST", "configmaps", { body: configMap("a") })
      yield* client.ask("GET", "configmaps", { accept: metadataOnly })
      yield* client.ask("GET", "configmaps/a", { accept: metadataListOnly })
      yield* client.ask("GET", "configmaps/a", { accept: metadataOnly.replace("v=v1", "v=v1beta1") })
      yield* client.ask("GET", "configmaps/a", { accept: metadataOnly.replace("v=v1", "v=v9") })
      yield* client.ask("GET", "configmaps/a", { accept: `${metadataOnly}, application/json` })
      yield* client.ask("GET", "configmaps/a", { accept: "*/*" })
      yield* client.ask("GET", "configmaps/a", { accept: "application/json" })
    }),
  "406: nothing that the server can write": (client) =>
    Effect.gen(function*() {
      yield* client.ask("POST", "configmaps", { body: configMap("a") })
      for (const accept of ["text/html", "application/xml"]) {
        yield* client.ask("GET", "configmaps", { accept })
        yield* client.ask("GET", "configmaps/a", { accept })
        yield* client.ask("PATCH", "configmaps/a", { accept, body: take, contentType: jsonPatch })
      }
    })
}

const oneName = { watch: "true", fieldSelector: "metadata.name=a" }

const patchAs = (client: Client, value: string) =>
  client.ask("PATCH", "configmaps/a", {
    body: { metadata: { annotations: { [key]: value } } },
    contentType: mergePatch
  })

const ofWatch: Record<string, Program> = Object.fromEntries(
  [undefined, metadataOnly].flatMap((accept): ReadonlyArray<[string, Program]> => {
    const form = accept === undefined ? "whole objects" : "metadata only"
    return [
      [`a watch of one name without a resourceVersion begins with ADDED: ${form}`, (client) =>
        Effect.gen(function*() {
          for (const name of ["a", "b"]) yield* client.ask("POST", "configmaps", { body: configMap(name) })
          const watch = yield* client.watch("configmaps", { query: oneName, accept })
          yield* watch.take(1)
          yield* patchAs(client, "1")
          yield* watch.take(1)
          yield* client.ask("PATCH", "configmaps/b", { body: takeMap, contentType: jsonPatch })
          yield* patchAs(client, "1")
          yield* patchAs(client, "2")
          yield* watch.take(1)
          yield* client.ask("DELETE", "configmaps/a")
          yield* watch.take(1)
          yield* client.ask("POST", "configmaps", { body: configMap("a") })
          yield* watch.take(1)
        })],
      [`a watch goes on from a resourceVersion: ${form}`, (client) =>
        Effect.gen(function*() {
          const { body } = yield* client.ask("POST", "configmaps", { body: configMap("a") })
          yield* patchAs(client, "1")
          yield* patchAs(client, "2")
          const query = { ...oneName, resourceVersion: metadataOf(body, "resourceVersion") }
          const watch = yield* client.watch("configmaps", { query: new URLSearchParams(query).toString(), accept })
          yield* watch.take(2)
          yield* patchAs(client, "3")
          yield* watch.take(1)
        })],
      [`a watch sees objects come into and go out of its selection: ${form}`, (client) =>
        Effect.gen(function*() {
          yield* client.ask("POST", "configmaps", { body: configMap("a") })
          const watch = yield* client.watch("configmaps", {
            query: { watch: "true", labelSelector: "team=web" },
            accept
          })
          for (const team of ["web", "web2", "web"]) {
            yield* client.ask("PATCH", "configmaps/a", {
              body: { metadata: { labels: { team } } },
              contentType: mergePatch
            })
          }
          yield* watch.take(3)
        })]
    ]
  })
)

const ofWatchParameters: Record<string, Program> = {
  "a watch ends after its timeoutSeconds": (client) =>
    Effect.gen(function*() {
      yield* client.ask("POST", "configmaps", { body: configMap("a") })
      const watch = yield* client.watch("configmaps", { query: { ...oneName, timeoutSeconds: "1" } })
      yield* watch.take(1)
      yield* watch.end
    }),
  "a watch with initial events says where they end": (client) =>
    Effect.gen(function*() {
      for (const name of ["b", "a"]) yield* client.ask("POST", "configmaps", { body: configMap(name) })
      for (const accept of [undefined, metadataOnly]) {
        const watch = yield* client.watch("configmaps", {
          query: {
            watch: "true",
            sendInitialEvents: "true",
            resourceVersionMatch: "NotOlderThan",
            allowWatchBookmarks: "true"
          },
          accept
        })
        yield* watch.take(3)
      }
    }),
  "a watch from the resourceVersion of a LIST": (client) =>
    Effect.gen(function*() {
      const { body } = yield* client.ask("POST", "configmaps", { body: configMap("a") })
      const list = yield* client.ask("GET", "configmaps", { query: { fieldSelector: "metadata.name=a" } })
      const resourceVersion = metadataOf(list.body, "resourceVersion")
      yield* client.note(BigInt(resourceVersion) >= BigInt(metadataOf(body, "resourceVersion")))
      yield* patchAs(client, "1")
      const watch = yield* client.watch("configmaps", { query: { ...oneName, resourceVersion } })
      yield* watch.take(1)
    }),
  "a watch that allows bookmarks gets one before its time is up": (client) =>
    Effect.gen(function*() {
      yield* client.ask("POST", "configmaps", { body: configMap("a") })
      const { body } = yield* patchAs(client, "1")
      const watch = yield* client.watch("configmaps", {
        query: { ...oneName, allowWatchBookmarks: "true", timeoutSeconds: "5" }
      })
      const [, bookmark] = yield* watch.take(2)
      const { resourceVersion } = (bookmark as { object: { metadata: { resourceVersion: string } } }).object.metadata
      yield* client.note(BigInt(resourceVersion) >= BigInt(metadataOf(body, "resourceVersion")))
      yield* watch.end
    }),
  "a watch of what is not there yet": (client) =>
    Effect.gen(function*() {
      const watch = yield* client.watch("configmaps", { query: oneName })
      yield* client.ask("POST", "configmaps", { body: configMap("b") })
      yield* client.ask("POST", "configmaps", { body: configMap("a") })
      yield* watch.take(1)
    }),
  "a watch from resourceVersion 0, and of one object without a fieldSelector": (client) =>
    Effect.gen(function*() {
      yield* client.ask("POST", "configmaps", { body: configMap("a") })
      const fromAny = yield* client.watch("configmaps", { query: { ...oneName, resourceVersion: "0" } })
      yield* fromAny.take(1)
      const all = yield* client.watch("configmaps", { query: { watch: "1" } })
      yield* all.take(1)
    }),
  "watches that are refused": (client) =>
    Effect.gen(function*() {
      for (
        const query of [
          { watch: "true", resourceVersion: "abc" },
          { watch: "true", resourceVersion: "-1" },
          { watch: "true", fieldSelector: "metadata.uid=1" },
          { watch: "true", fieldSelector: "nonsense" },
          { watch: "true", timeoutSeconds: "x" },
          { watch: "true", sendInitialEvents: "true" }
        ]
      ) yield* client.ask("GET", "configmaps", { query })
      yield* client.ask("GET", "configmaps", { query: oneName, token: "wrong" })
      yield* client.ask("GET", "configmaps", { query: oneName, accept: "text/html" })
      yield* client.ask("GET", "nothings", { query: oneName })
      yield* client.ask("GET", "/apis/nobody.example.com/v1/things", { query: oneName })
    })
}

const ofLimits: Record<string, Program> = {
  "annotations of 262144 bytes together are the most": (client) =>
    Effect.gen(function*() {
      for (const bytes of [maxAnnotationBytes, maxAnnotationBytes + 1]) {
        yield* client.ask("POST", "configmaps", { body: configMap(`of-${bytes}`, annotationsOf(bytes)) })
      }
      yield* client.ask("POST", "configmaps", { body: configMap("a", annotationsOf(maxAnnotationBytes - 2)) })
      for (
        const body of [[add("1", "/metadata/annotations/b")], [add("12", "/metadata/annotations/b")], [
          add("é", "/metadata/annotations/k")
        ]]
      ) {
        yield* client.ask("PATCH", "configmaps/a", { body, contentType: jsonPatch, ...asMetadata })
      }
    }),
  "names of annotations": (client) =>
    Effect.gen(function*() {
      yield* client.ask("POST", "configmaps", { body: configMap("a", { other: "1" }) })
      const n = "n"
      const names = [
        n.repeat(63),
        n.repeat(64),
        "kubelock.giantswarm.io/" + n.repeat(63),
        "kubelock.giantswarm.io/" + n.repeat(64),
        "A-b_c.D9",
        "-a",
        "a-",
        ".a",
        "a.",
        "_a",
        "a b",
        "é",
        "",
        "a/",
        "/a",
        "a/b/c",
        "UPPER.example.com/x",
        "under_score.example.com/x",
        `${"d".repeat(254)}/x`,
        "constructor",
        "__proto__"
      ]
      for (const name of names) {
        yield* client.ask("PATCH", "configmaps/a", {
          // Not by JSON.stringify of an object: `__proto__`.
          body: `{"metadata":{"annotations":{${JSON.stringify(name)}:"1"}}}`,
          contentType: mergePatch
        })
      }
    }),
  "names of objects": (client) =>
    Effect.gen(function*() {
      const names = ["a.b-c9", "A", "-a", "a_b", "a".repeat(253), "a".repeat(254), "é", "a/b", "."]
      for (const name of names) yield* client.ask("POST", "configmaps", { body: configMap(name) })
      for (const name of ["a.b", "a".repeat(64)]) {
        yield* client.ask("POST", "/api/v1/namespaces", { body: { metadata: { name } } })
      }
    }),
  "labels": (client) =>
    Effect.forEach(
      [{ a: "b" }, { a: "" }, { a: "-" }, { "-": "b" }, { a: "x".repeat(64) }, { a: 1 }, "x"],
      (labels, index) =>
        client.ask("POST", "configmaps", {
          body: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: `l${index}`, labels } }
        }),
      { discard: true }
    ),
  "413: a body of more than 3 MiB": (client) =>
    Effect.asVoid(client.ask("POST", "configmaps", {
      body: configMap("a", undefined, { data: { x: "x".repeat(3 * 1024 * 1024) } }),
      anyMessage: true
    }))
}

const ofRefusals: Record<string, Program> = {
  "401: a token that is none, or in a wrong form": (client) =>
    Effect.gen(function*() {
      yield* client.ask("POST", "configmaps", { body: configMap("a") })
      yield* client.ask("GET", "configmaps/a", { token: "wrong" })
      yield* client.ask("PATCH", "configmaps/a", { token: "wrong", body: take, contentType: jsonPatch, ...asMetadata })
      yield* client.ask("GET", "/api/v1/nothing", { token: "wrong" })
      yield* client.ask("GET", "/api", { token: "wrong" })
    }),
  "404: an object, a namespace, a resource, a group, a path": (client) =>
    Effect.gen(function*() {
      for (const [method, body] of [["GET"], ["PATCH", take], ["PUT", configMap("none")], ["DELETE"]] as const) {
        yield* client.ask(method, "configmaps/none", { body, contentType: method === "PATCH" ? jsonPatch : undefined })
        yield* client.ask(method, "configmaps/none", {
          body,
          contentType: method === "PATCH" ? jsonPatch : undefined,
          ...asMetadata
        })
      }
      yield* client.ask("GET", "/api/v1/namespaces/nowhere/configmaps/a")
      yield* client.ask("PATCH", "/api/v1/namespaces/nowhere/configmaps/a", { body: take, contentType: jsonPatch })
      yield* client.ask("GET", "/api/v1/namespaces/nowhere/configmaps")
      yield* client.ask("POST", "/api/v1/namespaces/nowhere/configmaps", { body: configMap("a") })
      yield* client.ask("GET", "nothings/a")
      yield* client.ask("GET", "nothings/a", asMetadata)
      yield* client.ask("PATCH", "nothings/a", { body: take, contentType: jsonPatch, ...asMetadata })
      yield* client.ask("GET", "/apis/apps/v1/namespaces/default/nothings/a")
      yield* client.ask("GET", "/apis/apps/v9/namespaces/default/deployments/a")
      yield* client.ask("GET", "/apis/nobody.example.com/v1/namespaces/default/things/a")
      yield* client.ask("PATCH", "/apis/nobody.example.com/v1/namespaces/default/things/a", {
        body: take,
        contentType: jsonPatch,
        ...asMetadata
      })
      yield* client.ask("GET", "/apis/nobody.example.com/v1")
      yield* client.ask("GET", "/api/v2/namespaces/default/configmaps/a")
      yield* client.ask("GET", "/nothing")
      yield* client.ask("GET", "/api/v1/configmaps/a")
      yield* client.ask("GET", "configmaps/a/nothing")
    }),
  "405: a method that the path does not know": (client) =>
    Effect.gen(function*() {
      yield* client.ask("POST", "configmaps", { body: configMap("a") })
      yield* client.ask("PUT", "configmaps", { body: configMap("a") })
      yield* client.ask("PATCH", "configmaps", { body: take, contentType: jsonPatch })
      yield* client.ask("POST", "configmaps/a", { body: configMap("a") })
      yield* client.ask("POST", "/api/v1/configmaps", { body: configMap("a") })
    }),
  "409: a name that is taken": (client) =>
    Effect.gen(function*() {
      for (const _ of [1, 2]) yield* client.ask("POST", "configmaps", { body: configMap("a") })
      yield* client.ask("POST", "configmaps", { body: configMap("a"), ...asMetadata })
    }),
  "415: patches of unknown types, and bodies": (client) =>
    Effect.gen(function*() {
      yield* client.ask("POST", "configmaps", { body: configMap("a", { other: "1" }) })
      for (const contentType of ["application/json", "text/plain", "application/nothing+json"]) {
        yield* client.ask("PATCH", "configmaps/a", { body: take, contentType })
        yield* client.ask("PATCH", "configmaps/a", { body: take, contentType, ...asMetadata })
      }
      yield* client.ask("PATCH", "configmaps/a", { body: take, contentType: `${jsonPatch}; charset=utf-8` })
      yield* client.ask("PUT", "configmaps/a", { body: configMap("a"), contentType: "text/plain", anyMessage: true })
    }),
  "400: a body that is no object of the kind": (client) =>
    Effect.forEach(
      ["", "{", "[]", "null", "{}", { kind: "Secret", apiVersion: "v1" }, { kind: "ConfigMap", apiVersion: "v2" }, {
        ...configMap("a"),
        metadata: "x"
      }, { ...configMap("a"), metadata: { name: 1 } }],
      (body) => client.ask("POST", "configmaps", { body, anyMessage: true }),
      { discard: true }
    ),
  "a new object without a name, with generateName, with a resourceVersion, of another namespace": (client) =>
    Effect.gen(function*() {
      for (
        const metadata of [
          {},
          { name: "" },
          { name: "a", resourceVersion: "1" },
          { name: "a", resourceVersion: "0" },
          { name: "a", namespace: "default" },
          { name: "a", uid: "mine", creationTimestamp: "2020-01-01T00:00:00Z", generation: 7 }
        ]
      ) {
        yield* client.ask("POST", "configmaps", { body: { apiVersion: "v1", kind: "ConfigMap", metadata } })
      }
    })
}

const ofParameters: Record<string, Program> = {
  "parameters: unknown ones, timeout, fieldManager": (client) =>
    Effect.gen(function*() {
      yield* client.ask("POST", "configmaps", { body: configMap("a", { other: "1" }) })
      const queries = [
        "nobody=knows",
        "timeout=10s",
        "timeout=10000ms",
        "timeout=1",
        "timeout=x",
        "timeout=-1s",
        "timeout=0s",
        "timeout=24h",
        "fieldManager=kubelock",
        `fieldManager=${"m".repeat(128)}`,
        `fieldManager=${"m".repeat(129)}`,
        "fieldManager=%00",
        "fieldManager=%C3%A9",
        "fieldValidation=Strict",
        "fieldValidation=Nonsense",
        "pretty=true",
        "force=true",
        "force=maybe"
      ]
      for (const query of queries) {
        yield* client.ask("PATCH", "configmaps/a", {
          query,
          body: [test("1", "/metadata/annotations/other")],
          contentType: jsonPatch
        })
        yield* client.ask("GET", "configmaps/a", { query, ...asMetadata })
      }
    }),
  "a dry run answers and writes nothing": (client) =>
    Effect.gen(function*() {
      const dryRun = "dryRun=All"
      yield* client.ask("POST", "configmaps", { query: dryRun, body: configMap("a") })
      yield* client.ask("GET", "configmaps/a")
      yield* client.ask("POST", "configmaps", { body: configMap("a", { [key]: "old" }) })
      yield* client.ask("PATCH", "configmaps/a", { query: dryRun, body: swap, contentType: jsonPatch, ...asMetadata })
      yield* client.ask("PATCH", "configmaps/a", { query: dryRun, body: take, contentType: jsonPatch, ...asMetadata })
      yield* client.ask("PUT", "configmaps/a", { query: dryRun, body: configMap("a") })
      yield* client.ask("DELETE", "configmaps/a", { query: dryRun })
      yield* client.ask("GET", "configmaps/a")
      for (const query of ["dryRun=", "dryRun=Some", "dryRun=All&dryRun=All"]) {
        yield* client.ask("PATCH", "configmaps/a", { query, body: swap, contentType: jsonPatch })
      }
    }),
  "a GET and a LIST at resourceVersions": (client) =>
    Effect.gen(function*() {
      const { body } = yield* client.ask("POST", "configmaps", { body: configMap("a") })
      const now = metadataOf(body, "resourceVersion")
      // By then a real server's cache, which answers for "0", has seen the object.
      for (const resourceVersion of [now, "0", "abc", "-1"]) {
        const query = `resourceVersion=${resourceVersion}`
        yield* client.ask("GET", "configmaps/a", { query: resourceVersion === now ? { resourceVersion } : query })
        yield* client.ask("GET", "configmaps", { query: { resourceVersion } })
      }
    }),
  "field and label selectors of a LIST": (client) =>
    Effect.gen(function*() {
      for (const name of ["a", "b", "c"]) {
        yield* client.ask("POST", "configmaps", {
          body: { apiVersion: "v1", kind: "ConfigMap", metadata: { name, labels: { name, team: "web" } } }
        })
      }
      for (
        const query of [
          { fieldSelector: "metadata.name=a" },
          { fieldSelector: "metadata.name==a" },
          { fieldSelector: "metadata.name!=a" },
          { fieldSelector: "metadata.name=none" },
          { fieldSelector: `metadata.namespace=${client.namespace}` },
          { fieldSelector: "metadata.name=a,metadata.name!=b" },
          { fieldSelector: "metadata.uid=1" },
          { fieldSelector: "nonsense" },
          { labelSelector: "name=a" },
          { labelSelector: "name in (a,b)" },
          { labelSelector: "name notin (a,b),team" },
          { labelSelector: "!team" },
          { labelSelector: "team!=web" }
        ]
      ) yield* client.ask("GET", "configmaps", { query, accept: metadataListOnly })
    })
}

const ofResourceVersions: Record<string, Program> = {
  "one counter rises with every write to any object, and with no other request": (client) =>
    Effect.gen(function*() {
      const seen: Array<bigint> = []
      const see = ({ body }: { readonly body: unknown }) => seen.push(BigInt(metadataOf(body, "resourceVersion")))
      const take = (name: string, value: string) =>
        client.ask("PATCH", name, { body: { metadata: { annotations: { [key]: value } } }, contentType: mergePatch })
      see(yield* client.ask("POST", "configmaps", { body: configMap("a") }))
      see(yield* client.ask("POST", "secrets", { ...asMetadata, body: { metadata: { name: "a" } } }))
      see(yield* take("configmaps/a", "1"))
      see(yield* client.ask("POST", "configmaps", { body: configMap("b") }))
      yield* client.ask("DELETE", "configmaps/a")
      see(yield* client.ask("POST", "configmaps", { body: configMap("a") }))
      see(yield* take("configmaps/b", "1"))
      see(yield* take("configmaps/a", "1"))
      yield* client.note(seen.map((version, index) => index === 0 || version > seen[index - 1]!))
    })
}

const ofDeletion: Record<string, Program> = {
  "a DELETE, and again": (client) =>
    Effect.gen(function*() {
      yield* client.ask("POST", "configmaps", { body: configMap("a") })
      for (const _ of [1, 2]) yield* client.ask("DELETE", "configmaps/a")
    }),
  "a DELETE with preconditions": (client) =>
    Effect.gen(function*() {
      const { body } = yield* client.ask("POST", "configmaps", { body: configMap("a") })
      const uid = metadataOf(body, "uid")
      for (const preconditions of [{ uid: "another" }, { resourceVersion: "1" }, { uid }]) {
        yield* client.ask("DELETE", "configmaps/a", {
          body: { apiVersion: "v1", kind: "DeleteOptions", preconditions },
          anyMessage: true
        })
      }
    }),
  "a DELETE of an object with finalizers waits for them": (client) =>
    Effect.gen(function*() {
      yield* client.ask("POST", "configmaps", {
        body: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a", finalizers: ["example.com/x"] } }
      })
      for (const _ of [1, 2]) yield* client.ask("DELETE", "configmaps/a")
      yield* client.ask("PATCH", "configmaps/a", { body: takeMap, contentType: jsonPatch })
      yield* client.ask("PATCH", "configmaps/a", {
        body: { metadata: { finalizers: ["example.com/x", "example.com/y"] } },
        contentType: mergePatch
      })
      yield* client.ask("PATCH", "configmaps/a", { body: { metadata: { finalizers: null } }, contentType: mergePatch })
      yield* client.ask("GET", "configmaps/a")
    }),
  "an object that was deleted and made again is another one": (client) =>
    Effect.gen(function*() {
      const { body } = yield* client.ask("POST", "configmaps", { body: configMap("a", { [key]: "old" }) })
      yield* client.ask("DELETE", "configmaps/a")
      yield* client.ask("POST", "configmaps", { body: configMap("a", { [key]: "old" }) })
      yield* client.ask("PATCH", "configmaps/a", {
        body: [test(metadataOf(body, "uid"), "/metadata/uid"), ...swap],
        contentType: jsonPatch
      })
    }),
  "a DELETE of a collection": (client) =>
    Effect.gen(function*() {
      for (const name of ["a", "b"]) yield* client.ask("POST", "configmaps", { body: configMap(name) })
      yield* client.ask("DELETE", "configmaps", { query: { fieldSelector: "metadata.name=a" } })
      yield* client.ask("GET", "configmaps")
    })
}

/** Goes on with a path of custom resources, and what one of them is. */
const withWidgets = (
  program: (
    client: Client,
    path: string,
    widget: (metadata: object, rest?: object) => object
  ) => Effect.Effect<unknown, NoAnswer | "End", Scope.Scope>
): Program =>
(client) =>
  Effect.gen(function*() {
    const apiVersion = `${widgets.group}/${widgets.version}`
    const path = `/apis/${apiVersion}/namespaces/${client.namespace}/${widgets.resource}`
    const widget = (metadata: object, rest: object = {}) => ({
      apiVersion,
      kind: widgets.kind,
      metadata: { name: "a", ...metadata },
      ...rest
    })
    yield* program(client, path, widget)
    yield* client.ask("GET", `${path}/a`)
  })

const ofCustomResources: Record<string, Program> = {
  "JSON Patch as compare-and-set: custom resources": withWidgets((client, path, widget) =>
    Effect.gen(function*() {
      yield* client.ask("POST", path, { body: widget({ annotations: {} }, { spec: { size: 1 } }) })
      const bodies = [
        take,
        takeMap,
        takeMap,
        take,
        swap,
        [test("v1"), replace("old")],
        swap,
        [test("new"), remove()],
        [add(1)],
        [replace(2, "/spec/size")],
        [replace("1", "/metadata/resourceVersion")],
        [test("<"), remove()]
      ]
      for (const body of bodies) {
        yield* client.ask("PATCH", `${path}/a`, { body, contentType: jsonPatch })
        yield* client.ask("PATCH", `${path}/a`, { body, contentType: jsonPatch, ...asMetadata })
      }
    })
  ),
  "merge patches with and without a resourceVersion: custom resources": withWidgets((client, path, widget) =>
    Effect.gen(function*() {
      const { body } = yield* client.ask("POST", path, { body: widget({}) })
      const resourceVersions = [metadataOf(body, "resourceVersion"), "1", "0", "", "abc", undefined]
      for (const [index, resourceVersion] of resourceVersions.entries()) {
        yield* client.ask("PATCH", `${path}/a`, {
          body: { metadata: { resourceVersion, annotations: { [key]: String(index) } } },
          contentType: mergePatch
        })
      }
    })
  ),
  "a PUT with and without a resourceVersion: custom resources": withWidgets((client, path, widget) =>
    Effect.gen(function*() {
      const { body } = yield* client.ask("POST", path, { body: widget({}) })
      for (const resourceVersion of [undefined, "0", "1", metadataOf(body, "resourceVersion")]) {
        yield* client.ask("PUT", `${path}/a`, { body: widget({ resourceVersion }, { spec: { size: 2 } }) })
      }
    })
  ),
  "metadata only: custom resources": withWidgets((client, path, widget) =>
    Effect.gen(function*() {
      yield* client.ask("GET", path, { accept: metadataListOnly })
      yield* client.ask("GET", path)
      yield* client.ask("POST", path, { body: widget({ annotations: { a: "1" } }), ...asMetadata })
      yield* client.ask("GET", `${path}/a`, asMetadata)
      yield* client.ask("GET", path, { accept: metadataListOnly })
      yield* client.ask("PATCH", `${path}/a`, { body: take, contentType: jsonPatch, ...asMetadata })
      yield* client.ask("GET", `${path}/none`, asMetadata)
      yield* client.ask("PATCH", `${path}/none`, { body: take, contentType: jsonPatch, ...asMetadata })
      yield* client.ask("GET", `${path}/a`, { accept: "text/html" })
    })
  ),
  "refusals: custom resources": withWidgets((client, path, widget) =>
    Effect.gen(function*() {
      yield* client.ask("POST", path, { body: widget({ annotations: { a: "1" } }) })
      yield* client.ask("POST", path, { body: widget({}) })
      for (const contentType of ["application/strategic-merge-patch+json", "text/plain"]) {
        yield* client.ask("PATCH", `${path}/a`, { body: {}, contentType })
      }
      const patches = [
        add("1", "/metadata/annotations/-"),
        add("x".repeat(maxAnnotationBytes), "/metadata/annotations/b")
      ]
      for (const patch of patches) {
        yield* client.ask("PATCH", `${path}/a`, { body: [patch], contentType: jsonPatch })
      }
      yield* client.ask("GET", path.replace("widgets", "gadgets"))
      yield* client.ask("GET", path.replace("/v1/", "/v2/"))
      for (const _ of [1, 2]) yield* client.ask("DELETE", `${path}/a`)
    })
  ),
  "a watch of one name: custom resources": withWidgets((client, path, widget) =>
    Effect.gen(function*() {
      yield* client.ask("POST", path, { body: widget({}) })
      const watch = yield* client.watch(path, { query: oneName, accept: metadataOnly })
      yield* watch.take(1)
      yield* client.ask("PATCH", `${path}/a`, { body: takeMap, contentType: jsonPatch })
      yield* watch.take(1)
      yield* client.ask("DELETE", `${path}/a`)
      yield* watch.take(1)
    })
  ),
  "a definition makes a custom resource known": (client) =>
    Effect.gen(function*() {
      const group = `${client.namespace}.example.com`
      yield* client.ask("GET", `/apis/${group}/v1/gadgets`)
      yield* client.ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
        accept: metadataOnly,
        body: {
          apiVersion: "apiextensions.k8s.io/v1",
          kind: "CustomResourceDefinition",
          metadata: { name: `gadgets.${group}` },
          spec: {
            group,
            scope: "Cluster",
            names: { plural: "gadgets", singular: "gadget", kind: "Gadget", listKind: "GadgetList" },
            versions: [{
              name: "v1",
              served: true,
              storage: true,
              schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } }
            }]
          }
        }
      })
      yield* client.untilServed(`/apis/${group}/v1/gadgets`)
      yield* client.ask("GET", `/apis/${group}/v1/gadgets`)
      yield* client.ask("GET", `/apis/${group}/v1/gadgets/a`, asMetadata)
      yield* client.ask("GET", `/apis/${group}/v1/namespaces/${client.namespace}/gadgets/a`)
    }),
  "a watch from a resourceVersion that is too old ends with ERROR 410": withWidgets((client, path, widget) =>
    Effect.gen(function*() {
      yield* client.ask("POST", path, { body: widget({}) })
      yield* client.expireHistory
      for (const accept of [undefined, metadataOnly]) {
        const query = { ...oneName, resourceVersion: "1" }
        const watch = yield* client.watch(path, { query, accept, anyMessage: true })
        yield* watch.take(1)
        yield* watch.end
      }
    })
  )
}

/** Metadata alone is compared: what else there is in an object is each kind's own matter. */
const ofOtherKinds: Record<string, Program> = Object.fromEntries(
  [
    { apiVersion: "v1", kind: "Secret", resource: "secrets" },
    { apiVersion: "v1", kind: "ServiceAccount", resource: "serviceaccounts" },
    { apiVersion: "v1", kind: "Node", resource: "nodes", isClusterScoped: true },
    { apiVersion: "coordination.k8s.io/v1", kind: "Lease", resource: "leases" },
    { apiVersion: "rbac.authorization.k8s.io/v1", kind: "Role", resource: "roles" },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRole",
      resource: "clusterroles",
      isClusterScoped: true
    },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      resource: "deployments",
      content: {
        spec: {
          selector: { matchLabels: { app: "a" } },
          template: { metadata: { labels: { app: "a" } }, spec: { containers: [{ name: "a", image: "a" }] } }
        }
      }
    }
  ].map(({ apiVersion, content, isClusterScoped = false, kind, resource }): [string, Program] => [
    `a lock on other kinds: ${resource}`,
    (client) =>
      Effect.gen(function*() {
        const root = apiVersion === "v1" ? "/api/v1" : `/apis/${apiVersion}`
        const path = `${root}${isClusterScoped ? "" : `/namespaces/${client.namespace}`}/${resource}`
        const name = client.namespace
        const object = (metadata: object) => ({ apiVersion, kind, metadata: { name, ...metadata }, ...content })
        const patch = (body: unknown, contentType = jsonPatch) =>
          client.ask("PATCH", `${path}/${name}`, { body, contentType, ...asMetadata })
        const created = yield* client.ask("POST", path, {
          body: object({ annotations: { other: "1" } }),
          ...asMetadata
        })
        yield* client.ask("POST", path, { body: object({}), ...asMetadata })
        for (
          const body of [take, take, swap, [test("v1"), remove()], [remove("/metadata/annotations/other")], takeMap]
        ) {
          yield* patch(body)
        }
        yield* patch([add(1)])
        yield* patch([add("1", "/metadata/annotations/-")])
        for (const resourceVersion of [metadataOf(created.body, "resourceVersion"), "0", undefined]) {
          yield* patch({ metadata: { resourceVersion, annotations: { [key]: "2" } } }, mergePatch)
        }
        yield* client.ask("PUT", `${path}/${name}`, { body: object({ annotations: { a: "1" } }), ...asMetadata })
        yield* client.ask("GET", `${path}/${name}`, asMetadata)
        yield* client.ask("GET", path, {
          query: { fieldSelector: `metadata.name=${name}` },
          accept: metadataListOnly
        })
        const deleted = yield* client.ask("DELETE", `${path}/${name}`, asMetadata)
        if (deleted.status < 300) yield* client.ask("GET", `${path}/${name}`, asMetadata)
        yield* client.ask("PUT", `${path}/${name}`, { body: object({ annotations: { a: "1" } }), ...asMetadata })
      })
  ])
)

const clients = Array.from({ length: 32 }, (_, index) => index)

const ofRaces: Record<string, Program> = {
  "32 clients race to take a lock by JSON Patch": (client) =>
    Effect.gen(function*() {
      for (let round = 0; round < 5; round++) {
        const path = `configmaps/r${round}`
        yield* client.ask("POST", "configmaps", { body: configMap(`r${round}`, { other: "1" }) })
        yield* client.race(clients.map(() => ["PATCH", path, { body: take, contentType: jsonPatch, ...asMetadata }]))
        yield* client.ask("GET", path, asMetadata)
      }
    }),
  "32 clients race to take the whole map": (client) =>
    Effect.gen(function*() {
      yield* client.ask("POST", "configmaps", { body: configMap("a") })
      yield* client.race(clients.map(() => ["PATCH", "configmaps/a", { body: takeMap, contentType: jsonPatch }]))
      yield* client.ask("GET", "configmaps/a")
    }),
  "32 clients race with one resourceVersion": (client) =>
    Effect.gen(function*() {
      const { body } = yield* client.ask("POST", "configmaps", { body: configMap("a") })
      const resourceVersion = metadataOf(body, "resourceVersion")
      yield* client.race(clients.map((index) => ["PATCH", "configmaps/a", {
        body: { metadata: { resourceVersion, annotations: { [key]: String(index) } } },
        contentType: mergePatch
      }]))
    }),
  "32 clients race by PUT with one resourceVersion": (client) =>
    Effect.gen(function*() {
      const { body } = yield* client.ask("POST", "configmaps", { body: configMap("a") })
      const resourceVersion = metadataOf(body, "resourceVersion")
      yield* client.race(clients.map((index) => ["PUT", "configmaps/a", {
        body: {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: "a", resourceVersion, annotations: { [key]: String(index) } }
        }
      }]))
    }),
  "32 clients write their own annotations, and none is lost": (client) =>
    Effect.gen(function*() {
      yield* client.ask("POST", "configmaps", { body: configMap("a", { other: "1" }) })
      yield* client.race(clients.map((index) => ["PATCH", "configmaps/a", {
        body: [add("1", `/metadata/annotations/of-${index}`)],
        contentType: jsonPatch
      }]))
      yield* client.ask("GET", "configmaps/a")
    }),
  "32 clients race to make one object": (client) =>
    Effect.asVoid(client.race(clients.map(() => ["POST", "configmaps", { body: configMap("a") }])))
}

export const cases: Readonly<Record<string, Program>> = {
  ...ofJsonPatch,
  ...ofMergePatch,
  ...ofPut,
  ...ofMetadata,
  ...ofWatch,
  ...ofWatchParameters,
  ...ofOtherKinds,
  ...ofLimits,
  ...ofRefusals,
  ...ofParameters,
  ...ofResourceVersions,
  ...ofDeletion,
  ...ofCustomResources,
  ...ofRaces
}
