/**
 * Whose turn it is among the processes that wait for one lock: the least recently served first.
 *
 * **Details**
 *
 * Each process keeps a {@link Turns} of its own per lock, fed with what its watch shows ({@link observe}), and asks it when to
 * send the edit that takes a free lock ({@link tryAtMillis}). Nothing is written while waiting. Since all see the same records
 * in the same order, all come to nearly the same list of holders, and one of them tries at a time:
 *
 * - Who takes the lock goes to the end of the list. Who stood before it let its turn pass: it is presumed idle and dropped.
 * - Who stands first tries as soon as the lock is seen free; each one behind it a slot later than the one before, and gives up
 *   as soon as it sees the lock held. An idle or dead process costs one slot, once.
 * - Who was dropped though it waits is the least recently served of all: it tries at once.
 * - Who was never served first lets as many go before as the list is long, then tries at once.
 * - There may be many of these two. So each refusal since a process was last served doubles the number of slots among which it
 *   then draws one, until it is served.
 * - Who was itself idle at one of its last four turns takes the others to be so as well, unless four of them have just had the lock in
 *   the order of the list: it tries at once wherever it stands, and after a refusal leaves one slot to those before it, or draws
 *   between none and one.
 * - Who is alone in its list tries at once. Every two seconds it lets as many slots pass as others may draw: they may be there.
 *
 * Pure: times are milliseconds of one monotonic clock, chance is an argument. Order is by resourceVersion: wall clocks are none.
 *
 * **Gotchas**
 *
 * - It is advice, not a lock: if two try at once, the server lets one in. Programs that keep no turns are never disturbed.
 * - Feed it everything that is seen, one's own acquisitions and releases too. Feeding twice does no harm.
 * - Go on watching for a while after a release. Who looks away between two acquisitions knows nobody, and barges in.
 * - Ask anew after every event, with a fresh draw.
 *
 * **Example** (The second in the list waits a slot)
 *
 * ```ts
 * import { Turns } from "@kubelock/kube"
 *
 * const seen = [{ owner: "ops", id: "a-1" }, undefined, { owner: "ops", id: "b-1" }, undefined].reduce<Turns.Turns>(
 *   (turns, record, i) =>
 *     Turns.observe(turns, { _tag: "Seen", resourceVersion: BigInt(i + 1), record, nowMillis: i * 100 }),
 *   Turns.make("b")
 * )
 * seen.order // => ["a", "b"]
 * Turns.processOf({ owner: "ops", id: "a-1" }) // => "a"
 * Turns.tryAtMillis(seen, 0.5) // => 310
 * ```
 *
 * @since 0.1.0
 */

/** One lock's turns, as one process sees them. @category models @since 0.1.0 */
export interface Turns {
  /** Whose view this is: the `process` of its `Identity`. */
  readonly process: string
  /** Who holds or held the lock, the least recently served first. */
  readonly order: ReadonlyArray<string>
  /** The newest that was seen of the locked object; negative before anything was. */
  readonly resourceVersion: bigint
  /** What tells the acquisition seen there from others; absent if there was none. */
  readonly acquisition: string | undefined
  /** Since when the lock may be taken, as far as was seen; absent while it is held. */
  readonly freeSinceMillis: number | undefined
  /** What the last refused try was decided on. */
  readonly refusedResourceVersion: bigint
  /** Whether this process has had the lock. */
  readonly wasServed: boolean
  /** How many acquisitions were seen. */
  readonly passedBy: number
  /** How many tries were refused since this process last had the lock. */
  readonly refusals: number
  /** How long one waits for the one before. */
  readonly slotMillis: number
  /** Whether this process wants the lock and has not got it. */
  readonly isWaiting: boolean
  /** How many of its turns in a row have found this process waiting. None is counted beyond the number that tells. */
  readonly turnsInARow: number
  /** How many acquisitions in a row, of those by processes in the list, were by the first of it. None is counted beyond the number that tells. */
  readonly firstsInARow: number
  /** Since when nobody else was seen to have the lock, or was left a slot to; infinite if another is in the list. */
  readonly aloneSinceMillis: number
}

/** What the annotation says of its holder. @category models @since 0.1.0 */
export interface Holder {
  /** The record's `owner`. */
  readonly owner: string
  /** Absent where a Go program holds the lock, which then is known by its owner. */
  readonly id?: string | undefined
}

/** Who takes turns under this name: the process that an acquisition's `id` begins with, or the owner. @category getters @since 0.1.0 */
export const processOf = ({ id, owner }: Holder): string => id?.replace(/-[^-]*$/, "") ?? owner

/** This process begins to wait for the lock, or waits no longer: it has the lock, or has given up. @category events @since 0.1.0 */
export interface Waiting {
  readonly _tag: "Waiting"
  /** Whether it waits from now on. */
  readonly isWaiting: boolean
}

/** The object was seen, by whatever way: an event of its watch, a read, the answer to a write. @category events @since 0.1.0 */
export interface Seen {
  readonly _tag: "Seen"
  /** That of the object, by which later ones are known. */
  readonly resourceVersion: bigint
  /** Absent where the lock is free. */
  readonly record: Holder | undefined
  /** When it was seen, by the one monotonic clock. */
  readonly nowMillis: number
}

/** The record last seen is over. @category events @since 0.1.0 */
export interface Expired {
  readonly _tag: "Expired"
  /** When it was over, by the one monotonic clock. */
  readonly nowMillis: number
}

/** A try was refused. @category events @since 0.1.0 */
export interface Refused {
  readonly _tag: "Refused"
  /** The one of {@link Turns} when the try was sent. */
  readonly resourceVersion: bigint
}

/** The server answered a write of this process. @category events @since 0.1.0 */
export interface Answered {
  readonly _tag: "Answered"
  /** From sending the write to having its answer. */
  readonly roundTripMillis: number
}

/** What a process sees or does that bears on the turns. @category events @since 0.1.0 */
export type Event = Waiting | Seen | Expired | Refused | Answered

// The one behind must wait until it would see that the one before has taken the lock. By our measurements on a real API server,
// watchers see a write 2.2 ms after it was sent, and its writer has the answer after 2.4 ms: about one round trip, and a margin.
const slotPerRoundTrip = 1.5

// By the same measurements 10 ms serves well, so it does before anything is known of the server. Below 5 ms the pauses of a busy
// process outlast the slot. Above 250 ms an idle process costs more than two do who try at once.
const slotMillisAtFirst = 10
const slotMillisAtLeast = 5
const slotMillisAtMost = 250

// The share of each new round trip in the slot: what TCP takes for its smoothed round trip time (RFC 6298).
const smoothing = 1 / 8

// Nobody in the list waits longer than so many slots, however many stand before it.
const slotsAtMost = 8

// Where many are idle, their slots are lost. We measured, with 8 processes that think for up to 200 ms: 54 acquisitions/s with slots of 10 ms, 62
// with at most two of 5 ms, 68 with everyone at once. Nobody can be seen to be idle, but each knows what it was itself when its turn came, and takes
// the others to be like it. Where all want the lock all the time, every turn finds its process waiting; with those pauses, two of three. One that
// pauses among others that do not sees them take the lock in the order of the list.
const inARowAtLeast = 4

// In one of so many handovers all who are in the list leave a slot to those who are not. Otherwise a process whose way to the
// server is a millisecond longer than others' loses every tie, and in our simulation it starves. The resourceVersion says which
// handover it is, so that all agree; a prime, so that no rhythm of writes avoids it. It costs a saturated lock about 4 %.
const openHandover = 17n

// One who is alone in its list leaves all the slots that others may draw to them, so often: they may be there and lose every
// tie. It costs a saturated lock 2 % with slots of 5 ms. By the time, since where none passes nobody can be waited for.
const aloneAtMostMillis = 2_000

// A process in no list draws among 2^3 slots at most where many wait. In our simulation 32 who come at once are all served within about three
// rounds so, and in five where the draw has 2^5. Where processes are late by more than a slot, they take each other's turns and
// many are dropped: if all of those tried at once each time, an acquisition by one of 24 would take 8 requests instead of
// three. Where few wait, one who was refused twice is mostly alone by then, and up to eight slots would be lost.
const doublingsAtMost = { crowded: 3, sparse: 1 }

// Holders that come once and never again are not dropped by anyone: the list ends somewhere.
const orderLengthAtMost = 64

/** The view of a process that has seen nothing yet: it tries at once. @category constructors @since 0.1.0 */
export const make = (process: string): Turns => ({
  process,
  order: [],
  resourceVersion: -1n,
  acquisition: undefined,
  freeSinceMillis: -Infinity,
  refusedResourceVersion: -2n,
  wasServed: false,
  passedBy: 0,
  refusals: 0,
  slotMillis: slotMillisAtFirst,
  isWaiting: false,
  turnsInARow: inARowAtLeast,
  firstsInARow: 0,
  aloneSinceMillis: Infinity
})

/**
 * The view after an event.
 *
 * What is `Seen` but not newer than what was seen before changes nothing. Nor does a renewal.
 *
 * @category combinators
 * @since 0.1.0
 */
export const observe = (turns: Turns, event: Event): Turns => {
  switch (event._tag) {
    case "Waiting":
      return { ...turns, isWaiting: event.isWaiting }
    case "Seen":
      return event.resourceVersion > turns.resourceVersion ? see(turns, event) : turns
    case "Expired":
      return { ...turns, freeSinceMillis: turns.freeSinceMillis ?? event.nowMillis }
    case "Refused":
      return { ...turns, refusedResourceVersion: event.resourceVersion, refusals: turns.refusals + 1 }
    case "Answered":
      return {
        ...turns,
        slotMillis: turns.slotMillis + smoothing * (slotFor(event.roundTripMillis) - turns.slotMillis)
      }
  }
}

/**
 * When to try to take the lock; in the past where nothing is to be waited for, and absent where something newer must be seen
 * first: the lock is held, or a try was refused and what refused it has not been seen yet.
 *
 * `random` is a draw from 0 up to and without 1.
 *
 * @category getters
 * @since 0.1.0
 */
export const tryAtMillis = (turns: Turns, random: number): number | undefined =>
  turns.freeSinceMillis === undefined || turns.resourceVersion <= turns.refusedResourceVersion
    ? undefined
    : turns.freeSinceMillis + turns.slotMillis * slotsToWait(turns, random)

const slotsToWait = (turns: Turns, random: number): number => {
  const rank = turns.order.indexOf(turns.process)
  if (isAlone(turns)) return isOpen(turns) ? 2 ** doublingsAtMost.crowded : 0
  if (rank >= 0) return Math.min(rank, slotsForOthers(turns)) + (isOpen(turns) ? 1 : 0)
  if (isOpen(turns)) return 0
  if (!turns.wasServed && turns.passedBy < turns.order.length) return random * turns.order.length
  // Whole slots: one who tries within a slot comes too late for its beginning and has not yet seen who took it.
  const doublings = Math.min(turns.refusals, isCrowded(turns) ? doublingsAtMost.crowded : doublingsAtMost.sparse)
  return Math.floor(random * 2 ** doublings)
}

/** For how many of those before it a process waits at most. Where few wait, one who was refused knows of one. */
const slotsForOthers = (turns: Turns): number => isCrowded(turns) ? slotsAtMost : Math.min(turns.refusals, 1)

const isCrowded = ({ firstsInARow, turnsInARow }: Turns): boolean =>
  turnsInARow >= inARowAtLeast || firstsInARow >= inARowAtLeast

const isAlone = ({ order, process }: Turns): boolean => order.length === 1 && order[0] === process

const isOpen = (turns: Turns): boolean =>
  isAlone(turns)
    ? (turns.freeSinceMillis ?? -Infinity) - turns.aloneSinceMillis >= aloneAtMostMillis
    : turns.resourceVersion % openHandover === 0n

const slotFor = (roundTripMillis: number): number =>
  Math.min(slotMillisAtMost, Math.max(slotMillisAtLeast, slotPerRoundTrip * roundTripMillis))

const see = (turns: Turns, { nowMillis, record, resourceVersion }: Seen): Turns => {
  if (record === undefined) {
    return {
      ...turns,
      resourceVersion,
      acquisition: undefined,
      freeSinceMillis: turns.freeSinceMillis ?? nowMillis
    }
  }
  const acquisition = record.id ?? record.owner
  const held: Turns = { ...turns, resourceVersion, acquisition, freeSinceMillis: undefined }
  if (acquisition === turns.acquisition) return held
  const holder = processOf(record)
  const order = [...turns.order.slice(turns.order.indexOf(holder) + 1), holder].slice(-orderLengthAtMost)
  return {
    ...held,
    order,
    aloneSinceMillis: !isAlone({ ...turns, order })
      ? Infinity
      : isAlone(turns) && !isOpen(turns)
      ? turns.aloneSinceMillis
      : nowMillis,
    wasServed: turns.wasServed || holder === turns.process,
    refusals: holder === turns.process ? 0 : turns.refusals,
    passedBy: turns.passedBy + 1,
    turnsInARow: turnsInARowAfter(turns, holder),
    firstsInARow: firstsInARowAfter(turns, holder)
  }
}

const turnsInARowAfter = ({ isWaiting, order, process, turnsInARow }: Turns, holder: string): number => {
  const rank = order.indexOf(process)
  const wasPassedBy = rank >= 0 && rank < order.indexOf(holder)
  if (holder !== process && !wasPassedBy) return turnsInARow
  return holder === process || isWaiting ? Math.min(inARowAtLeast, turnsInARow + 1) : 0
}

const firstsInARowAfter = ({ firstsInARow, order }: Turns, holder: string): number => {
  const rank = order.indexOf(holder)
  return rank < 0 ? firstsInARow : rank === 0 ? Math.min(inARowAtLeast, firstsInARow + 1) : 0
}
