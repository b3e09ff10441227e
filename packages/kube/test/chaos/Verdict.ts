/**
 * Judges a history: what must not be, and what it comes to. Pure.
 *
 * **Details**
 *
 * What a section does counts at the witness, between `Entered` and `Left`, or the end of its worker. Nothing makes a process stop
 * that is itself stopped, so a section is **excused** for being late
 *
 * - where its worker was stopped (`Stop`) at any time since one TTL before it entered: within that time its lock was good;
 * - where the object was made again in that time, and its token is of the one before: that took its lock away without asking.
 *
 * An excused section may be there beside its successor, but everything it does then must be refused. Nobody else may be there
 * beside another, or so much as come with a token that is too low. No other excuse is taken: a worker whose connections are
 * cut, delayed or swallowed must end its section in time.
 *
 * **Recovery** is measured where a worker is killed, stopped or swallowed (`Kill`, `Stop`, `BlackHole`) in the midst of a section: from
 * then, or from the last write of its record that the API server has made since, to the next acquisition, as the API server or the
 * witness shows it first. (Who acquires it may be cut off too, and not know it: that is another loss.) The bound is the holder's TTL, `takeoverDelay` (nothing) and {@link attemptMillis}. While the API server or the object
 * is not there, nobody can take a lock: where that was so meanwhile, the attempt comes at the latest {@link reconnectMillis} after its
 * end.
 */
import { type Event, type FaultKind, faultKinds, type Record } from "./History.ts"

/** One attempt: waking up, the turns of those who wait (some of them cut off themselves), and the request, on a busy machine. */
export const attemptMillis = 1_000

/** What the longest pause between two tries comes to, by `RetryPolicy`, after the API server was away for seconds. */
export const reconnectMillis = 3_500

/** What must not be. */
export type Rule =
  /** Two sections at once, and the one that was there first has no excuse. */
  | "Overlap"
  /** Somebody without an excuse has come with a token that is too low. */
  | "Late"
  /** The resource has accepted a token that is too low. */
  | "StaleAccepted"
  /** The resource has refused a token that is not. */
  | "RightfulRefused"
  /** Something was done in no section. */
  | "OutsideSection"
  /** The API server has made a fenced write of somebody who did not hold the lock. */
  | "StaleWriteAccepted"
  /** A fenced write was made twice. */
  | "WrittenTwice"
  /** A fenced write was said to be made, and was not. */
  | "WriteLost"
  /** A fenced write was refused by the API server each time, and was made. */
  | "RefusedButMade"
  /** A record was replaced before it had expired. */
  | "ReplacedWhileHeld"
  /** A record was replaced by one under which a section had been before. Whoever has not known that they had a lock takes it once more. */
  | "Resurrected"
  /** A lock is still held after everything has ended. */
  | "LeftOver"
  /** It took too long until somebody had the lock after its holder was gone. */
  | "SlowRecovery"
  /** A worker that waits for the lock, as Go programs do not, did not have it again after the last fault. */
  | "NotServed"
  /** A worker has ended by itself. */
  | "WorkerDied"
  /** A worker did not end when it was asked to. */
  | "DidNotEnd"
  /** Nobody had the lock, or nobody of one language. */
  | "NothingAcquired"
  /** A kind of fault was never there. */
  | "NeverInjected"
  /** Events are missing, or out of order. */
  | "HistoryBroken"

export interface Violation {
  readonly rule: Rule
  /** Of the file, from 1. */
  readonly line: number
  readonly what: string
}

export interface Recovery {
  readonly kind: FaultKind
  readonly worker: string
  readonly tookMillis: number
  readonly boundMillis: number
  readonly isThroughOutage: boolean
}

export interface Figures {
  readonly seconds: number
  readonly sections: number
  readonly acquisitions: { readonly TypeScript: number; readonly Go: number }
  readonly faults: Readonly<globalThis.Record<FaultKind, number>>
  /** How many of them met the holder in its section. */
  readonly metHolder: number
  readonly controllerWrites: number
  readonly overlaps: number
  readonly staleAccepted: number
  readonly staleRefusedByWitness: number
  readonly staleRefusedByServer: number
  readonly fencedWrites: number
  readonly leftOver: number
  /** In the order in which they took place. */
  readonly recoveries: ReadonlyArray<Recovery>
  /** What workers met, and how often. */
  readonly failures: ReadonlyMap<string, number>
}

export interface Verdict {
  readonly violations: ReadonlyArray<Violation>
  readonly figures: Figures
}

type Of<Tag extends Event["_tag"]> = Extract<Event, { readonly _tag: Tag }>

interface Section {
  readonly name: string
  readonly worker: string
  readonly acquisition: string
  readonly token: bigint
  readonly enteredAtMicros: number
}

interface Span {
  readonly fromMicros: number
  /** Infinity until it is over. */
  toMicros: number
}

interface Fault extends Span {
  readonly kind: FaultKind
  readonly worker: string | undefined
  /** For an object that was made again: which tokens are of it. */
  tokensFrom: bigint | undefined
}

/** A holder that is gone, until somebody else has its lock. */
interface Loss {
  readonly kind: FaultKind
  readonly section: Section
  sinceMicros: number
}

interface Version {
  readonly uid: string
  readonly resourceVersion: bigint
  readonly record: Record | undefined
  readonly written: string | undefined
}

const outages: ReadonlySet<FaultKind> = new Set(["ServerKilled", "EtcdPaused", "ObjectRemade"])
const losses: ReadonlySet<FaultKind> = new Set(["Kill", "Stop", "BlackHole"])

/** Judges the events of a whole history. */
export const judge = (events: ReadonlyArray<Event>): Verdict => {
  const violations: Array<Violation> = []
  let line = 1
  const violated = (rule: Rule, what: string) => violations.push({ rule, line, what })

  const ttlMicros = new Map<string, number>()
  const languages = new Map<string, "TypeScript" | "Go">()

  let highest = { token: 0n, acquisition: "" }
  const open = new Map<string, Section>()
  const faults = new Map<number, Fault>()
  const acquired = { TypeScript: new Set<string>(), Go: new Set<string>() }
  const served = new Set<string>()
  const waitingLosses = new Set<Loss>()
  const recoveries: Array<Recovery> = []
  const failures = new Map<string, number>()
  const count = { sections: 0, metHolder: 0, controllerWrites: 0, refusedByWitness: 0, refusedByServer: 0, made: 0 }
  let healed = false
  let lastMicros = 0

  let version: Version | undefined
  let lastSeenVersion = 0n
  const gaps: Array<readonly [after: bigint, before: bigint]> = []
  const writtenAt = new Map<bigint, string>()
  const everWritten = new Set<string>()
  const everHeld = new Set<string>()
  const succeeded = new Set<string>()
  const claims: Array<readonly [line: number, claim: Of<"Wrote">]> = []

  const isLow = ({ acquisition, token }: { readonly acquisition: string; readonly token: bigint }) =>
    token < highest.token || (token === highest.token && acquisition !== highest.acquisition)

  const isExcused = ({ enteredAtMicros, token, worker }: Section) => {
    const sinceMicros = enteredAtMicros - (ttlMicros.get(worker) ?? 0)
    return [...faults.values()].some((fault) =>
      fault.toMicros >= sinceMicros && (
        (fault.kind === "Stop" && fault.worker === worker) ||
        (fault.kind === "ObjectRemade" && (fault.tokensFrom === undefined || token < fault.tokensFrom))
      )
    )
  }

  /** What the resource should have said to this section, and who has an excuse. */
  const met = (section: Section, accepted: boolean) => {
    const low = isLow(section)
    const told = `${section.name} with token ${section.token}, after ${highest.token} of ${highest.acquisition}`
    if (low && accepted) violated("StaleAccepted", told)
    if (!low && !accepted) violated("RightfulRefused", told)
    if (low && !isExcused(section)) violated("Late", told)
    if (!accepted) count.refusedByWitness++
  }

  const recovered = ({ kind, section, sinceMicros }: Loss, nowMicros: number) => {
    const expiredMicros = sinceMicros + (ttlMicros.get(section.worker) ?? 0)
    const outageEnds = [...faults.values()].filter(({ fromMicros, kind, toMicros }) =>
      outages.has(kind) && fromMicros <= nowMicros && toMicros >= sinceMicros
    ).map(({ toMicros }) => Math.min(toMicros, nowMicros))
    const fromMicros = Math.max(expiredMicros, ...outageEnds.map((end) => end + reconnectMillis * 1_000))
    const boundMillis = (fromMicros - sinceMicros) / 1_000 + attemptMillis
    const isThroughOutage = fromMicros > expiredMicros
    const tookMillis = (nowMicros - sinceMicros) / 1_000
    recoveries.push({ kind, worker: section.worker, tookMillis, boundMillis, isThroughOutage })
    if (tookMillis > boundMillis) {
      violated(
        "SlowRecovery",
        `${tookMillis.toFixed(0)} ms after ${section.name} was hit by ${kind}; at most ${boundMillis.toFixed(0)}`
      )
    }
  }

  /** Somebody has the lock, whether or not they know it yet. */
  const taken = (acquisition: string, nowMicros: number) => {
    for (const loss of waitingLosses) {
      if (loss.section.acquisition === acquisition) continue
      waitingLosses.delete(loss)
      recovered(loss, nowMicros)
    }
  }

  const entered = ({ accepted, acquisition, atMicros, section: name, token, worker }: Of<"Entered">) => {
    const section: Section = { name, worker, acquisition, token, enteredAtMicros: atMicros }
    met(section, accepted)
    if (!accepted) return
    count.sections++
    everHeld.add(acquisition)
    for (const other of open.values()) {
      if (!isExcused(other)) violated("Overlap", `${name} has entered while ${other.name} was inside`)
    }
    open.set(name, section)
    if (!isLow(section)) highest = { token, acquisition }
    const language = languages.get(worker)
    if (language === undefined) violated("HistoryBroken", `nobody knows ${worker}`)
    else acquired[language].add(acquisition)
    if (healed) served.add(worker)
    taken(acquisition, atMicros)
  }

  const used = ({ accepted, section: name, token }: Of<"Used">) => {
    const section = open.get(name)
    if (section === undefined) violated("OutsideSection", name)
    else met({ ...section, token }, accepted)
  }

  const faultBegan = ({ atMicros, fault, kind, worker }: Of<"FaultBegan">) => {
    faults.set(fault, { kind, worker, fromMicros: atMicros, toMicros: Infinity, tokensFrom: undefined })
    for (const section of open.values()) {
      if (section.worker !== worker) continue
      count.metHolder++
      if (losses.has(kind)) waitingLosses.add({ kind, section, sinceMicros: atMicros })
    }
  }

  const changed = (before: Version, now: Version) => {
    if (
      now.record !== undefined && before.record !== undefined && now.record.acquisition !== before.record.acquisition
    ) {
      const told = `${now.record.acquisition} in place of ${before.record.acquisition}, version ${now.resourceVersion}`
      if (before.record.createdAtNanos + before.record.ttlNanos >= now.record.createdAtNanos) {
        violated("ReplacedWhileHeld", told)
      }
      if (succeeded.has(now.record.acquisition)) violated("Resurrected", told)
    }
    if (before.record !== undefined && now.record?.acquisition !== before.record.acquisition) {
      if (everHeld.has(before.record.acquisition)) succeeded.add(before.record.acquisition)
    }
    if (now.written === undefined || now.written === before.written) return
    const writer = now.written.split(" ")[0]
    if (now.record?.acquisition !== writer || before.record?.acquisition !== writer) {
      violated(
        "StaleWriteAccepted",
        `${now.written}, while ${before.record?.acquisition ?? "nobody"} held the lock, version ${now.resourceVersion}`
      )
    }
    if (everWritten.has(now.written)) violated("WrittenTwice", now.written)
  }

  const observed = ({ atMicros, record, resourceVersion, uid, written }: Of<"Observed">) => {
    if (resourceVersion <= lastSeenVersion) violated("HistoryBroken", `version ${resourceVersion} was seen before`)
    const now: Version = { uid, resourceVersion, record, written }
    if (version?.uid === uid) {
      changed(version, now)
      if (record !== undefined && record.createdAtNanos !== version.record?.createdAtNanos) {
        for (const loss of waitingLosses) {
          if (loss.section.acquisition === record.acquisition) loss.sinceMicros = atMicros
        }
      }
    } else gaps.push([lastSeenVersion, resourceVersion])
    if (written !== undefined) {
      everWritten.add(written)
      writtenAt.set(resourceVersion, written)
    }
    if (record !== undefined) {
      taken(record.acquisition, atMicros)
    }
    version = now
    lastSeenVersion = resourceVersion
  }

  const judgeClaims = () => {
    for (const [at, { outcome, resourceVersion = 0n, statuses, value }] of claims) {
      line = at
      const isUnseen = resourceVersion > lastSeenVersion ||
        gaps.some(([after, before]) => resourceVersion > after && resourceVersion < before)
      if (outcome === "Made" && !isUnseen && writtenAt.get(resourceVersion) !== value) violated("WriteLost", value)
      const isRefused = statuses.length > 0 && statuses.every((status) => status >= 400 && status < 500)
      if (outcome !== "Made" && isRefused && everWritten.has(value)) violated("RefusedButMade", value)
    }
  }

  const step = (event: Event) => {
    switch (event._tag) {
      case "Began":
        for (const { language, ttlMillis, worker } of event.workers) {
          ttlMicros.set(worker, ttlMillis * 1_000)
          languages.set(worker, language)
        }
        return
      case "Entered":
        return entered(event)
      case "Used":
        return used(event)
      case "Left":
        if (!open.delete(event.section)) violated("OutsideSection", `${event.section} left`)
        return
      case "Ended":
        for (const { name, worker } of open.values()) if (worker === event.worker) open.delete(name)
        if (event.how === "Itself") violated("WorkerDied", event.worker)
        if (event.how === "Late") violated("DidNotEnd", event.worker)
        return
      case "Wrote":
        claims.push([line, event])
        if (event.outcome === "Made") count.made++
        if (event.outcome !== "Made" && event.statuses.includes(422)) count.refusedByServer++
        return
      case "Failed":
        failures.set(event.failure, (failures.get(event.failure) ?? 0) + 1)
        return
      case "FaultBegan":
        return faultBegan(event)
      case "FaultEnded": {
        const fault = faults.get(event.fault)
        if (fault === undefined) violated("HistoryBroken", `fault ${event.fault} has not begun`)
        else fault.toMicros = event.atMicros
        return
      }
      case "ObjectMade":
        for (const fault of faults.values()) {
          if (fault.kind === "ObjectRemade" && fault.tokensFrom === undefined) fault.tokensFrom = event.resourceVersion
        }
        return
      case "ControllerWrote":
        count.controllerWrites++
        return
      case "Observed":
        return observed(event)
      case "Deleted":
        version = undefined
        return
      case "Missed":
        version = undefined
        return
      case "Healed":
        healed = true
        return
      case "Found":
        for (const held of event.held) violated("LeftOver", held)
        return
      case "Started":
      case "Over":
        return
    }
  }

  if (events[0]?._tag !== "Began") violated("HistoryBroken", "it has no beginning")
  for (const [index, event] of events.entries()) {
    line = index + 1
    if (event.atMicros < lastMicros) violated("HistoryBroken", `${event._tag} is out of order`)
    lastMicros = event.atMicros
    step(event)
  }
  if (events.at(-1)?._tag !== "Over") violated("HistoryBroken", "it has no end")
  if (!healed) violated("HistoryBroken", "the faults have no end")
  judgeClaims()
  line = events.length
  const kinds = [...faults.values()].map(({ kind }) => kind)
  for (const kind of faultKinds) if (!kinds.includes(kind)) violated("NeverInjected", kind)
  if (count.controllerWrites === 0) violated("NeverInjected", "another writer")
  for (const [worker, language] of languages) {
    if (language === "TypeScript" && !served.has(worker)) violated("NotServed", worker)
  }
  for (const language of ["TypeScript", "Go"] as const) {
    if (acquired[language].size === 0) violated("NothingAcquired", language)
  }

  const countOf = (...rules: ReadonlyArray<Rule>) => violations.filter(({ rule }) => rules.includes(rule)).length
  return {
    violations,
    figures: {
      seconds: lastMicros / 1e6,
      sections: count.sections,
      acquisitions: { TypeScript: acquired.TypeScript.size, Go: acquired.Go.size },
      faults: timesOf(kinds),
      metHolder: count.metHolder,
      controllerWrites: count.controllerWrites,
      overlaps: countOf("Overlap", "Late"),
      staleAccepted: countOf("StaleAccepted", "StaleWriteAccepted"),
      staleRefusedByWitness: count.refusedByWitness,
      staleRefusedByServer: count.refusedByServer,
      fencedWrites: count.made,
      leftOver: countOf("LeftOver"),
      recoveries,
      failures
    }
  }
}

const timesOf = (kinds: ReadonlyArray<FaultKind>): Figures["faults"] => {
  const times = {
    Kill: 0,
    Stop: 0,
    Delay: 0,
    Cut: 0,
    HalfClose: 0,
    BlackHole: 0,
    ServerKilled: 0,
    EtcdPaused: 0,
    TokenRotated: 0,
    ObjectRemade: 0
  }
  for (const kind of kinds) times[kind]++
  return times
}

const longest = (recoveries: ReadonlyArray<Recovery>): string => {
  const [first] = recoveries.toSorted((left, right) => right.tookMillis - left.tookMillis)
  return first === undefined
    ? "none"
    : `${first.tookMillis.toFixed(0)} ms of at most ${first.boundMillis.toFixed(0)} (${first.worker}, ${first.kind})`
}

/** The figures and the violations, a line each. */
export const lines = ({ figures, violations }: Verdict): ReadonlyArray<string> => {
  const { acquisitions, faults, recoveries } = figures
  const [through, without] = [true, false].map((isThrough) =>
    recoveries.filter(({ isThroughOutage }) => isThroughOutage === isThrough)
  )
  return [
    `acquisitions: ${acquisitions.TypeScript} in TypeScript, ${acquisitions.Go} in Go, ${figures.sections} sections, in ${
      figures.seconds.toFixed(0)
    } s`,
    `faults: ${faultKinds.map((kind) => `${kind} ${faults[kind]}`).join(", ")}; ${figures.metHolder} met a holder`,
    `writes of an unrelated controller: ${figures.controllerWrites}`,
    `overlaps: ${figures.overlaps}`,
    `stale writes accepted: ${figures.staleAccepted}`,
    `stale writes refused: ${figures.staleRefusedByWitness} by the resource, ${figures.staleRefusedByServer} by the API server; fenced writes made: ${figures.fencedWrites}`,
    `locks left over: ${figures.leftOver}`,
    `longest recovery: ${longest(without ?? [])}; through an outage: ${
      longest(through ?? [])
    }; ${recoveries.length} in all`,
    `what workers met: ${
      [...figures.failures].toSorted(([, left], [, right]) => right - left).map(([name, times]) => `${name} ${times}`)
        .join(", ")
    }`,
    ...violations.map(({ line, rule, what }) => `VIOLATION ${rule}, line ${line}: ${what}`)
  ]
}
