/** What a process has used so far, read from outside, the same way for all. */
import { Effect, FileSystem } from "effect"
import { BenchFailed } from "../Scenario.ts"

export interface Usage {
  /** Processor time of all its threads. */
  readonly cpuMillis: number
  /** What it has read and written: files, pipes, and sockets with what TLS adds. */
  readonly bytes: number
}

/** The processor time in the text of /proc/PID/task/TID/schedstat. /proc/PID/stat counts in steps of 10 ms, and a round takes little more. */
export const cpuMillisIn = (schedstat: string): number => Number(schedstat.split(" ")[0]) / 1_000_000

/** The bytes in the text of /proc/PID/io. */
export const bytesIn = (io: string): number =>
  Number(/^rchar: (\d+)$/m.exec(io)?.[1]) + Number(/^wchar: (\d+)$/m.exec(io)?.[1])

const unreadable = Effect.mapError(({ message }: { readonly message: string }) =>
  new BenchFailed({ message: `What a process uses is read from /proc, as Linux has it: ${message}` })
)

export const of = Effect.fnUntraced(
  function*(pid: number): Effect.fn.Return<Usage, BenchFailed, FileSystem.FileSystem> {
    const fs = yield* FileSystem.FileSystem
    const ofThread = (thread: string) =>
      fs.readFileString(`/proc/${pid}/task/${thread}/schedstat`).pipe(
        Effect.map(cpuMillisIn),
        // It has ended since.
        Effect.orElseSucceed(() => 0)
      )
    return yield* Effect.all({
      cpuMillis: Effect.flatMap(
        fs.readDirectory(`/proc/${pid}/task`),
        (threads) => Effect.map(Effect.forEach(threads, ofThread), (all) => all.reduce((sum, one) => sum + one, 0))
      ),
      bytes: Effect.map(fs.readFileString(`/proc/${pid}/io`), bytesIn)
    }).pipe(unreadable)
  }
)

/** The memory in the text of /proc/PID/status. */
export const residentBytesIn = (status: string): number => Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024

/** What it has of the machine now. */
export const held = Effect.fnUntraced(function*(pid: number) {
  const fs = yield* FileSystem.FileSystem
  const folder = `/proc/${pid}/fd`
  // One that was listed may be closed by now.
  const target = (descriptor: string) => Effect.orElseSucceed(fs.readLink(`${folder}/${descriptor}`), () => "")
  const targets = yield* Effect.forEach(yield* fs.readDirectory(folder), target)
  return {
    residentBytes: residentBytesIn(yield* fs.readFileString(`/proc/${pid}/status`)),
    sockets: targets.filter((target) => target.startsWith("socket:")).length
  }
}, unreadable)
