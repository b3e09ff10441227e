/**
 * Processes that want one lock, in simulated time: what their turns cost, and whom they serve.
 *
 * The server does one thing at a time. Undisturbed, a write is answered after 2.4 ms and seen by a watch after 2.2 ms, as on a
 * real API server on loopback; both take longer the more is asked and the more watch.
 */
import * as Turns from "@kubelock/kube/Turns"

/** How a process decides when to try. */
export type TryAtMillis = typeof Turns.tryAtMillis

/** Whoever sees the lock free tries at once. */
export const everyoneAtOnce: TryAtMillis = (turns, random) =>
  Turns.tryAtMillis(turns, random) === undefined ? undefined : -Infinity

/** One process, and what is the matter with it. */
export interface Process {
  /** Its way to the server and back is longer than the others', by so much each way. */
  readonly slowMillis?: number
  /** Its watch shows everything so much later. */
  readonly lagMillis?: number
  /** It is no more after the first acquisition of its own that is past so many of all. */
  readonly diesAfter?: number
  /** It keeps no turns: it reads so often, and writes what it read with the lock in it if that was free. */
  readonly pollsEveryMillis?: number
  /** It ends after each acquisition, and another takes its place, which tries first and watches once it is refused. */
  readonly servesOnce?: boolean
  /** What lies between two of its acquisitions is drawn up to here, whatever the others do. */
  readonly thinksMillisAtMost?: number
}

export interface Options {
  readonly seed: number
  readonly processes: ReadonlyArray<Process>
  /** How many are counted. */
  readonly acquisitions: number
  /** How many are not, at first. */
  readonly warmUp?: number
  readonly tryAtMillis?: TryAtMillis
  /** What lies between two acquisitions of a process is drawn up to here, given how many there have been. */
  readonly thinkMillisAtMost?: (acquisitions: number) => number
  readonly holdMillis?: number
  /** How many times slower the server and the way to it are. */
  readonly slowness?: number
  /** What it takes of the server to show one watcher a change; more where all processes share its machine. */
  readonly showMillis?: number
}

export interface Outcome {
  readonly acquisitionsPerSecond: number
  readonly requestsPerAcquisition: number
  /** By process. */
  readonly acquisitions: ReadonlyArray<number>
  /** By process: how many acquisitions by others it waited for at most, to the end if it was not served. */
  readonly longestWaits: ReadonlyArray<number>
  readonly longestGapMillis: number
}

/** 1 where all have equal shares, 1/n where one has all. */
export const jain = (shares: ReadonlyArray<number>): number => {
  const sum = (numbers: ReadonlyArray<number>) => numbers.reduce((a, b) => a + b, 0)
  return sum(shares) ** 2 / (shares.length * sum(shares.map((share) => share ** 2)))
}

const mulberry32 = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
}

interface Appointment {
  readonly atMillis: number
  readonly run: () => void
}

/** What is to happen, the soonest first and the first made first. */
class Agenda {
  nowMillis = 0
  // The soonest is the last: most of what is added is due soon, and finds its place after a few steps.
  readonly #appointments: Array<Appointment> = []

  after(millis: number, run: () => void): void {
    const atMillis = this.nowMillis + Math.max(0, millis)
    let index = this.#appointments.length
    while (index > 0 && this.#appointments[index - 1]!.atMillis <= atMillis) index--
    this.#appointments.splice(index, 0, { atMillis, run })
  }

  next(): boolean {
    const appointment = this.#appointments.pop()
    if (appointment === undefined) return false
    this.nowMillis = appointment.atMillis
    appointment.run()
    return true
  }
}

interface State {
  readonly resourceVersion: bigint
  readonly record: Turns.Holder | undefined
}

interface Watcher {
  readonly process: Process
  readonly see: (state: State) => void
  seesNextAtMillis: number
}

export const simulate = (options: Options): Outcome => {
  const {
    acquisitions,
    holdMillis = 2,
    processes,
    showMillis = 0.03,
    slowness = 1,
    tryAtMillis = Turns.tryAtMillis,
    warmUp = 0
  } = options
  const thinkMillisAtMost = options.thinkMillisAtMost ?? (() => 0)
  const random = mulberry32(options.seed)
  const agenda = new Agenda()
  /** At least and, on the average, as much more. */
  const latencyMillis = (least: number, more: number) => slowness * (least - Math.log(1 - random()) * more)

  // The server.
  let state: State = { resourceVersion: 1n, record: undefined }
  let busyUntilMillis = 0
  let requests = 0
  const watchers = new Set<Watcher>()

  const request = <A>({ slowMillis = 0 }: Process, handle: () => A, answered: (answer: A) => void): void => {
    if (served.length >= warmUp) requests++
    agenda.after(slowMillis + latencyMillis(0.5, 0.2), () => {
      busyUntilMillis = Math.max(agenda.nowMillis, busyUntilMillis) + slowness
      agenda.after(busyUntilMillis - agenda.nowMillis, () => {
        const answer = handle()
        agenda.after(slowMillis + latencyMillis(0.5, 0.2), () => answered(answer))
      })
    })
  }

  const write = (record: Turns.Holder | undefined): bigint => {
    // The same counter serves the writes of everybody else.
    const next = { resourceVersion: state.resourceVersion + 1n + BigInt(Math.floor(4 * random())), record }
    state = next
    const inAnyOrder = [...watchers].map((watcher) => [random(), watcher] as const).sort(([a], [b]) => a - b)
    for (const [, watcher] of inAnyOrder) {
      const { lagMillis = 0, slowMillis = 0 } = watcher.process
      busyUntilMillis = Math.max(agenda.nowMillis, busyUntilMillis) + showMillis * slowness
      const atMillis = busyUntilMillis + slowMillis + lagMillis + latencyMillis(0.3, 0.2)
      watcher.seesNextAtMillis = Math.max(watcher.seesNextAtMillis, atMillis)
      agenda.after(watcher.seesNextAtMillis - agenda.nowMillis, () => {
        if (watchers.has(watcher)) watcher.see(next)
      })
    }
    return next.resourceVersion
  }

  // What is counted.
  const served: Array<number> = []
  const servedAtMillis: Array<number> = []
  const waitingSince = new Map<number, number>()
  const longestWaits = processes.map(() => 0)
  const waited = (index: number) => {
    const since = Math.max(warmUp, waitingSince.get(index) ?? Infinity)
    longestWaits[index] = Math.max(longestWaits[index]!, served.length - since)
  }
  const serve = (index: number) => {
    waited(index)
    waitingSince.delete(index)
    served.push(index)
    servedAtMillis.push(agenda.nowMillis)
  }

  const think = (index: number, wait: () => void) =>
    agenda.after(random() * (processes[index]!.thinksMillisAtMost ?? thinkMillisAtMost(served.length)), () => {
      waitingSince.set(index, served.length)
      wait()
    })

  const startGoProgram = (process: Process, pollsEveryMillis: number, index: number) => {
    const writeIfUnchanged = (read: State, record: Turns.Holder | undefined, answered: (isWritten: boolean) => void) =>
      request(process, () => {
        const isUnchanged = state === read
        if (isUnchanged) write(record)
        return isUnchanged
      }, answered)

    const poll = (): void =>
      request(process, () => state, (read) => {
        const again = () => agenda.after(pollsEveryMillis, poll)
        if (read.record !== undefined) return again()
        writeIfUnchanged(read, { owner: `go-${index}` }, (isTaken) => {
          if (!isTaken) return again()
          serve(index)
          agenda.after(holdMillis, () =>
            request(process, () =>
              state, (mine) =>
              writeIfUnchanged(mine, undefined, (isReleased) => {
                if (!isReleased) throw new Error("a waiter has written, and so disturbed a Go program's release")
                think(index, poll)
              })))
        })
      })
    think(index, poll)
  }

  const startWaiter = (process: Process, index: number) => {
    let turns = Turns.make(`p${index}`)
    let acquired = 0
    let isWaiting = false
    let decisions = 0
    const observe = (event: Turns.Event) => {
      turns = Turns.observe(turns, event)
    }
    const see = (seen: State) => {
      observe({ _tag: "Seen", ...seen, nowMillis: agenda.nowMillis })
      decide()
    }
    const watcher: Watcher = { process, see, seesNextAtMillis: 0 }

    const decide = () => {
      const decision = ++decisions
      const atMillis = isWaiting ? tryAtMillis(turns, random()) : undefined
      if (atMillis !== undefined) {
        agenda.after(atMillis - agenda.nowMillis, () => {
          if (decision === decisions) attempt()
        })
      }
    }

    const attempt = () => {
      isWaiting = false
      const { resourceVersion } = turns
      const sentAtMillis = agenda.nowMillis
      const record = { owner: "shared", id: `${turns.process}-${acquired}` }
      request(process, () => state.record === undefined ? write(record) : undefined, (written) => {
        observe({ _tag: "Answered", roundTripMillis: agenda.nowMillis - sentAtMillis })
        if (written !== undefined) {
          see({ resourceVersion: written, record })
          return hold(record)
        }
        observe({ _tag: "Refused", resourceVersion })
        isWaiting = true
        if (watchers.has(watcher)) return decide()
        // The watch begins where the read ended, so nothing is missed between them.
        request(process, () => {
          watchers.add(watcher)
          return state
        }, see)
      })
    }

    const hold = (record: Turns.Holder) => {
      observe({ _tag: "Waiting", isWaiting: false })
      acquired++
      serve(index)
      const release = () => {
        if (state.record !== record) throw new Error("two had the lock at once")
        return write(undefined)
      }
      agenda.after(holdMillis, () =>
        request(process, release, (resourceVersion) => {
          see({ resourceVersion, record: undefined })
          const isDead = served.length > (process.diesAfter ?? Infinity)
          if (isDead || process.servesOnce === true) watchers.delete(watcher)
          if (process.servesOnce === true) turns = Turns.make(`p${index}.${acquired}`)
          if (!isDead) think(index, wait)
        }))
    }

    const wait = () => {
      observe({ _tag: "Waiting", isWaiting: true })
      isWaiting = true
      decide()
    }

    if (process.servesOnce !== true) watchers.add(watcher)
    think(index, wait)
  }

  for (const [index, process] of processes.entries()) {
    if (process.pollsEveryMillis === undefined) startWaiter(process, index)
    else startGoProgram(process, process.pollsEveryMillis, index)
  }
  while (served.length < warmUp + acquisitions) {
    if (!agenda.next()) throw new Error("nobody will ever try again")
  }
  processes.forEach((_, index) => waited(index))

  const counted = served.slice(warmUp)
  const millis = servedAtMillis.slice(warmUp)
  return {
    acquisitionsPerSecond: 1_000 * (millis.length - 1) / (millis.at(-1)! - millis[0]!),
    requestsPerAcquisition: requests / counted.length,
    acquisitions: processes.map((_, index) => counted.filter((by) => by === index).length),
    longestWaits,
    longestGapMillis: Math.max(...millis.slice(1).map((at, index) => at - millis[index]!))
  }
}
