import { assert, describe, it } from "@effect/vitest"
import { LockRecord } from "@kubelock/core"
import {
  type HeldLock,
  KubeLock,
  type LockLost,
  type ManagedLockOptions,
  MemoryObjects,
  RetryPolicy
} from "@kubelock/kube"
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Latch, Metric, References, Schedule, Scope } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import {
  annotations,
  Control,
  type Fate,
  fates,
  foreignRecord,
  inWorld,
  keyOf,
  overwrite,
  recordOf,
  resource,
  type Sent,
  settableClock,
  settle,
  timeout
} from "./suites/managedWorld.ts"
import { hold as holdOf, makeCluster } from "./suites/processes.ts"

// The locks of one process on one object are renewed together.

const periodMillis = 10_000
const validMillis = 29_000

const hold = (name: string, more: Partial<ManagedLockOptions> = {}) =>
  Effect.flatMap(
    KubeLock.make({ resource, name, ttl: "30 seconds", watch: false, ...more }),
    ({ acquire }) => acquire
  )

/** A lock that is released by closing its scope. */
const holdUntil = Effect.fnUntraced(function*(name: string, more: Partial<ManagedLockOptions> = {}) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const held = yield* Scope.provide(hold(name, more), scope)
  return { held, release: Scope.close(scope, Exit.void) }
})

const sent = Effect.flatMap(Control, ({ sent }) => sent)
const nameOf = (key: string) => key.slice(keyOf("").length)
const namesOf = ({ edits }: Sent) => edits.map(({ key }) => nameOf(key)).join(" ")
/** The renewals among requests: when, and of which locks. */
const renewals = Effect.map(
  sent,
  (all) =>
    all.flatMap((one) =>
      one.method === "PATCH" && one.edits.every(({ expected, value }) => expected !== undefined && value !== undefined)
        ? [[one.atMillis, namesOf(one)] as const]
        : []
    )
)
/** What is asked from now on, as methods and names. */
const asked = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const before = yield* sent
    yield* effect
    return (yield* sent).slice(before.length).map((one) => `${one.method} ${namesOf(one)}`.trim())
  })

const areHeld = (locks: ReadonlyArray<HeldLock["Service"]>) => Effect.forEach(locks, ({ isHeld }) => isHeld)
const reasonOf = (held: HeldLock["Service"]) =>
  Effect.map(Effect.flip(held.lost), ({ reason }: LockLost) => reason._tag)
const remainingMillis = (held: HeldLock["Service"]) => Effect.map(held.remaining, Duration.toMillis)

describe("locks of one object", () => {
  it.effect("that were taken one after another are renewed in one request a period from the second on", () =>
    inWorld(Effect.gen(function*() {
      const names = Array.from({ length: 20 }, (_, index) => `l${index}`)
      const locks: Array<HeldLock["Service"]> = []
      for (const name of names) {
        locks.push(yield* hold(name))
        yield* TestClock.adjust(475)
      }
      yield* TestClock.adjust(60_000 - 20 * 475)
      const all = yield* renewals
      // What is due within half a period goes along: those of the first five seconds, and then everybody.
      assert.deepStrictEqual(all.map(([atMillis]) => atMillis), [10_000, 15_225, 25_225, 35_225, 45_225, 55_225])
      assert.deepStrictEqual(all[0]?.[1], names.slice(0, 11).join(" "))
      for (const [, together] of all.slice(1)) assert.sameMembers(together.split(" "), names)
      assert.notInclude(yield* areHeld(locks), false)
    })))

  it.effect("never cost more than one request in half a period, and are never renewed late, whenever they are taken", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(fc.integer({ min: 0, max: 12_000 }), { minLength: 1, maxLength: 6 }),
          (pauses) =>
            Effect.runPromise(
              inWorld(Effect.gen(function*() {
                for (const [index, pause] of pauses.entries()) {
                  yield* hold(`l${index}`)
                  yield* TestClock.adjust(pause)
                }
                yield* TestClock.adjust("1 minute")
                const times = (yield* renewals).map(([atMillis]) => atMillis)
                for (const [index, atMillis] of times.entries()) {
                  if (index > 0) assert.isAbove(atMillis - times[index - 1]!, periodMillis / 2)
                }
                const last = (yield* renewals).slice(-4)
                for (const [, together] of last) assert.lengthOf(together.split(" "), pauses.length)
                for (let index = 0; index < pauses.length; index++) {
                  const written = (yield* sent).filter(({ edits }) =>
                    edits.some(({ key }) => key === keyOf(`l${index}`))
                  ).map(({ atMillis }) => atMillis)
                  for (const [at, atMillis] of written.entries()) {
                    if (at > 0) assert.isAtMost(atMillis - written[at - 1]!, periodMillis)
                  }
                }
              })).pipe(Effect.provide(TestClock.layer()))
            )
        ),
        { numRuns: 60 }
      )
    ))

  it.effect("are renewed in one request, also where all wake up before it can be put together", () =>
    inWorld(Effect.gen(function*() {
      const count = 100
      const clock = yield* Clock.Clock
      const sleepers = yield* Latch.make()
      const wokenAtOnce: Clock.Clock = Object.assign(Object.create(clock), { sleep: () => sleepers.await })
      const several = yield* KubeLock.makeAll(
        Array.from({ length: count }, (_, index) => ({ resource, name: `l${index}`, watch: false }))
      )
      const locks = yield* several.acquireAll.pipe(
        Effect.provideService(Clock.Clock, wokenAtOnce),
        Effect.provideService(References.MaxOpsBeforeYield, 200)
      )
      for (let period = 1; period <= 2; period++) {
        yield* TestClock.adjust("10 seconds")
        yield* sleepers.release
        // It takes a while to go through them, with so many pauses.
        yield* Effect.repeat(settle, { times: 20 })
        const all = yield* renewals
        assert.strictEqual(all.length, period)
        assert.lengthOf(all.at(-1)![1].split(" "), count)
      }
      assert.notInclude(yield* areHeld(locks), false)
    })))

  it.effect("are each valid from before the request was sent, whatever they were before", () =>
    inWorld(Effect.gen(function*() {
      const x = yield* hold("x")
      yield* TestClock.adjust("3 seconds")
      const y = yield* hold("y")
      yield* (yield* Control).nextWrites({ before: Effect.sleep("1 second"), after: Effect.sleep("1 second") })
      yield* TestClock.adjust("9 seconds")
      for (const held of [x, y]) {
        assert.strictEqual(yield* remainingMillis(held), validMillis - 2_000)
        assert.strictEqual((yield* held.record).createdAtNanos, 10_000_000_000n)
      }
      assert.strictEqual((yield* recordOf("y"))?.createdAtNanos, 10_000_000_000n)
    })))

  const others: Record<string, readonly [Partial<ManagedLockOptions>, Partial<ManagedLockOptions>]> = {
    ttl: [{ renewEvery: "10 seconds" }, { renewEvery: "10 seconds", ttl: "40 seconds" }],
    renewEvery: [{ requestTimeout: "5 seconds" }, { renewEvery: "9 seconds", requestTimeout: "5 seconds" }],
    requestTimeout: [{}, { requestTimeout: "3 seconds" }],
    safetyMargin: [{}, { safetyMargin: "2 seconds" }],
    watch: [{}, { watch: true }],
    retryPolicy: [{}, { retryPolicy: { ...RetryPolicy.defaults, timeout: Schedule.recurs(0) } }]
  }
  it.effect.each(Object.entries(others))(
    "that differ in %s are renewed in requests of their own",
    ([, [one, other]]) =>
      inWorld(Effect.gen(function*() {
        const locks = [yield* hold("x", one), yield* hold("y", other)]
        yield* TestClock.adjust("1 minute")
        const all = yield* renewals
        assert.deepStrictEqual([...new Set(all.map(([, names]) => names))].toSorted(), ["x", "y"])
        assert.deepStrictEqual(yield* areHeld(locks), [true, true])
      }))
  )

  it.effect("whose times are by different clocks are renewed in requests of their own", () =>
    inWorld(Effect.gen(function*() {
      const { clock, stop } = yield* settableClock
      yield* stop("1 second")
      const x = yield* hold("x")
      const y = yield* Effect.provideService(hold("y"), Clock.Clock, clock)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([...new Set((yield* renewals).map(([, names]) => names))].toSorted(), ["x", "y"])
      assert.isTrue(yield* x.isHeld)
      assert.isTrue(yield* Effect.provideService(y.isHeld, Clock.Clock, clock))
    })))

  it.effect("that differ in what is no matter to a request are renewed together", () =>
    inWorld(Effect.gen(function*() {
      const policy = { ...RetryPolicy.defaults, timeout: Schedule.recurs(0) }
      yield* hold("x", { owner: "alice", retryPolicy: { ...policy }, takeoverDelay: "1 second", localHandover: 0 })
      yield* hold("y", { owner: "bob", retryPolicy: { ...policy }, waitAtMost: "1 minute" })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* renewals, [[10_000, "x y"]])
    })))
})

describe("a renewal that is asked for", () => {
  it.effect("of a lock whose object is gone tells that it is lost", () =>
    inWorld(Effect.gen(function*() {
      const held = yield* hold("x")
      yield* Effect.flatMap(MemoryObjects, (objects) => objects.delete(resource))
      const error = yield* Effect.flip(held.renew)
      assert.strictEqual(error._tag === "LockLost" && error.reason._tag, "ObjectDeleted")
    })))

  it.effect("of a lock whose time is over is not even sent, though nobody has noticed yet", () =>
    inWorld(Effect.gen(function*() {
      const { clock, stop } = yield* settableClock
      const held = yield* Effect.provideService(hold("x"), Clock.Clock, clock)
      yield* stop("29 seconds")
      const { length } = yield* sent
      const error = yield* Effect.provideService(Effect.flip(held.renew), Clock.Clock, clock)
      assert.strictEqual(error._tag === "LockLost" && error.reason._tag, "NotRenewed")
      assert.lengthOf(yield* sent, length)
    })))
})

describe("of locks that are renewed together", () => {
  const foreign = Effect.flatMap(foreignRecord, (record) => overwrite(LockRecord.format(record), "y"))
  const ofOne = {
    "taken over": [foreign, "TakenOver"],
    "broken": [overwrite(undefined, "y"), "Broken"],
    "overwritten with what is no record": [overwrite("{", "y"), "Broken"]
  } as const
  it.effect.each(Object.entries(ofOne))(
    "one that was %s is lost alone, at the price of two requests",
    ([, [lose, reason]]) =>
      inWorld(Effect.gen(function*() {
        const [x, y, z] = [yield* hold("x"), yield* hold("y"), yield* hold("z")]
        yield* lose
        const text = (yield* annotations())[keyOf("y")]
        const requests = yield* asked(TestClock.adjust("10 seconds"))
        assert.deepStrictEqual(requests, ["PATCH x y z", "GET", "PATCH x z"])
        assert.strictEqual(yield* reasonOf(y), reason)
        assert.deepStrictEqual(yield* asked(TestClock.adjust("10 minutes")), Array(60).fill("PATCH x z"))
        assert.deepStrictEqual(yield* areHeld([x, z]), [true, true])
        assert.strictEqual((yield* annotations())[keyOf("y")], text, "whoever has it now is left alone")
      }))
  )

  it.effect("one that was broken is told at once, though the others cannot be renewed yet", () =>
    inWorld(Effect.gen(function*() {
      const [x, y] = [yield* hold("x"), yield* hold("y")]
      yield* overwrite(undefined, "y")
      yield* (yield* Control).nextWrites({}, fates.hang)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* areHeld([x, y]), [true, false])
      assert.strictEqual(yield* reasonOf(y), "Broken")
      yield* TestClock.adjust("1 minute")
      assert.isTrue(yield* x.isHeld)
    })))

  it.effect("one that was broken lets the others wait as long as ever before they are tried again", () =>
    inWorld(Effect.gen(function*() {
      const [x, y] = [yield* hold("x"), yield* hold("y")]
      yield* overwrite(undefined, "x")
      yield* (yield* Control).nextWrites({}, fates.forbidden)
      yield* TestClock.adjust("12 seconds")
      assert.deepStrictEqual(yield* renewals, [[10_000, "x y"], [10_000, "y"], [11_000, "y"]])
      assert.deepStrictEqual(yield* areHeld([x, y]), [false, true])
    })))

  const ofAll = {
    "was deleted": Effect.flatMap(MemoryObjects, (objects) => objects.delete(resource)),
    "was deleted and made again": Effect.gen(function*() {
      const objects = yield* MemoryObjects
      yield* objects.delete(resource)
      yield* objects.put(resource)
    }),
    "was made again from a copy": Effect.gen(function*() {
      const objects = yield* MemoryObjects
      const copy = yield* annotations()
      yield* objects.delete(resource)
      yield* objects.put(resource, copy)
    })
  }
  it.effect.each(Object.entries(ofAll))("all are lost if the object %s", ([, lose]) =>
    inWorld(Effect.gen(function*() {
      const locks = [yield* hold("x"), yield* hold("y")]
      yield* lose
      yield* TestClock.adjust("10 seconds")
      for (const held of locks) assert.strictEqual(yield* reasonOf(held), "ObjectDeleted")
    })))

  it.effect("those of an object that is gone are lost without those of the one in its place", () =>
    inWorld(Effect.gen(function*() {
      const gone = yield* hold("x")
      yield* ofAll["was deleted and made again"]
      const held = yield* hold("y")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* reasonOf(gone), "ObjectDeleted")
      assert.isTrue(yield* held.isHeld)
    })))
})

describe("a renewal of several", () => {
  const holdTwo = Effect.fnUntraced(function*(more: Partial<ManagedLockOptions> = {}) {
    const first = yield* holdUntil("x", more)
    yield* TestClock.adjust("2 seconds")
    const second = yield* holdUntil("y", more)
    yield* TestClock.adjust("7 seconds")
    return { first, second, x: first.held, y: second.held }
  })
  const two = holdTwo()
  const twoOfOneTry = holdTwo({ retryPolicy: { ...RetryPolicy.defaults, unavailable: Schedule.recurs(0) } })
  /** Stops at the next write, until it is let go on. */
  const stopNext = Effect.fnUntraced(
    function*(place: "before" | "after", ...later: ReadonlyArray<Fate>) {
      const goOn = yield* Deferred.make<void>()
      yield* (yield* Control).nextWrites({ [place]: Deferred.await(goOn) }, ...later)
      return Effect.andThen(Deferred.succeed(goOn, undefined), settle)
    }
  )

  it.effect("whose answer is lost is found out about, and all are valid from when it was sent", () =>
    inWorld(Effect.gen(function*() {
      const { x, y } = yield* two
      yield* (yield* Control).nextWrites(fates.answerLost)
      assert.deepStrictEqual(yield* asked(TestClock.adjust("3 seconds")), ["PATCH x y", "GET"])
      for (const held of [x, y]) assert.strictEqual(yield* remainingMillis(held), validMillis - 2_000)
    })))

  it.effect("that is lost itself is made again, with later records", () =>
    inWorld(Effect.gen(function*() {
      const { x, y } = yield* two
      yield* (yield* Control).nextWrites(fates.requestLost)
      assert.deepStrictEqual(yield* asked(TestClock.adjust("3 seconds")), ["PATCH x y", "GET", "PATCH x y"])
      for (const held of [x, y]) assert.isAbove(Number((yield* held.record).createdAtNanos), 10_000_000_000)
      assert.deepStrictEqual(yield* areHeld([x, y]), [true, true])
    })))

  it.effect("whose answer is lost, and one of which is broken meanwhile, is made again for the other", () =>
    inWorld(Effect.gen(function*() {
      const { x, y } = yield* two
      const objects = yield* MemoryObjects
      const breakX = Effect.provideService(
        Effect.flatMap(annotations(), ({ [keyOf("y")]: text }) => objects.put(resource, { [keyOf("y")]: text! })),
        MemoryObjects,
        objects
      )
      yield* (yield* Control).nextWrites({ ...fates.answerLost, after: breakX })
      assert.deepStrictEqual(yield* asked(TestClock.adjust("3 seconds")), ["PATCH x y", "GET", "PATCH y"])
      assert.strictEqual(yield* reasonOf(x), "Broken")
      assert.isTrue(yield* y.isHeld)
    })))

  it.effect("that fails is tried again for all, a tenth of a period later", () =>
    inWorld(Effect.gen(function*() {
      const { x, y } = yield* twoOfOneTry
      yield* (yield* Control).nextWrites(fates.unreachable, fates.unreachable)
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(yield* renewals, [[10_000, "x y"], [11_000, "x y"], [12_000, "x y"], [22_000, "x y"]])
      assert.deepStrictEqual(yield* areHeld([x, y]), [true, true])
    })))

  it.effect("that keeps failing loses each lock at the end of its own time", () =>
    inWorld(Effect.gen(function*() {
      const { x, y } = yield* twoOfOneTry
      yield* (yield* Control).fate(({ method }) => method === "PATCH" ? fates.unreachable : undefined)
      yield* TestClock.adjust(validMillis - 9_000 - 1)
      assert.deepStrictEqual(yield* areHeld([x, y]), [true, true])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* areHeld([x, y]), [false, true])
      assert.include((yield* Effect.flip(x.lost)).message, "Could not renew locks: connection refused")
      yield* TestClock.adjust(2_000)
      assert.deepStrictEqual(yield* areHeld([x, y]), [false, false])
      const { message } = yield* Effect.flip(y.lost)
      // By then it was alone.
      assert.include(message, `Could not renew lock "y" as "me": connection refused`)
    })))

  const { conflict, forbidden, refused } = fates
  it.effect.each(Object.entries({ conflict, forbidden, refused }))(
    "that the server refuses for good is followed by one for each, and then by those of all (%s)",
    ([, fate]) =>
      inWorld(Effect.gen(function*() {
        const { x, y } = yield* two
        const control = yield* Control
        yield* control.fate(({ edits }) => edits.length > 1 ? fate : undefined)
        yield* TestClock.adjust("9 seconds")
        assert.sameMembers((yield* renewals).slice(-2).map(([, names]) => names), ["x", "y"])
        yield* control.fate(() => undefined)
        yield* TestClock.adjust("22 seconds")
        assert.deepStrictEqual((yield* renewals).at(-1)?.[1], "x y")
        assert.deepStrictEqual(yield* areHeld([x, y]), [true, true])
      }))
  )

  it.effect("that the server refuses because of one is no trouble of the others", () =>
    inWorld(Effect.gen(function*() {
      const x = yield* hold("x")
      const y = yield* hold("y")
      yield* TestClock.adjust("5500 millis")
      const z = yield* hold("z")
      yield* (yield* Control).fate(({ edits }) =>
        edits.some(({ key }) => key === keyOf("x")) ? fates.forbidden : undefined
      )
      yield* TestClock.adjust("10500 millis")
      assert.deepStrictEqual(yield* renewals, [
        [10_000, "x y"],
        [11_000, "x"],
        [11_000, "y"],
        [12_000, "x"],
        [13_000, "x"],
        [14_000, "x"],
        [15_000, "x"],
        [15_500, "z"],
        [16_000, "x"]
      ])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* areHeld([x, y, z]), [false, true, true])
    })))

  it.effect("that hangs keeps no other lock waiting, which falls due meanwhile", () =>
    inWorld(Effect.gen(function*() {
      const { x, y } = yield* two
      yield* Effect.andThen(TestClock.adjust("500 millis"), hold("z"))
      // Until its third try is answered, at 20 seconds and a bit.
      yield* (yield* Control).nextWrites(fates.hang, fates.hang)
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual((yield* renewals).at(-1), [10_000, "x y"])
      yield* TestClock.adjust("9500 millis")
      assert.deepStrictEqual((yield* renewals).at(-1), [19_500, "z"])
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* areHeld([x, y]), [true, true])
      const last = (yield* renewals).at(-1)
      assert.sameMembers(last?.[1].split(" ") ?? [], ["x", "y", "z"], "they have found together")
    })))

  it.effect.each(["before", "after"] as const)(
    "leaves nothing of a lock that is released meanwhile, %s it is made",
    (place) =>
      inWorld(Effect.gen(function*() {
        const { first, second, x } = yield* two
        for (const [name, { release }] of [["y", second], ["x", first]] as const) {
          const goOn = yield* stopNext(place)
          yield* TestClock.adjust("1 second")
          const releasing = yield* Effect.forkChild(release)
          yield* settle
          assert.isDefined(releasing.pollUnsafe(), "it does not wait")
          yield* goOn
          yield* TestClock.adjust("1 second")
          assert.isUndefined(yield* recordOf(name))
          assert.strictEqual(yield* x.isHeld, name === "y")
          yield* TestClock.adjust("8 seconds")
        }
        assert.deepStrictEqual(yield* annotations(), {})
      }))
  )

  it.effect("goes on for the others when the lock that fell due is released meanwhile", () =>
    inWorld(Effect.gen(function*() {
      const { first, y } = yield* two
      yield* (yield* Control).nextWrites(fates.unavailable, {}, fates.ok)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual((yield* renewals).at(-1), [10_000, "x y"])
      const requests = yield* asked(Effect.andThen(first.release, TestClock.adjust("1 second")))
      assert.deepStrictEqual(requests, ["PATCH x", "GET", "PATCH y"])
      assert.isAbove(yield* remainingMillis(y), validMillis - 2_000)
      assert.isUndefined(yield* recordOf("x"))
    })))

  it.effect("ends with the last of them", () =>
    inWorld(Effect.gen(function*() {
      const { first, second } = yield* two
      yield* (yield* Control).nextWrites(fates.unavailable)
      yield* TestClock.adjust("1 second")
      const requests = yield* asked(
        Effect.andThen(Effect.andThen(first.release, second.release), TestClock.adjust("1 minute"))
      )
      assert.deepStrictEqual(requests, ["PATCH x", "PATCH y"])
    })))

  it.effect("takes turns with a fenced write", () =>
    inWorld(Effect.gen(function*() {
      const { x, y } = yield* two
      const goOn = yield* stopNext("after")
      yield* TestClock.adjust("1 second")
      const writing = yield* Effect.forkChild(y.write([{ op: "add", path: "/data", value: {} }]))
      yield* settle
      assert.isUndefined(writing.pollUnsafe())
      yield* goOn
      yield* Fiber.join(writing)
      assert.deepStrictEqual((yield* sent).slice(2).map(namesOf), ["x y", "y"])
      assert.deepStrictEqual(yield* areHeld([x, y]), [true, true])
    })))

  it.effect("leaves out a lock that is being written, which that renews", () =>
    inWorld(Effect.gen(function*() {
      const { x, y } = yield* two
      const goOn = yield* stopNext("after")
      const writing = yield* Effect.forkChild(x.write([{ op: "add", path: "/data", value: {} }]))
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(yield* renewals, [[9_000, "x"], [12_000, "y"]])
      yield* goOn
      yield* Fiber.join(writing)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* asked(TestClock.adjust("1 second")), ["PATCH x y"])
      assert.deepStrictEqual(yield* areHeld([x, y]), [true, true])
    })))

  it.effect("is none that somebody asks for", () =>
    inWorld(Effect.gen(function*() {
      const { x, y } = yield* two
      assert.deepStrictEqual(yield* asked(y.renew), ["PATCH y"])
      assert.strictEqual(yield* remainingMillis(y), validMillis)
      assert.strictEqual(yield* remainingMillis(x), validMillis - 9_000)
    })))

  it.effect("counts for each of them, with the attributes that it was taken with", () =>
    Effect.gen(function*() {
      const team = (name: string) => Effect.provideService(Metric.CurrentMetricAttributes, { team: name })
      yield* inWorld(Effect.gen(function*() {
        yield* team("a")(hold("x"))
        yield* team("b")(hold("y"))
        const { release } = yield* team("c")(holdUntil("z"))
        yield* TestClock.adjust("10 seconds")
        yield* overwrite(undefined, "y")
        const goOn = yield* stopNext("after")
        yield* TestClock.adjust("10 seconds")
        yield* release
        yield* goOn
        yield* TestClock.adjust("2 seconds")
      }))
      const seen = (yield* Metric.snapshot).flatMap(({ attributes: { outcome, team } = {}, id, state }) =>
        id === "kubelock_renewals_total" ? [[team, outcome, Number("count" in state && state.count)] as const] : []
      )
      assert.sameDeepMembers(seen, [["a", "renewed", 2], ["b", "renewed", 1], ["b", "failed", 1], ["c", "renewed", 1]])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect.each([true, false])(
    "is waited for by the end of the layer for as long as one request takes, and no longer (released: %s)",
    (isReleased) =>
      Effect.gen(function*() {
        const cluster = yield* makeCluster({
          request: ({ atMillis }, answer) =>
            atMillis < 10_000 || atMillis > 10_000 && isReleased
              ? answer
              : Effect.andThen(Effect.sleep("5 seconds"), Effect.fail(timeout))
        })
        const process = yield* cluster.start("p")
        const locks = yield* Effect.forEach(["x", "y"], (name) => Effect.flatMap(process.make({ name }), holdOf))
        yield* TestClock.adjust("11 seconds")
        const ending = yield* Effect.forkChild(process.end)
        yield* settle
        if (isReleased) {
          for (const { release } of locks) yield* release
          assert.deepStrictEqual(yield* cluster.annotations, {})
        }
        yield* TestClock.adjust("3999 millis")
        assert.isUndefined(ending.pollUnsafe())
        yield* TestClock.adjust("1001 millis")
        assert.isDefined(ending.pollUnsafe())
        for (const { held } of locks) assert.isFalse(yield* held.isHeld)
        const requests = cluster.requests.filter(({ atMillis }) => atMillis >= 10_000).length
        assert.strictEqual(requests, isReleased ? 3 : 1)
      })
  )
})
