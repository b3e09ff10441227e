/** JSON text, and what Go calls its values in the messages of a real API server. */
import { Predicate, Result } from "effect"

export const parse = (text: string): Result.Result<unknown, string> =>
  // Go knows no half of a surrogate pair. They are rare, and looking at every string takes its time.
  parseWith(text, /\\ud[89a-f]/i.test(text) ? wellFormed : undefined)

const wellFormed = (_: string, value: unknown): unknown => (Predicate.isString(value) ? value.toWellFormed() : value)

/**
 * As {@link parse}, but strings that are not written as Go writes them stay apart from those that are: {@link meaningOf}
 * yields what they mean.
 */
export const parseAsWritten = (text: string): Result.Result<unknown, string> =>
  parseWith(
    text,
    (_, value, context) =>
      Predicate.isString(value) && context?.source !== undefined && context.source !== goTextOf(value)
        ? mark + context.source
        : value
  )

/** What a string of {@link parseAsWritten} means. */
export const meaningOf = (text: string): string =>
  text.startsWith(mark) ? String(JSON.parse(text.slice(mark.length))).toWellFormed() : text

// Half of a surrogate pair: no string that means something begins with it.
const mark = "\ud800"

const goTextOf = (text: string): string =>
  JSON.stringify(text.toWellFormed()).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

type Reviver = (key: string, value: unknown, context?: { readonly source?: string }) => unknown

const parseWith = (text: string, reviver: Reviver | undefined): Result.Result<unknown, string> => {
  if (text.trim() === "") {
    return Result.fail("unexpected end of JSON input")
  }
  return Result.try({
    try: (): unknown => JSON.parse(text, reviver),
    catch: (cause) => (cause instanceof Error ? cause.message : String(cause))
  })
}

export const goTypeOf = (value: unknown): string =>
  Array.isArray(value)
    ? "array"
    : Predicate.isBoolean(value)
    ? "bool"
    : value === null
    ? "null"
    : typeof value
