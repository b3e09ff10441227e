/** The workers, and the parent's part in what they do: it starts them, accepts or refuses what they bring, and notes it all. */
import { Deferred, Effect, Exit, Option, Queue, Schema, Scope, Stream } from "effect"
import { ChildProcessSpawner } from "effect/process"
import * as OtherProcess from "../processes/OtherProcess.ts"
import * as LockedObject from "./LockedObject.ts"
import { Message, Orders, Verdict } from "./Message.ts"
import type * as Recorder from "./Recorder.ts"
import type { Proxy } from "./Toxiproxy.ts"
import * as Witness from "./Witness.ts"

/** Who a worker is. */
export interface Member {
  readonly worker: string
  readonly language: "TypeScript" | "Go"
  readonly ttlMillis: number
}

/** A worker that can be done things to. */
export interface Worker extends Member {
  readonly proxy: Proxy
  readonly signal: (signal: "SIGSTOP" | "SIGCONT") => Effect.Effect<void>
  /** Kills it; done when it is gone. */
  readonly kill: Effect.Effect<void>
  /** Starts it again; done when it wants the lock. */
  readonly start: Effect.Effect<void, OtherProcess.ProcessFailed>
  /** Asks it to end; done when it has, or was killed because it did not. */
  readonly end: Effect.Effect<void>
}

// Loading takes most of a second of processor time, on a machine that others keep busy.
const startTimeout = "30 seconds"
// A release, twice as long as the longest request of the library.
const endTimeout = "20 seconds"

/** What a worker's language makes of its program and its rights. */
export interface Means {
  readonly goPeer: string
  readonly kubeconfigFile: (member: Member) => string
}

interface Incarnation {
  readonly number: number
  readonly process: Effect.Success<ReturnType<typeof open>>
  readonly replies: Queue.Queue<string>
  readonly ended: Deferred.Deferred<void>
  /** Why it ends, where it does not so by itself. */
  how: "Killed" | "Asked" | "Late" | "Itself"
}

const open = (
  program: Pick<OtherProcess.Program<never>, "command" | "args">,
  replies: Queue.Queue<string>
) => OtherProcess.open({ ...program, message: Message, input: Stream.fromQueue(replies) })

/** What the parent sees of all sections. */
const makeWitness = (record: Recorder.Record) => {
  let witness = Witness.nobody
  const served = new Map<string, number>()
  let writer: string | undefined
  const inside = new Map<string, { readonly worker: string; readonly acquisition: string }>()
  const meet = (comer: Witness.Witness) => {
    const [accepted, next] = Witness.meet(witness, comer)
    witness = next
    return accepted
  }
  return {
    /** What is answered, if anything is. */
    hear: (worker: string, message: Message): boolean | undefined => {
      switch (message._tag) {
        case "Enter": {
          const { acquisition, section, token } = message
          const accepted = meet(message)
          record({ _tag: "Entered", worker, section, acquisition, token, accepted })
          if (accepted) {
            inside.set(section, { worker, acquisition })
            served.set(worker, (served.get(worker) ?? 0) + 1)
          }
          return accepted
        }
        case "Use": {
          const { section, token } = message
          const accepted = meet({ token, acquisition: inside.get(section)?.acquisition ?? "" })
          record({ _tag: "Used", worker, section, token, accepted })
          return accepted
        }
        case "Leave":
          inside.delete(message.section)
          record({ _tag: "Left", worker, section: message.section })
          return true
        case "Write":
          writer = worker
          return undefined
        case "Wrote":
          writer = undefined
          record({ ...message, worker })
          return undefined
        case "Failed":
          record({ ...message, worker })
          return undefined
        case "Ready":
          return undefined
      }
    },
    gone: (worker: string) => {
      if (writer === worker) writer = undefined
      for (const [section, one] of inside) if (one.worker === worker) inside.delete(section)
    },
    /** How many sections each has had. */
    served: (): ReadonlyMap<string, number> => new Map(served),
    /** Who is in a section, if anybody is. */
    holder: () => [...inside.values()].at(-1)?.worker,
    /** Who is making a fenced write, if anybody is. */
    writer: () => writer
  }
}
type TheWitness = ReturnType<typeof makeWitness>

const makeWorker = Effect.fnUntraced(function*(
  member: Member & { readonly proxy: Proxy },
  means: Means,
  witness: TheWitness,
  record: Recorder.Record
) {
  const { language, ttlMillis, worker } = member
  const scope = yield* Effect.scope
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  let current: Incarnation | undefined
  let starts = 0

  const start = Effect.gen(function*() {
    const number = ++starts
    const orders = yield* Effect.orDie(
      Schema.encodeEffect(Orders)({
        worker,
        incarnation: number,
        kubeconfigFile: means.kubeconfigFile(member),
        namespace: LockedObject.namespace,
        configMap: LockedObject.name,
        lock: LockedObject.lock,
        ttlMillis
      })
    )
    const replies = yield* Queue.unbounded<string>()
    const ready = yield* Deferred.make<void>()
    const ended = yield* Deferred.make<void>()
    const life = yield* Scope.fork(scope)
    const process = yield* open(
      language === "Go"
        ? { command: means.goPeer, args: ["work", orders] }
        : OtherProcess.script("../chaos/worker.ts", orders),
      replies
    ).pipe(
      Scope.provide(life),
      Effect.provideService(ChildProcessSpawner.ChildProcessSpawner, spawner),
      Effect.mapError(({ message }) => new OtherProcess.ProcessFailed({ message }))
    )
    const incarnation: Incarnation = { number, process, replies, ended, how: "Itself" }
    current = incarnation
    yield* process.messages.pipe(
      Stream.runForEach(Effect.fnUntraced(function*(message) {
        if (message._tag === "Ready") yield* Deferred.succeed(ready, undefined)
        const accepted = witness.hear(worker, message)
        if (accepted !== undefined && "request" in message) yield* reply(replies, message.request, accepted)
      })),
      // What nobody understands is the end of it.
      Effect.tapCause(() => process.signal("SIGKILL")),
      Effect.exit,
      Effect.andThen(Effect.exit(process.exitCode)),
      Effect.andThen(Effect.sync(() => {
        current = undefined
        witness.gone(worker)
        record({ _tag: "Ended", worker, incarnation: number, how: incarnation.how })
      })),
      Effect.andThen(Deferred.succeed(ended, undefined)),
      Effect.andThen(Effect.forkIn(Scope.close(life, Exit.void), scope)),
      Effect.forkIn(scope)
    )
    yield* Effect.raceFirst(
      Deferred.await(ready),
      Effect.andThen(Deferred.await(ended), Effect.fail(`${worker} ended before it was ready`))
    ).pipe(
      Effect.timeoutOrElse({ duration: startTimeout, orElse: () => Effect.fail(`${worker} is not ready in time`) }),
      Effect.mapError((message) => new OtherProcess.ProcessFailed({ message }))
    )
    record({ _tag: "Started", worker, incarnation: number })
  })

  const kill = (how: Incarnation["how"]) =>
    Effect.suspend(() => {
      if (current === undefined) return Effect.void
      current.how = how
      return Effect.andThen(current.process.signal("SIGKILL"), Deferred.await(current.ended))
    })

  return {
    ...member,
    signal: (signal) => Effect.suspend(() => current?.process.signal(signal) ?? Effect.void),
    kill: kill("Killed"),
    start,
    end: Effect.suspend(() => {
      if (current === undefined) return Effect.void
      current.how = "Asked"
      return Effect.andThen(reply(current.replies, 0, false), Deferred.await(current.ended))
    }).pipe(
      Effect.timeoutOption(endTimeout),
      Effect.flatMap((ended) => Option.isSome(ended) ? Effect.void : kill("Late"))
    )
  } satisfies Worker
})

const reply = (replies: Queue.Queue<string>, request: number, accepted: boolean) =>
  Schema.encodeEffect(Verdict)({ request, accepted }).pipe(
    Effect.orDie,
    Effect.flatMap((line) => Queue.offer(replies, `${line}\n`)),
    Effect.asVoid
  )

/** All of them, not started yet. They are killed when the scope closes. */
export const make = Effect.fnUntraced(function*(
  members: ReadonlyArray<Member & { readonly proxy: Proxy }>,
  means: Means,
  record: Recorder.Record
) {
  const witness = makeWitness(record)
  const workers = yield* Effect.forEach(members, (member) => makeWorker(member, means, witness, record))
  return {
    workers,
    holder: Effect.sync(witness.holder),
    writer: Effect.sync(witness.writer),
    served: Effect.sync(witness.served)
  }
})
