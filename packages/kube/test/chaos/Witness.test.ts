import { assert, describe, it } from "@effect/vitest"
import * as Witness from "./Witness.ts"

const comer = (token: bigint, acquisition: string) => ({ token, acquisition })

const accepted = (...comers: ReadonlyArray<Witness.Witness>) => {
  let witness = Witness.nobody
  return comers.map((comer) => {
    const [isAccepted, next] = Witness.meet(witness, comer)
    witness = next
    return isAccepted
  })
}

describe("the resource that the lock protects", () => {
  it("accepts whoever comes with a higher token, or again with the highest", () => {
    assert.deepStrictEqual(accepted(comer(1n, "a"), comer(1n, "a"), comer(5n, "b"), comer(5n, "b")), [
      true,
      true,
      true,
      true
    ])
  })

  it("refuses a lower one, also after it has accepted that before", () => {
    assert.deepStrictEqual(accepted(comer(2n, "a"), comer(3n, "b"), comer(2n, "a"), comer(3n, "b")), [
      true,
      true,
      false,
      true
    ])
  })

  it("refuses a token that another acquisition has", () => {
    assert.deepStrictEqual(accepted(comer(2n, "a"), comer(2n, "b"), comer(2n, "a")), [true, false, true])
  })

  it("compares tokens as numbers", () => {
    assert.deepStrictEqual(accepted(comer(9n, "a"), comer(10n, "b"), comer(9n, "a")), [true, true, false])
  })
})
