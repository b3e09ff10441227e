/** What acquiring and releasing a lock costs that nobody else wants: here, elsewhere, and at the least. */
import { KubeTransport } from "@kubelock/kube"
import { KubeApiServer } from "@kubelock/testing"
import { Effect, type FileSystem, type Path } from "effect"
import type { ChildProcessSpawner } from "effect/process"
import type { Slice } from "../contenders/Contender.ts"
import * as Contenders from "../contenders/Contenders.ts"
import * as Objects from "../contenders/Objects.ts"
import * as Rounds from "../contenders/Rounds.ts"
import { BenchFailed, type Scenario } from "../Scenario.ts"
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

const extent: Extent = { warmUpPairs: 300, rounds: 80, pairs: 15 }
// Each pair writes the object twice, and etcd keeps all that for five minutes within half a GiB.
const largeExtent: Extent = { warmUpPairs: 4, rounds: 18, pairs: 2 }
// A handful of requests is not limited.
const limitedExtent: Extent = { warmUpPairs: 3, rounds: 1, pairs: 6 }

const quickly = ({ rounds }: Extent): Extent => ({ warmUpPairs: 3, rounds: Math.min(2, rounds), pairs: 1 })

const comparisons = {
  small: { id: "pairs-small", title: "On a small ConfigMap", kind: Objects.small, extent },
  custom: { id: "pairs-custom-resource", title: "On a small custom resource", kind: Objects.custom, extent },
  large: { id: "pairs-large", title: "On a ConfigMap of 900 KiB", kind: Objects.large, extent: largeExtent },
  embedded: { id: "pairs-embedded", title: "On a small ConfigMap, embedded server", kind: Objects.small, extent },
  limited: { id: "pairs-limited", title: "", kind: Objects.small, extent: limitedExtent }
} satisfies Record<string, Comparison>

/** What came of one comparison. */
interface Compared {
  readonly comparison: Comparison
  readonly slices: ReadonlyMap<string, ReadonlyArray<Slice>>
  readonly requests: ReadonlyMap<string, number>
  readonly leftOut: ReadonlyArray<Contenders.LeftOut>
}

const compare = Effect.fnUntraced(function*(
  comparison: Comparison,
  entrants: ReadonlyArray<Contenders.Participant | Contenders.LeftOut>,
  count: Objects.RequestCount
) {
  const { extent, id, kind: usual } = comparison
  const participants = entrants.filter((entrant) => entrant._tag === "Participant")
  const entries = yield* Effect.forEach(
    participants,
    Effect.fnUntraced(function*(contender, index) {
      const kind = contender.kind ?? usual
      // An object each: what one makes of its own is no news to another.
      const resource = yield* Objects.create(kind, `${id}-${index}`)
      return { contender, kind, order: { resource, objectBytes: Objects.bytesOf(kind), pairs: extent.pairs } }
    })
  )
  const requests = new Map<string, number>()
  for (const { contender, kind, order } of entries) {
    const before = yield* count(kind)
    yield* contender.run({ ...order, pairs: extent.warmUpPairs })
    const asked = (yield* count(kind)) - before
    if (contender.asksApiServer) requests.set(contender.name, asked / extent.warmUpPairs)
  }
  const slices = yield* Rounds.run(entries, extent.rounds)
  const leftOut = entrants.filter((entrant) => entrant._tag === "LeftOut")
  return { comparison, slices, requests, leftOut } satisfies Compared
})

/** As one: what was measured on the same kind of object. */
const beside = (compared: Compared, other: Compared): Compared => ({
  comparison: compared.comparison,
  slices: new Map([...compared.slices, ...other.slices]),
  requests: new Map([...compared.requests, ...other.requests]),
  leftOut: [...compared.leftOut, ...other.leftOut]
})

const onReal = Effect.fnUntraced(function*(quick: boolean, kubeconfig: string) {
  const [floor, attempts, managed, kubelock, kubelockLimited, leaseLock, redis, etcd] = yield* Effect.all([
    Contenders.floor(kubeconfig),
    Contenders.attempts(kubeconfig),
    Contenders.managed(kubeconfig),
    Contenders.kubelock(kubeconfig),
    Contenders.kubelockLimited(kubeconfig),
    Contenders.leaseLock(kubeconfig),
    Contenders.redis,
    Contenders.etcd
  ])
  yield* Objects.registerCustom
  const count = yield* Objects.countByMetrics
  const on = (comparison: Comparison, ...entrants: ReadonlyArray<Contenders.Participant | Contenders.LeftOut>) =>
    compare(quick ? { ...comparison, extent: quickly(comparison.extent) } : comparison, entrants, count)

  const small = yield* on(comparisons.small, floor, attempts, managed, kubelock, leaseLock, redis, etcd)
  // Apart: while others have their turns it would save up requests that are not limited.
  const limited = yield* on(comparisons.limited, kubelockLimited)
  return [
    beside(small, limited),
    yield* on(comparisons.custom, floor, attempts, managed, kubelock),
    yield* on(comparisons.large, floor, attempts, managed, kubelock, etcd)
  ]
})

/** Where there is none. */
const withoutReal = Effect.map(
  Contenders.leaveOut("all, on the real server", "KUBEBUILDER_ASSETS"),
  (leftOut): ReadonlyArray<Compared> => [
    { comparison: comparisons.small, slices: new Map(), requests: new Map(), leftOut: [leftOut] }
  ]
)

const onEmbedded = Effect.fnUntraced(function*(quick: boolean, kubeconfig: string) {
  const entrants = yield* Effect.all([
    Contenders.floor(kubeconfig),
    Contenders.attempts(kubeconfig),
    Contenders.managed(kubeconfig)
  ])
  const comparison = comparisons.embedded
  const extent = quick ? quickly(comparison.extent) : comparison.extent
  return yield* compare({ ...comparison, extent }, entrants, yield* Objects.countByRecord)
})

const tableOf = ({ comparison: { extent, id, title }, leftOut, requests, slices }: Compared): Table => ({
  id,
  title: `${title}: one pair, of ${extent.rounds} rounds of ${extent.pairs}`,
  columns: ["", "pairs/s", "mean ms", "p50 ms", "p99 ms", "API requests", "bytes", "client CPU ms"],
  rows: [
    ...[...slices].map(([name, slices]) => {
      const { bytes, cpuMillis, meanMillis, p50Millis, p99Millis } = Rounds.perPair(slices)
      const asked = requests.get(name) ?? Number.NaN
      return [name, ...[1_000 / meanMillis, meanMillis, p50Millis, p99Millis, asked, bytes, cpuMillis].map(figure)]
    }),
    ...leftOut.map(Contenders.rowOf)
  ]
})

/** Who is held against whom, in what, and where. */
interface Ratio {
  readonly what: string
  readonly of: Rounds.OfRound
  readonly one: string
  readonly other: string
  readonly where: ReadonlyArray<Comparison>
}

const { custom, embedded, large, small } = comparisons

const ratios: ReadonlyArray<Ratio> = [
  ...[Contenders.names.attempts, Contenders.names.managed].map((one): Ratio => ({
    what: "time",
    of: Rounds.micros,
    one,
    other: Contenders.names.floor,
    where: [small, custom, large, embedded]
  })),
  ...[Contenders.names.attempts, Contenders.names.managed].map((one): Ratio => ({
    what: "client CPU",
    of: Rounds.cpuMillis,
    one,
    other: Contenders.names.floor,
    where: [small, custom, large, embedded]
  })),
  ...[Contenders.names.attempts, Contenders.names.managed].map((one): Ratio => ({
    what: "pairs/s",
    of: Rounds.pairsPerSecond,
    one,
    other: Contenders.names.kubelock,
    where: [small, custom, large]
  })),
  {
    what: "bytes",
    of: Rounds.bytes,
    one: Contenders.names.attempts,
    other: Contenders.names.kubelock,
    where: [small, large]
  },
  {
    what: "pairs/s",
    of: Rounds.pairsPerSecond,
    one: Contenders.names.attempts,
    other: Contenders.names.leaseLock,
    where: [small]
  }
]

const ratioIn = (all: ReadonlyArray<Compared>, { of, one, other }: Ratio, { id }: Comparison): Spread | undefined => {
  const slices = all.find(({ comparison }) => comparison.id === id)?.slices
  const [ones, others] = [slices?.get(one), slices?.get(other)]
  return ones && others && Rounds.ratio(of, ones, others)
}

const ratioTable = (all: ReadonlyArray<Compared>): Table => {
  const where = [small, custom, large, embedded]
  return {
    id: "pairs-ratios",
    title: "A pair of the one / of the other, round by round: the median, and the middle half",
    columns: ["", ...where.map(({ title }) => title.replace("On a ", ""))],
    rows: ratios.map((ratio) => [
      `${ratio.what}: ${ratio.one} / ${ratio.other}`,
      ...where.map((comparison) => {
        const found = ratio.where.includes(comparison) ? ratioIn(all, ratio, comparison) : undefined
        return found === undefined ? "–" : spread(found)
      })
    ]).filter(([, ...cells]) => cells.some((cell) => cell !== "–"))
  }
}

/** For who computes with it: milliseconds, requests, bytes and processor time of a pair. */
const dataOf = (all: ReadonlyArray<Compared>) =>
  Object.fromEntries(all.map(({ comparison, requests, slices }) => [
    comparison.id,
    Object.fromEntries([...slices].map(([name, slices]) => [
      name,
      { ...Rounds.perPair(slices), requests: requests.get(name) ?? null }
    ]))
  ]))

const failed = ({ message }: { readonly message: string }) => new BenchFailed({ message })

export const pairs: Scenario<ChildProcessSpawner.ChildProcessSpawner | FileSystem.FileSystem | Path.Path> = {
  name: "pairs",
  run: Effect.fnUntraced(
    function*({ quick, server }) {
      const onTheReal = server.kind === "embedded" ? yield* withoutReal : yield* onReal(quick, server.kubeconfig).pipe(
        Effect.provide(KubeTransport.layerText(server.kubeconfig)),
        Effect.scoped
      )
      const onTheEmbedded = yield* Effect.flatMap(
        KubeApiServer,
        ({ kubeconfig }) => Effect.provide(onEmbedded(quick, kubeconfig), KubeTransport.layerText(kubeconfig))
      ).pipe(
        Effect.provide(KubeApiServer.layer({ tls: true })),
        Effect.scoped
      )
      const all = [...onTheReal, onTheEmbedded]
      return { tables: [...all.map(tableOf), ratioTable(all)], data: dataOf(all) }
    },
    Effect.mapError(failed)
  )
}
