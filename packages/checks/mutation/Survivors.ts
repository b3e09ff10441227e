/** The mutants that no test kills, and why none has to. Each must still live: `npm run mutate` refuses an explanation of none. */
import type { Explanation } from "./Verdict.ts"

const core: ReadonlyArray<Explanation> = [
  {
    file: "packages/core/src/LockError.ts",
    line: `if (typeof value === "object" && value !== null) {`,
    change: "value !== null → true",
    because: "null is the same text either way"
  },
  {
    file: "packages/core/src/LockRecord.ts",
    line: `if (!value.startsWith("\\"")) return refuse("owner is not a string")`,
    change: `value.startsWith("\\"") → value.endsWith("\\"")`,
    because: "a JSON value that begins with a quote ends with one, and the other way round"
  },
  {
    file: "packages/core/src/LockRecord.ts",
    line: `const createdAt = value.startsWith("\\"") ? Rfc3339.parse(value.slice(1, -1)) : Option.none()`,
    change: `value.startsWith("\\"") → value.endsWith("\\"")`,
    because: "a JSON value that begins with a quote ends with one, and the other way round"
  },
  {
    file: "packages/core/src/LockRecord.ts",
    line: `const createdAt = value.startsWith("\\"") ? Rfc3339.parse(value.slice(1, -1)) : Option.none()`,
    change: `"\\"" → ""`,
    because: "no JSON value but a string has a time between its first and its last character"
  },
  {
    file: "packages/core/src/LockRecord.ts",
    line: `if (key === "id" && value.startsWith("\\"")) id = unquote(value)`,
    change: `value.startsWith("\\"") → value.endsWith("\\"")`,
    because: "a JSON value that begins with a quote ends with one, and the other way round"
  },
  {
    file: "packages/core/src/LockRecord.ts",
    line: "const ttl = value.length <= int64Digits ? BigInt(value) : undefined",
    change: "value.length <= int64Digits → true",
    because: "it is refused all the same, after a number of that size was made: the check saves the time"
  },
  {
    file: "packages/core/src/LockRecord.ts",
    line: "} catch {",
    change: "{ return false } → {}",
    because: "the only caller asks whether it is true, and undefined is not"
  },
  {
    file: "packages/core/src/LockRecord.ts",
    line: "for (let at = 0; at < object.length; at++) {",
    change: "at < object.length → at <= object.length",
    because: "behind its end a text has no character, and no case is for none"
  },
  {
    file: "packages/core/src/Rfc3339.ts",
    line: `const [, date, hour, minute, second, fraction = "", sign, offsetHours = "0", offsetMinutes = "0"] = match`,
    change: `"0" → ""`,
    because: `Number("") is 0 too`
  },
  {
    file: "packages/core/src/Transition.ts",
    line: `removed: state._tag === "Malformed" ? undefined : state.record`,
    change: `state._tag === "Malformed" → false`,
    because: "a malformed state has no record: both are undefined"
  },
  {
    file: "packages/core/src/Transition.ts",
    line: `removed: state._tag === "Malformed" ? undefined : state.record`,
    change: `"Malformed" → ""`,
    because: "a malformed state has no record: both are undefined"
  },
  {
    file: "packages/core/src/Transition.ts",
    line: `new NotFound(state._tag === "Free" ? at(request) : { ...at(request), expired: state.record })`,
    change: `state._tag === "Free" → false`,
    because: "a free state has no record: the error's `expired` is undefined in both"
  },
  {
    file: "packages/core/src/Transition.ts",
    line: `new NotFound(state._tag === "Free" ? at(request) : { ...at(request), expired: state.record })`,
    change: `"Free" → ""`,
    because: "a free state has no record: the error's `expired` is undefined in both"
  },
  {
    file: "packages/core/src/Transition.ts",
    line: "const later = (left: bigint, right: bigint): bigint => left > right ? left : right",
    change: "left > right → left >= right",
    because: "of two that are equal it does not matter which"
  },
  {
    file: "packages/core/src/Transition.ts",
    line: `return Result.succeed(write(request, state._tag === "Free" ? undefined : state.text, record))`,
    change: `state._tag === "Free" → false`,
    because: "a free state has no text: both are undefined"
  },
  {
    file: "packages/core/src/Transition.ts",
    line: `return Result.succeed(write(request, state._tag === "Free" ? undefined : state.text, record))`,
    change: `"Free" → ""`,
    because: "a free state has no text: both are undefined"
  },
  {
    file: "packages/core/src/Ttl.ts",
    line: "const nanos = Option.getOrElse(Duration.toNanos(ttl), () => 0n)",
    change: "() => 0n → () => undefined",
    because: "neither is a TTL: undefined is not greater than 0n either"
  }
]

const kube: ReadonlyArray<Explanation> = [
  {
    file: "packages/kube/src/internal/Attempts.ts",
    line: `if (step.next._tag === "Read" && step.next.isConflict) {`,
    change: `step.next._tag === "Read" → true`,
    because: "what is no Read has no `isConflict`"
  },
  {
    file: "packages/kube/src/internal/Attempts.ts",
    line: `return Effect.forEach(toUndo, ({ edits }) => undo(edits), { concurrency: "unbounded", discard: true })`,
    change: "true → false",
    because: "nobody reads what a finalizer returns"
  },
  {
    file: "packages/kube/src/internal/Attempts.ts",
    line: `forPurpose("acquire", requests.map(({ lock }) => lock), requests[0]?.owner)`,
    change: "requests[0]?.owner → requests[0].owner",
    because: "nobody acquires no lock: who asks for none is answered before"
  },
  {
    file: "packages/kube/src/internal/Attempts.ts",
    line: `forPurpose("release", leases.map(({ name }) => name), leases[0]?.owner)`,
    change: "leases[0]?.owner → leases[0].owner",
    because: "nobody releases no lock: who asks for none is answered before"
  },
  {
    file: "packages/kube/src/Turns.ts",
    line: "const wasPassedBy = rank >= 0 && rank < order.indexOf(holder)",
    change: "rank < order.indexOf(holder) → rank <= order.indexOf(holder)",
    because: "the two are equal where the holder is this process, which is asked for before"
  },
  {
    file: "packages/kube/src/internal/Tasks.ts",
    line: "return leftNanos > 0n ? leftNanos : 0n",
    change: "leftNanos > 0n → leftNanos >= 0n",
    because: "where nothing is left, both are 0n"
  }
]

export const survivors: ReadonlyArray<Explanation> = [...core, ...kube]
