/** How much is tried of what is hostile: `npm test` as much as each property asks for, `npm run fuzz` as much as it is told. */

const told = (variable: string): number | undefined => {
  const text = process.env[variable] ?? ""
  return text === "" ? undefined : Number(text)
}

/** For a property of fast-check, which prints its seed where it fails. */
export const of = (numRuns: number): { readonly numRuns: number; readonly seed?: number } => {
  const seed = told("KUBELOCK_FUZZ_SEED")
  return { numRuns: told("KUBELOCK_FUZZ_RUNS") ?? numRuns, ...(seed === undefined ? undefined : { seed }) }
}
