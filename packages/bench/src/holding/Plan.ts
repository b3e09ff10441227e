/** How many locks are held, where, and for how long. Pure. */

/** Where the locks of one process are. */
export interface Holder {
  readonly name: string
  readonly locks: number
  readonly objects: number
}

export interface Plan {
  /** Those of a group hold beside each other. */
  readonly groups: ReadonlyArray<ReadonlyArray<Holder>>
  readonly renewEveryMillis: number
  readonly millis: number
}

const nothing: Holder = { name: "none", locks: 0, objects: 0 }

const holdersOf = (...counts: ReadonlyArray<number>): ReadonlyArray<Holder> => [
  nothing,
  ...counts.flatMap((locks) =>
    [1, ...locks === 1 ? [] : [locks]].map((objects) => ({
      name: `${locks.toLocaleString("en-US")}${
        locks === 1 ? "" : objects === 1 ? ", on one object" : ", on one object each"
      }`,
      locks,
      objects
    }))
  )
]

// So many renewals of one object can keep a server from everything else.
const isGreedy = ({ locks, objects }: Holder): boolean => locks > 100 && objects === 1

const all = holdersOf(1, 100, 1_000)

const full: Plan = {
  groups: [all.filter((holder) => !isGreedy(holder)), all.filter(isGreedy)],
  renewEveryMillis: 10_000,
  millis: 60_000
}

const quick: Plan = { groups: [holdersOf(1, 100)], renewEveryMillis: 2_000, millis: 4_000 }

export const planOf = (isQuick: boolean): Plan => isQuick ? quick : full
