/**
 * Instants as text: RFC 3339 to the nanosecond, read and written as Go's `time.Time` does in JSON.
 *
 * **Details**
 *
 * An instant is a `bigint` of nanoseconds since 1970-01-01T00:00:00Z. JavaScript's `Date` and Effect's `DateTime` stop at
 * milliseconds and would not bring back what a Go program wrote.
 *
 * **Gotchas**
 *
 * Go is more lenient than RFC 3339: it reads a one-digit hour, a comma before the fraction, and offsets up to `24:60`
 * (`time.Time.UnmarshalJSON`, every release so far). So does {@link parse}: a lock that Go sees is a lock.
 *
 * **Example** (Reading and writing an instant)
 *
 * ```ts
 * import { Rfc3339 } from "@kubelock/core"
 * import { Option } from "effect"
 *
 * const nanos = Rfc3339.parse("2026-01-02T03:04:05.12+02:00")
 * nanos // => Option.some(1767315845120000000n)
 * Rfc3339.format(Option.getOrThrow(nanos)) // => "2026-01-02T01:04:05.12Z"
 * ```
 *
 * @since 0.1.0
 */
import { Option } from "effect"

const nanosPerMilli = 1_000_000n
const nanosPerSecond = 1_000_000_000n
const nanosPerMinute = 60n * nanosPerSecond

/** Go's zero `time.Time`, 0001-01-01T00:00:00Z: what a record without `createdAt` means. @category constants @since 0.1.0 */
export const goZeroTimeNanos = -62_135_596_800n * nanosPerSecond

const instant = /^(\d{4}-\d\d-\d\d)T(\d{1,2}):(\d\d):(\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))$/

/**
 * Nanoseconds since the Unix epoch, or none where Go would refuse the text. Digits past the ninth are cut, as Go cuts them.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (text: string): Option.Option<bigint> => {
  const match = instant.exec(text)
  if (match === null) return Option.none()
  const [, date, hour, minute, second, fraction = "", sign, offsetHours = "0", offsetMinutes = "0"] = match
  if (Number(offsetHours) > 24 || Number(offsetMinutes) > 60) return Option.none()
  const toTheSecond = `${date}T${hour!.padStart(2, "0")}:${minute}:${second}`
  const millis = Date.parse(`${toTheSecond}Z`)
  // `Date` rolls 29 February of a common year, hour 24 and the like over into the next unit; Go refuses them.
  if (Number.isNaN(millis) || !new Date(millis).toISOString().startsWith(toTheSecond)) return Option.none()
  const local = BigInt(millis) * nanosPerMilli + BigInt(fraction.slice(0, 9).padEnd(9, "0"))
  const offset = BigInt(Number(offsetHours) * 60 + Number(offsetMinutes)) * nanosPerMinute
  return Option.some(sign === "-" ? local + offset : local - offset)
}

// Go reads offsets up to this one; with it every instant that `parse` can return has a text of a four-digit year.
const widestOffset = { text: "24:60", nanos: 25n * 60n * nanosPerMinute }
const firstMillis = Date.parse("0000-01-01T00:00:00Z")
const lastMillis = Date.parse("9999-12-31T23:59:59.999Z")

/**
 * The text that Go writes: UTC, up to nine digits of fraction without trailing zeros.
 *
 * **Gotchas**
 *
 * Go has no text in UTC for an instant outside the years 0 to 9999, though it reads such instants by their offset
 * (`9999-12-31T23:59:59-01:00`). They are written with an offset, so that nothing that was read is lost. Throws a
 * `RangeError` for an instant that no text can say.
 *
 * @category formatting
 * @since 0.1.0
 */
export const format = (nanos: bigint): string => {
  const millis = toMillis(nanos)
  if (millis < firstMillis) return localText(nanos, widestOffset.nanos) + `+${widestOffset.text}`
  if (millis > lastMillis) return localText(nanos, -widestOffset.nanos) + `-${widestOffset.text}`
  return localText(nanos, 0n) + "Z"
}

const toMillis = (nanos: bigint): number => {
  const rest = nanos % nanosPerMilli
  return Number((nanos - (rest < 0n ? rest + nanosPerMilli : rest)) / nanosPerMilli)
}

const localText = (nanos: bigint, offsetNanos: bigint): string => {
  const localNanos = nanos + offsetNanos
  const millis = toMillis(localNanos)
  if (!(millis >= firstMillis && millis <= lastMillis)) {
    throw new RangeError(`${nanos} ns since 1970 lies outside the years that RFC 3339 can write`)
  }
  const restNanos = localNanos % nanosPerSecond
  const fraction = (restNanos < 0n ? restNanos + nanosPerSecond : restNanos).toString().padStart(9, "0").replace(
    /0+$/,
    ""
  )
  return new Date(millis).toISOString().slice(0, 19) + (fraction === "" ? "" : `.${fraction}`)
}
