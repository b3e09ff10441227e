/** JSON text, and what Go calls its values in the messages of a real API server. */
import { Predicate, Result } from "effect"

export const parse = (text: string): Result.Result<unknown, string> => {
  if (text.trim() === "") {
    return Result.fail("unexpected end of JSON input")
  }
  return Result.try({
    try: (): unknown => JSON.parse(text),
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
