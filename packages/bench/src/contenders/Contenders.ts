/** Who contends, and how each is started. */
import { Config, Effect, Option } from "effect"
import { BenchFailed } from "../Scenario.ts"
import * as Contender from "./Contender.ts"
import { type Program, script } from "./LineProcess.ts"
import * as LocalServers from "./LocalServers.ts"
import * as Objects from "./Objects.ts"

/** Who takes part. */
export interface Participant extends Contender.Contender {
  readonly _tag: "Participant"
  /** The only kind of object that it locks; none: any. */
  readonly kind: Objects.Kind | undefined
  readonly asksApiServer: boolean
}

/** Who would take part, were everything there. */
export interface LeftOut {
  readonly _tag: "LeftOut"
  readonly name: string
  readonly why: string
}

/** Its row. */
export const rowOf = ({ name, why }: LeftOut): ReadonlyArray<string> => [`${name} (left out: ${why})`]

/** As tables call them. */
export const names = {
  floor: "the same two PATCHes, bare",
  attempts: "ours: acquire, release",
  managed: "ours: withLock",
  kubelock: "giantswarm/kubelock, unlimited",
  kubelockLimited: "giantswarm/kubelock as it comes",
  leaseLock: "client-go LeaseLock",
  redis: "redis-semaphore, Redis in memory",
  etcd: "etcd: two puts of the object"
} as const

const participate = Effect.fnUntraced(function*(
  name: string,
  program: Program,
  { asksApiServer = true, kind }: { readonly asksApiServer?: boolean; readonly kind?: Objects.Kind } = {}
) {
  const contender = yield* Contender.start(name, program)
  return { _tag: "Participant", ...contender, kind, asksApiServer } satisfies Participant
})

const node = (file: string, ...args: ReadonlyArray<string>) => script(new URL(file, import.meta.url), ...args)

/** The requests of the library with nothing around them. */
export const floor = (kubeconfig: string) => participate(names.floor, node("./floor.ts", kubeconfig))

/** The library's single attempts. */
export const attempts = (kubeconfig: string) => participate(names.attempts, node("./ours.ts", "attempts", kubeconfig))

/** The library's managed lock. */
export const managed = (kubeconfig: string) => participate(names.managed, node("./ours.ts", "managed", kubeconfig))

const ofEnvironment = (variable: string) =>
  Config.option(Config.String(variable)).pipe(
    Effect.map(Option.filter((value) => value !== "")),
    Effect.orElseSucceed(() => Option.none<string>())
  )

/** Left out, or failed where nothing may be. */
export const leaveOut = Effect.fnUntraced(function*(name: string, variable: string) {
  const why = `${variable} is not set`
  const required = yield* ofEnvironment("KUBELOCK_REQUIRE_CONTROL_PLANE")
  if (Option.isSome(required)) return yield* new BenchFailed({ message: `${name} would be left out: ${why}` })
  return { _tag: "LeftOut", name, why } satisfies LeftOut
})

/** With what the environment variable says; where it says nothing, left out. */
const where = <R>(
  variable: string,
  name: string,
  use: (value: string) => Effect.Effect<Participant | LeftOut, BenchFailed, R>
): Effect.Effect<Participant | LeftOut, BenchFailed, R> =>
  Effect.gen(function*() {
    const value = yield* ofEnvironment(variable)
    return yield* Option.isSome(value) ? use(value.value) : leaveOut(name, variable)
  })

const inGo = (name: string, subcommand: string, settings: object, traits?: Parameters<typeof participate>[2]) =>
  where(
    "KUBELOCK_BENCH_GO",
    name,
    (command) => participate(name, { command, args: [subcommand, JSON.stringify(settings)] }, traits)
  )

/** The Go library without client-go's rate limit. */
export const kubelock = (kubeconfig: string) => inGo(names.kubelock, "kubelock", { kubeconfig, queriesPerSecond: -1 })

/** The Go library with client-go's defaults. */
export const kubelockLimited = (kubeconfig: string) => inGo(names.kubelockLimited, "kubelock", { kubeconfig })

/** What client-go's leader election does to a Lease, without the rate limit. */
export const leaseLock = (kubeconfig: string) =>
  inGo(names.leaseLock, "leaselock", { kubeconfig, queriesPerSecond: -1 }, { kind: Objects.lease })

/** The mutex that a user of Redis would pick. */
export const redis = where(
  "KUBELOCK_REDIS_SERVER",
  names.redis,
  Effect.fnUntraced(function*(program) {
    const port = yield* LocalServers.redis(program)
    return yield* participate(names.redis, node("./redis.ts", String(port)), { asksApiServer: false })
  })
)

/** What the API server itself cannot do without. */
export const etcd = where(
  "KUBEBUILDER_ASSETS",
  names.etcd,
  Effect.fnUntraced(function*(assets) {
    const endpoint = yield* LocalServers.etcd(assets)
    return yield* inGo(names.etcd, "etcd", { endpoint }, { asksApiServer: false })
  })
)
