/** Workers want one lock while everything fails that can: all of it, from the first worker's start to the last one's end. */
import { KubeTransport } from "@kubelock/kube"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Effect, Fiber, FileSystem, Schedule, Schema } from "effect"
import { join } from "node:path"
import { base64, kubeconfig } from "../KubeTransportFixtures.ts"
import { makeServiceAccount } from "../suites/serviceAccount.ts"
import { perform } from "./faults.ts"
import * as LockedObject from "./LockedObject.ts"
import * as Plan from "./Plan.ts"
import * as Recorder from "./Recorder.ts"
import * as Team from "./Team.ts"
import { Toxiproxy } from "./Toxiproxy.ts"

export interface Settings {
  readonly seed: number
  readonly seconds: number
  readonly processes: number
  /** The file that the history is written to. */
  readonly history: string
  readonly goPeer: string
}

// A process takes most of a second of processor time to load everything.
const startingAtOnce = 2

/** After the last fault everybody who waits for the lock gets it once more. */
const servedAtMostMillis = 60_000

const ttlsMillis = [2_000, 2_500, 3_000] as const
const longestTtlMillis = Math.max(...ttlsMillis)
/** So long after its TTL a record is expired by every clock of this machine. */
const marginMillis = 300

/** One in four is a Go program. */
const membersOf = (processes: number): ReadonlyArray<Team.Member> =>
  Array.from({ length: processes }, (_, index) => {
    const language = index % 4 === 3 ? "Go" : "TypeScript"
    return {
      worker: `${language === "Go" ? "go" : "ts"}-${index + 1}`,
      language,
      ttlMillis: ttlsMillis[index % ttlsMillis.length]!
    }
  })

const Kubeconfig = Schema.fromJsonString(Schema.Struct({
  users: Schema.NonEmptyArray(Schema.Struct({ user: Schema.Record(Schema.String, Schema.Unknown) }))
}))

const mayLock = [{ apiGroups: [""], resources: ["configmaps"], verbs: ["get", "list", "watch", "patch", "update"] }]

/** Yields when it is over; what has happened is in the history. */
export const run = Effect.fnUntraced(function*({ goPeer, history, processes, seconds, seed }: Settings) {
  const controlPlane = yield* ControlPlane
  const toxiproxy = yield* Toxiproxy
  const files = yield* FileSystem.FileSystem
  const folder = yield* files.makeTempDirectoryScoped({ prefix: "kubelock-chaos-" })
  const members = membersOf(processes)
  const record = yield* Recorder.make(history)
  record({ _tag: "Began", seed, seconds, workers: members })

  const { issueToken } = yield* makeServiceAccount("under-fire", mayLock)
  const tokenFile = join(folder, "token")
  const tokens = {
    issue: issueToken,
    // Whoever reads it meanwhile reads the one or the other.
    write: ({ token }: { readonly token: string }) =>
      files.writeFileString(`${tokenFile}.new`, token).pipe(
        Effect.andThen(files.rename(`${tokenFile}.new`, tokenFile)),
        Effect.orDie
      ),
    first: yield* issueToken
  }
  yield* tokens.write(tokens.first)

  const withProxies = yield* Effect.forEach(members, (member) =>
    Effect.map(
      toxiproxy.proxy(member.worker, new URL(controlPlane.url).host),
      (proxy) => ({ ...member, proxy })
    ))
  // client-go reads a token file once a minute: so long a Go program would not get in after each rotation.
  const { users: [{ user: goUser }] } = yield* Schema.decodeEffect(Kubeconfig)(
    yield* controlPlane.makeUser({ name: "go-under-fire", namespace: "default", rules: mayLock })
  )
  for (const { language, proxy, worker } of withProxies) {
    const cluster = {
      server: `https://${proxy.address}`,
      "certificate-authority-data": base64(controlPlane.caCertificatePem)
    }
    const user = language === "Go" ? goUser : { tokenFile }
    yield* files.writeFileString(join(folder, worker), kubeconfig(cluster, user))
  }

  yield* LockedObject.create
  yield* Effect.forkScoped(
    Effect.provide(LockedObject.observe(record), KubeTransport.layerText(controlPlane.kubeconfig))
  )
  const means = { goPeer, kubeconfigFile: ({ worker }: Team.Member) => join(folder, worker) }
  const { holder, served, workers, writer } = yield* Team.make(withProxies, means, record)
  yield* Effect.forEach(workers, ({ start }) => start, { concurrency: startingAtOnce, discard: true })

  const disturbing = yield* Effect.forkScoped(LockedObject.disturb(record))
  const plan = yield* Plan.make({ seed, seconds, workers: workers.length })
  yield* perform(plan, { workers, holder, writer, tokens }, record)

  record({ _tag: "Healed" })
  const before = yield* served
  // A Go program does not wait, it tries.
  const waiting = workers.filter(({ language }) => language === "TypeScript")
  yield* served.pipe(
    Effect.repeat({
      until: (now) => waiting.every(({ worker }) => now.get(worker) !== before.get(worker)),
      schedule: Schedule.spaced("100 millis")
    }),
    Effect.timeoutOption(servedAtMostMillis)
  )

  yield* Effect.forEach(workers, ({ end }) => end, { concurrency: "unbounded", discard: true })
  yield* Fiber.interrupt(disturbing)
  yield* Effect.sleep(longestTtlMillis + marginMillis)
  record({ _tag: "Found", held: yield* LockedObject.heldLocks })
  record({ _tag: "Over" })
}, Effect.scoped)
