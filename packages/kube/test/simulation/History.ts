/**
 * What happened in a simulation, as an onlooker sees it who knows the true time; and what must not happen. Pure.
 *
 * **Details**
 *
 * A section holds its lock from the moment at which it begins to the moment at which it ends, and no longer than it may believe
 * so by its own monotonic clock. Whom nobody can tell any more that a lock was broken holds nothing.
 */
import { AnnotationEdit, LockName, LockRecord } from "@kubelock/core"
import { Result } from "effect"

/** A section under one lock. */
export interface Section {
  readonly number: number
  readonly client: string
  readonly lock: string
}

/** Something that happened, at a true time. */
export type Happening =
  & { readonly atMillis: number }
  & (
    | { readonly _tag: "Asked"; readonly section: Section }
    | {
      readonly _tag: "Entered"
      readonly section: Section
      readonly id: string
      /** A Go program has none. */
      readonly token: bigint | undefined
      /** Whether it may believe that it holds the lock, and nobody has broken it. */
      readonly isHolding: boolean
      /** Of the sections that hold the lock at this moment, those of others. */
      readonly beside: ReadonlyArray<Section>
    }
    | { readonly _tag: "Worked"; readonly section: Section; readonly beside: ReadonlyArray<Section> }
    /** It was at work when its lock was lost, and has not been interrupted a step later. */
    | { readonly _tag: "Overran"; readonly section: Section }
    /** Whatever it had to do at its end is done, be it that it was interrupted. */
    | { readonly _tag: "Finished"; readonly section: Section }
    /** `because`: of what the section was interrupted, or could not begin. */
    | { readonly _tag: "Left"; readonly section: Section; readonly because: string | undefined }
    | {
      readonly _tag: "Wrote"
      readonly section: Section
      /** What was written, which nobody else has ever written. */
      readonly value: string
      readonly outcome: "made" | "refused" | "lost" | "unknown"
    }
    /** The server changed the object. */
    | {
      readonly _tag: "Changed"
      readonly by: string
      readonly resourceVersion: number
      /** By the wall clock of whoever it was, where it was furthest ahead. */
      readonly atMostWallMillis: number
      /** Whoever sent it had given up by then. */
      readonly isAstray: boolean
      /** When it was decided on. */
      readonly sentAtMillis: number
      readonly before: AnnotationEdit.Annotations
      readonly after: AnnotationEdit.Annotations
      /** By a fenced write. */
      readonly written: ReadonlyArray<string>
    }
    | { readonly _tag: "Watched"; readonly client: string; readonly from: string | undefined }
    | { readonly _tag: "Deleted" | "Made"; readonly resourceVersion: number }
    | { readonly _tag: "Fault"; readonly kind: string; readonly on: string }
    | { readonly _tag: "Said"; readonly client: string; readonly level: string; readonly text: string }
    /** It ended in order: its layer is closed. */
    | { readonly _tag: "Ended"; readonly client: string }
  )

/** Everything, in order. */
export interface History {
  readonly happenings: ReadonlyArray<Happening>
  /** The annotations, long after everybody has ended. */
  readonly last: AnnotationEdit.Annotations
  readonly endedAtMillis: number
  /** Who has not come to an end. */
  readonly unfinished: ReadonlyArray<string>
}

/** What the histories of a plan are held to. */
export interface Rules {
  readonly locks: ReadonlyArray<string>
  readonly takeoverDelayMillis: number
  readonly localHandoverMillis: number
  /** By how much two monotonic clocks part while a lock is valid. */
  readonly driftMillis: number
  readonly isCalm: boolean
  /** For how long a lock may be free while somebody waits for it; `undefined` where anything may be in the way. */
  readonly freeMillisAtMost: number | undefined
  /** How long after its lock was broken a section may go on; `undefined` where anything may be in the way of the watch. */
  readonly brokenMillisAtMost: number | undefined
}

/** Everything that is wrong, in words. */
export const problemsOf = (history: History, rules: Rules): ReadonlyArray<string> => [
  ...overlaps(history),
  ...tokensThatFell(history),
  ...takenBeforeTime(history, rules),
  ...broughtBack(history, rules),
  ...wentBack(history, rules),
  ...handedOverLate(history, rules),
  ...workedOn(history, rules),
  ...givenBackEarly(history, rules),
  ...watchedFromNow(history),
  ...writesOfOthers(history),
  ...writesNotOnce(history),
  ...halfTaken(history, rules),
  ...leftBehind(history, rules),
  ...unserved(history, rules),
  ...(rules.isCalm ? noticed(history) : []),
  ...history.unfinished.map((client) => `${client} did not come to an end`)
]

export const describe = ({ client, lock, number }: Section): string => `section ${number} of ${client} under ${lock}`

const at = ({ atMillis }: Happening) => `At ${atMillis} ms`

const overlaps = ({ happenings }: History): ReadonlyArray<string> =>
  happenings.flatMap((one) =>
    (one._tag === "Entered" || one._tag === "Worked") && one.beside.length > 0
      ? [`${at(one)} ${describe(one.section)} holds the lock beside ${one.beside.map(describe).join(" and ")}`]
      : []
  )

const tokensThatFell = ({ happenings }: History): ReadonlyArray<string> => {
  const last = new Map<string, { readonly token: bigint; readonly id: string }>()
  return happenings.flatMap((one) => {
    if (one._tag !== "Entered" || one.token === undefined || !one.isHolding) return []
    const { id, section, token } = one
    const before = last.get(section.lock)
    last.set(section.lock, { token, id })
    // Sections that pass a lock on share its token.
    return before === undefined || (before.id === id ? before.token === token : before.token < token)
      ? []
      : [`${at(one)} the token of ${describe(section)} is ${token}, after ${before.token}`]
  })
}

/** What a lock's annotation says. */
export const recordOf = (annotations: AnnotationEdit.Annotations, lock: string): LockRecord.LockRecord | undefined => {
  const text = AnnotationEdit.get(annotations, LockName.toKey(Result.getOrThrow(LockName.make(lock))))
  return text === undefined ? undefined : Result.getOrThrow(LockRecord.parse(text))
}

/** Two records of one acquisition. */
const isSame = (left: LockRecord.LockRecord, right: LockRecord.LockRecord | undefined) =>
  left.owner === right?.owner && left.id === right.id

/** The process that an acquisition is of; a Go program is its owner. */
const clientOf = ({ id, owner }: LockRecord.LockRecord): string => (id ?? owner).replace(/-[^-]*$/, "")

const takenBeforeTime = (
  { happenings }: History,
  { locks, takeoverDelayMillis }: Rules
): ReadonlyArray<string> =>
  happenings.flatMap((one) => {
    if (one._tag !== "Changed" || one.by === "operator") return []
    return locks.flatMap((lock) => {
      const before = recordOf(one.before, lock)
      const after = recordOf(one.after, lock)
      if (before === undefined || isSame(before, after) || clientOf(before) === one.by) return []
      const delayMillis = one.by.startsWith("G") ? 0 : takeoverDelayMillis
      const expiresAtNanos = LockRecord.expiresAtNanos(before) + BigInt(delayMillis) * 1_000_000n
      if (BigInt(one.atMostWallMillis) * 1_000_000n > expiresAtNanos) return []
      return [
        `${at(one)} ${one.by} ${
          after === undefined ? "removed" : "replaced"
        } the lock of ${before.owner} before its time`
      ]
    })
  })

/** A renewal of what is gone or has long expired, by whatever clock. */
const broughtBack = ({ happenings }: History, { driftMillis, locks }: Rules): ReadonlyArray<string> => {
  const held = new Set<string>()
  return happenings.flatMap((one) => {
    if (one._tag === "Entered") held.add(one.id)
    if (one._tag !== "Changed") return []
    return locks.flatMap((lock) => {
      const before = recordOf(one.before, lock)
      const after = recordOf(one.after, lock)
      // Whoever has not known yet that they held it takes it once more.
      if (after?.id !== undefined && held.has(after.id) && !isSame(after, before) && !one.isAstray) {
        return [`${at(one)} ${one.by} wrote ${lock} again, which was gone`]
      }
      const isRenewed = before?.id !== undefined && held.has(before.id) && isSame(before, after) &&
        before.createdAtNanos !== after?.createdAtNanos
      if (!isRenewed) return []
      const expiredAtMillis = Number(LockRecord.expiresAtNanos(before)) / 1e6
      return one.sentAtMillis > expiredAtMillis + driftMillis
        ? [`${at(one)} ${one.by} renewed ${lock}, which had expired at ${expiredAtMillis} ms`]
        : []
    })
  })
}

/** A renewal is dated no earlier than the one before plus what has passed since by the monotonic clock. */
const wentBack = ({ happenings }: History, { driftMillis, locks }: Rules): ReadonlyArray<string> => {
  const last = new Map<string, { readonly createdAtMillis: number; readonly sentAtMillis: number }>()
  return happenings.flatMap((one) => {
    if (one._tag !== "Changed") return []
    return locks.flatMap((lock) => {
      const record = recordOf(one.after, lock)
      if (record?.id === undefined || record.createdAtNanos === recordOf(one.before, lock)?.createdAtNanos) return []
      const before = last.get(record.id)
      const createdAtMillis = Number(record.createdAtNanos) / 1e6
      last.set(record.id, { createdAtMillis, sentAtMillis: one.sentAtMillis })
      if (before === undefined) return []
      const leastMillis = before.createdAtMillis + one.sentAtMillis - before.sentAtMillis
      return createdAtMillis < leastMillis - driftMillis - 1
        ? [`${at(one)} ${one.by} dated ${lock} ${createdAtMillis} ms, which was ${leastMillis} ms at least`]
        : []
    })
  })
}

/** What passes from section to section does so for a limited time. */
const handedOverLate = (
  { happenings }: History,
  { driftMillis, localHandoverMillis }: Rules
): ReadonlyArray<string> => {
  const first = new Map<string, number>()
  return happenings.flatMap((one) => {
    if (one._tag !== "Entered") return []
    const firstAtMillis = first.get(one.id)
    first.set(one.id, firstAtMillis ?? one.atMillis)
    if (firstAtMillis === undefined) return []
    const sinceMillis = one.atMillis - firstAtMillis
    return localHandoverMillis > 0 && sinceMillis <= localHandoverMillis + driftMillis
      ? []
      : [`${at(one)} ${describe(one.section)} was left a lock that had been taken ${sinceMillis} ms before`]
  })
}

/** Whose lock is lost is interrupted; whose lock is broken is so within an event. */
const workedOn = (
  { happenings }: History,
  { brokenMillisAtMost = Infinity, locks }: Rules
): ReadonlyArray<string> => {
  const ids = new Map<number, string>()
  const goneAtMillis = new Map<string, number>()
  return happenings.flatMap((one) => {
    switch (one._tag) {
      case "Entered":
        ids.set(one.section.number, one.id)
        return []
      case "Changed":
        for (const lock of locks) {
          const before = recordOf(one.before, lock)
          if (before?.id !== undefined && !isSame(before, recordOf(one.after, lock))) {
            goneAtMillis.set(before.id, one.atMillis)
          }
        }
        return []
      case "Overran":
        return [`${at(one)} ${describe(one.section)} goes on, and its lock is lost`]
      case "Worked": {
        const goneAt = goneAtMillis.get(ids.get(one.section.number) ?? "") ?? Infinity
        return one.atMillis - goneAt > brokenMillisAtMost
          ? [`${at(one)} ${describe(one.section)} still works, and its lock is gone since ${goneAt} ms`]
          : []
      }
      default:
        return []
    }
  })
}

/** Nobody else may have a lock while its section is about to end, as long as the record says so: that is what the margin is for. */
const givenBackEarly = ({ happenings }: History, { locks }: Rules): ReadonlyArray<string> => {
  const inside = new Map<number, { readonly section: Section; readonly id: string }>()
  return happenings.flatMap((one) => {
    if (one._tag === "Entered") inside.set(one.section.number, one)
    if (one._tag === "Finished") inside.delete(one.section.number)
    if (one._tag !== "Changed") return []
    return locks.flatMap((lock) => {
      const before = recordOf(one.before, lock)
      if (before === undefined || clientOf(before) !== one.by || isSame(before, recordOf(one.after, lock))) return []
      return Array.from(inside.values()).flatMap(({ id, section }) =>
        id === before.id ? [`${at(one)} ${one.by} gave ${lock} back, and ${describe(section)} had not ended`] : []
      )
    })
  })
}

/** What comes between two watches would be missed. */
const watchedFromNow = ({ happenings }: History): ReadonlyArray<string> =>
  happenings.flatMap((one) =>
    one._tag === "Watched" && one.from === undefined ? [`${at(one)} ${one.client} watches from now on`] : []
  )

const writesOfOthers = ({ happenings }: History): ReadonlyArray<string> => {
  const ids = new Map<string, string>()
  return happenings.flatMap((one) => {
    if (one._tag === "Entered") ids.set(String(one.section.number), one.id)
    if (one._tag !== "Changed") return []
    return one.written.flatMap((value) => {
      const [lock = "", number = ""] = value.split(" ")
      const holder = recordOf(one.before, lock)
      return holder !== undefined && holder.id === ids.get(number)
        ? []
        : [`${at(one)} ${one.by} wrote ${value}, and the lock was ${holder === undefined ? "free" : holder.owner}'s`]
    })
  })
}

const writesNotOnce = ({ happenings }: History): ReadonlyArray<string> => {
  const made = new Map<string, number>()
  for (const one of happenings) {
    if (one._tag !== "Changed") continue
    for (const value of one.written) made.set(value, (made.get(value) ?? 0) + 1)
  }
  const wrong = happenings.flatMap((one) => {
    if (one._tag !== "Wrote") return []
    const times = made.get(one.value) ?? 0
    const isRight = { made: times === 1, refused: times === 0, lost: times <= 1, unknown: times <= 1 }[one.outcome]
    return isRight ? [] : [`${at(one)} ${one.value} was told ${one.outcome}, and was made ${times} times`]
  })
  return [...wrong, ...[...made].flatMap(([value, times]) => times > 1 ? [`${value} was made ${times} times`] : [])]
}

/** Sections that want several locks have all their records written and removed at once. */
const halfTaken = ({ happenings }: History, { locks }: Rules): ReadonlyArray<string> =>
  happenings.flatMap((one) => {
    if (one._tag !== "Changed" || locks.length < 2) return []
    const taken = locks.filter((lock) => {
      const after = recordOf(one.after, lock)
      const before = recordOf(one.before, lock)
      return after !== undefined && (before === undefined || !isSame(before, after))
    })
    const isOfSeveral = taken.some((lock) => recordOf(one.after, lock)!.owner === "several")
    return isOfSeveral && taken.length < locks.length ? [`${at(one)} ${one.by} took only ${taken.join(", ")}`] : []
  })

/** Records that expired rather than being removed, be it that another has taken the lock since, or that they are there in the end. */
const leftBehind = (
  { endedAtMillis, happenings, last }: History,
  { locks }: Rules
): ReadonlyArray<string> =>
  locks.flatMap((lock) => {
    /** By which request each acquisition's record was first and last written. */
    const writes = new Map<string, { readonly firstAtMillis: number; readonly isAstray: boolean }>()
    const tellsOf = (
      record: LockRecord.LockRecord,
      what: string,
      excuses: ReadonlyArray<string>,
      takenAtMillis = Infinity
    ) => {
      const client = clientOf(record)
      const { firstAtMillis = 0, isAstray = false } = writes.get(record.id ?? record.owner) ?? {}
      const isExplained = isAstray || client.startsWith("G") || happenings.some((one) =>
        (one._tag === "Fault" && excuses.includes(one.kind) && one.on === client) ||
        (one._tag === "Said" && one.client === client && one.atMillis >= firstAtMillis &&
          tellsOfALockLeftBehind(one.text)) ||
        // Who comes to know only now that nothing is there any more has said to its program that it may have been.
        (one._tag === "Left" && one.section.client === client && one.atMillis >= takenAtMillis &&
          one.because?.includes("may or may not have been applied") === true)
      )
      return isExplained ? [] : [`the lock ${lock} of ${record.owner} was left behind${what}, and nobody was told`]
    }
    const replaced = happenings.flatMap((one) => {
      if (one._tag !== "Changed") return []
      const before = recordOf(one.before, lock)
      const after = recordOf(one.after, lock)
      if (after !== undefined && before?.createdAtNanos !== after.createdAtNanos) {
        const key = after.id ?? after.owner
        writes.set(key, { firstAtMillis: writes.get(key)?.firstAtMillis ?? one.atMillis, isAstray: one.isAstray })
      }
      return before === undefined || after === undefined || isSame(before, after)
        ? []
        // Who has stood still in the meantime finds nothing any more that it would have to give back.
        : tellsOf(before, ` until ${one.by} took it at ${one.atMillis} ms`, ["crash", "pause"], one.atMillis)
    })
    const record = recordOf(last, lock)
    if (record === undefined) return replaced
    const isExpired = LockRecord.expiresAtNanos(record) < BigInt(endedAtMillis) * 1_000_000n
    return isExpired
      ? [...replaced, ...tellsOf(record, "", ["crash"])]
      : [...replaced, `the lock ${lock} of ${record.owner} is still held in the end`]
  })

const tellsOfALockLeftBehind = (text: string) =>
  /may have been left behind|could not be released|was lost|has ended with the layer/.test(text)

/** A lock that is free while a living process waits for it, for longer than it may. */
const unserved = ({ endedAtMillis, happenings }: History, { freeMillisAtMost, locks }: Rules): ReadonlyArray<string> =>
  freeMillisAtMost === undefined ? [] : locks.flatMap((lock) => {
    const waiting = new Map<number, { readonly section: Section; readonly atMillis: number }>()
    const problems: Array<string> = []
    /** Whose own section has not come to its end yet, and when one last did. */
    const inside = new Map<string, Section>()
    const leftAtMillis = new Map<string, number>()
    let freeFromMillis = 0
    const look = (nowMillis: number) => {
      for (const { atMillis, section } of waiting.values()) {
        if (inside.has(section.client)) continue
        const sinceMillis = Math.max(atMillis, freeFromMillis, leftAtMillis.get(section.client) ?? 0)
        if (nowMillis - sinceMillis <= freeMillisAtMost) continue
        problems.push(`${describe(section)} waited from ${sinceMillis} ms to ${nowMillis} ms for a lock that was free`)
        waiting.clear()
        return
      }
    }
    for (const one of happenings) {
      look(one.atMillis)
      if (one._tag === "Asked" && one.section.lock === lock) waiting.set(one.section.number, one)
      if (one._tag === "Entered" || one._tag === "Left") waiting.delete(one.section.number)
      if (one._tag === "Entered" && one.section.lock === lock) inside.set(one.section.client, one.section)
      if (one._tag === "Left" && inside.get(one.section.client)?.number === one.section.number) {
        inside.delete(one.section.client)
        leftAtMillis.set(one.section.client, one.atMillis)
      }
      if (one._tag === "Fault" && (one.kind === "crash" || one.kind === "termination")) {
        for (const [number, { section }] of waiting) if (section.client === one.on) waiting.delete(number)
      }
      if (one._tag === "Changed") {
        const record = recordOf(one.after, lock)
        freeFromMillis = record === undefined ? one.atMillis : Number(LockRecord.expiresAtNanos(record) / 1_000_000n)
      }
    }
    look(endedAtMillis)
    return problems
  })

/** Where nothing goes wrong, nobody is interrupted, refused or warned. */
const noticed = ({ happenings }: History): ReadonlyArray<string> =>
  happenings.flatMap((one) => {
    if (one._tag === "Left" && one.because !== undefined) return [`${at(one)} ${describe(one.section)}: ${one.because}`]
    if (one._tag === "Said" && one.level !== "Info" && one.level !== "Debug") {
      return [`${at(one)} ${one.client} said: ${one.text}`]
    }
    return one._tag === "Wrote" && one.outcome !== "made" ? [`${at(one)} ${one.value} was ${one.outcome}`] : []
  })

/** In words, a line each. */
export const tell = (one: Happening, locks: ReadonlyArray<string>): string => {
  const records = (annotations: AnnotationEdit.Annotations) =>
    locks.map((lock) => {
      const record = recordOf(annotations, lock)
      return record === undefined
        ? `${lock} free`
        : `${lock} ${record.owner}'s (${record.id?.slice(-4) ?? "no id"}) from ${
          Number(record.createdAtNanos) / 1e6
        } to ${Number(LockRecord.expiresAtNanos(record)) / 1e6}`
    }).join(", ")
  const words = () => {
    switch (one._tag) {
      case "Asked":
        return `${describe(one.section)} is asked for`
      case "Entered":
      case "Worked":
        return `${describe(one.section)} ${one._tag === "Worked" ? "works" : `begins (${one.id.slice(-4)})`}${
          one.beside.length === 0 ? "" : ` BESIDE ${one.beside.map(describe).join(" and ")}`
        }`
      case "Overran":
        return `${describe(one.section)} goes on WITHOUT its lock`
      case "Finished":
        return `${describe(one.section)} has ended`
      case "Left":
        return `${describe(one.section)} is over${one.because === undefined ? "" : `: ${one.because}`}`
      case "Wrote":
        return `${describe(one.section)} wrote "${one.value}": ${one.outcome}`
      case "Changed":
        return `${one.by}${one.isAstray ? ", who has given up," : ""} changed the object to ${one.resourceVersion}: ${
          records(one.after)
        }${one.written.map((value) => `, "${value}"`).join("")}`
      case "Watched":
        return `${one.client} watches from ${one.from ?? "now on"}`
      case "Deleted":
      case "Made":
        return `the object was ${one._tag === "Deleted" ? "deleted" : "made again"}`
      case "Fault":
        return `── ${one.kind} ${one.on}`
      case "Said":
        return `${one.client} says: ${one.text}`
      case "Ended":
        return `${one.client} has ended`
    }
  }
  return `${String(one.atMillis).padStart(7)}  ${words()}`
}
