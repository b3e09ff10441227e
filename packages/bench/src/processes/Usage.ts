/** What a process of this machine uses, as the kernel tells: the same for whatever it is written in. */
import { Effect, FileSystem } from "effect"
import { BenchFailed } from "../Scenario.ts"

// `USER_HZ`, which is 100 wherever Linux runs.
const millisPerTick = 10

/** Of /proc/PID/stat. The name of the program, in brackets, may hold anything. */
export const cpuMillisIn = (stat: string): number => {
  const [utime, stime] = stat.slice(stat.lastIndexOf(")")).split(" ").slice(12, 14)
  return (Number(utime) + Number(stime)) * millisPerTick
}

/** Of /proc/PID/io. */
export const bytesIn = (io: string): number =>
  [...io.matchAll(/^[rw]char: (\d+)$/gm)].reduce((sum, [, bytes]) => sum + Number(bytes), 0)

/** Of /proc/PID/status. */
export const residentBytesIn = (status: string): number => Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024

const told = <A, R>(self: Effect.Effect<A, Error, R>): Effect.Effect<A, BenchFailed, R> =>
  Effect.mapError(self, ({ message }) => new BenchFailed({ message: `What a process uses cannot be read: ${message}` }))

const read = (pid: number, file: string) =>
  told(Effect.flatMap(FileSystem.FileSystem, (files) => files.readFileString(`/proc/${pid}/${file}`)))

/** Processor time since it began. */
export const cpuMillis = (pid: number) => Effect.map(read(pid, "stat"), cpuMillisIn)

/** Read and written since it began, nearly all of it by sockets. */
export const bytes = (pid: number) => Effect.map(read(pid, "io"), bytesIn)

/** In memory now. */
export const residentBytes = (pid: number) => Effect.map(read(pid, "status"), residentBytesIn)

/** Open now, of any kind. */
export const sockets = Effect.fnUntraced(function*(pid: number) {
  const files = yield* FileSystem.FileSystem
  const folder = `/proc/${pid}/fd`
  // One that was listed may be closed by now.
  const target = (descriptor: string) => Effect.orElseSucceed(files.readLink(`${folder}/${descriptor}`), () => "")
  const targets = yield* Effect.forEach(yield* files.readDirectory(folder), target)
  return targets.filter((target) => target.startsWith("socket:")).length
}, told)
