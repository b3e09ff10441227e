/** The mutex of redis-semaphore, as it comes, on ioredis. Its argument is the port of a local Redis. */
import { Effect } from "effect"
import { Redis } from "ioredis"
import { argv } from "node:process"
import { Mutex } from "redis-semaphore"
import * as Worker from "./Worker.ts"

const redis = new Redis(Number(argv[2]))

Worker.run(Worker.serve(({ name }, attempt) => {
  const mutex = new Mutex(redis, name)
  return Effect.andThen(
    attempt("acquire", Effect.tryPromise(() => mutex.acquire())),
    attempt("release", Effect.tryPromise(() => mutex.release()))
  )
}))
