/** What a process has used so far, read from outside, the same way for all. */
import { Effect, FileSystem } from "effect"
import { BenchFailed } from "../Scenario.ts"

export interface Usage {
  /** Processor time, in the kernel's ticks of 10 ms. */
  readonly cpuMillis: number
  /** What it has read and written: files, pipes, and sockets with what TLS adds. */
  readonly bytes: number
}

const millisPerTick = 10

/** The processor time in the text of /proc/PID/stat. */
export const cpuMillisIn = (stat: string): number => {
  // The program's name comes before and may hold anything, parentheses too.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  const [user, system] = [Number(fields[11]), Number(fields[12])]
  return (user + system) * millisPerTick
}

/** The bytes in the text of /proc/PID/io. */
export const bytesIn = (io: string): number =>
  Number(/^rchar: (\d+)$/m.exec(io)?.[1]) + Number(/^wchar: (\d+)$/m.exec(io)?.[1])

export const of = Effect.fnUntraced(
  function*(pid: number): Effect.fn.Return<Usage, BenchFailed, FileSystem.FileSystem> {
    const fs = yield* FileSystem.FileSystem
    return yield* Effect.all({
      cpuMillis: Effect.map(fs.readFileString(`/proc/${pid}/stat`), cpuMillisIn),
      bytes: Effect.map(fs.readFileString(`/proc/${pid}/io`), bytesIn)
    }).pipe(
      Effect.mapError(({ message }) =>
        new BenchFailed({ message: `What a process uses is read from /proc, as Linux has it: ${message}` })
      )
    )
  }
)
