/** The servers of locks that are kept elsewhere, on loopback for as long as the scope. */
import { Effect, FileSystem, Path, Schedule } from "effect"
import { ChildProcess } from "effect/process"
import * as Net from "node:net"
import { BenchFailed } from "../Scenario.ts"

const host = "127.0.0.1"

/** A port that is free at this moment. */
const freePort = Effect.callback<number>((resume) => {
  const server = Net.createServer()
  server.listen(0, host, () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

const connect = (port: number) =>
  Effect.callback<void, Error>((resume) => {
    const socket = Net.connect(port, host, () => {
      socket.destroy()
      resume(Effect.void)
    })
    socket.once("error", (error) => resume(Effect.fail(error)))
  })

/** Starts a server; done when it listens. */
const start = Effect.fnUntraced(
  function*(program: string, args: ReadonlyArray<string>, port: number) {
    yield* ChildProcess.make(program, args, {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
      killSignal: "SIGKILL"
    })
    yield* Effect.retry(connect(port), { schedule: Schedule.spaced("50 millis"), times: 400 })
  },
  (effect, program) =>
    Effect.mapError(effect, ({ message }) => new BenchFailed({ message: `${program} does not run: ${message}` }))
)

/** A Redis that keeps everything in memory alone; yields its port. */
export const redis = Effect.fnUntraced(function*(program: string) {
  const port = yield* freePort
  yield* start(program, ["--port", String(port), "--bind", host, "--save", ""], port)
  return port
})

/** An etcd that has every write on the disk before it answers, as the API server's; yields its address. */
export const etcd = Effect.fnUntraced(function*(assets: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const folder = yield* Effect.orDie(fs.makeTempDirectoryScoped({ prefix: "kubelock-bench-etcd-" }))
  const port = yield* freePort
  const client = `http://${host}:${port}`
  const peer = `http://${host}:${yield* freePort}`
  yield* start(path.join(assets, "etcd"), [
    `--data-dir=${folder}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    "--snapshot-count=500",
    "--log-level=error"
  ], port)
  return client
})
