/** Who contends, and how each is started. */
import type { FileSystem } from "effect"
import type { ChildProcessSpawner } from "effect/process"
import * as Contender from "./Contender.ts"
import { script } from "./LineProcess.ts"

/** What starting them needs. */
export type Needs = ChildProcessSpawner.ChildProcessSpawner | FileSystem.FileSystem

/** As tables call them. */
export const names = {
  floor: "the same PATCHes, bare",
  attempts: "ours: acquire, release",
  managed: "ours: withLock"
} as const

const node = (file: string, ...args: ReadonlyArray<string>) => script(new URL(file, import.meta.url), ...args)

/** The requests of the library with nothing around them. */
export const floor = (kubeconfig: string) => Contender.start(names.floor, node("./floor.ts", kubeconfig))

/** The library's single attempts. */
export const attempts = (kubeconfig: string) =>
  Contender.start(names.attempts, node("./ours.ts", "attempts", kubeconfig))

/** The library's managed lock. */
export const managed = (kubeconfig: string) => Contender.start(names.managed, node("./ours.ts", "managed", kubeconfig))
