/** What the connections through a proxy suffer. */
import { Effect } from "effect"
import type { WorkerFaultKind } from "./History.ts"
import type { Proxy, Toxic } from "./Toxiproxy.ts"

export type Kind = Exclude<WorkerFaultKind, "Kill" | "Stop">

/** They suffer it until the scope closes. `share`, from 0 to 1, chooses how bad it is, or which way it goes. */
export const suffer = Effect.fnUntraced(function*(proxy: Proxy, kind: Kind, share: number) {
  yield* proxy.suffer(toxicsOf(kind, share))
  // What is open would be closed in order.
  if (kind === "Cut") yield* proxy.cut
})

const directions = ["upstream", "downstream"] as const

const toxicsOf = (kind: Kind, share: number): ReadonlyArray<Toxic> => {
  switch (kind) {
    case "Delay":
      return directions.map((stream) => ({
        type: "latency",
        stream,
        attributes: { latency: Math.round(100 + 900 * share), jitter: 100 }
      }))
    case "Cut":
      return directions.map((stream) => ({ type: "reset_peer", stream, attributes: { timeout: 0 } }))
    case "HalfClose":
      return [
        { type: "limit_data", stream: "upstream", attributes: { bytes: 0 } },
        { type: "slow_close", stream: "downstream", attributes: { delay: 60_000 } }
      ]
    case "BlackHole":
      return directions
        .filter((_, index) => share < 1 / 3 || (share < 2 / 3) === (index === 0))
        .map((stream) => ({ type: "timeout", stream, attributes: { timeout: 0 } }))
  }
}
