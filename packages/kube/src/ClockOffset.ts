/**
 * How far this machine's wall clock is off the API server's, by the `Date` of its answers.
 *
 * **Details**
 *
 * The offset is local time less the server's: positive where this machine's clock is ahead. It is known as an interval.
 *
 * - `Date` is cut to whole seconds, and the server wrote it at some time between the request and the end of its answer: so one
 *   answer bounds the offset to a second and its round trip. Each further one ({@link observe}) may narrow that down, since
 *   what all of them say must hold.
 * - The interval widens with its age ({@link fade}), so that clocks that drift apart are followed.
 * - Where an answer contradicts what was known, a clock was set: what was known is forgotten, and the answer believed.
 *
 * Pure: what the clocks say is an argument.
 *
 * **Gotchas**
 *
 * - A clock that was set by less than about a second contradicts few answers. Until one of them does, the interval is off by as much.
 * - Where several API servers answer behind one address, it is the offset of whichever answered.
 *
 * **Example** (Two answers, and a clock that is two seconds ahead)
 *
 * ```ts
 * import { ClockOffset } from "@kubelock/kube"
 *
 * // The server's clock says 10.000 s, then 11.900 s; an answer takes no time.
 * const first = ClockOffset.observe(undefined, {
 *   sent: { wallMillis: 12_000, monotonicMillis: 0 },
 *   received: { wallMillis: 12_000, monotonicMillis: 0 },
 *   dateMillis: 10_000
 * })
 * ClockOffset.certainMillis(first) // => 1_000
 *
 * const second = ClockOffset.observe(first, {
 *   sent: { wallMillis: 13_900, monotonicMillis: 1_900 },
 *   received: { wallMillis: 13_900, monotonicMillis: 1_900 },
 *   dateMillis: 11_000
 * })
 * ClockOffset.certainMillis(second) // => 1_900
 * Math.round(ClockOffset.estimateMillis(second)) // => 1_951
 *
 * // An hour without an answer, in which the clocks may have drifted apart by 3.6 s: nothing is certain any more.
 * const later = ClockOffset.fade(second, { wallMillis: 3_613_900, monotonicMillis: 3_601_900 })
 * ClockOffset.certainMillis(later) // => 0
 * ```
 *
 * @since 0.1.0
 */

/** What this machine's clocks say at one time. @category models @since 0.1.0 */
export interface ClockReading {
  /** Since 1970, cut to whole milliseconds. */
  readonly wallMillis: number
  /** Since any one time, the same for all readings. */
  readonly monotonicMillis: number
}

/** An answer of the server, for what it says of its clock. @category models @since 0.1.0 */
export interface Sample {
  /** Before the request was sent. */
  readonly sent: ClockReading
  /** After the answer was received. */
  readonly received: ClockReading
  /** The answer's `Date`, in milliseconds since 1970. */
  readonly dateMillis: number
}

/** Between what bounds the offset lies. @category models @since 0.1.0 */
export interface ClockOffset {
  /** How far this machine's clock is ahead at least; negative if it may be behind. */
  readonly atLeastMillis: number
  /** How far this machine's clock is ahead at most; negative if it is behind. */
  readonly atMostMillis: number
  /** For when this holds. */
  readonly readAt: ClockReading
}

// The rate of a clock is off by 500 ppm at most where it is kept by NTP: the Linux kernel, for one, corrects no more (MAXFREQ in
// timex.h). So two of them part by a millisecond per second at most. Who steers faster than that sets the clock in small steps.
const driftMillisPerMilli = 2 * 500e-6

const dateResolutionMillis = 1_000
const wallResolutionMillis = 1

/**
 * What is known after another answer; `undefined` stands for nothing before. An answer that contradicts what was known replaces it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const observe = (before: ClockOffset | undefined, sample: Sample): ClockOffset => {
  const said = offsetSaidBy(sample)
  if (before === undefined) return said
  const known = fade(before, sample.received)
  const atLeastMillis = Math.max(known.atLeastMillis, said.atLeastMillis)
  const atMostMillis = Math.min(known.atMostMillis, said.atMostMillis)
  return atLeastMillis > atMostMillis ? said : { ...said, atLeastMillis, atMostMillis }
}

/**
 * What is still known at a later time: an interval that is wider by a millisecond per second, at both ends.
 *
 * The rate of a clock that is kept by NTP is off by 500 ppm at most (`MAXFREQ` of the Linux kernel's `timex.h`), and there are two clocks.
 *
 * @category combinators
 * @since 0.1.0
 */
export const fade = (offset: ClockOffset, now: ClockReading): ClockOffset => {
  const driftMillis = driftMillisPerMilli * elapsedMillis(offset.readAt, now)
  return {
    atLeastMillis: offset.atLeastMillis - driftMillis,
    atMostMillis: offset.atMostMillis + driftMillis,
    readAt: now
  }
}

/**
 * How far this machine's clock is off beyond doubt, in milliseconds: positive if it is ahead, negative if it is behind, and 0 if
 * it may be right.
 *
 * @category getters
 * @since 0.1.0
 */
export const certainMillis = ({ atLeastMillis, atMostMillis }: ClockOffset): number =>
  Math.max(0, atLeastMillis) + Math.min(0, atMostMillis)

/**
 * The middle of what is possible, in milliseconds: positive if this machine's clock is ahead.
 *
 * @category getters
 * @since 0.1.0
 */
export const estimateMillis = ({ atLeastMillis, atMostMillis }: ClockOffset): number =>
  (atLeastMillis + atMostMillis) / 2

const offsetSaidBy = ({ dateMillis, received, sent }: Sample): ClockOffset =>
  fade({
    atLeastMillis: received.wallMillis - elapsedMillis(sent, received) - dateMillis - dateResolutionMillis,
    atMostMillis: received.wallMillis + wallResolutionMillis - dateMillis,
    readAt: sent
  }, received)

// The wall clock may be set meanwhile, and the monotonic clock of a machine may stop while that is suspended. To take too much for
// elapsed only widens an interval; to take too little would lose the truth.
const elapsedMillis = (from: ClockReading, to: ClockReading): number =>
  Math.max(0, to.wallMillis - from.wallMillis, to.monotonicMillis - from.monotonicMillis)
