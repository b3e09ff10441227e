/** What acquiring and releasing a lock costs that nobody else wants: here, elsewhere, and at the least. */
import { KubeTransport } from "@kubelock/kube"
import { KubeApiServer } from "@kubelock/testing"
import { Effect } from "effect"
import type { Contender } from "../contenders/Contender.ts"
import * as Contenders from "../contenders/Contenders.ts"
import * as Objects from "../contenders/Objects.ts"
import * as Rounds from "../contenders/Rounds.ts"
import { BenchFailed, type Scenario, type Server } from "../Scenario.ts"
import type { Spread } from "../Statistics.ts"
import { figure, spread, type Table } from "../Table.ts"

/** How much is done on objects of a kind. */
interface Extent {
  readonly warmUpPairs: number
  readonly rounds: number
  /** So many at a turn. Turns are short: what else happens on the machine shall not meet one contender alone. */
  readonly pairs: number
}

/** Contenders on objects of one kind. */
interface Comparison {
  readonly id: string
  readonly title: string
  readonly kind: Objects.Kind
  readonly extent: Extent
}

const quickExtent: Extent = { warmUpPairs: 4, rounds: 2, pairs: 3 }
const extent: Extent = { warmUpPairs: 300, rounds: 100, pairs: 15 }
// Each pair writes the object twice, and etcd keeps all that for five minutes within half a GiB.
const largeExtent: Extent = { warmUpPairs: 4, rounds: 16, pairs: 2 }

const compare = Effect.fnUntraced(function*(
  { extent, id, kind }: Comparison,
  contenders: ReadonlyArray<Contender>,
  count: Objects.RequestCount
) {
  const objectBytes = JSON.stringify(kind.content).length
  const entries = yield* Effect.forEach(
    contenders,
    (contender, index) =>
      Effect.map(Objects.create(kind, `${id}-${index}`), (resource) => ({
        contender,
        order: { resource, objectBytes, pairs: extent.pairs }
      }))
  )
  for (const { contender, order } of entries) yield* contender.run({ ...order, pairs: extent.warmUpPairs })
  const requests = yield* Effect.forEach(
    entries,
    Effect.fnUntraced(function*({ contender, order }) {
      const before = yield* count(kind)
      yield* contender.run(order)
      return [contender.name, ((yield* count(kind)) - before) / order.pairs] as const
    })
  )
  return { slices: yield* Rounds.run(entries, extent.rounds), requests: new Map(requests) }
})

type Compared = Effect.Success<ReturnType<typeof compare>>

const columns = ["", "pairs/s", "mean ms", "p50 ms", "p99 ms", "requests", "bytes", "client CPU ms"]

const tableOf = ({ extent, id, title }: Comparison, { requests, slices }: Compared): Table => ({
  id,
  title: `${title}. ${extent.rounds} rounds of ${extent.pairs} pairs each; requests, bytes and CPU of a pair`,
  columns,
  rows: [...slices].map(([name, slices]) => {
    const { bytes, cpuMillis, meanMillis, p50Millis, p99Millis } = Rounds.perPair(slices)
    const figures = [1_000 / meanMillis, meanMillis, p50Millis, p99Millis, requests.get(name)!, bytes, cpuMillis]
    return [name, ...figures.map(figure)]
  })
})

/** On an object of each of these kinds, on one server. */
const onServer = Effect.fnUntraced(function*(
  comparisons: ReadonlyArray<Comparison>,
  contenders: ReadonlyArray<Contender>,
  count: Objects.RequestCount
) {
  return yield* Effect.forEach(
    comparisons,
    (comparison) => Effect.map(compare(comparison, contenders, count), (compared) => ({ comparison, compared }))
  )
})

const onReal = Effect.fnUntraced(function*(quick: boolean, { kubeconfig }: Server) {
  const contenders = yield* Effect.all([
    Contenders.floor(kubeconfig),
    Contenders.attempts(kubeconfig),
    Contenders.managed(kubeconfig)
  ])
  yield* Objects.registerCustom
  return yield* onServer(
    [
      {
        id: "pairs-small",
        title: "On a small ConfigMap",
        kind: Objects.small,
        extent: quick ? quickExtent : extent
      },
      {
        id: "pairs-custom-resource",
        title: "On a small custom resource",
        kind: Objects.custom,
        extent: quick ? quickExtent : extent
      },
      {
        id: "pairs-large",
        title: "On a ConfigMap of 900 KiB",
        kind: Objects.large,
        extent: quick ? quickExtent : largeExtent
      }
    ],
    contenders,
    yield* Objects.countByMetrics
  )
})

const onEmbedded = Effect.fnUntraced(function*(quick: boolean, kubeconfig: string) {
  const contenders = yield* Effect.all([
    Contenders.floor(kubeconfig),
    Contenders.attempts(kubeconfig),
    Contenders.managed(kubeconfig)
  ])
  return yield* onServer(
    [{
      id: "pairs-embedded",
      title: "On a small ConfigMap of the embedded server, which runs in one thread of Node and has no disk",
      kind: Objects.small,
      extent: quick ? quickExtent : extent
    }],
    contenders,
    yield* Objects.countByRecord
  )
})

interface Ratio {
  readonly what: string
  readonly comparison: string
  readonly ratio: (compared: Compared) => Spread | undefined
}

const times = (name: string, other: string) => ({ slices }: Compared): Spread | undefined => {
  const [one, two] = [slices.get(name), slices.get(other)]
  return one && two && Rounds.timeRatio(one, two)
}

const ratios: ReadonlyArray<Ratio> = ["pairs-small", "pairs-custom-resource", "pairs-large", "pairs-embedded"].flatMap(
  (comparison) => [
    {
      comparison,
      what: "time of a pair: acquire and release / bare PATCHes",
      ratio: times(Contenders.names.attempts, Contenders.names.floor)
    },
    {
      comparison,
      what: "time of a pair: withLock / bare PATCHes",
      ratio: times(Contenders.names.managed, Contenders.names.floor)
    }
  ]
)

const failed = ({ message }: { readonly message: string }) => new BenchFailed({ message })

const onOwnEmbedded = (quick: boolean) =>
  Effect.flatMap(
    KubeApiServer,
    ({ kubeconfig }) => Effect.provide(onEmbedded(quick, kubeconfig), KubeTransport.layerText(kubeconfig))
  ).pipe(
    Effect.provide(KubeApiServer.layer({ tls: true }))
  )

export const pairs = {
  name: "pairs",
  servers: ["real", "embedded"],
  run: Effect.fnUntraced(
    function*({ quick, server }) {
      const real = server.kind === "real"
        ? yield* Effect.provide(onReal(quick, server), KubeTransport.layerText(server.kubeconfig))
        : []
      const all = [...real, ...yield* onOwnEmbedded(quick)]
      const rows = ratios.flatMap(({ comparison: id, ratio, what }) => {
        const found = all.find(({ comparison }) => comparison.id === id)
        const value = found && ratio(found.compared)
        return found === undefined || value === undefined ? [] : [[what, found.comparison.title, spread(value)]]
      })
      return {
        tables: [
          ...all.map(({ compared, comparison }) => tableOf(comparison, compared)),
          {
            id: "pairs-ratios",
            title: "Side by side, round by round",
            columns: ["", "where", "median (middle half)"],
            rows
          }
        ]
      }
    },
    (effect) => effect.pipe(Effect.scoped, Effect.mapError(failed))
  )
} satisfies Scenario<Contenders.Needs>
