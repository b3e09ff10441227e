/**
 * A few clients that take, renew and release locks of one object, and everything that can come between: requests and answers that
 * are late, lost or left behind; clients that crash or stand still; clocks that are apart.
 *
 * **Details**
 *
 * The clients are the library's own: `Operation`, the machine that its shell performs, `Tasks`, and the decisions of `core`. What is
 * modelled here is the API server (annotations, and one resourceVersion for every write), the network, and time, which passes
 * in whole ticks. A client that does nothing while time passes is one that is slow, paused, or waits for a fiber.
 *
 * A Go-like client does as the Go library: GET, decide, PUT, which fails if anything was written in between.
 */
import * as Operation from "#internal/Operation"
import * as Tasks from "#internal/Tasks"
import { AnnotationEdit, LockName, LockRecord, LockState, Ttl } from "@kubelock/core"
import { type Lease, ResourceRef } from "@kubelock/kube"
import { Result } from "effect"
import type { Event, World } from "./Search.ts"

/** What is searched. Times are in ticks. */
export interface Config {
  readonly clients: ReadonlyArray<"ours" | "go">
  /** Taken together, all or none. */
  readonly locks: ReadonlyArray<string>
  readonly ttl: number
  readonly safetyMargin: number
  readonly takeoverDelay: number
  /** By how much the clocks of two clients can be apart. */
  readonly skew: number
  /** How often a clock is set while they work, in all: by one tick, within `skew`. */
  readonly clockSteps: number
  /** When time stops. */
  readonly until: number
  readonly acquisitionsPerClient: number
  readonly renewalsPerAcquisition: number
  /** How many requests or answers are lost or left behind, in all. */
  readonly losses: number
  readonly crashes: number
}

const resource = ResourceRef.configMap({ namespace: "n", name: "o" })

type Edits = ReadonlyArray<AnnotationEdit.AnnotationEdit>

/** A request on its way to the server, or its answer on the way back. */
type Flight =
  | { readonly _tag: "Edit"; readonly edits: Edits }
  | { readonly _tag: "Put"; readonly annotations: AnnotationEdit.Annotations; readonly resourceVersion: number }
  | { readonly _tag: "Get" }
  | { readonly _tag: "Made"; readonly resourceVersion: number }
  | { readonly _tag: "Refused" }
  | { readonly _tag: "Got"; readonly annotations: AnnotationEdit.Annotations; readonly resourceVersion: number }

// None of the tasks has an ending of its own.
type Task = Omit<Operation.Task<AnnotationEdit.AnnotationEdit, unknown>, "ending">

interface Machine {
  readonly purpose: "acquire" | "renew" | "release"
  readonly state: Operation.State<AnnotationEdit.AnnotationEdit>
  readonly attempt: Operation.Attempt<AnnotationEdit.AnnotationEdit> | undefined
}

interface Client {
  readonly kind: "ours" | "go"
  /** How far its wall clock is ahead. */
  readonly ahead: number
  readonly isCrashed: boolean
  readonly acquisitions: number
  readonly renewals: number
  readonly machine: Machine | undefined
  /** What a Go-like client is about. */
  readonly go: "acquire" | "release" | undefined
  readonly flight: Flight | undefined
  /** What it has written, or may have, and takes back. */
  readonly undo: ReadonlyArray<Edits>
  readonly standings: ReadonlyArray<Tasks.Standing>
  /** Until when a Go-like client believes that it holds the lock; 0 where it does not. */
  readonly goHoldsUntil: number
}

/** All there is. */
export interface State {
  readonly now: number
  readonly resourceVersion: number
  readonly annotations: AnnotationEdit.Annotations
  readonly clients: ReadonlyArray<Client>
  /** Requests whose senders have given up on them, and which may still arrive. */
  readonly astray: ReadonlyArray<Edits>
  /** A record may have been left that nobody knows of: by one of those, or where nobody knows what became of taking one back. */
  readonly isHaunted: boolean
  readonly losses: number
  readonly crashes: number
  readonly clockSteps: number
  /** Of those who have held the lock for certain, the last one's token. */
  readonly lastToken: number
  readonly wrong: string | undefined
}

const quiet: Omit<Client, "kind"> = {
  ahead: 0,
  isCrashed: false,
  acquisitions: 0,
  renewals: 0,
  machine: undefined,
  go: undefined,
  flight: undefined,
  undo: [],
  standings: [],
  goHoldsUntil: 0
}

/** The world of a configuration. */
export const world = (config: Config): World<State> => {
  const locks = config.locks.map((name) => Result.getOrThrow(LockName.make(name)))
  const keys = locks.map(LockName.toKey)
  const ttl = Result.getOrThrow(Ttl.make(BigInt(config.ttl)))
  const marginNanos = BigInt(config.safetyMargin)

  const nameOf = (index: number) => String.fromCharCode(65 + index)
  const instantOf = (state: State, { ahead }: Client): Operation.Instant => ({
    monotonicNanos: BigInt(state.now),
    wallNanos: BigInt(state.now + ahead)
  })
  const wallOf = (state: State, client: Client) => BigInt(state.now + client.ahead)

  const replace = (state: State, index: number, change: Partial<Client>): State => ({
    ...state,
    clients: state.clients.map((client, at) => at === index ? { ...client, ...change } : client)
  })

  const idOf = (index: number, acquisitions: number) => `${nameOf(index)}${acquisitions}`

  const requestsOf = (index: number, { acquisitions }: Client): ReadonlyArray<Tasks.AcquireRequest> =>
    locks.map((lock) => ({
      lock,
      owner: nameOf(index),
      id: idOf(index, acquisitions),
      ttl,
      takeoverDelayNanos: BigInt(config.takeoverDelay)
    }))

  const taskOf = (
    index: number,
    client: Client,
    purpose: Machine["purpose"]
  ): Task => {
    switch (purpose) {
      case "acquire":
        return Tasks.acquire(requestsOf(index, client), {})
      case "renew":
        return Tasks.renew(
          client.standings.map((standing) => ({
            standing,
            createdAtNanos: ({ wallNanos }) => wallNanos,
            ended: () => undefined
          })),
          () => {}
        )
      case "release":
        return Tasks.release(client.standings.map(({ lease }) => lease), () => {})
    }
  }

  /** What follows when a client's machine has taken a step. `resourceVersion` is the one that was answered with, or read. */
  const proceed = (
    state: State,
    index: number,
    purpose: Machine["purpose"],
    { next, state: machineState }: Operation.Step<AnnotationEdit.AnnotationEdit, unknown>,
    resourceVersion: number
  ): State => {
    const machine = { purpose, state: machineState, attempt: undefined }
    switch (next._tag) {
      case "Send":
        return replace(state, index, {
          machine: { ...machine, attempt: next.attempt },
          flight: { _tag: "Edit", edits: next.attempt.edits }
        })
      case "Read":
        return replace(state, index, { machine, flight: { _tag: "Get" } })
      case "Made":
        return made(state, index, purpose, next.attempt, resourceVersion)
      case "Refuse":
        return replace(state, index, {
          machine: undefined,
          flight: undefined,
          standings: [],
          undo: purpose === "acquire" ? machineState.perhapsMade.map(({ edits }) => edits) : []
        })
    }
  }

  const made = (
    state: State,
    index: number,
    purpose: Machine["purpose"],
    { edits, sentAt }: Operation.Attempt<AnnotationEdit.AnnotationEdit>,
    resourceVersion: number
  ): State => {
    const client = state.clients[index]!
    const done: Partial<Client> = { machine: undefined, flight: undefined }
    const recordOf = (edit: AnnotationEdit.AnnotationEdit) => Result.getOrThrow(LockRecord.parse(edit.value!))
    switch (purpose) {
      case "release":
        return replace(state, index, { ...done, standings: [] })
      case "renew": {
        // As the shell: what comes too late changes nothing any more, and what was left out neither.
        const standings = client.standings.map((standing) => {
          const edit = edits.find(({ key }) => key === LockName.toKey(standing.lease.name))
          return edit === undefined || Tasks.remainingNanos(standing, marginNanos, BigInt(state.now)) === 0n
            ? standing
            : { lease: { ...standing.lease, record: recordOf(edit) }, renewedAt: sentAt }
        })
        return replace(state, index, { ...done, standings })
      }
      case "acquire": {
        const id = idOf(index, client.acquisitions)
        const standings = edits.map((edit, at): Tasks.Standing => {
          const lease: Lease = {
            resource,
            name: locks[at]!,
            owner: nameOf(index),
            id,
            record: recordOf(edit),
            fencingToken: BigInt(resourceVersion)
          }
          return { lease, renewedAt: sentAt }
        })
        const isHeld = Tasks.remainingNanos(standings[0]!, marginNanos, BigInt(state.now)) > 0n
        const taken = replace(state, index, { ...done, standings, renewals: 0 })
        if (!isHeld) return taken
        return resourceVersion > state.lastToken
          ? { ...taken, lastToken: resourceVersion }
          : { ...taken, wrong: `a holder's token is ${resourceVersion}, and an earlier one had ${state.lastToken}` }
      }
    }
  }

  const write = (state: State, annotations: AnnotationEdit.Annotations): State => ({
    ...state,
    annotations,
    resourceVersion: state.resourceVersion + 1
  })

  const arrive = (state: State, index: number, flight: Flight): State => {
    switch (flight._tag) {
      case "Edit": {
        const after = AnnotationEdit.apply(state.annotations, flight.edits)
        if (Result.isFailure(after)) return replace(state, index, { flight: { _tag: "Refused" } })
        const written = write(state, after.success)
        return replace(written, index, { flight: { _tag: "Made", resourceVersion: written.resourceVersion } })
      }
      case "Put": {
        if (flight.resourceVersion !== state.resourceVersion) {
          return replace(state, index, { flight: { _tag: "Refused" } })
        }
        const written = write(state, flight.annotations)
        return replace(written, index, { flight: { _tag: "Made", resourceVersion: written.resourceVersion } })
      }
      default: {
        const { annotations, resourceVersion } = state
        return replace(state, index, { flight: { _tag: "Got", annotations, resourceVersion } })
      }
    }
  }

  const answer = (state: State, index: number, flight: Flight): State => {
    const client = state.clients[index]!
    if (client.kind === "go") return answerGo(state, index, flight)
    if (client.machine === undefined) return replace(state, index, { flight: undefined, undo: client.undo.slice(1) })
    const { attempt, purpose, state: machineState } = client.machine
    const task = taskOf(index, client, purpose)
    switch (flight._tag) {
      case "Made":
        return made(state, index, purpose, attempt!, flight.resourceVersion)
      case "Refused":
        return proceed(state, index, purpose, Operation.refused(task, machineState, attempt!), 0)
      case "Got": {
        const { annotations, resourceVersion } = flight
        const seen = { uid: "", annotations, resourceVersion: BigInt(resourceVersion) }
        const step = Operation.read(task, machineState, seen, instantOf(state, client))
        return proceed(state, index, purpose, step, resourceVersion)
      }
      default:
        return state
    }
  }

  /** Nobody tells the client what became of its write. */
  const lose = (state: State, index: number): State => {
    const client = state.clients[index]!
    const after = { ...state, losses: state.losses + 1 }
    // Go's library returns the error. Whether its caller holds the lock then, it does not know: it does not work under it.
    if (client.kind === "go") return replace(after, index, { flight: undefined, go: undefined, goHoldsUntil: 0 })
    if (client.machine === undefined) {
      return replace({ ...after, isHaunted: true }, index, { flight: undefined, undo: client.undo.slice(1) })
    }
    const { attempt, purpose, state: machineState } = client.machine
    return proceed(after, index, purpose, Operation.failed(machineState, attempt!, true), 0)
  }

  const answerGo = (state: State, index: number, flight: Flight): State => {
    const client = state.clients[index]!
    const idle: Partial<Client> = { flight: undefined, go: undefined }
    const [lock] = locks
    if (flight._tag === "Made") {
      return client.go === "release"
        ? replace(state, index, { ...idle, goHoldsUntil: 0 })
        : replace(state, index, { ...idle, goHoldsUntil: client.goHoldsUntil })
    }
    if (flight._tag !== "Got") {
      return replace(state, index, { ...idle, ...(client.go === "acquire" ? { goHoldsUntil: 0 } : {}) })
    }
    const { annotations, resourceVersion } = flight
    const found = LockState.read(annotations, lock!, wallOf(state, client))
    if (client.go === "acquire") {
      if (found._tag === "Held") return replace(state, index, idle)
      const text = LockRecord.format({
        owner: nameOf(index) + client.acquisitions,
        createdAtNanos: wallOf(state, client),
        ttlNanos: ttl
      })
      return replace(state, index, {
        flight: { _tag: "Put", annotations: { ...annotations, [keys[0]!]: text }, resourceVersion },
        goHoldsUntil: state.now + config.ttl
      })
    }
    if (found._tag !== "Held" || found.record.owner !== nameOf(index) + client.acquisitions) {
      return replace(state, index, { ...idle, goHoldsUntil: 0 })
    }
    const { [keys[0]!]: _, ...rest } = annotations
    return replace(state, index, { flight: { _tag: "Put", annotations: rest, resourceVersion } })
  }

  const holdsOurs = (state: State, { standings }: Client) =>
    standings.length > 0 &&
    standings.every((standing) => Tasks.remainingNanos(standing, marginNanos, BigInt(state.now)) > 0n)

  /** Whether it may work under the lock now: by its monotonic clock; a Go program, by the TTL that it asked for. */
  const holds = (state: State, client: Client): boolean => {
    if (client.isCrashed) return false
    return client.kind === "ours"
      ? client.machine?.purpose !== "release" && holdsOurs(state, client)
      : client.go === undefined && client.goHoldsUntil > 0 && client.goHoldsUntil > state.now
  }

  const eventsOf = (state: State, index: number): ReadonlyArray<Event<State>> => {
    const client = state.clients[index]!
    if (client.isCrashed) return []
    const name = nameOf(index)
    const events: Array<Event<State>> = []
    const add = (told: string, after: State) => events.push({ told: `${state.now}: ${name} ${told}`, after })
    const begin = (purpose: Machine["purpose"], change: Partial<Client>) => {
      const ready = replace(state, index, change)
      const task = taskOf(index, ready.clients[index]!, purpose)
      return proceed(ready, index, purpose, Operation.start(task, instantOf(state, client)), 0)
    }
    const { flight } = client
    if (flight !== undefined) {
      const isRequest = flight._tag === "Edit" || flight._tag === "Put" || flight._tag === "Get"
      const isWrite = flight._tag !== "Get" && flight._tag !== "Got"
      if (isRequest) add(`'s ${tell(flight)} arrives`, arrive(state, index, flight))
      else add(`is told: ${tell(flight)}`, answer(state, index, flight))
      if (isWrite && state.losses < config.losses) {
        add(`'s ${tell(flight)} is lost`, lose(state, index))
        if (flight._tag === "Edit" && client.machine !== undefined) {
          add(
            `gives up on its ${tell(flight)}, which is still under way`,
            lose({ ...state, astray: [...state.astray, flight.edits] }, index)
          )
        }
      }
    } else if (client.undo.length > 0) {
      const edits = client.undo[0]!.map(({ key, value }) => ({ key, expected: value, value: undefined }))
      add("takes back what it may have written", replace(state, index, { flight: { _tag: "Edit", edits } }))
    } else if (client.kind === "go") {
      if (client.goHoldsUntil > 0) {
        add("begins to release", replace(state, index, { go: "release", flight: { _tag: "Get" } }))
      } else if (client.acquisitions < config.acquisitionsPerClient) {
        add(
          "begins to acquire",
          replace(state, index, { go: "acquire", flight: { _tag: "Get" }, acquisitions: client.acquisitions + 1 })
        )
      }
    } else if (client.standings.length > 0) {
      add("begins to release", begin("release", {}))
      const { renewals } = client
      if (renewals < config.renewalsPerAcquisition && holdsOurs(state, client)) {
        add("begins to renew", begin("renew", { renewals: renewals + 1 }))
      }
    } else if (client.acquisitions < config.acquisitionsPerClient) {
      add("begins to acquire", begin("acquire", { acquisitions: client.acquisitions + 1 }))
    }
    if (state.crashes < config.crashes) {
      add("crashes", {
        ...replace(state, index, { ...quiet, isCrashed: true }),
        crashes: state.crashes + 1,
        astray: flight?._tag === "Edit" ? [...state.astray, flight.edits] : state.astray
      })
    }
    if (state.clockSteps < config.clockSteps) {
      const stepped = { ...state, clockSteps: state.clockSteps + 1 }
      if (client.ahead < config.skew) {
        add("'s clock is set forward", replace(stepped, index, { ahead: client.ahead + 1 }))
      }
      if (client.ahead > 0) add("'s clock is set back", replace(stepped, index, { ahead: client.ahead - 1 }))
    }
    return events
  }

  const arriveAstray = (state: State, at: number): State => {
    const astray = state.astray.filter((_, index) => index !== at)
    const edits = state.astray[at]!
    const after = AnnotationEdit.apply(state.annotations, edits)
    if (Result.isFailure(after)) return { ...state, astray }
    const isHaunted = state.isHaunted || edits.some(({ value }) => value !== undefined)
    return { ...write(state, after.success), astray, isHaunted }
  }

  const isOver = (state: State) =>
    state.clients.every((client) =>
      client.acquisitions === config.acquisitionsPerClient && client.flight === undefined &&
      client.undo.length === 0 && client.standings.length === 0 && client.goHoldsUntil === 0
    )

  const beginnings = (state: State): ReadonlyArray<Event<State>> =>
    state.clients.reduce<ReadonlyArray<ReadonlyArray<number>>>(
      (chosen) => chosen.flatMap((ahead) => Array.from({ length: config.skew + 1 }, (_, more) => [...ahead, more])),
      [[]]
    ).map((ahead) => ({
      told: `the clocks are ahead by ${ahead.join(", ")}`,
      after: { ...state, now: 0, clients: state.clients.map((client, index) => ({ ...client, ahead: ahead[index]! })) }
    }))

  return {
    initial: {
      // Before anything happens, it is chosen how far each clock is ahead.
      now: -1,
      resourceVersion: 0,
      annotations: {},
      clients: config.clients.map((kind) => ({ ...quiet, kind })),
      astray: [],
      isHaunted: false,
      losses: 0,
      crashes: 0,
      clockSteps: 0,
      lastToken: 0,
      wrong: undefined
    },
    events: (state) =>
      state.now < 0 ? beginnings(state) : [
        ...state.clients.flatMap((_, index) => eventsOf(state, index)),
        ...state.astray.map((_, at) => ({
          told: `${state.now}: a request that was given up arrives`,
          after: arriveAstray(state, at)
        })),
        ...(state.now < config.until ? [{ told: `${state.now}: a tick`, after: { ...state, now: state.now + 1 } }] : [])
      ],
    violation: (state) => {
      const holders = state.clients.flatMap((client, index) => holds(state, client) ? [nameOf(index)] : [])
      if (holders.length > 1) return `${holders.join(" and ")} hold the lock at once`
      if (state.wrong !== undefined) return state.wrong
      // The Go library neither releases what has expired nor knows of several locks.
      if (config.clients.includes("go") || state.isHaunted) return undefined
      const present = keys.filter((key) => AnnotationEdit.get(state.annotations, key) !== undefined)
      if (present.length % keys.length !== 0) return `only ${present.length} of the locks are taken`
      if (isOver(state) && state.crashes === 0 && present.length > 0) return "a record was left behind"
      return undefined
    },
    textOf
  }
}

/** Short, since it is made for every event. */
const textOf = (state: State): string => {
  const clients = state.clients.map((client) => {
    const { acquisitions, ahead, flight, go, goHoldsUntil, isCrashed, machine, renewals, standings, undo } = client
    return [
      ahead,
      isCrashed ? "!" : "",
      acquisitions,
      renewals,
      go ?? "",
      goHoldsUntil,
      flight === undefined ? "" : tell(flight),
      undo.map(textOfEdits).join("/"),
      machine === undefined ? "" : [
        machine.purpose,
        machine.state.isRead,
        machine.attempt === undefined ? "" : textOfAttempt(machine.attempt),
        machine.state.lastRefused === undefined ? "" : "refused",
        machine.state.refused.map(textOfAttempt).join("/"),
        machine.state.perhapsMade.map(textOfAttempt).join("/")
      ].join(","),
      standings.map(({ lease, renewedAt }) =>
        `${lease.name} ${lease.record.createdAtNanos} ${lease.fencingToken} ${renewedAt.monotonicNanos}`
      ).join("/")
    ].join(";")
  })
  return [
    state.now,
    state.resourceVersion,
    JSON.stringify(state.annotations),
    state.astray.map(textOfEdits).join("/"),
    state.isHaunted,
    state.losses,
    state.crashes,
    state.clockSteps,
    state.lastToken,
    state.wrong,
    ...clients
  ].join("|")
}

const textOfEdits = (edits: Edits): string => edits.map(({ expected, value }) => `${expected}>${value}`).join(",")

const textOfAttempt = ({ edits, sentAt }: Operation.Attempt<AnnotationEdit.AnnotationEdit>): string =>
  `${textOfEdits(edits)}@${sentAt.monotonicNanos},${sentAt.wallNanos}`

const tell = (flight: Flight): string => {
  switch (flight._tag) {
    case "Edit":
      return `edit to ${flight.edits.map(({ value }) => value ?? "nothing").join(", ")}`
    case "Put":
      return `PUT of ${JSON.stringify(flight.annotations)}`
    case "Get":
      return "GET"
    case "Got":
      return `read ${JSON.stringify(flight.annotations)}`
    case "Made":
      return `made, resourceVersion ${flight.resourceVersion}`
    case "Refused":
      return "refused"
  }
}
