import * as Protocol from "./Protocol.ts"
import { search } from "./Search.ts"
const base: Protocol.Config = { clients: ["ours", "ours"], locks: ["x"], ttl: 3, safetyMargin: 1, takeoverDelay: 0, skew: 1, clockSteps: 0, until: 5, acquisitionsPerClient: 1, renewalsPerAcquisition: 1, losses: 0, crashes: 0 }
const run = (name: string, change: Partial<Protocol.Config>, max = 200_000) => {
  const t = performance.now()
  const found = search(Protocol.world({ ...base, ...change }), max)
  console.log(name, found.states, "states, depth", found.depth, found.isComplete ? "complete" : "cut", Math.round(performance.now() - t), "ms", found.violation?.problem ?? "", found.violation?.trace.join("\n   ") ?? "")
}
run("two, no skew", { skew: 0 })
run("two, skew 1", { })
run("two, skew 3", { skew: 3 })
run("two, loss", { losses: 1 })
run("two, crash", { crashes: 1 })
run("two, step", { clockSteps: 1 })
