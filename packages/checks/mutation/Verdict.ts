/** What the mutants that lived say: who of them is explained, which explanation is about none, and whether enough were killed. */

/** A change to a source that was tried. */
export interface Mutant {
  /** From the root of the repository. */
  readonly file: string
  readonly mutator: string
  /** The line that it begins in, counted from 1. */
  readonly lineNumber: number
  /** That line. */
  readonly line: string
  /** What was there, and what was put in its place. */
  readonly change: string
  readonly fate: "killed" | "survived" | "not tried"
}

/** Why a mutant may live. It is known by the code that it changes, wherever that stands in its file. */
export interface Explanation {
  readonly file: string
  /** The line that the change begins in, without the white space around it. */
  readonly line: string
  /** What was there, an arrow, and what was put in its place: each on one line, and cut where it is long. */
  readonly change: string
  readonly because: string
}

export interface Verdict {
  readonly killed: number
  readonly tried: number
  readonly unexplained: ReadonlyArray<Mutant>
  /** Explanations of mutants that are killed now, or gone. */
  readonly stale: ReadonlyArray<Explanation>
}

const explains = (mutant: Mutant) => (explanation: Explanation): boolean =>
  explanation.file === mutant.file && explanation.line === mutant.line && explanation.change === mutant.change

/** Judges the mutants of whole files by the explanations for those files. */
export const judge = (mutants: ReadonlyArray<Mutant>, explanations: ReadonlyArray<Explanation>): Verdict => {
  const files = new Set(mutants.map(({ file }) => file))
  const tried = mutants.filter(({ fate }) => fate !== "not tried")
  const survivors = tried.filter(({ fate }) => fate === "survived")
  return {
    killed: tried.length - survivors.length,
    tried: tried.length,
    unexplained: survivors.filter((mutant) => !explanations.some(explains(mutant))),
    stale: explanations.filter((explanation) =>
      files.has(explanation.file) && !survivors.some((mutant) => explains(mutant)(explanation))
    )
  }
}

const longest = 100

const onOneLine = (code: string): string => {
  const line = code.replace(/\s+/g, " ").trim()
  return line.length > longest ? `${line.slice(0, longest)}…` : line
}

/** A change in words: what was there, and what was put in its place. */
export const changeOf = (original: string, replacement: string): string =>
  `${onOneLine(original)} → ${onOneLine(replacement)}`

export const percentKilled = ({ killed, tried }: Verdict): number => tried === 0 ? 0 : (100 * killed) / tried
