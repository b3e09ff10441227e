import { assert, describe, it } from "@effect/vitest"
import * as Recording from "../../src/handover/Recording.ts"

const recordingFrom = (fromMicros: number, untilMicros: number) => {
  const clock = { micros: 0 }
  return { clock, recording: Recording.make(() => clock.micros, fromMicros, untilMicros) }
}

describe("a recording", () => {
  it("has a turn for what several sections share, and times of its release", () => {
    const { clock, recording } = recordingFrom(0, 100)
    const [first, second] = [recording.asked(), recording.asked()]
    clock.micros = 10
    first(1n)
    clock.micros = 20
    second(1n)
    clock.micros = 30
    const answered = recording.sent(true)
    clock.micros = 35
    answered()
    assert.deepStrictEqual(recording.end(), {
      _tag: "Contended",
      acquisitions: 2,
      waits: { sumMicros: 30, longestMicros: 20 },
      turns: [{ askedMicros: 0, startedMicros: 10, sentMicros: 30, answeredMicros: 35 }],
      requests: 1
    })
  })

  it("takes the first time that a release is sent, and no other request for one", () => {
    const { clock, recording } = recordingFrom(0, 100)
    recording.asked()(1n)
    for (const isRelease of [false, true, true]) {
      clock.micros += 10
      recording.sent(isRelease)()
    }
    assert.deepInclude(recording.end().turns[0], { sentMicros: 20, answeredMicros: 20 })
  })

  it("counts what begins in its time, and nothing before or after", () => {
    const { clock, recording } = recordingFrom(10, 20)
    for (const micros of [9, 10, 19, 20]) {
      clock.micros = micros
      recording.sent(false)
      recording.asked()(micros)
    }
    const { acquisitions, requests, turns } = recording.end()
    assert.deepStrictEqual([acquisitions, requests, turns.length], [2, 2, 2])
  })

  it("knows who was still waiting at the end", () => {
    const { clock, recording } = recordingFrom(0, 100)
    clock.micros = 30
    recording.asked()
    clock.micros = 500
    assert.deepStrictEqual(recording.end().waits, { sumMicros: 0, longestMicros: 70 })
  })
})
