/**
 * The resource that the lock protects: it accepts who comes with a token that is not lower than any it has seen, one acquisition for
 * each. Pure.
 */

/** The highest token so far, and which acquisition has come with it. */
export interface Witness {
  readonly token: bigint
  readonly acquisition: string
}

export const nobody: Witness = { token: 0n, acquisition: "" }

/** Whether it accepts, and what it remembers from then on. */
export const meet = (
  witness: Witness,
  comer: { readonly token: bigint; readonly acquisition: string }
): readonly [accepted: boolean, witness: Witness] => {
  if (comer.token > witness.token) return [true, comer]
  return [comer.token === witness.token && comer.acquisition === witness.acquisition, witness]
}
