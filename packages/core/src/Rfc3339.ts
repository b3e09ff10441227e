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

const nanosPerSecond = 1_000_000_000n
const secondsPerDay = 86_400

/** Go's zero `time.Time`, 0001-01-01T00:00:00Z: what a record without `createdAt` means. @category constants @since 0.1.0 */
export const goZeroTimeNanos = -62_135_596_800n * nanosPerSecond

const instant =
  /^(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]?\d|2[0-3]):([0-5]\d):([0-5]\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))$/

/**
 * Nanoseconds since the Unix epoch, or none where Go would refuse the text. Digits past the ninth are cut, as Go cuts them.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (text: string): Option.Option<bigint> => {
  const nanos = parsePlain(text) ?? parseAny(text)
  return nanos === undefined ? Option.none() : Option.some(nanos)
}

// As Go writes it, `2026-01-02T03:04:05.123456789Z`: what there is to read nearly always, and quicker so. What is not quite so is left to
// `parseAny`.
const parsePlain = (text: string): bigint | undefined => {
  const end = text.length - 1
  if (
    end > 29 || text[4] !== "-" || text[7] !== "-" || text[10] !== "T" || text[13] !== ":" ||
    text[16] !== ":" || text[end] !== "Z" || (end > 19 && (end === 20 || text[19] !== "."))
  ) return undefined
  const year = number(text, 0, 4)
  const month = number(text, 5, 7)
  const day = number(text, 8, 10)
  const hour = number(text, 11, 13)
  const minute = number(text, 14, 16)
  const second = number(text, 17, 19)
  const fraction = number(text, 20, end) * (powersOf10[29 - end] ?? 0)
  // Days that some months have not, and what is no digit (`NaN`), are for the other to judge.
  return month >= 1 && month <= 12 && day >= 1 && day <= 28 && hour <= 23 && minute <= 59 && second <= 59 &&
      year >= 0 && fraction >= 0
    ? BigInt(daysTo(year, month, day) * secondsPerDay + hour * 3_600 + minute * 60 + second) * nanosPerSecond +
      BigInt(fraction)
    : undefined
}

const powersOf10 = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10]

/** The number that these digits are; `NaN` where one is none. */
const number = (text: string, start: number, end: number): number => {
  let value = 0
  for (let at = start; at < end; at++) {
    const digit = text.charCodeAt(at) - 48
    value = digit >= 0 && digit <= 9 ? value * 10 + digit : Number.NaN
  }
  return value
}

const parseAny = (text: string): bigint | undefined => {
  const match = instant.exec(text)
  if (match === null) return undefined
  const [, year, month, day, hour, minute, second, fraction, sign, offsetHours, offsetMinutes] = match
  const days = daysTo(Number(year), Number(month), Number(day))
  if (Number(day) > 28 && days >= daysTo(Number(year), Number(month) + 1, 1)) return undefined
  const seconds = days * secondsPerDay + Number(hour) * 3_600 + Number(minute) * 60 + Number(second)
  const local = BigInt(seconds) * nanosPerSecond
  const nanos = fraction === undefined ? local : local + BigInt(Number(fraction.slice(0, 9).padEnd(9, "0")))
  if (sign === undefined) return nanos
  if (Number(offsetHours) > 24 || Number(offsetMinutes) > 60) return undefined
  const offset = BigInt(Number(offsetHours) * 60 + Number(offsetMinutes)) * 60n * nanosPerSecond
  return sign === "-" ? nanos + offset : nanos - offset
}

// Go reads offsets up to this one; with it every instant that `parse` can return has a text of a four-digit year.
const widestOffset = { text: "24:60", seconds: 25 * 3_600 }

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
  const whole = nanos / nanosPerSecond
  const belowSecond = Number(nanos - whole * nanosPerSecond)
  const restNanos = belowSecond < 0 ? belowSecond + 1e9 : belowSecond
  const seconds = belowSecond < 0 ? Number(whole) - 1 : Number(whole)
  const fraction = restNanos === 0 ? "" : `.${withoutZeros(digits(restNanos, 9))}`
  if (isWritten(seconds)) return `${toTheSecond(seconds)}${fraction}Z`
  const sign = seconds < 0 ? "+" : "-"
  const local = seconds < 0 ? seconds + widestOffset.seconds : seconds - widestOffset.seconds
  if (isWritten(local)) return `${toTheSecond(local)}${fraction}${sign}${widestOffset.text}`
  throw new RangeError(`${nanos} ns since 1970 lies outside the years that RFC 3339 can write`)
}

const withoutZeros = (digits: string): string => {
  let end = digits.length
  while (digits[end - 1] === "0") end--
  return digits.slice(0, end)
}

const digits = (value: number, length: number): string => String(value).padStart(length, "0")

// Years are counted from March, so that a leap day is the last of its year, and days from the first of March of the year 0.
const daysToEpoch = 719_468
const daysPer400Years = 146_097

/** Days from the epoch to a day of the Gregorian calendar. The month after December is January. */
const daysTo = (year: number, month: number, day: number): number => {
  const marchYear = Math.floor(year + (month - 3) / 12)
  const marchMonth = (month + 9) % 12
  const leapDays = Math.floor(marchYear / 4) - Math.floor(marchYear / 100) + Math.floor(marchYear / 400)
  return marchYear * 365 + leapDays + daysOfMonths(marchMonth) + day - 1 - daysToEpoch
}

/** The days of so many months from March on: 31, 30, 31, 30, 31, and again. */
const daysOfMonths = (months: number): number => Math.floor((153 * months + 2) / 5)

const firstSeconds = daysTo(0, 1, 1) * secondsPerDay
const endSeconds = daysTo(10_000, 1, 1) * secondsPerDay

const isWritten = (seconds: number): boolean => seconds >= firstSeconds && seconds < endSeconds

const toTheSecond = (seconds: number): string => {
  const days = Math.floor(seconds / secondsPerDay)
  const secondOfDay = seconds - days * secondsPerDay
  const minuteOfDay = Math.floor(secondOfDay / 60)
  const hour = Math.floor(minuteOfDay / 60)
  return `${dateText(days)}T${twoDigits(hour)}:${twoDigits(minuteOfDay - hour * 60)}:${
    twoDigits(secondOfDay - minuteOfDay * 60)
  }`
}

const twoDigits = (value: number): string => value < 10 ? `0${value}` : `${value}`

const dateText = (days: number): string => {
  if (days !== lastDate.days) lastDate = { days, text: dateTextOf(days) }
  return lastDate.text
}

// Nearly every instant is of the same day as the one before.
let lastDate = { days: Number.NaN, text: "" }

const dateTextOf = (days: number): string => {
  const marchDays = days + daysToEpoch
  const past = Math.floor(marchDays / daysPer400Years)
  const day = marchDays - past * daysPer400Years
  // Without its leap days a year has 365: the last day of four years, of a hundred and of four hundred may be one.
  const yearOf400 = Math.floor(
    (day - Math.floor(day / 1_460) + Math.floor(day / 36_524) - Math.floor(day / 146_096)) / 365
  )
  const dayOfYear = day - yearOf400 * 365 - Math.floor(yearOf400 / 4) + Math.floor(yearOf400 / 100)
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const year = past * 400 + yearOf400 + (marchMonth < 10 ? 0 : 1)
  return `${digits(year, 4)}-${digits((marchMonth + 2) % 12 + 1, 2)}-${
    digits(dayOfYear - daysOfMonths(marchMonth) + 1, 2)
  }`
}
