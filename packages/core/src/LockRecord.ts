/**
 * What a lock's annotation says, read and written exactly as the Go library giantswarm/kubelock v4 does.
 *
 * **Details**
 *
 * Go writes `{"owner":"…","createdAt":"…","ttl":N}`. We add `id`, which Go ignores: unique per acquisition and kept across
 * renewals, it tells one's own write from another's. Members that neither side knows are carried along.
 *
 * **Gotchas**
 *
 * - Go's `encoding/json` is lenient where JavaScript is not, and the other way round: keys match whatever their case, the last
 *   of several wins, `null` leaves what was there, a missing member is Go's zero value. `{}` is therefore a readable record: an
 *   expired one of the year 1.
 * - Times are nanoseconds in `bigint`: a TTL reaches past what a `number` holds.
 *
 * **Example** (A record there and back)
 *
 * ```ts
 * import { LockRecord } from "@kubelock/core"
 * import { Result } from "effect"
 *
 * const raw = `{"owner":"5.3.0","createdAt":"2019-08-29T12:45:16.766589123Z","ttl":300000000000}`
 * const record = Result.getOrThrow(LockRecord.parse(raw))
 * record // => { owner: "5.3.0", createdAtNanos: 1567082716766589123n, ttlNanos: 300000000000n }
 * LockRecord.format(record) // => raw
 *
 * // At equality the lock is still held.
 * LockRecord.isExpired(record, LockRecord.expiresAtNanos(record)) // => false
 * LockRecord.isExpired(record, LockRecord.expiresAtNanos(record) + 1n) // => true
 * ```
 *
 * **Example** (Members that neither side knows)
 *
 * ```ts
 * import { LockRecord } from "@kubelock/core"
 * import { Result } from "effect"
 *
 * const record = Result.getOrThrow(LockRecord.parse(`{"owner":"alice","reason":"a migration"}`))
 * record.others // => [`"reason":"a migration"`]
 * "others" in LockRecord.holderOf(record) // => false
 * ```
 *
 * @since 0.1.0
 */
import { Option, Result } from "effect"
import * as GoJson from "./GoJson.ts"
import { type Holder, MalformedRecord } from "./LockError.ts"
import * as Rfc3339 from "./Rfc3339.ts"

/** Who took a lock, when, and for how long. @category models @since 0.1.0 */
export interface LockRecord extends Holder {
  /** Members that neither side knows, each as the JSON text of its key, a colon and its value. Absent where there are none. */
  readonly others?: ReadonlyArray<string>
}

/** The holder alone, without members that neither side knows. @category getters @since 0.1.0 */
export const holderOf = ({ createdAtNanos, id, owner, ttlNanos }: LockRecord): Holder => ({
  owner,
  createdAtNanos,
  ttlNanos,
  ...(id === undefined ? undefined : { id })
})

/**
 * The last instant at which the lock is held, in nanoseconds since 1970: a record expires *after* it, strictly.
 *
 * @category getters
 * @since 0.1.0
 */
export const expiresAtNanos = (record: Holder): bigint => record.createdAtNanos + record.ttlNanos

/** Go: `createdAt.Add(ttl).Before(now)`. At equality the lock is still held. @category predicates @since 0.1.0 */
export const isExpired = (record: Holder, nowNanos: bigint): boolean => expiresAtNanos(record) < nowNanos

/**
 * The annotation's text.
 *
 * It is as Go writes it, with our `id` and the members that neither side knows at its end.
 *
 * **Gotchas**
 *
 * Throws a `RangeError` for a time that no text can say: see `Rfc3339`.
 *
 * @category formatting
 * @since 0.1.0
 */
export const format = (record: LockRecord): string => {
  const createdAt = Rfc3339.format(record.createdAtNanos)
  const id = record.id === undefined ? "" : `,"id":${GoJson.stringify(record.id)}`
  const others = record.others === undefined ? "" : record.others.map((member) => `,${member}`).join("")
  return `{"owner":${GoJson.stringify(record.owner)},"createdAt":"${createdAt}","ttl":${
    ttlText(record.ttlNanos)
  }${id}${others}}`
}

const ttlText = (nanos: bigint): string => {
  if (nanos !== lastTtl.nanos) lastTtl = { nanos, text: String(nanos) }
  return lastTtl.text
}

// Nearly every TTL is the one before.
let lastTtl = { nanos: 0n, text: "0" }

/**
 * The record that an annotation's value holds, or `MalformedRecord` where Go's `encoding/json` refuses it.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (raw: string): Result.Result<LockRecord, MalformedRecord> => {
  const record = parsePlain(raw)
  return record === undefined ? parseAny(raw) : Result.succeed(record)
}

// A record as Go and we write it, with nothing in it to unescape. It is what there is to read nearly always, and quicker so.
const plain =
  /^\{"owner":"([ !#-[\]-~\xa0-\ud7ff\ue000-\uffff]*)","createdAt":"([^"\\]*)","ttl":([1-9]\d{0,17})(?:,"id":"([ !#-[\]-~\xa0-\ud7ff\ue000-\uffff]*)")?\}$/

const parsePlain = (raw: string): LockRecord | undefined => {
  const match = plain.exec(raw)
  if (match === null) return undefined
  const [, owner = "", createdAt = "", ttl = "", id] = match
  const createdAtNanos = Option.getOrUndefined(Rfc3339.parse(createdAt))
  if (createdAtNanos === undefined) return undefined
  const ttlNanos = BigInt(ttl)
  return id === undefined ? { owner, createdAtNanos, ttlNanos } : { owner, createdAtNanos, ttlNanos, id }
}

const parseAny = (raw: string): Result.Result<LockRecord, MalformedRecord> => {
  const refuse = (problem: string) => Result.fail(new MalformedRecord({ raw, problem }))
  if (!isJson(raw)) return refuse("not JSON")
  // On its way to a Go program a text becomes UTF-8, where half of a surrogate pair is U+FFFD whatever stands beside it.
  const text = trim(raw).toWellFormed()
  if (text === "null") return Result.succeed(zero)
  if (!text.startsWith("{")) return refuse("not a JSON object")
  const members = split(text)
  if (members === undefined) return refuse(`nested deeper than ${maxDepth}`)

  let { createdAtNanos, owner, ttlNanos } = zero
  let id: string | undefined
  const others: Array<string> = []
  for (const member of members) {
    const key = unquote(member.key)
    const value = member.value
    switch (foldAscii(key)) {
      case "owner": {
        if (value === "null") break
        if (!value.startsWith("\"")) return refuse("owner is not a string")
        owner = unquote(value)
        break
      }
      case "createdat": {
        if (value === "null") break
        // Go reads the bytes between the quotes as they stand: an escape in them is no digit.
        const createdAt = value.startsWith("\"") ? Rfc3339.parse(value.slice(1, -1)) : Option.none()
        if (Option.isNone(createdAt)) return refuse("createdAt is not an RFC 3339 time")
        createdAtNanos = createdAt.value
        break
      }
      case "ttl": {
        if (value === "null") break
        if (!integer.test(value)) return refuse("ttl is not an integer")
        // Refused by its length before a text of any size is turned into a number.
        const ttl = value.length <= int64Digits ? BigInt(value) : undefined
        if (ttl === undefined || BigInt.asIntN(64, ttl) !== ttl) return refuse("ttl does not fit into 64 bits")
        ttlNanos = ttl
        break
      }
      default: {
        if (key === "id" && value.startsWith("\"")) id = unquote(value)
        else others.push(`${member.key}:${value}`)
      }
    }
  }
  return Result.succeed({
    owner,
    createdAtNanos,
    ttlNanos,
    ...(id === undefined ? undefined : { id }),
    ...(others.length === 0 ? undefined : { others })
  })
}

const zero: LockRecord = { owner: "", createdAtNanos: Rfc3339.goZeroTimeNanos, ttlNanos: 0n }

// RFC 8259's grammar is what both Go and `JSON.parse` accept; where Go differs is in what it makes of it.
const isJson = (raw: string): boolean => {
  try {
    JSON.parse(raw)
    return true
  } catch {
    return false
  }
}

// `String.prototype.trim` takes more than JSON's white space, but what is left after `isJson` has no more than that.
const trim = (raw: string): string => raw.trim()

const integer = /^-?\d+$/
const int64Digits = "-9223372036854775808".length

// The letters of our keys have no other case than ASCII's, so Go's Unicode folding comes down to this.
const foldAscii = (key: string): string => key.replace(/[A-Z]/g, (letter) => letter.toLowerCase())

interface Member {
  readonly key: string
  readonly value: string
}

// encoding/json: maxNestingDepth
const maxDepth = 10_000

/** The members of an object whose text is known to be valid JSON, each as its own text; undefined where it nests too deep for Go. */
const split = (object: string): ReadonlyArray<Member> | undefined => {
  const members: Array<Member> = []
  let depth = 0
  let start = 1
  let colon = -1
  for (let at = 0; at < object.length; at++) {
    switch (object[at]) {
      case "\"": {
        at = endOfString(object, at)
        break
      }
      case "{":
      case "[": {
        if (++depth > maxDepth) return undefined
        break
      }
      case ":": {
        if (depth === 1) colon = at
        break
      }
      case ",": {
        if (depth !== 1) break
        members.push(memberAt(object, start, colon, at))
        start = at + 1
        break
      }
      case "}":
      case "]": {
        if (--depth === 0 && colon !== -1) members.push(memberAt(object, start, colon, at))
        break
      }
    }
  }
  return members
}

const memberAt = (object: string, start: number, colon: number, end: number): Member => ({
  key: trim(object.slice(start, colon)),
  value: trim(object.slice(colon + 1, end))
})

const endOfString = (text: string, opening: number): number => {
  let at = opening + 1
  while (text[at] !== "\"") at += text[at] === "\\" ? 2 : 1
  return at
}

/** A JSON string as Go reads it: what is no valid Unicode becomes U+FFFD. */
const unquote = (json: string): string => String(JSON.parse(json)).toWellFormed()
