import { assert, describe, it } from "@effect/vitest"
import { AnnotationEdit } from "@kubelock/core"
import { AnnotationStore, KubeError, RetryPolicy } from "@kubelock/kube"
import { Cause, Effect, Exit, Option } from "effect"
import fc from "fast-check"
import { afterEach } from "vitest"
import * as Effort from "../../../core/test/hostile/effort.ts"
import { assertNothingInherited, inheritedKeys } from "../../../core/test/hostile/junk.ts"
import * as Server from "./HostileServer.ts"

// Whatever answers: what was asked for, or a KubeError that says what is wrong, and of a write whether it may have been made.

afterEach(assertNothingInherited)

type Asked = keyof typeof Server.asked

/** What became of a question: the answer, or the error. Anything else is a mistake. */
const outcomeOf = Effect.fnUntraced(function*(server: Server.HostileServer, asked: Asked) {
  const exit = yield* Effect.exit<unknown, unknown, AnnotationStore>(Server.asked[asked])
  if (Exit.isSuccess(exit)) return exit.value
  const error = Cause.squash(exit.cause)
  if (Cause.hasDies(exit.cause) || !(error instanceof KubeError || error instanceof AnnotationEdit.EditRefused)) {
    throw new Error(`no KubeError: ${Cause.pretty(exit.cause)}`)
  }
  assert.isBelow(error.message.length, 5_000)
  assert.notMatch(error.message, /[\p{Cc}\u2028\u2029]/u)
  if (error instanceof KubeError) {
    assert.include(error.message, server.origin.startsWith("http") ? "/api/v1/namespaces/default/configmaps" : "")
    if (asked !== "edit") assert.isFalse(error.outcomeUnknown, error.message)
  }
  return error
})

const assertFails = Effect.fnUntraced(function*(
  answer: Server.Answer,
  reason: KubeError["reason"]["_tag"],
  outcomeUnknown: boolean,
  asked: ReadonlyArray<Asked> = ["get", "edit", "changes"]
) {
  const server = yield* Server.make
  server.answer(answer)
  for (const one of asked) {
    const error = yield* Server.withStore(server)(outcomeOf(server, one))
    if (!(error instanceof KubeError)) throw new Error(`${one}: no KubeError, but ${String(error)}`)
    assert.strictEqual(error.reason._tag, reason, error.message)
    assert.strictEqual(error.outcomeUnknown, outcomeUnknown && one === "edit", error.message)
  }
})

const metadata = { name: "locks", uid: "1", resourceVersion: "5" }
const objectOf = (metadata: unknown) => JSON.stringify({ kind: "PartialObjectMetadata", metadata })
const eventOf = (type: unknown, object: unknown) => `${JSON.stringify({ type, object })}\n`
const object = { kind: "PartialObjectMetadata", metadata }

const answers: ReadonlyArray<readonly [name: string, answer: Server.Answer]> = [
  ["nothing", Server.says("")],
  ["an empty body", Server.says(Server.http(""))],
  ["a page of HTML", Server.says(Server.http("<html><title>Log in</title></html>"))],
  ["text", Server.says(Server.http("ok"))],
  ["truncated JSON", Server.says(Server.http(objectOf(metadata).slice(0, -2)))],
  ["two documents", Server.says(Server.http(objectOf(metadata).repeat(2)))],
  ["null", Server.says(Server.http("null"))],
  ["a number", Server.says(Server.http("5"))],
  ["a list", Server.says(Server.http("[]"))],
  ["another kind", Server.says(Server.http("{\"kind\":\"Status\",\"status\":\"Success\"}"))],
  ["no content", Server.says(Server.http("", { status: "204 No Content" }))],
  ["a reset of its content", Server.says(Server.http("", { status: "205 Reset Content" }))],
  ["less than its length", Server.says(Server.http(objectOf(metadata)).subarray(0, -3))],
  ["a reset in the middle", Server.breaksAfter(Server.http(objectOf(metadata)).subarray(0, -3))],
  ["a reset in a header", Server.breaksAfter("HTTP/1.1 200 OK\r\nContent-Le")],
  ["two lengths", Server.says(Server.http(objectOf(metadata), { headers: ["Content-Length: 2"] }))],
  [
    "a length and chunks",
    Server.says(Server.http("2\r\n{}\r\n0\r\n\r\n", { headers: ["Transfer-Encoding: chunked"] }))
  ],
  ["a negative length", Server.says("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}")],
  ["a length beyond all numbers", Server.says(`HTTP/1.1 200 OK\r\nContent-Length: ${"9".repeat(30)}\r\n\r\n{}`)],
  ["garbage for a chunk", Server.says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n")],
  ["a chunk that is cut off", Server.says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}\r\n")],
  ["a header without end", Server.saysForEver("HTTP/1.1 200 OK\r\nx: ", "x".repeat(10_000))],
  ["headers without end", Server.saysForEver("HTTP/1.1 200 OK\r\n", "x: y\r\n".repeat(1_000))],
  ["a garbled header", Server.says("HTTP/1.1 200 OK\r\n\0: \0\r\n\r\n{}")],
  ["another protocol", Server.says("SSH-2.0-OpenSSH_9.9\r\n")],
  ["HTTP/2", Server.says("HTTP/2 200\r\n\r\n{}")],
  ["bytes", Server.says(Buffer.from([0x16, 0x03, 0x01, 0x00, 0xff]))],
  ["the status 0", Server.says("HTTP/1.1 000 ?\r\nContent-Length: 2\r\n\r\n{}")],
  ["the status 1000", Server.says("HTTP/1.1 1000 ?\r\nContent-Length: 2\r\n\r\n{}")],
  ["a status that is none", Server.says("HTTP/1.1 OK\r\n\r\n{}")],
  ["to go on, and nothing else", Server.says("HTTP/1.1 100 Continue\r\n\r\n")],
  ["another protocol to switch to", Server.says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")],
  ["hints, and nothing else", Server.says("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n")],
  ["a failure of no known number", Server.says(Server.http("{}", { status: "999 ?" }))],
  [
    "a compressed body",
    Server.says(Server.http(Buffer.from([0x1f, 0x8b, 8, 0, 0]), { headers: ["Content-Encoding: gzip"] }))
  ],
  ["a body without end", Server.saysForEver("HTTP/1.1 200 OK\r\n\r\n{\"metadata\":\"", "x".repeat(1_000_000))],
  [
    "chunks without end",
    Server.saysForEver("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", `f4240\r\n${"x".repeat(1_000_000)}\r\n`)
  ],
  ["a failure without end", Server.saysForEver("HTTP/1.1 500 No\r\n\r\n", "x".repeat(1_000_000))]
]

const wrongMetadata: ReadonlyArray<readonly [name: string, metadata: unknown]> = [
  ["no metadata", undefined],
  ["null for metadata", null],
  ["a list for metadata", []],
  ["no uid", { ...metadata, uid: undefined }],
  ["a number for a uid", { ...metadata, uid: 5 }],
  ["no resourceVersion", { ...metadata, resourceVersion: undefined }],
  ["a number for a resourceVersion", { ...metadata, resourceVersion: 5 }],
  ["letters for a resourceVersion", { ...metadata, resourceVersion: "abc" }],
  ["nothing for a resourceVersion", { ...metadata, resourceVersion: "" }],
  ["a negative resourceVersion", { ...metadata, resourceVersion: "-1" }],
  ["a resourceVersion in hexadecimal", { ...metadata, resourceVersion: "0x10" }],
  ["a huge resourceVersion", { ...metadata, resourceVersion: "9".repeat(1_000_000) }],
  ["null for annotations", { ...metadata, annotations: null }],
  ["a list for annotations", { ...metadata, annotations: ["a"] }],
  ["text for annotations", { ...metadata, annotations: "a" }],
  ["a number for an annotation", { ...metadata, annotations: { a: 5 } }],
  ["null for an annotation", { ...metadata, annotations: { a: null } }]
]

describe("an answer that is none", () => {
  it.effect.each(answers)("%s", ([, answer]) => assertFails(answer, "Unavailable", true))

  it.effect.each(wrongMetadata)("%s", ([, metadata]) =>
    Effect.andThen(
      assertFails(Server.says(Server.http(objectOf(metadata))), "Unavailable", true, ["get", "edit"]),
      assertFails(Server.says(Server.http(eventOf("ADDED", { metadata }))), "Unavailable", false, ["changes"])
    ))

  it.effect.each(["300", "301", "302", "303", "304", "307", "308", "399"])(
    "HTTP %s: not followed, and nothing was made",
    (status) =>
      Effect.gen(function*() {
        const elsewhere = yield* Server.make
        const headers = [`Location: ${elsewhere.origin}/`, "Refresh: 0", `Link: <${elsewhere.origin}>`]
        yield* assertFails(Server.says(Server.http("", { headers, status: `${status} Moved` })), "Unavailable", false)
        assert.strictEqual(elsewhere.requests(), 0)
      })
  )
})

describe("a line of a watch that is none", () => {
  it.effect.each<readonly [name: string, line: string]>([
    ["an unknown type", eventOf("EXPLODED", object)],
    ["a type of many", eventOf(["ADDED"], object)],
    ["a type that every object has", eventOf("constructor", object)],
    ["no object", eventOf("MODIFIED", undefined)],
    ["a bookmark without metadata", eventOf("BOOKMARK", {})],
    ["a bookmark of no version", eventOf("BOOKMARK", { metadata: { resourceVersion: "x" } })],
    ["a deletion of nothing", eventOf("DELETED", null)],
    ["two events", `${eventOf("ADDED", object).trim()}${eventOf("ADDED", object)}`],
    ["half an event", `${eventOf("ADDED", object).slice(0, 20)}\n`],
    ["nothing", "\n"],
    ["bytes", "\0\u0001\ufffd\n"],
    ["an error without a status", eventOf("ERROR", {})],
    ["an error of another kind", eventOf("ERROR", { code: "500" })],
    ["an error of no object", eventOf("ERROR", 5)],
    ["an error of a negative status", eventOf("ERROR", { code: -5 })],
    ["an error of a huge status", eventOf("ERROR", { code: 1e300 })],
    ["an error that is a success", eventOf("ERROR", { code: 200 })]
  ])("%s", ([, line]) => assertFails(Server.says(Server.http(line)), "Unavailable", false, ["changes"]))

  it.effect("an error that is nested deep", () =>
    assertFails(
      Server.says(
        Server.http(`{"type":"ERROR","object":{"code":403,"x":${"[".repeat(100_000)}${"]".repeat(100_000)}}}\n`)
      ),
      "Forbidden",
      false,
      ["changes"]
    ))

  it.effect.each<readonly [name: string, answer: Server.Answer]>([
    ["without end", Server.saysForEver("HTTP/1.1 200 OK\r\n\r\n{\"type\":\"", "x".repeat(1_000_000))],
    ["that is cut off", Server.breaksAfter("HTTP/1.1 200 OK\r\n\r\n{\"type\":\"ADD")]
  ])("a line %s", ([, answer]) => assertFails(answer, "Unavailable", false, ["changes"]))
})

describe("what an answer says beside", () => {
  it.effect.each(
    [
      ["Retry-After: -5", undefined],
      [`Retry-After: ${"9".repeat(307)}`, undefined],
      [`Retry-After: ${"9".repeat(400)}`, undefined],
      ["Retry-After: 1e999", undefined],
      ["Retry-After: Infinity", undefined],
      ["Retry-After: 99999999999999", 99_999_999_999_999_000],
      ["Retry-After: \t", undefined],
      ["Retry-After: Wed, 21 Oct 2026 07:28:00 GMT", undefined],
      ["Retry-After: 2\r\nRetry-After: 3", 2_000]
    ] as const
  )("%s", ([header, expected]) =>
    Effect.gen(function*() {
      const server = yield* Server.make
      server.answer(Server.says(Server.http("{}", { status: "429 Slow", headers: [header] })))
      const error = yield* Server.withStore(server)(outcomeOf(server, "edit"))
      if (!(error instanceof KubeError)) throw new Error("no KubeError")
      assert.deepStrictEqual([error.reason._tag, error.retryAfterMillis], ["Throttled", expected])
    }))

  it.effect.each([
    "Date: soon",
    "Date: -1",
    "Date: Sat, 13 Sep 275760 00:00:00 GMT",
    "Date: Mon, 01 Jan 0001 00:00:00 GMT",
    `Date: ${"9".repeat(400)}`,
    "Date: Wed, 21 Oct 2026 07:28:00 GMT\r\nDate: Wed, 21 Oct 2027 07:28:00 GMT"
  ])("%s", (header) =>
    Effect.gen(function*() {
      const server = yield* Server.make
      server.answer(Server.says(Server.http(objectOf(metadata), { headers: [header] })))
      yield* Server.withStore(server)(Effect.gen(function*() {
        assert.deepInclude(yield* outcomeOf(server, "edit"), { resourceVersion: 5n })
        const offset = yield* (yield* AnnotationStore).clockOffset
        assert.isFalse(Number.isNaN(offset?.atLeastMillis ?? 0))
      }))
    }))

  it.effect("annotations whose keys every object seems to have", () =>
    Effect.gen(function*() {
      const annotations = Object.fromEntries(inheritedKeys.map((key) => [key, "x"]))
      const server = yield* Server.make
      yield* Server.withStore(server)(Effect.gen(function*() {
        for (const asked of ["get", "edit"] as const) {
          server.answer(Server.says(Server.http(objectOf({ ...metadata, annotations }))))
          const object = yield* outcomeOf(server, asked) as Effect.Effect<{ readonly annotations: object }>
          assert.deepStrictEqual(Object.entries(object.annotations), Object.entries(annotations))
        }
        server.answer(Server.says(Server.http(eventOf("ADDED", { metadata: { ...metadata, annotations } }))))
        const change = yield* outcomeOf(server, "changes") as Effect.Effect<Option.Option<{ readonly object: object }>>
        assert.deepNestedInclude(Option.getOrThrow(change), { "object.annotations": annotations })
      }))
    }))

  it.effect("a Status with many causes", () =>
    assertFails(
      Server.says(
        Server.http(`{"kind":"Status","message":"no","details":{"causes":[${"{},".repeat(300_000)}{}]}}`, {
          status: "422 No"
        })
      ),
      "Invalid",
      false
    ))
})

describe("an answer, mutated", () => {
  const bodies = [
    objectOf({ ...metadata, annotations: { a: "b" } }),
    eventOf("MODIFIED", object),
    eventOf("BOOKMARK", object),
    eventOf("ERROR", { kind: "Status", code: 410, message: "too old", details: { retryAfterSeconds: 1, causes: [] } }),
    JSON.stringify({
      kind: "Status",
      message: "no",
      reason: "Invalid",
      details: { name: "locks", causes: [{ field: "a", reason: "b", message: "c" }], retryAfterSeconds: 1 },
      code: 422
    }),
    JSON.stringify({ kind: "List", metadata: { resourceVersion: "7" }, items: [object] })
  ]
  const statuses = ["200 OK", "200 OK", "201 Created", "409 C", "410 Gone", "422 I", "429 T", "500 E", "503 U", "418 T"]
  const whole = fc.tuple(fc.constantFrom(...bodies), fc.constantFrom(...statuses)).map(([body, status]) =>
    Server.http(body, { status, headers: ["Retry-After: 1", "Date: Wed, 21 Oct 2026 07:28:00 GMT"] }).toString("latin1")
  )
  const piece = fc.oneof(
    fc.constantFrom(
      ..."{}[]:,\"\\ \t\r\n-09".split(""),
      "null",
      "\"__proto__\":",
      "1e999",
      "\r\n\r\n",
      "HTTP/1.1 100 C\r\n\r\n",
      "Transfer-Encoding: chunked\r\n",
      "Connection: close\r\n",
      "\0"
    ),
    fc.string({ unit: "binary-ascii", maxLength: 4 })
  )
  const mutation = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(6), piece)
  const mutated = fc.tuple(whole, fc.array(mutation, { maxLength: 3 })).map(([whole, mutations]) =>
    mutations.reduce((text, [where, length, piece]) => {
      const at = Math.floor(where * text.length)
      return text.slice(0, at) + piece + text.slice(at + length)
    }, whole)
  )

  it.effect("is read or refused", () =>
    Effect.gen(function*() {
      const server = yield* Server.make
      let refused = 0
      yield* Server.withStore(server)(Effect.flatMap(Effect.context<AnnotationStore>(), (context) =>
        Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(mutated, fc.constantFrom<Asked>("get", "edit", "changes"), async (bytes, asked) => {
              server.answer(Server.says(Buffer.from(bytes, "latin1")))
              const outcome = await Effect.runPromiseWith(context)(
                Effect.provideService(outcomeOf(server, asked), RetryPolicy.RetryPolicy, Server.once)
              )
              if (outcome instanceof Error) refused++
            }),
            Effort.of(150)
          )
        )))
      assert.isAbove(refused, 0)
    }))
})
