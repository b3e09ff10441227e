/**
 * What can be wrong with a lock, or with what was asked of one.
 *
 * **Details**
 *
 * The names are those of the Go library giantswarm/kubelock, and each has its guard: {@link isAlreadyExists},
 * {@link isOwnerMismatch}, {@link isNotFound}, {@link isInvalidConfig}. `MalformedRecord` is what Go returns as a bare JSON
 * error. Every error carries what a person needs who looks at a lock at night: which lock on which object, who holds it,
 * since when and until when.
 *
 * **Example** (Telling errors apart)
 *
 * ```ts
 * import { isAlreadyExists, NotFound } from "@kubelock/core"
 *
 * const error = new NotFound({ lock: "helm", resource: "configmaps/deploys in prod" })
 * error.message // => 'there is no lock "helm" on configmaps/deploys in prod'
 * isAlreadyExists(error) // => false
 * ```
 *
 * **Example** (What a person reads at night)
 *
 * ```ts
 * import * as Core from "@kubelock/core"
 *
 * const holder = { owner: "alice", createdAtNanos: 0n, ttlNanos: 30_000_000_000n }
 * const nowNanos = 10_000_000_000n
 *
 * const mismatch = new Core.OwnerMismatch({ lock: "helm", owner: "bob", holder, nowNanos })
 * const [who, until] = mismatch.message.split(" since ")
 * who // => 'lock "helm" is held by "alice", not by "bob",'
 * until // => "1970-01-01T00:00:00Z until 1970-01-01T00:00:30Z (20s left)"
 * Core.isOwnerMismatch(mismatch) // => true
 *
 * const exists = new Core.AlreadyExists({ lock: "helm", holder, nowNanos })
 * exists.message.startsWith(`lock "helm" is already held by ${Core.describeHolder(holder, nowNanos)}`) // => true
 *
 * const malformed = new Core.MalformedRecord({ lock: "helm", raw: "mine!", problem: "not JSON" })
 * malformed.message.startsWith(`lock "helm" has an annotation that is no lock record (not JSON): "mine!"`) // => true
 * Core.isMalformedRecord(malformed) // => true
 *
 * const invalid = new Core.InvalidConfig({ field: "ttl", value: "0", problem: "it must be positive" })
 * invalid.message // => 'invalid ttl "0": it must be positive'
 * Core.isInvalidConfig(invalid) // => true
 * Core.isNotFound(invalid) // => false
 * ```
 *
 * @since 0.1.0
 */
import { Duration, Schema } from "effect"
import * as Rfc3339 from "./Rfc3339.ts"

/** Who holds a lock, since when, and for how long, as a schema. Times are nanoseconds. @category models @since 0.1.0 */
export const Holder = Schema.Struct({
  /** Any string; the empty one is an owner like any other. */
  owner: Schema.String,
  /** When the lock was taken or last renewed, by the holder's clock: nanoseconds since 1970. */
  createdAtNanos: Schema.BigInt,
  /** For how long from then on it is valid. A record that somebody wrote by hand may say 0, or less. */
  ttlNanos: Schema.BigInt,
  /** Unique to the acquisition; absent where a Go program has the lock. */
  id: Schema.optionalKey(Schema.String)
})

/** What the schema {@link Holder} holds. @category models @since 0.1.0 */
export type Holder = typeof Holder.Type

const where = {
  /** The lock's name. */
  lock: Schema.String,
  /** The object that carries the lock, in words. */
  resource: Schema.optional(Schema.String)
}

/**
 * Text from elsewhere in a message: between quotes, on one line, and of a long one the first 200 characters.
 *
 * **Example** (Nothing that a terminal takes for a command)
 *
 * ```ts
 * import { quote } from "@kubelock/core"
 *
 * quote("alice\u001b[2J") // => '"alice\\u001b[2J"'
 * quote("x".repeat(1_000)).length // => 203
 * ```
 *
 * @category formatting
 * @since 0.1.0
 */
export const quote = (text: string): string =>
  JSON.stringify(text.length <= longestQuote ? text : `${text.slice(0, longestQuote)}…`)
    // What JSON leaves as it is, and a terminal may take for a command or for another line.
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`)

const longestQuote = 200

const place = (error: { readonly lock?: string | undefined; readonly resource?: string | undefined }): string =>
  (error.lock === undefined ? "a lock" : `lock ${quote(error.lock)}`) +
  (error.resource === undefined ? "" : ` on ${error.resource}`)

const term = (holder: Holder): string => {
  const expiresAtNanos = holder.createdAtNanos + holder.ttlNanos
  return `since ${instant(holder.createdAtNanos)} until ${instant(expiresAtNanos)}`
}

// A TTL that somebody wrote may reach past the year 9999, or, if it is negative, to before the year 0: there is no text for either.
const firstInstantNanos = -62_167_219_200_000_000_000n
const lastInstantNanos = 253_402_300_799_999_999_999n
const instant = (nanos: bigint): string => {
  if (nanos < firstInstantNanos) return "before the year 0"
  return nanos > lastInstantNanos ? "after the year 9999" : Rfc3339.format(nanos)
}

// A person does not care for less than a millisecond, where there is more.
const span = (nanos: bigint): string => {
  const belowMillis = nanos % 1_000_000n
  return Duration.format(Duration.nanos(nanos > belowMillis ? nanos - belowMillis : nanos))
}

const remaining = (holder: Holder, nowNanos: bigint): string => {
  const leftNanos = holder.createdAtNanos + holder.ttlNanos - nowNanos
  return leftNanos < 0n ? `expired ${span(-leftNanos)} ago` : `${span(leftNanos)} left`
}

// Clocks that are kept in step differ by less; a second is also the largest default of what a holder allows for them.
const toleranceNanos = 1_000_000_000n

/**
 * What is to be said of a record that was written in the future, by this machine's clock: by more than a second.
 *
 * A lock that a wrong clock took is held until that clock's time plus the TTL, whoever waits for it.
 *
 * **Example** (A record of tomorrow)
 *
 * ```ts
 * import { clockWarning } from "@kubelock/core"
 *
 * const tomorrow = { owner: "alice", createdAtNanos: 86_400_000_000_000n, ttlNanos: 30_000_000_000n }
 * clockWarning(tomorrow, 0n)?.startsWith("it was taken or renewed 1d in the future by this machine's clock") // => true
 * clockWarning(tomorrow, 86_399_000_000_000n) // => undefined
 * ```
 *
 * @category formatting
 * @since 0.1.0
 */
export const clockWarning = (holder: Holder, nowNanos: bigint): string | undefined => {
  const aheadNanos = holder.createdAtNanos - nowNanos
  return aheadNanos <= toleranceNanos
    ? undefined
    : `it was taken or renewed ${
      Duration.format(Duration.nanos(aheadNanos))
    } in the future by this machine's clock, so one of ` +
      `the two clocks is wrong; if nobody renews it, it ends at the time given here, or when it is broken`
}

const standing = (holder: Holder, nowNanos: bigint): string => {
  const warning = clockWarning(holder, nowNanos)
  return `${term(holder)} (${remaining(holder, nowNanos)}${warning === undefined ? "" : `; ${warning}`})`
}

/**
 * A holder in words: who, since when, until when, how long that is from now, and what is odd about it ({@link clockWarning}).
 *
 * @category formatting
 * @since 0.1.0
 */
export const describeHolder = (holder: Holder, nowNanos: bigint): string =>
  `${quote(holder.owner)} ${standing(holder, nowNanos)}`

/**
 * `acquire`: the lock is held already, by the same owner. (`expire`: it is still held.)
 *
 * **Gotchas**
 *
 * Locks are not re-entrant. Processes that share an owner exclude one another, as they do in the Go library.
 *
 * @category errors
 * @since 0.1.0
 */
export class AlreadyExists extends Schema.TaggedError<AlreadyExists>()("AlreadyExists", {
  ...where,
  /** Who has the lock. */
  holder: Holder,
  /** When that was so, by this machine's clock: nanoseconds since 1970. */
  nowNanos: Schema.BigInt
}) {
  override get message(): string {
    return `${place(this)} is already held by ${describeHolder(this.holder, this.nowNanos)}`
  }
}

/**
 * `acquire`: the lock is held by another owner. `renew`, `release`: it is not the caller's: another owner has it, or the same
 * owner took it again since.
 *
 * @category errors
 * @since 0.1.0
 */
export class OwnerMismatch extends Schema.TaggedError<OwnerMismatch>()("OwnerMismatch", {
  ...where,
  /** Who asked. */
  owner: Schema.String,
  /** Who has the lock. */
  holder: Holder,
  /** When that was so, by this machine's clock: nanoseconds since 1970. */
  nowNanos: Schema.BigInt
}) {
  override get message(): string {
    const who = this.owner === this.holder.owner
      ? `a later acquisition of the same owner, ${quote(this.owner)},`
      : `${quote(this.holder.owner)}, not by ${quote(this.owner)},`
    return `${place(this)} is held by ${who} ${standing(this.holder, this.nowNanos)}`
  }
}

/**
 * `renew`, `release`: there is no such lock, or it has expired. `expire`, `break`: there is no record of it.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", {
  ...where,
  /** Whose record is still there, though it has expired. */
  expired: Schema.optional(Holder)
}) {
  override get message(): string {
    return this.expired === undefined
      ? `there is no ${place(this)}`
      : `${place(this)} has expired: ${quote(this.expired.owner)} held it ${term(this.expired)}`
  }
}

/**
 * The annotation does not hold what a lock record may be. Nothing but `break` will overwrite or remove it.
 *
 * @category errors
 * @since 0.1.0
 */
export class MalformedRecord extends Schema.TaggedError<MalformedRecord>()("MalformedRecord", {
  /** The annotation's value, whole. */
  raw: Schema.String,
  /** What is wrong with it. */
  problem: Schema.String,
  /** The lock's name; absent where the text was read for itself. */
  lock: Schema.optional(Schema.String),
  /** The object that carries the lock, in words. */
  resource: Schema.optional(Schema.String)
}) {
  override get message(): string {
    return `${place(this)} has an annotation that is no lock record (${this.problem}): ${quote(this.raw)}. ` +
      "It is left as it is; break the lock to remove it."
  }
}

/**
 * A name, TTL, owner, resource or setting that cannot work. Raised where it is given, before any request is sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidConfig extends Schema.TaggedError<InvalidConfig>()("InvalidConfig", {
  /** What was being set, e.g. `ttl`. */
  field: Schema.String,
  /** The value, as text; of a long one the beginning. */
  value: Schema.String,
  /** What is wrong with it, and what would be right. */
  problem: Schema.String
}) {
  /**
   * The error for a value that may be anything, since not every program has types: it is shown as well as it can be, of a long one the
   * first 1,000 characters.
   *
   * **Example** (A value of the wrong type)
   *
   * ```ts
   * import { InvalidConfig } from "@kubelock/core"
   *
   * InvalidConfig.of("owner", 42, "it must be a string").message // => 'invalid owner "42": it must be a string'
   * ```
   *
   * @category constructors
   * @since 0.1.0
   */
  static of(field: string, value: unknown, problem: string): InvalidConfig {
    return new InvalidConfig({ field, value: show(value), problem })
  }

  override get message(): string {
    return `invalid ${this.field} ${quote(this.value)}: ${this.problem}`
  }
}

const longestValue = 1_000

const show = (value: unknown): string => {
  try {
    const text = showWhole(value)
    return text.length <= longestValue ? text : `${text.slice(0, longestValue)}…`
  } catch {
    return `(${typeof value === "object" ? "an object" : `a ${typeof value}`} that cannot be shown)`
  }
}

const showWhole = (value: unknown): string => {
  if (Duration.isDuration(value)) return Duration.format(value)
  if (typeof value === "object" && value !== null) {
    return JSON.stringify(value, (_, part: unknown) => typeof part === "bigint" ? String(part) : part)
  }
  return Object.is(value, -0) ? "-0" : String(value)
}

/** Whatever decisions on locks can be refused with. @category errors @since 0.1.0 */
export type LockError = AlreadyExists | OwnerMismatch | NotFound | MalformedRecord | InvalidConfig

/** Whether an error is {@link AlreadyExists}. Go: `IsAlreadyExists`. @category guards @since 0.1.0 */
export const isAlreadyExists: (error: unknown) => error is AlreadyExists = Schema.is(AlreadyExists)

/** Whether an error is {@link OwnerMismatch}. Go: `IsOwnerMismatch`. @category guards @since 0.1.0 */
export const isOwnerMismatch: (error: unknown) => error is OwnerMismatch = Schema.is(OwnerMismatch)

/** Whether an error is {@link NotFound}. Go: `IsNotFound`. @category guards @since 0.1.0 */
export const isNotFound: (error: unknown) => error is NotFound = Schema.is(NotFound)

/** Whether an error is {@link MalformedRecord}. Go has no guard for it. @category guards @since 0.1.0 */
export const isMalformedRecord: (error: unknown) => error is MalformedRecord = Schema.is(MalformedRecord)

/** Whether an error is {@link InvalidConfig}. Go: `IsInvalidConfig`. @category guards @since 0.1.0 */
export const isInvalidConfig: (error: unknown) => error is InvalidConfig = Schema.is(InvalidConfig)
