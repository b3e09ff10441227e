/**
 * The library itself, unchanged, on a simulated network with a simulated server, many processes at once. Whatever happens follows from
 * one seed.
 */
import { type AnnotationEdit, LockName } from "@kubelock/core"
import {
  HeldLock,
  Identity,
  KubeAnnotationStore,
  KubeLock,
  KubeTransport,
  type ManagedLockOptions
} from "@kubelock/kube"
import { Cause, Clock, Context, Duration, Effect, Exit, Layer, Logger, Option, Random, Result } from "effect"
import { TestClock } from "effect/testing"
import * as GoProgram from "./GoProgram.ts"
import { type Happening, type History, recordOf, type Section } from "./History.ts"
import { type ClientPlan, type Dice, diceOf, type EventKind, type Plan } from "./Plan.ts"
import * as ProcessClock from "./ProcessClock.ts"
import * as SimulatedNetwork from "./SimulatedNetwork.ts"
import * as SimulatedServer from "./SimulatedServer.ts"

/** A section that has begun. */
interface Inside {
  readonly section: Section
  /** Whether it may believe that it holds the lock, by its own clock. */
  readonly believes: () => boolean
  /** The id of its acquisition; of a Go program, the owner. */
  readonly acquisition: string
}

/** A process that runs, until it crashes or comes to its end. */
interface Running {
  readonly plan: ClientPlan
  readonly name: string
  readonly clock: ProcessClock.ProcessClock
  readonly network: SimulatedNetwork.SimulatedNetwork
  /** It was told to. */
  isEnding: boolean
  /** Tells it to end. */
  terminate: Effect.Effect<void>
}

/** The person who breaks locks. */
const operator = "operator"

/** Under this owner several locks are wanted at once. */
const several = "several"

type DistributiveOmit<A, K extends PropertyKey> = A extends unknown ? Omit<A, K> : never

/** For so long something can go wrong: whoever is not served afterwards is never served. */
const faultsUntilMillis = 2 * 60_000

/** How long after the last process has ended. By then every lock has expired, and every late request has arrived. */
const afterwards = Duration.seconds(60)

/** Who has not come to an end by then never will. */
const untilMillis = 20 * 60_000

/** What happens by this plan. To be run under a `TestClock`. */
export const simulate = Effect.fnUntraced(function*(plan: Plan): Effect.fn.Return<History> {
  const truth = yield* Clock.Clock
  const server = SimulatedServer.make()
  const weather: SimulatedNetwork.Weather = { isServerAway: false, isOver: false }
  const happenings: Array<Happening> = []
  const inside = new Set<Inside>()
  const processes = new Set<Running>()
  /** Acquisitions whose record was removed by a person. Whoever made them is told later, if at all. */
  const broken = new Set<string>()
  let sections = 0

  const nowMillis = () => truth.currentTimeMillisUnsafe()
  const happened = (happening: DistributiveOmit<Happening, "atMillis">) => {
    happenings.push({ ...happening, atMillis: nowMillis() })
  }
  const isHolding = ({ acquisition, believes }: Inside) => !broken.has(acquisition) && believes()
  const besides = (one: Inside) =>
    isHolding(one)
      ? Array.from(inside).filter((other) =>
        other !== one && other.section.lock === one.section.lock && isHolding(other)
      ).map(({ section }) => section)
      : []
  const breakAll = (before: AnnotationEdit.Annotations, after: AnnotationEdit.Annotations) => {
    for (const lock of plan.locks) {
      const record = recordOf(before, lock)
      if (record !== undefined && recordOf(after, lock) === undefined) broken.add(record.id ?? record.owner)
    }
  }
  const lockNames = plan.locks.map((lock) => Result.getOrThrow(LockName.make(lock)))

  // ── one process ──

  const begin = (clientPlan: ClientPlan, name: string): Running => {
    const clock = ProcessClock.make(truth, clientPlan.aheadMillis, clientPlan.rate)
    const network = SimulatedNetwork.make({
      plan,
      server,
      weather,
      truth,
      clock,
      dice: diceOf(`${plan.seed} network of ${name}`),
      onlooker: {
        watched: (from) => happened({ _tag: "Watched", client: name, from }),
        fault: (kind) => happened({ _tag: "Fault", kind, on: name }),
        changed: (change, way) => {
          happened({
            _tag: "Changed",
            by: name,
            ...way,
            atMostWallMillis: nowMillis() + clock.mostAheadMillis(),
            ...change
          })
          if (name === operator) breakAll(change.before, change.after)
        }
      }
    })
    return { plan: clientPlan, name, clock, network, isEnding: false, terminate: Effect.void }
  }

  /** Runs under a process's own clocks, with its own chance, its logs heard; not waited for by anybody. */
  const within = ({ clock, name }: Running) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    effect.pipe(
      Effect.provideService(Identity.Identity, { owner: plan.isOwnerShared ? "all" : name, process: name }),
      Random.withSeed(`${plan.seed} ${name}`),
      Effect.provide(Logger.layer([
        Logger.make<unknown, void>(({ logLevel, message }) => {
          const [text] = Array.isArray(message) ? message : [message]
          if (!clock.isEnded()) happened({ _tag: "Said", client: name, level: logLevel, text: String(text) })
        })
      ])),
      Effect.withTracerEnabled(false),
      Effect.provideService(Clock.Clock, clock)
    )

  /** The locks of a process, until the scope ends. */
  const locksOf = ({ network }: Running) =>
    Layer.build(
      Layer.fresh(KubeLock.layer).pipe(
        Layer.provide(Layer.fresh(KubeAnnotationStore.layer)),
        Layer.provide(Layer.succeed(KubeTransport, network.transport))
      )
    ).pipe(Effect.map((services) => Context.get(services, KubeLock)))

  // ── one section ──

  const askFor = (client: string, lock: string): Section => {
    const section = { number: ++sections, client, lock }
    happened({ _tag: "Asked", section })
    return section
  }

  /** What is done under a lock, from when it is had to when it is left. */
  const inSection = <A, E>(
    one: Inside,
    token: bigint | undefined,
    body: Effect.Effect<A, E>,
    tidying: Effect.Effect<void> = Effect.void
  ) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        inside.add(one)
        happened({
          _tag: "Entered",
          section: one.section,
          id: one.acquisition,
          token,
          isHolding: isHolding(one),
          beside: besides(one)
        })
      }),
      () => body,
      () =>
        Effect.andThen(
          tidying,
          Effect.sync(() => {
            inside.delete(one)
            happened({ _tag: "Finished", section: one.section })
          })
        )
    )

  const work = (dice: Dice, atMostMillis: number, step: Effect.Effect<void>) =>
    Effect.gen(function*() {
      for (let left = dice.between(0, atMostMillis); left > 0;) {
        const pause = Math.min(left, dice.between(1, Math.max(1, Math.floor(atMostMillis / 3))))
        yield* Effect.sleep(Duration.millis(pause))
        left -= pause
        yield* step
      }
    })

  const underLock = (
    running: Running,
    dice: Dice,
    section: Section,
    held: HeldLock["Service"],
    isInterrupted = true
  ) => {
    const one: Inside = {
      section,
      acquisition: held.id,
      believes: () =>
        !running.clock.isEnded() &&
        Duration.isPositive(Effect.runSync(Effect.provideService(held.remaining, Clock.Clock, running.clock)))
    }
    let writes = 0
    const write = Effect.gen(function*() {
      const value = `${section.lock} ${section.number} ${++writes}`
      const answer = yield* Effect.result(
        held.write([{ op: "add", path: SimulatedServer.writtenPath, value }])
      )
      const outcome = Result.match(answer, {
        onSuccess: () => "made" as const,
        onFailure: (error) => {
          switch (error._tag) {
            case "LockLost":
              return "lost"
            case "KubeError":
              return error.outcomeUnknown ? "unknown" : "refused"
            default:
              return "refused"
          }
        }
      })
      happened({ _tag: "Wrote", section, value, outcome })
    })
    let isOver = false
    const step = Effect.gen(function*() {
      if (!(yield* held.isHeld)) {
        // Who has stood still may come to its next step before it is told.
        if (isOver && isInterrupted) happened({ _tag: "Overran", section })
        isOver = true
        return
      }
      happened({ _tag: "Worked", section, beside: besides(one) })
      if (dice.chance(0.3)) yield* write
    })
    return inSection(
      one,
      held.fencingToken,
      work(dice, plan.workMillisAtMost, step),
      // No interruption shortens what a section does at its end.
      Effect.suspend(() => Effect.sleep(Duration.millis(dice.between(0, plan.tidyMillisAtMost))))
    )
  }

  const options = (lock: string): ManagedLockOptions => ({
    resource: SimulatedServer.resource,
    name: lock,
    ttl: Duration.millis(plan.ttlMillis),
    safetyMargin: Duration.millis(plan.safetyMarginMillis),
    takeoverDelay: Duration.millis(plan.takeoverDelayMillis),
    localHandover: Duration.millis(plan.localHandoverMillis),
    watch: plan.watch
  })

  const leave = (sections: ReadonlyArray<Section>, exit: Exit.Exit<unknown, { readonly _tag: string }>) => {
    const because = Exit.isSuccess(exit)
      ? undefined
      : Option.match(Cause.findErrorOption(exit.cause), {
        onNone: () => Cause.hasInterruptsOnly(exit.cause) ? undefined : Cause.pretty(exit.cause),
        onSome: (error) => "message" in error ? `${error._tag}: ${String(error.message)}` : error._tag
      })
    for (const section of sections) happened({ _tag: "Left", section, because })
  }

  /** One fiber of ours: it wants locks, one after another or several at once, now and then impatiently. */
  const fiberOf = Effect.fnUntraced(function*(running: Running, locks: KubeLock["Service"], fiber: number) {
    const { name, plan: { sections } } = running
    const dice = diceOf(`${plan.seed} ${name} fiber ${fiber}`)
    for (let number = 0; number < sections; number++) {
      yield* Effect.sleep(Duration.millis(dice.between(0, plan.ttlMillis)))
      const isSeveral = plan.locks.length > 1 && dice.chance(0.3)
      const lock = dice.oneOf(plan.locks as [string, ...ReadonlyArray<string>])
      const wanted = isSeveral ? plan.locks : [lock]
      const asked = wanted.map((lock) => askFor(name, lock))
      // Often so little that it ends while the first request is on its way.
      const patienceMillisAtMost = dice.oneOf([3 * plan.ttlMillis, 4 * plan.latencyMillisAtMost])
      const patience = dice.chance(0.2) ? Duration.millis(dice.between(0, patienceMillisAtMost)) : undefined
      const way = dice.between(0, 4)
      const section = Effect.gen(function*() {
        if (isSeveral) {
          const all = yield* locks.makeAll(plan.locks.map((lock) => ({ ...options(lock), owner: several })))
          const held = yield* all.acquireAll
          const body = held.reduceRight<Effect.Effect<void>>(
            (rest, one, index) => Effect.andThen(underLock(running, dice, asked[index]!, one), rest),
            Effect.void
          )
          return yield* Effect.raceAllFirst([...held.map(({ lost }) => lost), body])
        }
        const managed = yield* locks.make(options(lock))
        if (way === 0) {
          const held = yield* managed.tryAcquire
          if (Option.isSome(held)) yield* underLock(running, dice, asked[0]!, held.value, false)
        } else if (way === 1) {
          // Nobody interrupts it: it goes on until it looks.
          yield* underLock(running, dice, asked[0]!, yield* managed.acquire, false)
        } else {
          const { withLock } = managed
          yield* withLock(Effect.flatMap(HeldLock, (held) => underLock(running, dice, asked[0]!, held)))
        }
      }).pipe(Effect.scoped)
      const exit = yield* Effect.exit(
        patience === undefined ? section : Effect.asVoid(Effect.timeoutOption(section, patience))
      )
      leave(asked, exit)
    }
  })

  const ours = Effect.fnUntraced(function*(running: Running) {
    const locks = yield* locksOf(running)
    yield* Effect.forEach(
      Array.from({ length: running.plan.fibers }, (_, index) => index),
      (index) => fiberOf(running, locks, index),
      { concurrency: "unbounded", discard: true }
    )
  }, Effect.scoped)

  const goProgram = Effect.fnUntraced(function*({ clock, name, network, plan: { rate, sections } }: Running) {
    const dice = diceOf(`${plan.seed} ${name}`)
    // As long as whoever reads its clock closely dares to work.
    const sureMillis = plan.ttlMillis - plan.skewMillis - Math.ceil(plan.ttlMillis * Math.abs(1 - rate) * 2) - 1
    for (let number = 0; number < sections; number++) {
      yield* Effect.sleep(Duration.millis(dice.between(0, plan.ttlMillis)))
      const lock = dice.oneOf(lockNames as [LockName.LockName, ...ReadonlyArray<LockName.LockName>])
      const program = GoProgram.make(network.transport, lock, plan.ttlMillis)
      const owner = `${name}-${number}`
      const section = askFor(name, lock)
      const tryOnce = Effect.flatMap(
        Clock.monotonicTimeNanos,
        (sentAtNanos) =>
          Effect.result(program.acquire(owner)).pipe(
            Effect.map((answer) => Result.isSuccess(answer) && answer.success ? sentAtNanos : undefined)
          )
      )
      let sentAtNanos: bigint | undefined
      while ((sentAtNanos = yield* tryOnce) === undefined) {
        yield* Effect.sleep(Duration.millis(dice.between(20, 500)))
      }
      const endNanos = sentAtNanos + BigInt(sureMillis) * 1_000_000n
      const believes = () => !clock.isEnded() && clock.monotonicTimeNanosUnsafe() < endNanos
      if (believes()) {
        const one: Inside = { section, acquisition: owner, believes }
        const step = Effect.sync(() => {
          if (believes()) happened({ _tag: "Worked", section, beside: besides(one) })
        })
        yield* inSection(
          one,
          undefined,
          work(dice, Math.min(plan.workMillisAtMost, sureMillis), step)
        )
      }
      yield* Effect.ignore(program.release(owner))
      leave([section], Exit.void)
    }
  })

  const start = (running: Running): Effect.Effect<void> =>
    Effect.gen(function*() {
      processes.add(running)
      const program = running.plan.kind === "ours" ? ours(running) : goProgram(running)
      const whole = Effect.onExit(program, (exit) =>
        Effect.sync(() => {
          processes.delete(running)
          happened(
            Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)
              ? { _tag: "Ended", client: running.name }
              : { _tag: "Said", client: running.name, level: "Fatal", text: Cause.pretty(exit.cause) }
          )
        }))
      const fiber = yield* Effect.forkDetach(within(running)(whole))
      running.terminate = Effect.sync(() => fiber.interruptUnsafe())
    })

  // ── what happens to them ──

  let restarts = 0
  const eventDice = diceOf(`${plan.seed} events`)
  const victim = () => {
    const living = Array.from(processes).filter(({ isEnding }) => !isEnding)
    return living.length === 0 ? undefined : living[eventDice.between(0, living.length - 1)]
  }
  const fault = (kind: EventKind, on = "") => happened({ _tag: "Fault", kind, on })
  const person = begin({ kind: "ours", name: operator, fibers: 1, sections: 0, aheadMillis: 0, rate: 1 }, operator)

  const perform = Effect.fnUntraced(function*(kind: EventKind) {
    const running = victim()
    const aWhile = Duration.millis(eventDice.between(0, 2 * plan.ttlMillis))
    switch (kind) {
      case "watch cut":
        fault(kind, running?.name)
        return running?.network.cut()
      case "watch silent":
        fault(kind, running?.name)
        return running?.network.silence()
      case "history forgotten":
        fault(kind)
        return server.forgetHistory()
      case "server restart":
        fault(kind)
        weather.isServerAway = true
        for (const { network } of processes) network.cut()
        server.disconnect()
        yield* truth.sleep(aWhile)
        weather.isServerAway = false
        return
      case "pause":
        if (running === undefined) return
        fault(kind, running.name)
        running.clock.pause()
        yield* truth.sleep(aWhile)
        return running.clock.resume()
      case "crash":
        if (running === undefined) return
        fault(kind, running.name)
        running.clock.end()
        running.network.cut()
        processes.delete(running)
        return yield* start(begin(running.plan, `${running.plan.name}.${++restarts}`))
      case "termination":
        if (running === undefined) return
        fault(kind, running.name)
        running.isEnding = true
        yield* running.terminate
        return yield* start(begin(running.plan, `${running.plan.name}.${++restarts}`))
      case "clock set":
        if (running === undefined) return
        fault(kind, running.name)
        return running.clock.set(eventDice.between(0, plan.skewMillis))
      case "break": {
        const lock = eventDice.oneOf(plan.locks as [string, ...ReadonlyArray<string>])
        fault(kind, lock)
        return yield* Effect.ignore(
          Effect.flatMap(locksOf(person), (locks) => locks.break(options(lock)))
        ).pipe(Effect.scoped, within(person))
      }
      case "deletion": {
        fault(kind)
        breakAll(server.annotations(), {})
        server.remove()
        happened({ _tag: "Deleted", resourceVersion: server.revision() })
        if (eventDice.chance(0.5)) yield* truth.sleep(aWhile)
        server.makeAgain()
        return happened({ _tag: "Made", resourceVersion: server.revision() })
      }
    }
  })

  const happenNowAndThen = (kind: EventKind, perMinute: number) =>
    Effect.gen(function*() {
      while (!weather.isOver) {
        yield* truth.sleep(Duration.millis(eventDice.between(1, Math.floor(120_000 / perMinute))))
        if (!weather.isOver) yield* perform(kind)
      }
    })

  for (const clientPlan of plan.clients) yield* start(begin(clientPlan, `${clientPlan.name}.0`))
  for (const [kind, perMinute] of Object.entries(plan.events) as ReadonlyArray<[EventKind, number]>) {
    yield* Effect.forkDetach(happenNowAndThen(kind, perMinute))
  }

  while (processes.size > 0 && nowMillis() < untilMillis) {
    yield* TestClock.adjust(Duration.seconds(1))
    if (nowMillis() >= faultsUntilMillis) weather.isOver = true
  }
  weather.isOver = true
  yield* TestClock.adjust(afterwards)
  return {
    happenings,
    last: server.annotations(),
    endedAtMillis: nowMillis(),
    unfinished: Array.from(processes, ({ name }) => name)
  }
})
