import { assert, describe, it } from "@effect/vitest"
import { isConflict, isInvalid, isThrottled, KubeError } from "@kubelock/kube/KubeError"
import { Effect, Schema } from "effect"
import { everythingShownOf } from "./KubeTransportFixtures.ts"

const request = { method: "PATCH", path: "/api/v1/namespaces/default/configmaps/locks" }

const widget = { method: "PATCH", path: "/apis/example.com/v1/widgets/w1" }

const statusBody = (fields: object) =>
  JSON.stringify({ kind: "Status", apiVersion: "v1", status: "Failure", ...fields })

const answer = (status: number, body = "", headers: Record<string, string> = {}, of = request) =>
  KubeError.fromResponse(of, { status, headers, body })

describe("KubeError", () => {
  it.each([
    [400, "Invalid", false],
    [401, "Unauthorized", false],
    [403, "Forbidden", false],
    [404, "ResourceNotFound", false],
    [405, "Invalid", false],
    [406, "Invalid", false],
    [408, "Timeout", true],
    [409, "Conflict", false],
    [410, "Invalid", false],
    [413, "Invalid", false],
    [415, "Invalid", false],
    [418, "Invalid", false],
    [422, "Invalid", false],
    [429, "Throttled", false],
    [500, "Unavailable", true],
    [502, "Unavailable", true],
    [503, "Unavailable", true],
    [504, "Timeout", true],
    [200, "Unavailable", true],
    [201, "Unavailable", true],
    [301, "Unavailable", false],
    [307, "Unavailable", false]
  ])("HTTP %i is %s, outcome unknown: %s", (status, reason, outcomeUnknown) => {
    const error = answer(status, statusBody({ message: "no" }))
    assert.deepStrictEqual([error.reason._tag, error.outcomeUnknown, error.status], [reason, outcomeUnknown, status])
    assert.include(error.message, `PATCH ${request.path}, HTTP ${status}`)
  })

  it("a GET leaves no outcome unknown", () => {
    assert.isFalse(answer(504, "", {}, { ...request, method: "GET" }).outcomeUnknown)
  })

  it.effect("lets one reason be handled", () =>
    Effect.gen(function*() {
      const millis = yield* Effect.fail(answer(429, "", { "retry-after": "3" })).pipe(
        Effect.catchReason("KubeError", "Throttled", ({ retryAfterMillis }) => Effect.succeed(retryAfterMillis))
      )
      assert.strictEqual(millis, 3_000)
    }))

  it("survives being encoded and decoded", () => {
    const error = answer(
      422,
      statusBody({ message: "no", details: { causes: [{ field: "a", reason: "b", message: "c" }] } })
    )
    const decoded = Schema.decodeUnknownSync(KubeError)(JSON.parse(JSON.stringify(Schema.encodeSync(KubeError)(error))))
    assert.instanceOf(decoded, KubeError)
    assert.strictEqual(decoded.message, error.message)
  })

  it("guards know their reason alone", () => {
    assert.deepStrictEqual([isConflict(answer(409)), isInvalid(answer(409)), isThrottled(answer(429))], [
      true,
      false,
      true
    ])
    assert.isFalse(isConflict({ _tag: "KubeError", reason: { _tag: "Conflict" } }))
  })

  describe("Retry-After", () => {
    it.each([
      ["seconds", 429, { "retry-after": "2" }, 2_000],
      ["a date", 429, { "retry-after": "Wed, 21 Oct 2026 07:28:05 GMT", date: "Wed, 21 Oct 2026 07:28:00 GMT" }, 5_000],
      ["a date in the past", 429, {
        "retry-after": "Wed, 21 Oct 2026 07:28:05 GMT",
        date: "Wed, 21 Oct 2026 07:28:06 GMT"
      }, 0],
      ["a date without a clock to compare it to", 429, { "retry-after": "Wed, 21 Oct 2026 07:28:05 GMT" }, undefined],
      ["nonsense", 429, { "retry-after": "soon" }, undefined],
      ["negative", 429, { "retry-after": "-1" }, undefined],
      ["more than a number holds", 429, { "retry-after": "9".repeat(307) }, undefined],
      ["nothing", 429, {}, undefined],
      ["with 503", 503, { "retry-after": "1" }, 1_000],
      ["with 500", 500, { "retry-after": "0" }, 0],
      ["with 504", 504, { "retry-after": "1" }, 1_000]
    ])("%s", (_, status, headers, expected) => {
      assert.strictEqual(answer(status, "", headers).retryAfterMillis, expected)
    })

    it("is read from the Status where there is no header", () => {
      assert.strictEqual(answer(429, statusBody({ details: { retryAfterSeconds: 4 } })).retryAfterMillis, 4_000)
      assert.isUndefined(answer(429, statusBody({ details: { retryAfterSeconds: 1e306 } })).retryAfterMillis)
    })
  })

  describe("says what a person needs", () => {
    it("Forbidden names verb, object and namespace", () => {
      const { message } = answer(
        403,
        statusBody({ message: "configmaps \"locks\" is forbidden: User \"u\" cannot patch" })
      )
      assert.include(message, "Not allowed to patch configmaps \"locks\" in namespace \"default\"")
      assert.include(message, "User \"u\" cannot patch")
      assert.include(message, "Grant the verb \"patch\" on \"configmaps\" with a Role in namespace \"default\"")
    })

    it("Forbidden at cluster scope asks for a ClusterRole", () => {
      assert.include(
        answer(403, "", {}, widget).message,
        "Grant the verb \"patch\" on \"widgets.example.com\" with a ClusterRole"
      )
    })

    it.each([
      ["GET", "/api/v1/namespaces/default/configmaps/locks", "get configmaps \"locks\" in namespace \"default\""],
      ["GET", "/api/v1/namespaces/default/configmaps", "list configmaps in namespace \"default\""],
      ["GET", "/api/v1/namespaces/default", "get namespaces \"default\""],
      ["GET", "/api/v1/namespaces", "list namespaces"],
      ["PATCH", "/api/v1/nodes/n1", "patch nodes \"n1\""],
      ["PUT", "/apis/apps/v1/namespaces/a/deployments/d", "update deployments.apps \"d\" in namespace \"a\""],
      ["POST", "/apis/apps/v1/namespaces/a/deployments", "create deployments.apps in namespace \"a\""],
      ["DELETE", "/apis/example.com/v1/widgets/w1", "delete widgets.example.com \"w1\""],
      ["GET", "/version", "GET /version"],
      ["GET", "/api", "GET /api"],
      ["GET", "/", "GET /"]
    ])("%s %s is to %s", (method, path, said) => {
      assert.include(answer(403, "", {}, { method, path }).message, `Not allowed to ${said}.`)
    })

    it("Unauthorized says that the credentials were refreshed", () => {
      assert.include(answer(401).message, "although they were refreshed once")
    })

    it("ResourceNotFound tells a missing object from an unknown resource type", () => {
      const object = answer(404, statusBody({ message: "configmaps \"locks\" not found", details: { name: "locks" } }))
      assert.deepInclude(object.reason, { missing: "Object" })
      assert.include(object.message, "configmaps \"locks\" in namespace \"default\" does not exist")

      const type = answer(404, "404 page not found\n", {}, widget)
      assert.deepInclude(type.reason, { missing: "ResourceType" })
      assert.include(type.message, "no resource type \"widgets.example.com\" in version \"example.com/v1\"")
      assert.include(type.message, "CustomResourceDefinition")

      const generic = answer(
        404,
        statusBody({ message: "the server could not find the requested resource", details: {} })
      )
      assert.deepInclude(generic.reason, { missing: "ResourceType" })
    })

    it("Invalid carries the causes", () => {
      const causes = [{ field: "metadata.annotations", reason: "FieldValueInvalid", message: "Too long" }]
      const error = answer(422, statusBody({ message: "ConfigMap is invalid", details: { name: "locks", causes } }))
      assert.deepInclude(error.reason, { status: 422, causes })
      assert.include(error.message, "metadata.annotations: Too long")
    })

    it("a refused test of a JSON Patch has no causes", () => {
      const body = statusBody({
        message: "the server rejected our request due to an error in our request",
        details: {}
      })
      assert.deepInclude(answer(422, body).reason, { status: 422, causes: [] })
    })

    it("410 says why", () => {
      assert.include(
        answer(410, statusBody({ message: "too old resource version: 1 (5)" })).message,
        "too old resource version"
      )
    })
  })

  describe("stays clear and bounded whatever the body is", () => {
    it.each([
      ["empty", "", "nothing (the body is empty)"],
      [
        "a page of HTML",
        "<!DOCTYPE html>\n<html><head><title>502 Bad\n Gateway</title></head>",
        "titled \"502 Bad Gateway\""
      ],
      ["HTML without a title", "<html><body>no</body></html>", "a page of HTML"],
      ["truncated JSON", "{\"kind\":\"Status\",\"mess", "\"{\"kind\":\"Status\",\"mess\""],
      ["JSON that is no Status", "{\"error\":\"slow down\"}", "slow down"],
      ["a Status of odd types", "{\"kind\":\"Status\",\"message\":5}", "\"message\":5"],
      ["a Status without a message", "{\"kind\":\"Status\",\"details\":null}", "gave no explanation"],
      ["control characters", "a\u0000\u001b[31mb\r\nc\u202e", "\"a [31mb c\""]
    ])("%s", (_, body, said) => {
      assert.include(answer(500, body).message, said)
    })

    it("huge", () => {
      for (
        const body of ["x".repeat(5_000_000), statusBody({ message: "y ".repeat(1_000_000) }), " ".repeat(5_000_000)]
      ) {
        assert.isBelow(answer(500, body).message.length, 1_500)
      }
      const causes = Array.from({ length: 1_000 }, () => ({ field: "f".repeat(1_000), message: "m".repeat(1_000) }))
      assert.isBelow(everythingShownOf(answer(422, statusBody({ details: { causes } }))).length, 100_000)
    })

    it("quotes nothing of an answer that succeeded", () => {
      const error = answer(200, "{\"kind\":\"Secret\",\"data\":{\"password\":\"aHVudGVyMg==\"")
      assert.notInclude(everythingShownOf(error), "aHVudGVyMg")
    })
  })
})
