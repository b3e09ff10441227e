import { NodeServices } from "@effect/platform-node"
import { assert, describe, it, layer } from "@effect/vitest"
import { KubeApiServer } from "@kubelock/testing"
import { Effect, Layer } from "effect"
import { contend, type Settings } from "./contendProcesses.ts"
import * as Contention from "./Contention.ts"

const services = Layer.merge(NodeServices.layer, KubeApiServer.layer({ tls: true }))

layer(services, { excludeTestServices: true })("processes that contend for one lock", (it) => {
  const contended = Effect.fnUntraced(function*(asked: Pick<Settings, "processes" | "fibers" | "acquisitions">) {
    const outcome = yield* contend({ ...yield* KubeApiServer, ...asked })
    const fibers = asked.processes - 1 + asked.fibers
    assert.deepStrictEqual(Contention.problems({ ...asked, fibers }, outcome), [])
    return outcome
  })

  it.effect("never overlap, are all served, and leave nothing behind", () =>
    Effect.gen(function*() {
      const { served } = yield* contended({ processes: 4, fibers: 1, acquisitions: 300 })
      assert.isAtLeast(Contention.jain(served.map(({ turns }) => turns)), 0.9)
    }))

  it.effect("nor do the many fibers of one of them, which take far fewer turns than they are", () =>
    Effect.gen(function*() {
      const { served: [crowd] } = yield* contended({ processes: 3, fibers: 50, acquisitions: 300 })
      assert.lengthOf(crowd!.timesPerFiber, 50)
      assert.isAtMost(crowd!.turns, crowd!.waitsMicros.length / 2)
    }))
})

describe("what is made of a contention", () => {
  const served = (contender: string, waitsMicros: ReadonlyArray<number>, turns: number): Contention.Served => ({
    _tag: "Served",
    contender,
    waitsMicros,
    timesPerFiber: [waitsMicros.length],
    turns,
    requests: 2 * turns,
    watches: 1,
    overlaps: 0,
    tokensOutOfOrder: 0,
    fromMicros: 0,
    toMicros: 2_000_000
  })
  const two = [served("a", [1_000, 3_000], 2), served("b", [2_000, 10_000], 1)]
  const outcome: Contention.Outcome = {
    served: two,
    connectionsLeft: [],
    counted: 4,
    annotationsLeft: [],
    openWatches: [0, 0]
  }
  const asked = { fibers: 2, acquisitions: 4 }

  it("is nothing to complain of where all went well", () => {
    assert.deepStrictEqual(Contention.problems(asked, outcome), [])
  })

  it.each<[string, Partial<Contention.Outcome>]>([
    ["1 sections overlapped another", { served: [{ ...two[0]!, overlaps: 1 }, two[1]!] }],
    ["1 fencing tokens were not higher than an earlier one", {
      served: [{ ...two[0]!, tokensOutOfOrder: 1 }, two[1]!]
    }],
    ["1 of 2 fibers were served", { served: [{ ...two[0]!, timesPerFiber: [0] }, two[1]!] }],
    ["the counter says 3 after 4 acquisitions", { counted: 3 }],
    ["annotations are left on the object: x", { annotationsLeft: ["x"] }],
    ["2 watches are open, before it was 1", { openWatches: [1, 2] }],
    ["connections are left open: TLSWrap", { connectionsLeft: ["TLSWrap"] }]
  ])("says that %s", (problem, wrong) => {
    assert.deepStrictEqual(Contention.problems(asked, { ...outcome, ...wrong }), [problem])
  })

  it("counts what it should", () => {
    assert.deepStrictEqual(Contention.problems({ ...asked, acquisitions: 5 }, outcome), [
      "4 of 5 acquisitions were made"
    ])
    assert.deepStrictEqual(Contention.figures(outcome), [
      "acquisitions: 4 in 2.0 s, 2.0/s",
      "of these from the server: 3, 1.5/s",
      "requests: 6, 1.50 per acquisition, 2.00 per one from the server; and 2 watches",
      "waits of processes with one fiber: p50 2.0 ms, p99 10.0 ms, mean 4.0 ms, longest 10.0 ms (2.5 times the mean)",
      "Jain's index of the turns of 2 processes: 0.900 (from 1 to 2)"
    ])
  })
})
