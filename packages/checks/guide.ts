/**
 * Follows a guide to the letter, as somebody does who copies each file and each command from it into a folder that was empty, and compares
 * what is printed with what the guide says.
 *
 * - A fence of a file begins with a comment that is its name: `// deploy.ts`, `# lock.yaml`.
 * - A fence of commands is `sh`. One for another terminal than the first begins with `# terminal 2`, and runs beside the one before it. One that
 *   says `# goes on until Ctrl-C` does not end. Comments have lines of their own: typed after a command, zsh takes them for arguments.
 * - A fence without a language is what the commands before it print; `…` stands for what is different each time. One of `text` is only looked at.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"

/** A file to write. */
export interface File {
  readonly _tag: "File"
  readonly section: string
  readonly name: string
  readonly text: string
}

/** Commands to type, and what they print. */
export interface Commands {
  readonly _tag: "Commands"
  readonly section: string
  readonly terminal: string
  readonly text: string
  /** Absent where the guide does not say. */
  readonly printed?: string
}

export type Step = File | Commands

/** What a guide says to do, in order. */
export const stepsOf = (markdown: string): ReadonlyArray<Step> => {
  const steps: Array<Step> = []
  let section = ""
  for (const [, heading, language, text = ""] of markdown.matchAll(/^## (.+)$|^```(.*)\n([\s\S]*?)^```$/gm)) {
    if (heading !== undefined) {
      section = heading
    } else if (language === "sh") {
      const [, terminal = "1"] = /^# terminal (\S+)$/m.exec(text) ?? []
      steps.push({ _tag: "Commands", section, terminal, text })
    } else if (language === "text") {
      continue
    } else if (language === "") {
      const before = steps.at(-1)
      if (before?._tag !== "Commands" || before.printed !== undefined) {
        throw new Error(`which command prints this?\n${text}`)
      }
      steps.splice(-1, 1, { ...before, printed: text })
    } else {
      const [, name] = /^(?:\/\/|#) (\S+\.\w+)$/.exec(text.split("\n")[0]!) ?? []
      if (name === undefined) throw new Error(`into which file does this go?\n${text}`)
      steps.push({ _tag: "File", section, name, text })
    }
  }
  return steps
}

/** Where a guide is followed. */
export interface Place {
  /** Where the first terminal opens. */
  readonly folder: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Is told what is typed. */
  readonly log?: (line: string) => void
}

interface Terminal {
  readonly shell: ChildProcess
  /** All that it has shown. */
  shown: string
  isOver: boolean
  /** Is called whenever there is something new. */
  changed: () => void
  /** What is going on in it. */
  running: { readonly step: Commands; readonly from: number } | undefined
}

const mark = "the guide goes on"

// No command of a guide takes so long.
const patienceMillis = 180_000

/** Does all that the steps say. Fails at the first that does not do what the guide says. */
export const follow = async (steps: ReadonlyArray<Step>, { env, folder, log = () => {} }: Place): Promise<void> => {
  const terminals = new Map<string, Terminal>()
  // Where the first terminal is: files go there, and other terminals open there.
  let here = folder
  try {
    for (const [index, step] of steps.entries()) {
      if (step._tag === "File") {
        mkdirSync(dirname(join(here, step.name)), { recursive: true })
        writeFileSync(join(here, step.name), step.text)
        continue
      }
      const terminal = terminals.get(step.terminal) ?? open(here, env)
      terminals.set(step.terminal, terminal)
      await finish(terminal)
      if (terminal.running !== undefined) {
        throw new Error(`${step.text}\nis typed where this still runs:\n${terminal.running.step.text}`)
      }
      log(step.text.trimEnd())
      begin(terminal, step)
      const next = steps.slice(index + 1).find((step) => step._tag === "Commands")
      if (next !== undefined && next.terminal !== step.terminal) {
        await until(terminal, () => isOver(terminal) || shownOf(terminal).includes("\n"))
      } else {
        await finish(terminal)
        here = /^in (.+)$/m.exec(terminal.shown.slice(terminal.shown.lastIndexOf(mark)))?.[1] ?? here
      }
    }
    for (const terminal of terminals.values()) await finish(terminal)
  } finally {
    for (const { shell } of terminals.values()) {
      try {
        process.kill(-shell.pid!, "SIGKILL")
      } catch {
        // It has ended by itself.
      }
    }
  }
}

const open = (folder: string, env: Place["env"]): Terminal => {
  // In a group of its own, so that what it has started can be ended with it.
  const shell = spawn("bash", ["--norc"], { cwd: folder, env, detached: true, stdio: ["pipe", "pipe", "pipe"] })
  const terminal: Terminal = { shell, shown: "", isOver: false, changed: () => {}, running: undefined }
  shell.stdout.setEncoding("utf8").on("data", (text: string) => {
    terminal.shown += text
    terminal.changed()
  })
  shell.on("close", () => {
    terminal.isOver = true
    terminal.changed()
  })
  // It ends with the first command that fails.
  shell.stdin.write("exec 2>&1\nset -e\n")
  return terminal
}

const begin = (terminal: Terminal, step: Commands) => {
  terminal.running = { step, from: terminal.shown.length }
  terminal.shell.stdin!.write(`{\n${step.text}\n} </dev/null\nprintf '%s\\nin %s\\n' '${mark}' "$PWD"\n`)
}

const shownOf = ({ running, shown }: Terminal): string => shown.slice(running?.from).split(mark)[0]!

const isOver = (terminal: Terminal): boolean =>
  terminal.isOver || terminal.shown.slice(terminal.running?.from).includes(`${mark}\nin `)

/** Waits until what goes on in a terminal is over; of what does not end, until it has shown what the guide says. */
const finish = async (terminal: Terminal) => {
  if (terminal.running === undefined) return
  const { step } = terminal.running
  const isShown = () => step.printed === undefined || patternOf(step.printed).test(shownOf(terminal).trim())
  const goesOn = step.text.includes("# goes on until Ctrl-C")
  await until(terminal, () => isOver(terminal) || (goesOn && isShown()))
  if (terminal.isOver) throw new Error(`${step.text}\nfailed:\n\n${shownOf(terminal)}`)
  if (!isShown()) throw new Error(`${step.text}\nprinted\n\n${shownOf(terminal)}\nand not\n\n${step.printed}`)
  if (!goesOn) terminal.running = undefined
}

const until = async (terminal: Terminal, isSo: () => boolean) => {
  let isLate = false
  const patience = setTimeout(() => {
    isLate = true
    terminal.changed()
  }, patienceMillis)
  try {
    while (!isSo()) {
      if (isLate) throw new Error(`${terminal.running?.step.text}\nis not over:\n\n${shownOf(terminal)}`)
      await new Promise<void>((resolve) => {
        terminal.changed = resolve
      })
    }
  } finally {
    clearTimeout(patience)
  }
}

const patternOf = (printed: string): RegExp =>
  new RegExp(`^${printed.trim().split("…").map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*")}$`)
