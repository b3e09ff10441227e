import { Option, Schema } from "effect"

/**
 * What an API server says when it refuses: the parts of a `Status` object that a person or a decision needs. Whatever is
 * missing is absent; whatever is not a `Status` is not read at all.
 */
const Status = Schema.suspend(() =>
  Schema.Struct({
    kind: Schema.Literal("Status"),
    message: Schema.optional(Schema.String),
    details: Schema.optional(Schema.NullOr(Schema.Struct({
      name: Schema.optional(Schema.String),
      retryAfterSeconds: Schema.optional(Schema.Finite),
      causes: Schema.optional(Schema.NullOr(Schema.Array(Schema.Struct({
        field: Schema.optional(Schema.String),
        reason: Schema.optional(Schema.String),
        message: Schema.optional(Schema.String)
      }))))
    })))
  })
)

export type Status = typeof Status.Type

const parseJson = Schema.decodeOption(Schema.fromJsonString(Status))

/** Reads a `Status`, or nothing. A page of HTML is not worth handing to the JSON parser. */
export const parse = (body: string): Option.Option<Status> => body.startsWith("{") ? parseJson(body) : Option.none()

/** One line of at most `maxLength` characters, without control characters: text from elsewhere, made fit for a message. */
export const oneLine = (text: string, maxLength: number): string => {
  // Whitespace may shrink, so more is looked at than is kept; but never all of a huge body.
  const line = text.slice(0, maxLength * 4).replace(/[\s\p{Cc}\p{Cf}]+/gu, " ").trim()
  return line.length > maxLength || text.length > maxLength * 4 ? `${line.slice(0, maxLength)}…` : line
}

/** What an answer that is no `Status` seems to be, in a few words. */
export const describeBody = (body: string): string => {
  if (body.trim() === "") return "nothing (the body is empty)"
  const head = body.slice(0, 4096)
  if (/^\s*<(!doctype|html|head|\?xml)/i.test(head)) {
    const title = /<title[^>]*>([^<]*)/i.exec(head)?.[1]
    return title === undefined ? "a page of HTML" : `a page of HTML titled "${oneLine(title, 100)}"`
  }
  return `"${oneLine(body, 200)}"`
}
