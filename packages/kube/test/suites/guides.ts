/** What guides tell an operator to type, typed. */
import { Effect, type Scope } from "effect"
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { delimiter } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"

const urlOf = (path: string) => new URL(`../../../../${path}`, import.meta.url)

/** A file of the repository. */
export const read = (path: string): string => readFileSync(urlOf(path), "utf8")

export const pathOf = (path: string): string => fileURLToPath(urlOf(path))

/** What stands in the fences of a language, in order. */
export const fencesOf = (document: string, language: string): ReadonlyArray<string> =>
  Array.from(document.matchAll(/^```([^\n]*)\n([\s\S]*?)^```$/gm))
    .filter(([, info]) => info === language)
    .map(([, , text]) => text!)

export interface Typed {
  readonly exitCode: number
  /** What was printed, to both outputs. */
  readonly printed: string
}

/** A shell that stays, as a person's does: what one command sets, the next one knows. */
export interface Shell {
  readonly type: (commands: string) => Effect.Effect<Typed>
}

export interface ShellOptions {
  readonly kubeconfigFile: string
  readonly workingDirectory: string
}

/** With the kubectl that came with the control plane's other programs. */
export const openShell = (
  { kubeconfigFile, workingDirectory }: ShellOptions
): Effect.Effect<Shell, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const { KUBEBUILDER_ASSETS = "", PATH = "", ...rest } = process.env
        const env = { ...rest, KUBECONFIG: kubeconfigFile, PATH: `${KUBEBUILDER_ASSETS}${delimiter}${PATH}` }
        const child = spawn("sh", [], { cwd: workingDirectory, env, stdio: ["pipe", "pipe", "ignore"] })
        child.stdin.write("exec 2>&1\n")
        child.stdout.setEncoding("utf8")
        return child
      }),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    ),
    (child): Shell => ({
      type: (commands) =>
        Effect.callback((resume) => {
          let printed = ""
          const hear = (chunk: string) => {
            printed += chunk
            const end = /\n<end (\d+)>\n$/.exec(printed)
            if (end === null) return
            child.stdout.off("data", hear)
            resume(Effect.succeed({ exitCode: Number(end[1]), printed: printed.slice(0, end.index) }))
          }
          child.stdout.on("data", hear)
          child.stdin.write(`${commands}\nprintf '\\n<end %s>\\n' "$?"\n`)
        })
    })
  )
