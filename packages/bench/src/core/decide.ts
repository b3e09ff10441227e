/**
 * Decides over and over, in a process of its own: rounds in which each case has its turn. Its argument: how many rounds. Needs
 * `--expose-gc`.
 */
import { AnnotationEdit, LockName, LockRecord, Transition, Ttl } from "@kubelock/core"
import { Result } from "effect"

const lock = Result.getOrThrow(LockName.make("helm"))
const ttl = Result.getOrThrow(Ttl.make("30 seconds"))
const nowNanos = 1_790_000_000_123_456_789n
const request = {
  lock,
  resource: "configmaps/deploys in namespace \"prod\"",
  owner: "deployer-6d5f7c9b4-x2x7q-1-4fz0aa9k21pq",
  id: "4fz0aa9k21pq-0c9f1yk8s3dw",
  ttl
}

/** What an object has beside the lock in a cluster in use. */
const others: AnnotationEdit.Annotations = {
  "kubectl.kubernetes.io/last-applied-configuration": JSON.stringify({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "deploys", namespace: "prod" },
    data: { values: "x".repeat(400) }
  }),
  "meta.helm.sh/release-name": "deploys",
  "meta.helm.sh/release-namespace": "prod",
  "kubelock.giantswarm.io/other": `{"owner":"5.3.0","createdAt":"2026-09-21T13:33:20.5Z","ttl":300000000000}`
}

const takenAt = (createdAtNanos: bigint): AnnotationEdit.Annotations =>
  Result.getOrThrow(Result.flatMap(
    Transition.acquire(others, request, createdAtNanos),
    (edit) => AnnotationEdit.apply(others, [edit])
  ))

const held = takenAt(nowNanos - 10_000_000_000n)
const expired = takenAt(nowNanos - 100_000_000_000n)
const text = AnnotationEdit.get(held, LockName.toKey(lock)) ?? ""
const record = Result.getOrThrow(LockRecord.parse(text))
const json: unknown = JSON.parse(text)
const another = { ...request, owner: "another" }

const cases: Readonly<Record<string, () => unknown>> = {
  "acquire, free": () => Transition.acquire(others, request, nowNanos),
  "acquire, expired": () => Transition.acquire(expired, request, nowNanos),
  "acquire, held by another": () => Transition.acquire(held, another, nowNanos),
  renew: () => Transition.renew(held, request, nowNanos),
  release: () => Transition.release(held, request, nowNanos),
  "LockRecord.parse": () => LockRecord.parse(text),
  "JSON.parse": () => JSON.parse(text),
  "LockRecord.format": () => LockRecord.format(record),
  "JSON.stringify": () => JSON.stringify(json),
  "new Error": () => new Error("refused")
}

/** Whatever is decided goes here, so that no decision is left out as useless. */
const sink: Array<unknown> = [undefined]

const repeat = (decide: () => unknown, times: number) => {
  for (let time = 0; time < times; time++) sink[0] = decide()
}

const warmUps = 30_000
const timesPerSlice = 10_000
// So few that nothing is collected meanwhile.
const timesForBytes = 2_000

/** Of the processor: what others do on this machine meanwhile does not count. */
const nanosOf = (decide: () => unknown): number => {
  const before = process.cpuUsage()
  repeat(decide, timesPerSlice)
  const { system, user } = process.cpuUsage(before)
  return (user + system) * 1e3 / timesPerSlice
}

const bytesOf = (decide: () => unknown): number => {
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  repeat(decide, timesForBytes)
  return (process.memoryUsage().heapUsed - before) / timesForBytes
}

const rounds = Number(process.argv[2])
for (const decide of Object.values(cases)) repeat(decide, warmUps)
const nanos = new Map(Object.keys(cases).map((name) => [name, new Array<number>()]))
for (let round = 0; round < rounds; round++) {
  for (const [name, decide] of Object.entries(cases)) nanos.get(name)?.push(nanosOf(decide))
}
const found = Object.entries(cases).map(([name, decide]) => ({ name, nanos: nanos.get(name), bytes: bytesOf(decide) }))
process.stdout.write(JSON.stringify(found))
