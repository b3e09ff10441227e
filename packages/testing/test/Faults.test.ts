import { assert, describe, it } from "@effect/vitest"
import * as Faults from "@kubelock/testing/Faults"
import { Duration } from "effect"

const request = (changes: Partial<Faults.FaultRequest> = {}): Faults.FaultRequest => ({
  method: "PATCH",
  path: "/api/v1/namespaces/default/configmaps/a",
  client: "kubelock/1",
  verb: "patch",
  ...changes
})

/** What strikes each of a row of requests. */
const strikes = (faults: ReadonlyArray<Faults.Fault>, requests: ReadonlyArray<Faults.FaultRequest>) => {
  let armed = faults.map(Faults.arm)
  return requests.map((request) => {
    const taken = Faults.take(armed, request)
    armed = [...taken.armed]
    return taken.struck?._tag
  })
}

const times = (count: number) => Array.from({ length: count }, () => request())

describe("Faults", () => {
  it("strikes once by default, and is used up", () => {
    assert.deepStrictEqual(strikes([Faults.hang()], times(2)), ["Hang", undefined])
  })

  it("lets `skip` requests pass and strikes `count`", () => {
    const fault = Faults.internalError({ skip: 1, count: 2 })
    assert.deepStrictEqual(strikes([fault], times(4)), [undefined, "InternalError", "InternalError", undefined])
  })

  it("strikes for ever with an infinite count", () => {
    const [armed] = Faults.take([Faults.arm(Faults.hang({ count: Infinity }))], request()).armed
    assert.strictEqual(armed?.count, Infinity)
  })

  it.each([
    [{ method: "PATCH" }, {}, true],
    [{ method: "patch" }, {}, true],
    [{ method: "GET" }, {}, false],
    [{ path: "/api/v1/namespaces/default/" }, {}, true],
    [{ path: "/namespaces/default/" }, {}, false],
    [{ path: /configmaps\/a$/ }, {}, true],
    [{ path: /configmaps\/b$/ }, {}, false],
    [{ client: "kubelock/" }, {}, true],
    [{ client: /^other/ }, {}, false],
    [{ verb: "watch" }, { method: "GET", verb: "list" }, false],
    [{ verb: "watch" }, { method: "GET", verb: "watch" }, true],
    [{ method: "PATCH", client: "other" }, {}, false]
  ])("means by %o the request %o: %s", (match, changes, expected) => {
    assert.strictEqual(strikes([Faults.requestDropped(match)], [request(changes)])[0] !== undefined, expected)
  })

  it("leaves alone what it does not mean, without counting it", () => {
    const fault = Faults.hang({ method: "PATCH", skip: 1 })
    const requests = [request({ method: "GET" }), request(), request({ method: "GET" }), request()]
    assert.deepStrictEqual(strikes([fault], requests), [undefined, undefined, undefined, "Hang"])
  })

  it("meets a global RegExp every time", () => {
    assert.deepStrictEqual(strikes([Faults.hang({ path: /configmaps/g, count: 3 })], times(3)), [
      "Hang",
      "Hang",
      "Hang"
    ])
  })

  it("strikes one request with one fault, in the order of injection", () => {
    const faults = [Faults.hang(), Faults.requestDropped()]
    assert.deepStrictEqual(strikes(faults, times(3)), ["Hang", "RequestDropped", undefined])
  })

  it("adds a latency to another fault", () => {
    const armed = [Faults.latency({ duration: "3 seconds" }), Faults.latency({ duration: "5 seconds" }), Faults.hang()]
    const taken = Faults.take(armed.map(Faults.arm), request())
    assert.strictEqual(Duration.toMillis(taken.latency), 3000)
    assert.strictEqual(taken.struck?._tag, "Hang")
    assert.strictEqual(Duration.toMillis(Faults.take(taken.armed, request()).latency), 5000)
  })

  it("lets a watch's faults mean watches only", () => {
    const faults = [Faults.watchCut({ count: 9 }), Faults.watchExpired({ count: 9 })]
    assert.deepStrictEqual(strikes(faults, times(1)), [undefined])
    assert.deepStrictEqual(strikes(faults, [request({ verb: "watch" })]), ["WatchCut"])
  })
})
