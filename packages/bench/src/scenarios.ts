/** All that is measured, in the order in which it is told. */
import type { NodeServices } from "@effect/platform-node"
import { busy } from "./busy/Busy.ts"
import { core } from "./core/core.ts"
import { growth } from "./growth/growth.ts"
import { handover } from "./handover/handover.ts"
import { holding } from "./holding/holding.ts"
import { pairs } from "./pairs/Pairs.ts"
import type { Scenario } from "./Scenario.ts"
import { start } from "./start/start.ts"

export const scenarios: ReadonlyArray<Scenario<NodeServices.NodeServices>> = [
  pairs,
  busy,
  handover,
  holding,
  core,
  start,
  growth
]
