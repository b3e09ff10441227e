/** `node packages/kube/test/chaos/check.ts FILE`: judges a history that `npm run chaos` has written. Exits with 1 on any violation. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Effect } from "effect"
import { Argument, Command } from "effect/cli"
import * as HistoryFile from "./HistoryFile.ts"

const check = Command.make(
  "check",
  { file: Argument.File("file", { mustExist: true }) },
  ({ file }) => HistoryFile.judge(file)
).pipe(Command.withDescription("Judges a history of `npm run chaos`"))

Command.run(check, { version: "0.0.0" }).pipe(
  Effect.catchTag("Unreadable", HistoryFile.failWith),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
