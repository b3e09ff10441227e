/** `npm run model`: searches the large worlds for as many states as are asked for, and tells what it has seen. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Clock, Console, Effect, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import * as Protocol from "./Protocol.ts"
import { search } from "./Search.ts"
import * as Worlds from "./worlds.ts"

class Violated extends Schema.TaggedError<Violated>()("Violated", { message: Schema.String }) {}

const model = Command.make(
  "model",
  {
    states: Flag.Int("states").pipe(
      Flag.withDescription("How many states of each large world to look at; two million by default"),
      Flag.withDefault(2_000_000)
    )
  },
  ({ states }) =>
    Effect.forEach(Object.entries({ ...Worlds.complete, ...Worlds.large }), ([name, config]) =>
      Effect.gen(function*() {
        const startedAtMillis = yield* Clock.currentTimeMillis
        const found = search(Protocol.world(config), states)
        const seconds = ((yield* Clock.currentTimeMillis) - startedAtMillis) / 1_000
        yield* Console.log(
          `${name}: ${found.states} states, ${found.depth} steps deep, ${
            found.isComplete ? "all there are" : "not all there are"
          }, in ${seconds.toFixed(1)} s`
        )
        if (found.violation === undefined) return
        const { problem, trace } = found.violation
        return yield* new Violated({ message: `${problem}:\n  ${trace.join("\n  ")}` })
      }), { discard: true })
).pipe(
  Command.withDescription(
    "Looks at every state that a few clients of the library can come to, whatever happens between"
  )
)

Command.run(model, { version: "0.0.0" }).pipe(
  Effect.catchTag("Violated", ({ message }) =>
    Effect.andThen(
      Console.error(message),
      Effect.sync(() => {
        process.exitCode = 1
      })
    )),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
