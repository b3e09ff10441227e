/** `npm run simulate`: simulates one seed after another, and tells what it has seen. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Clock, Console, Effect, Option, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { tell } from "./History.ts"
import * as Verdict from "./Verdict.ts"

class SeedFailed extends Schema.TaggedError<SeedFailed>()("SeedFailed", { message: Schema.String }) {}

const wholeNumber = (name: string) => Flag.Int(name).pipe(Flag.withSchema(Schema.Int.check(Schema.isGreaterThan(0))))

const run = Effect.fnUntraced(function*({ isTold, seconds, seed: first, seeds }: {
  readonly seed: number
  readonly seeds: number
  readonly seconds: Option.Option<number>
  readonly isTold: boolean
}) {
  const startedAtMillis = yield* Clock.currentTimeMillis
  const elapsedSeconds = Effect.map(Clock.currentTimeMillis, (nowMillis) => (nowMillis - startedAtMillis) / 1_000)
  const counts = new Map<string, number>()
  const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1)
  let simulatedMillis = 0
  let seed = first
  const isDone = Effect.map(
    elapsedSeconds,
    (elapsed) => Option.match(seconds, { onNone: () => seed >= first + seeds, onSome: (atMost) => elapsed >= atMost })
  )
  while (!(yield* isDone)) {
    const { happenings, plan, problems, simulatedMillis: millis } = yield* Verdict.ofSeed(seed)
    simulatedMillis += millis
    for (const one of happenings) {
      if (one._tag === "Fault") count(one.kind)
      if (one._tag === "Entered") count("sections")
      if (one._tag === "Wrote") count("fenced writes")
    }
    if (isTold) {
      yield* Console.log(JSON.stringify(plan, undefined, 2))
      yield* Console.log(happenings.map((one) => tell(one, plan.locks)).join("\n"))
    }
    if (problems.length > 0) {
      return yield* new SeedFailed({
        message:
          `Seed ${seed}:\n  ${problems.join("\n  ")}\nTo see what happened: npm run simulate -- --seed ${seed} ` +
          "--seeds 1 --tell"
      })
    }
    seed++
  }
  yield* Console.log(
    `${seed - first} seeds from ${first}, ${(simulatedMillis / 3_600_000).toFixed(1)} simulated hours, in ` +
      `${(yield* elapsedSeconds).toFixed(0)} s; nothing wrong.`
  )
  const told = Array.from(counts).sort(([, left], [, right]) => right - left).map(([what, times]) => `${times} ${what}`)
  yield* Console.log(`${told.join(", ")}.`)
})

const simulate = Command.make(
  "simulate",
  {
    seed: wholeNumber("seed").pipe(Flag.withDescription("The first seed; 1 by default"), Flag.withDefault(1)),
    seeds: wholeNumber("seeds").pipe(Flag.withDescription("How many; 1000 by default"), Flag.withDefault(1_000)),
    seconds: wholeNumber("seconds").pipe(
      Flag.withDescription("For how long to go on, in place of a number of seeds"),
      Flag.optional
    ),
    isTold: Flag.Boolean("tell").pipe(
      Flag.withDescription("Tell everything that happened"),
      Flag.withDefault(false)
    )
  },
  run
).pipe(
  Command.withDescription(
    "Runs the library on a simulated network, with many processes and all that can go wrong; and judges what happened"
  )
)

Command.run(simulate, { version: "0.0.0" }).pipe(
  Effect.catchTag("SeedFailed", ({ message }) =>
    Effect.andThen(
      Console.error(message),
      Effect.sync(() => {
        process.exitCode = 1
      })
    )),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
