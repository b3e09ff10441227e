/**
 * Any number of processes, locks and objects, and an API server, in simulated time. Pure: the same seed gives the same history.
 *
 * The server works on as many requests at a time as it has processors. A write of an object that another has written meanwhile is made
 * anew inside the server. Whoever was refused watches the object, and takes turns as the library does: by its own `Turns`.
 */
import * as Turns from "@kubelock/kube/Turns"
import * as Agenda from "./Agenda.ts"
import { type Costs, metadataBytes, recordBytes } from "./Costs.ts"

export interface Options {
  readonly seed: number
  readonly costs: Costs
  /** Processes; the n-th of them always wants the lock n modulo `locks`. */
  readonly clients: number
  readonly locks: number
  /** The lock l is on the object l modulo `objects`. */
  readonly objects: number
  readonly holdMillis: number
  /** On average, between giving back and asking again; evenly drawn up to twice that. */
  readonly thinkMillis: number
  /** A holder renews each third of it. */
  readonly ttlMillis: number
  /** How long is looked at, after half as long that is not. */
  readonly lastsMillis: number
}

export interface Outcome {
  readonly acquisitionsPerSecond: number
  /** From giving back to the next section's beginning, where somebody waited; NaN if nobody did. */
  readonly handoverMillis: { readonly p50: number; readonly p99: number }
  /** From asking to having it. */
  readonly waitMillis: { readonly p50: number; readonly p99: number }
  readonly requestsPerSecond: number
  readonly requestsPerAcquisition: number
  /** Writes that the server had to make anew, per acquisition. */
  readonly retriesPerAcquisition: number
  readonly eventsPerSecond: number
  readonly bytesPerSecond: number
  /** The part of its processors' time that the server was busy. */
  readonly busy: number
}

interface KubeObject {
  version: number
  held: number
  readonly watchers: Array<Client>
}

interface Lock {
  readonly object: KubeObject
  holder: Client | undefined
  acquisition: number
  releasedAtMillis: number
}

interface Client {
  readonly name: string
  readonly lock: Lock
  turns: Turns.Turns | undefined
  isWaiting: boolean
  isTrying: boolean
  askedAtMillis: number
  /** Tells a plan from those after it. */
  plan: number
}

/** What a request has beside the object's metadata, with its head and the answer's. */
const patchBytes = 900
const getBytes = 500

const quantile = (values: ReadonlyArray<number>, part: number): number => {
  const sorted = values.toSorted((left, right) => left - right)
  return sorted[Math.round(part * (sorted.length - 1))] ?? Number.NaN
}

const distribution = (values: ReadonlyArray<number>) => ({ p50: quantile(values, 0.5), p99: quantile(values, 0.99) })

/** Mulberry32. */
const randomFrom = (seed: number) => {
  let state = seed
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export const simulate = (options: Options): Outcome => {
  const { costs, holdMillis, lastsMillis, thinkMillis, ttlMillis } = options
  const random = randomFrom(options.seed)
  const agenda = Agenda.make()
  const beginMillis = lastsMillis / 2
  const counts = { acquisitions: 0, requests: 0, retries: 0, events: 0, bytes: 0, busyMillis: 0 }
  const waits: Array<number> = []
  const handovers: Array<number> = []

  const isCounted = () => agenda.nowMillis() >= beginMillis
  const count = (what: keyof typeof counts, by = 1) => {
    if (isCounted()) counts[what] += by
  }
  const way = () => costs.wayMillis * (0.5 + random())
  const kbOf = ({ held }: KubeObject) => (metadataBytes + held * recordBytes) / 1_000

  /** Each job says what it takes when its turn has come, and is told when it is done. */
  const jobs: Array<{ readonly begin: () => number; readonly done: () => void }> = []
  let nextJob = 0
  let idle = costs.processors

  const work = () => {
    while (idle > 0 && nextJob < jobs.length) {
      const { begin, done } = jobs[nextJob]!
      nextJob++
      if (nextJob === 1_024) nextJob -= jobs.splice(0, nextJob).length
      idle--
      const millis = begin()
      count("busyMillis", millis)
      agenda.plan(agenda.nowMillis() + millis, () => {
        idle++
        done()
        work()
      })
    }
  }

  const submit = (begin: () => number, done: () => void) => {
    jobs.push({ begin, done })
    work()
  }

  const show = (object: KubeObject) => {
    const { watchers } = object
    if (watchers.length === 0) return
    const each = costs.showMillis + costs.showMillisPerKb * kbOf(object)
    const told = [...watchers]
    const version = object.version
    const states = new Map(told.map(({ lock }) => [lock, stateOf(lock)]))
    count("events", told.length)
    count("bytes", told.length * kbOf(object) * 1_000)
    // One goes first now, another then.
    const first = Math.floor(random() * told.length)
    for (let place = 0; place < told.length; place++) {
      const watcher = told[(first + place) % told.length]!
      submit(() => each, () => {
        agenda.plan(agenda.nowMillis() + way(), () => see(watcher, version, states.get(watcher.lock)))
      })
    }
  }

  const stateOf = ({ acquisition, holder }: Lock): Turns.Holder | undefined =>
    holder === undefined ? undefined : { owner: holder.name, id: `${holder.name}-${acquisition}` }

  const observe = (client: Client, event: Turns.Event) => {
    if (client.turns !== undefined) client.turns = Turns.observe(client.turns, event)
  }

  const see = (client: Client, version: number, record: Turns.Holder | undefined) => {
    observe(client, { _tag: "Seen", resourceVersion: BigInt(version), record, nowMillis: agenda.nowMillis() })
    planTry(client)
  }

  const planTry = (client: Client) => {
    const plan = ++client.plan
    if (!client.isWaiting || client.isTrying || client.turns === undefined) return
    const atMillis = Turns.tryAtMillis(client.turns, random())
    if (atMillis === undefined) return
    agenda.plan(Math.max(agenda.nowMillis(), atMillis), () => {
      if (client.plan === plan) take(client)
    })
  }

  /** A PATCH: whether it shall be made is asked when the server begins; if another write comes before etcd has it, again. */
  const patch = (
    object: KubeObject,
    isWanted: () => boolean,
    change: () => void,
    answered: (isMade: boolean) => void
  ) => {
    count("requests")
    count("bytes", patchBytes + kbOf(object) * 1_000)
    const answer = (isMade: boolean, afterMillis: number) =>
      agenda.plan(agenda.nowMillis() + afterMillis + way(), () => answered(isMade))
    const attempt = (againMillis: number) => {
      let wanted = false
      let { version } = object
      submit(() => {
        wanted = isWanted()
        version = object.version
        return wanted ? againMillis + costs.patchMillis + costs.patchMillisPerKb * kbOf(object) : costs.refusedMillis
      }, () => {
        if (!wanted) {
          answer(false, 0)
          return
        }
        agenda.plan(agenda.nowMillis() + costs.commitMillis, () => {
          if (object.version !== version) {
            count("retries")
            attempt(costs.againMillis)
            return
          }
          object.version++
          change()
          answer(true, costs.answerMillis)
          show(object)
        })
      })
    }
    agenda.plan(agenda.nowMillis() + way(), () => attempt(0))
  }

  const take = (client: Client) => {
    const { lock } = client
    client.isTrying = true
    const decidedOn = client.turns?.resourceVersion ?? -1n
    const sentMillis = agenda.nowMillis()
    patch(
      lock.object,
      () => lock.holder === undefined,
      () => {
        lock.holder = client
        lock.acquisition++
        lock.object.held++
      },
      (isMade) => {
        client.isTrying = false
        answered(client, sentMillis)
        if (isMade) hold(client)
        else refuse(client, decidedOn)
      }
    )
  }

  const answered = (client: Client, sentMillis: number) =>
    observe(client, { _tag: "Answered", roundTripMillis: agenda.nowMillis() - sentMillis })

  const refuse = (client: Client, decidedOn: bigint) => {
    if (client.turns !== undefined) {
      observe(client, { _tag: "Refused", resourceVersion: decidedOn })
      planTry(client)
      return
    }
    count("requests")
    count("bytes", getBytes + kbOf(client.lock.object) * 1_000)
    agenda.plan(agenda.nowMillis() + way(), () =>
      submit(() => costs.getMillis, () => {
        const { lock } = client
        lock.object.watchers.push(client)
        client.turns = Turns.make(client.name)
        observe(client, { _tag: "Waiting", isWaiting: true })
        const { version } = lock.object
        const state = stateOf(lock)
        agenda.plan(agenda.nowMillis() + way(), () => see(client, version, state))
      }))
  }

  const hold = (client: Client) => {
    const { lock } = client
    const now = agenda.nowMillis()
    client.isWaiting = false
    observe(client, { _tag: "Waiting", isWaiting: false })
    client.plan++
    if (isCounted()) {
      counts.acquisitions++
      waits.push(now - client.askedAtMillis)
      if (lock.releasedAtMillis > client.askedAtMillis) handovers.push(now - lock.releasedAtMillis)
    }
    see(client, lock.object.version, stateOf(lock))
    const endMillis = now + holdMillis
    const goOn = () => {
      const next = agenda.nowMillis() + ttlMillis / 3
      if (next < endMillis) agenda.plan(next, () => patch(lock.object, () => true, () => undefined, goOn))
      else agenda.plan(endMillis, () => giveBack(client))
    }
    goOn()
  }

  const giveBack = (client: Client) => {
    const { lock } = client
    lock.releasedAtMillis = agenda.nowMillis()
    patch(
      lock.object,
      () => true,
      () => {
        lock.holder = undefined
        lock.object.held--
      },
      () => {
        see(client, lock.object.version, stateOf(lock))
        agenda.plan(agenda.nowMillis() + random() * 2 * thinkMillis, () => ask(client))
      }
    )
  }

  const ask = (client: Client) => {
    client.isWaiting = true
    observe(client, { _tag: "Waiting", isWaiting: true })
    client.askedAtMillis = agenda.nowMillis()
    if (client.turns === undefined) take(client)
    else planTry(client)
  }

  const objects = Array.from({ length: options.objects }, (): KubeObject => ({ version: 1, held: 0, watchers: [] }))
  const locks = Array.from({ length: options.locks }, (_, index): Lock => ({
    object: objects[index % objects.length]!,
    holder: undefined,
    acquisition: 0,
    releasedAtMillis: 0
  }))
  for (let index = 0; index < options.clients; index++) {
    const client: Client = {
      name: `p${index}`,
      lock: locks[index % locks.length]!,
      turns: undefined,
      isWaiting: false,
      isTrying: false,
      askedAtMillis: 0,
      plan: 0
    }
    agenda.plan(random() * 2 * thinkMillis, () => ask(client))
  }
  agenda.runUntil(beginMillis + lastsMillis)
  const seconds = lastsMillis / 1_000
  return {
    acquisitionsPerSecond: counts.acquisitions / seconds,
    handoverMillis: distribution(handovers),
    waitMillis: distribution(waits),
    requestsPerSecond: counts.requests / seconds,
    requestsPerAcquisition: counts.requests / counts.acquisitions,
    retriesPerAcquisition: counts.retries / counts.acquisitions,
    eventsPerSecond: counts.events / seconds,
    bytesPerSecond: counts.bytes / seconds,
    busy: Math.min(1, counts.busyMillis / costs.processors / lastsMillis)
  }
}
