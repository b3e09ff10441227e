/**
 * Holds `LockRecord.parse` and `LockRecord.format` against the Go library.
 *
 * Pure: what Go makes of a value is an argument. `RecordFuzz.test.ts` asks Go and counts.
 */
import type { MalformedRecord } from "@kubelock/core/LockError"
import type { LockRecord } from "@kubelock/core/LockRecord"
import { Result } from "effect"
import type { Decoded, GoRecord } from "./GoPeer.ts"

/** What is under test. */
export interface Codec {
  readonly parse: (raw: string) => Result.Result<LockRecord, MalformedRecord>
  readonly format: (record: LockRecord) => string
}

/** One value that our code and Go read, or write, differently. */
export interface Disagreement {
  readonly about: "acceptance" | "owner" | "createdAt" | "ttl" | "format" | "round trip" | "unknown members" | "defect"
  readonly ours: string
  readonly go: string
}

const show = (record: GoRecord): string =>
  `owner ${JSON.stringify(record.owner)}, createdAt ${record.createdAtNanos} ns, ttl ${record.ttlNanos} ns`

const showGo = (go: Decoded): string => go._tag === "Read" ? show(go.record) : `refused: ${go.reason}`

/** How our reading of a value differs from Go's, if it does. */
export const compareRead = (codec: Codec, raw: string, go: Decoded): Disagreement | undefined => {
  const differ = (about: Disagreement["about"], ours: string, goes = showGo(go)): Disagreement => ({
    about,
    ours,
    go: goes
  })
  try {
    const parsed = codec.parse(raw)
    if (Result.isFailure(parsed)) {
      return go._tag === "Refused" ? undefined : differ("acceptance", `refused: ${parsed.failure.problem}`)
    }
    const ours = parsed.success
    if (go._tag === "Refused") return differ("acceptance", show(ours))
    if (ours.owner !== go.record.owner) return differ("owner", show(ours))
    if (ours.createdAtNanos !== go.record.createdAtNanos) return differ("createdAt", show(ours))
    if (ours.ttlNanos !== go.record.ttlNanos) return differ("ttl", show(ours))
    if (go.text !== undefined) {
      const { createdAtNanos, owner, ttlNanos } = ours
      const written = codec.format({ owner, createdAtNanos, ttlNanos })
      if (written !== go.text) return differ("format", written, go.text)
    }
    return undefined
  } catch (defect) {
    return differ("defect", String(defect))
  }
}

/** Our own text for what we read, to be read again by Go: `undefined` where we refuse the value. A defect is no JSON. */
export const rewrite = (codec: Codec, raw: string): string | undefined => {
  const parsed = codec.parse(raw)
  if (Result.isFailure(parsed)) return undefined
  try {
    return codec.format(parsed.success)
  } catch (defect) {
    return String(defect)
  }
}

/** How our rewritten text differs from the value: to Go in its fields, and in the members that neither side knows. */
export const compareRewritten = (
  raw: string,
  rewritten: string,
  before: Decoded,
  after: Decoded
): Disagreement | undefined => {
  if (showGo(before) !== showGo(after)) {
    return { about: "round trip", ours: rewritten, go: `${showGo(after)}; before: ${showGo(before)}` }
  }
  return unknownMembers(raw) === unknownMembers(rewritten)
    ? undefined
    : { about: "unknown members", ours: rewritten, go: "does not look at them" }
}

const knownKeys = new Set(["owner", "createdat", "ttl", "id"])

/** The members that neither side knows, as text. Of values nested too deep for `JSON.stringify`, nothing. */
const unknownMembers = (json: string): string =>
  json.length > 5_000
    ? ""
    : JSON.stringify(
      Object.entries(Object(JSON.parse(json.toWellFormed()))).filter(([key]) => !knownKeys.has(key.toLowerCase()))
    )

/** How our text for a record differs from Go's. */
export const compareWritten = (
  codec: Codec,
  record: GoRecord,
  goText: string | undefined
): Disagreement | undefined => {
  try {
    const ours = codec.format(record)
    return ours === goText
      ? undefined
      : { about: "format", ours, go: goText ?? "cannot be written" }
  } catch (defect) {
    return { about: "defect", ours: String(defect), go: goText ?? "cannot be written" }
  }
}

/** Every value that is `value` with one piece left out, larger pieces first; of long ones only the larger pieces. */
export const smaller = (value: string): ReadonlyArray<string> => {
  const shortest = value.length > 150 ? Math.ceil(value.length / 300) : 1
  const found: Array<string> = []
  for (let length = Math.ceil(value.length / 2); length >= shortest; length = Math.ceil(length * 0.9) - 1) {
    const step = Math.max(1, value.length > 150 ? Math.floor(length / 2) : 1)
    for (let at = 0; at + length <= value.length; at += step) {
      found.push(value.slice(0, at) + value.slice(at + length))
    }
  }
  return found
}
