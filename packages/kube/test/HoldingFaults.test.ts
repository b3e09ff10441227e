import { assert, it } from "@effect/vitest"
import { LockRecord } from "@kubelock/core"
import { KubeLock, ResourceRef } from "@kubelock/kube"
import { Effect, Exit, Fiber, Random, Result } from "effect"
import { TestClock } from "effect/testing"
import { annotations, asProcess, Control, type Fate, fates, inWorldOf, keyOf } from "./suites/managedWorld.ts"

// What can become of a renewal. Each order of these is met by a lock of its own, all held at the same time.
const kinds = {
  ok: fates.ok,
  hang: fates.hang,
  "lost answer": fates.answerLost,
  "409": fates.conflict,
  "422": fates.refused,
  "429": fates.throttled,
  "503": fates.unavailable,
  "connection refused": fates.unreachable
} satisfies Record<string, Fate>
type Kind = keyof typeof kinds
type Order = ReadonlyArray<Kind>

const longer = (orders: ReadonlyArray<Order>, kinds: Order): ReadonlyArray<Order> =>
  orders.flatMap((order) => kinds.map((kind) => [...order, kind]))
const ofOne = Object.keys(kinds).filter((name): name is Kind => name in kinds).map((kind): Order => [kind])
const all = ofOne.flat()
const ofTwo = longer(ofOne, all)
// Of four, those that take time: the others are over sooner than any of three of these.
const slow: Order = ["hang", "lost answer", "429"]
const ofFour = longer(longer(longer(slow.map((kind) => [kind]), slow), slow), slow)
const orders = [...ofOne, ...ofTwo, ...longer(ofTwo, all), ...ofFour]

// On an object of its own: those of one object are renewed together.
const locks = orders.map((order, index) => ({
  order,
  name: `lock-${index}`,
  resource: ResourceRef.configMap({ namespace: "default", name: `object-${index}` })
}))
const objects = locks.map(({ resource }) => resource)

const validMillis = 29_000
// A request may take five seconds, and is sent at 10, 15, 20 and 25: the fourth has no time left.
const isTooMuch = (order: Order) => order.every((kind) => kind === "hang") && order.length === 4

it.effect(
  "renewals that fail in every order: the section ends in time, or goes on rightly",
  () =>
    inWorldOf(objects)(
      asProcess("me")(Effect.gen(function*() {
        const control = yield* Control
        const sections = yield* Effect.forEach(locks, ({ name, order, resource }) =>
          Effect.gen(function*() {
            const lock = yield* KubeLock.make({ resource, name, ttl: "30 seconds", watch: false })
            return { name, order, resource, fiber: yield* Effect.forkChild(lock.withLock(Effect.never)) }
          }))
        yield* TestClock.adjust("1 second")
        const left = new Map(locks.map(({ name, order }) => [keyOf(name), order.map((kind) => kinds[kind])]))
        yield* control.fate(({ edits: [edit] }) => edit === undefined ? undefined : left.get(edit.key)?.shift())

        const created = new Map<string, number>()
        const createdMillis = (text: string) => {
          const known = created.get(text) ??
            Number(Result.getOrThrow(LockRecord.parse(text)).createdAtNanos / 1_000_000n)
          created.set(text, known)
          return known
        }
        for (let nowMillis = 2_000; nowMillis <= 80_000; nowMillis += 1_000) {
          yield* TestClock.adjust("1 second")
          const seen = new Map<string, string>()
          for (const resource of objects) {
            for (const [key, text] of Object.entries(yield* annotations(resource))) seen.set(key, text)
          }
          for (const { fiber, name, order } of sections) {
            const isRunning = fiber.pollUnsafe() === undefined
            if (isTooMuch(order)) {
              assert.strictEqual(isRunning, nowMillis < validMillis, String(order))
              continue
            }
            assert.isTrue(isRunning, `${String(order)} at ${nowMillis}`)
            const text = seen.get(keyOf(name))
            assert.isDefined(text, String(order))
            assert.isBelow(nowMillis, createdMillis(text) + validMillis, String(order))
          }
        }
        for (const { fiber, order } of sections) {
          if (isTooMuch(order)) assert.isTrue(Exit.isFailure(yield* Fiber.await(fiber)))
          assert.isFalse(left.get(keyOf(sections[orders.indexOf(order)]!.name))!.length > 0, "every fault was met")
        }
      }))
    ).pipe(Random.withSeed("renewals")),
  60_000
)
