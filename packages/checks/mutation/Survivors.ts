/** The mutants that no test kills, and why none has to. Each must still live: `npm run mutate` refuses an explanation of none. */
import type { Explanation } from "./Verdict.ts"

export const survivors: ReadonlyArray<Explanation> = [
  {
    file: "packages/core/src/Rfc3339.ts",
    line: `const [, date, hour, minute, second, fraction = "", sign, offsetHours = "0", offsetMinutes = "0"] = match`,
    change: `"0" → ""`,
    because: "Number(\"\") is 0 too"
  },
  {
    file: "packages/kube/src/internal/Tasks.ts",
    line: "return leftNanos > 0n ? leftNanos : 0n",
    change: "leftNanos > 0n → leftNanos >= 0n",
    because: "where nothing is left, both are 0n"
  }
]
