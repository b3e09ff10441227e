import { assert, layer } from "@effect/vitest"
import { LockRecord } from "@kubelock/core"
import { Effect } from "effect"
import * as fc from "fast-check"
import * as NodeFs from "node:fs"
import * as Effort from "../../core/test/hostile/effort.ts"
import * as RecordValues from "../../core/test/hostile/recordValues.ts"
import { GoPeer } from "./GoPeer.ts"
import * as Fuzz from "./recordFuzz.ts"

const { numRuns: count, seed = 20_260_101 } = Effort.of(100_000)
const batch = 1_000

const vectors: { readonly cases: ReadonlyArray<{ readonly input: string }> } = JSON.parse(
  NodeFs.readFileSync(new URL("../../core/test/vectors/kubelock-go-records.json", import.meta.url), "utf8")
)

type Finding = readonly [value: string, disagreement: Fuzz.Disagreement]

/** Puts values before Go and before us, ours rewritten before Go again, and tells what differs; and how many Go reads. */
const compare = Effect.fnUntraced(function*(raws: ReadonlyArray<string>) {
  const peer = yield* GoPeer
  const answers = yield* peer.decode(raws)
  const rewritten = raws.map((raw) => Fuzz.rewrite(LockRecord, raw))
  const reread = yield* peer.decode(rewritten.map((text) => text ?? "{}"))
  const findings = raws.flatMap((raw, i): ReadonlyArray<Finding> => {
    const text = rewritten[i]
    const disagreement = Fuzz.compareRead(LockRecord, raw, answers[i]!) ??
      (text === undefined ? undefined : Fuzz.compareRewritten(raw, text, answers[i]!, reread[i]!))
    return disagreement === undefined ? [] : [[raw, disagreement]]
  })
  return { findings, read: answers.filter((answer) => answer._tag === "Read").length }
})

/** The smallest value found that shows the same kind of disagreement. */
const minimise = Effect.fnUntraced(function*(finding: Finding) {
  let smallest = finding
  while (true) {
    const { findings } = yield* compare(Fuzz.smaller(smallest[0]))
    const next = findings.find(([, disagreement]) => disagreement.about === finding[1].about)
    if (next === undefined) return smallest
    smallest = next
  }
})

const describeDisagreement = ([value, { about, go, ours }]: Finding) =>
  `${about}: ${
    JSON.stringify(value.length > 400 ? `${value.slice(0, 400)}… (${value.length})` : value)
  }\n  ours: ${ours}\n  Go:   ${go}`

/** The chunks' sizes and seeds. */
const batches = Array.from({ length: Math.ceil(count / batch) }, (_, i) => ({
  seed: seed + i,
  numRuns: Math.min(batch, count - i * batch)
}))

layer(GoPeer.layer)("LockRecord beside Go", (it) => {
  it.effect(
    `reads ${count} values as Go does, and what it writes for them means the same to Go (seed ${seed})`,
    () =>
      Effect.gen(function*() {
        const values = RecordValues.values(vectors.cases.map((c) => c.input))
        const all: Array<Finding> = []
        let allRead = 0
        for (const options of batches) {
          const { findings, read } = yield* compare(fc.sample(values, options))
          all.push(...findings)
          allRead += read
        }
        console.log(`${count} values, seed ${seed}: Go reads ${allRead}; ${all.length} disagreements`)
        const smallest = yield* Effect.forEach(all.slice(0, 20), minimise)
        assert.strictEqual([...new Set(smallest.map(describeDisagreement))].join("\n"), "")
        // Both halves of the question must be asked: a generator that only makes rubbish compares nothing.
        assert.isAbove(allRead, count / 5)
        assert.isAbove(count - allRead, count / 5)
      }),
    Effort.within(600_000)
  )

  it.effect(`writes ${count} records as Go does (seed ${seed})`, () =>
    Effect.gen(function*() {
      const peer = yield* GoPeer
      const found: Array<string> = []
      for (const options of batches) {
        const records = fc.sample(RecordValues.records, options)
        const texts = yield* peer.encode(records)
        for (const [i, record] of records.entries()) {
          const disagreement = Fuzz.compareWritten(LockRecord, record, texts[i])
          if (disagreement !== undefined) found.push(describeDisagreement([record.owner, disagreement]))
        }
      }
      console.log(`${count} records, seed ${seed}: ${found.length} disagreements`)
      assert.strictEqual(found.slice(0, 20).join("\n"), "")
    }), Effort.within(600_000))
})
