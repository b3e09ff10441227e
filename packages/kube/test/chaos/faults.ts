/** Performs faults: what is done to workers, to their connections, to the API server, and to the object, and ends again. */
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Effect, Fiber, Option, Schedule, Semaphore } from "effect"
import type { makeServiceAccount } from "../suites/serviceAccount.ts"
import * as ConnectionFault from "./ConnectionFault.ts"
import { type FaultKind, type ServerFaultKind, type WorkerFaultKind, workerFaultKinds } from "./History.ts"
import * as LockedObject from "./LockedObject.ts"
import type { Fault } from "./Plan.ts"
import type * as Recorder from "./Recorder.ts"
import type { Worker } from "./Team.ts"

type ServiceAccount = Effect.Success<ReturnType<typeof makeServiceAccount>>
type Token = Effect.Success<ServiceAccount["issueToken"]>

/** The token that all workers in TypeScript use, and how it gets to them. */
export interface Tokens {
  readonly issue: ServiceAccount["issueToken"]
  readonly write: (token: Token) => Effect.Effect<void>
  readonly first: Token
}

/** What faults are done to. */
export interface Targets {
  readonly workers: ReadonlyArray<Worker>
  /** Who is in a section, if anybody is. */
  readonly holder: Effect.Effect<string | undefined>
  /** Who is making a fenced write, if anybody is. */
  readonly writer: Effect.Effect<string | undefined>
  readonly tokens: Tokens
}

const between = (least: number, most: number, share: number) => least + (most - least) * share

/** Longer than the TTL, and shorter than twice. */
const pastTtlMillis = ({ ttlMillis }: Worker, share: number) => ttlMillis * between(1.15, 1.6, share)

const onWorker = Effect.fnUntraced(function*(kind: WorkerFaultKind, share: number, worker: Worker) {
  switch (kind) {
    case "Kill":
      yield* worker.kill
      yield* Effect.sleep(between(100, 1_000, share))
      return yield* worker.start
    case "Stop":
      return yield* Effect.acquireUseRelease(
        worker.signal("SIGSTOP"),
        () => Effect.sleep(pastTtlMillis(worker, share)),
        () => worker.signal("SIGCONT")
      )
    default:
      yield* ConnectionFault.suffer(worker.proxy, kind, share)
      yield* Effect.sleep(kind === "BlackHole" ? pastTtlMillis(worker, share) : between(500, 3_000, share))
  }
}, Effect.scoped)

/** Performs the faults of a plan, each at its time or soon after, and ends when the last is over. */
export const perform = Effect.fnUntraced(function*(
  plan: ReadonlyArray<Fault>,
  { holder, tokens, workers, writer }: Targets,
  record: Recorder.Record
) {
  const controlPlane = yield* ControlPlane
  // Enough are left to go on, and to take over.
  const atOnce = yield* Semaphore.make(Math.max(1, Math.floor(workers.length / 3)))
  const ofServer = yield* Semaphore.make(1)
  const disturbed = new Set<Worker>()
  let token = tokens.first

  const onServer = Effect.fnUntraced(function*(kind: ServerFaultKind, share: number) {
    switch (kind) {
      case "ServerKilled":
        return yield* controlPlane.restart
      case "EtcdPaused":
        yield* controlPlane.pauseEtcd
        return yield* Effect.sleep(between(1_000, 5_000, share))
      case "TokenRotated": {
        const old = token
        token = yield* tokens.issue
        yield* tokens.write(token)
        return yield* old.revoke
      }
      case "ObjectRemade": {
        yield* LockedObject.remove
        yield* Effect.sleep(between(0, 500, share))
        const { metadata } = yield* LockedObject.create
        return record({ _tag: "ObjectMade", resourceVersion: metadata.resourceVersion })
      }
    }
  }, Effect.scoped)

  const targetOf = Effect.fnUntraced(function*({ isForHolder, kind, share, worker: index }: Fault) {
    // Who is stopped right before a fenced write leaves sends it when it goes on.
    const meant = kind === "Stop" && share < 1 / 2 ? writer : holder
    const name = isForHolder ? yield* soon(meant) : undefined
    const inOrder = [
      ...workers.filter(({ worker }) => worker === name),
      ...workers.slice(index),
      ...workers.slice(0, index)
    ]
    return inOrder.find((worker) => !disturbed.has(worker))
  })

  const soon = (somebody: Effect.Effect<string | undefined>) =>
    somebody.pipe(
      Effect.repeat({ until: (name) => name !== undefined, schedule: Schedule.spaced("2 millis") }),
      Effect.timeoutOption("2 seconds"),
      Effect.map(Option.getOrUndefined)
    )

  const began = (fault: number, { kind }: Fault, worker?: Worker) =>
    record({ _tag: "FaultBegan", fault, kind, ...(worker === undefined ? undefined : { worker: worker.worker }) })
  const ended = (fault: number) => Effect.sync(() => record({ _tag: "FaultEnded", fault }))

  const one = (fault: Fault, index: number) => {
    const { kind, share } = fault
    return isOfWorker(kind)
      ? atOnce.withPermits(1)(Effect.gen(function*() {
        const worker = yield* targetOf(fault)
        if (worker === undefined) return
        disturbed.add(worker)
        began(index, fault, worker)
        yield* onWorker(kind, share, worker)
        yield* ended(index)
        disturbed.delete(worker)
      }))
      : ofServer.withPermits(1)(Effect.gen(function*() {
        began(index, fault)
        yield* onServer(kind, share)
        yield* ended(index)
      }))
  }

  let passedMillis = 0
  const running = yield* Effect.forEach(
    plan,
    Effect.fnUntraced(function*(fault, index) {
      yield* Effect.sleep(fault.atMillis - passedMillis)
      passedMillis = fault.atMillis
      return yield* Effect.forkScoped(one(fault, index))
    })
  )
  yield* Fiber.joinAll(running)
}, Effect.scoped)

const isOfWorker = (kind: FaultKind): kind is WorkerFaultKind => workerFaultKinds.some((known) => known === kind)
