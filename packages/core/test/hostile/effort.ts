/** How much is tried of what is hostile: `npm test` as much as each property asks for, `npm run fuzz` as many times that as it is told. */

const told = (variable: string): number | undefined => {
  const text = process.env[variable] ?? ""
  return text === "" ? undefined : Number(text)
}

const times = told("KUBELOCK_FUZZ_RUNS") ?? 1

/** For a property of fast-check, which prints its seed where it fails. */
export const of = (numRuns: number): { readonly numRuns: number; readonly seed?: number } => {
  const seed = told("KUBELOCK_FUZZ_SEED")
  return { numRuns: numRuns * times, ...(seed === undefined ? undefined : { seed }) }
}

/** The time that a test may take, from what it may take in `npm test`. */
export const within = (millis: number): number => millis * times
