import { mkdtempSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { execPath } from "node:process"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Commands, type File, follow, type Step, stepsOf } from "../guide.ts"
import { filesBelow, read, root } from "./Sources.ts"

// The guide for newcomers is followed, as far as it needs no cluster, with the packages as they are here. `npm run check:packages` follows it, and the
// one on testing, to the letter: with packed ones, and on a real control plane.

let folder = ""

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "kubelock-guide-"))
})

afterAll(() => rmSync(folder, { recursive: true }))

const place = () => ({
  folder,
  env: {
    ...process.env,
    PATH: [dirname(execPath), process.env["PATH"]].join(delimiter),
    KUBECONFIG: undefined,
    NO_COLOR: "1",
    // Nothing is fetched in place of a command that should be there.
    npm_config_yes: "false"
  }
})

const inTwoParts = `
## One

\`\`\`sh
mkdir a && cd a
\`\`\`

\`\`\`sh
# terminal 2
cat b.txt
\`\`\`

Not without the file.

## Two

\`\`\`yaml
# b.txt
- is there
\`\`\`

\`\`\`sh
sed 's/^/1 /' b.txt; echo goes on; exec sleep 60 # goes on until Ctrl-C
\`\`\`

\`\`\`
1 # b.txt
… is there
goes on
\`\`\`

\`\`\`sh
# terminal 2
cat b.txt
\`\`\`
`

describe("whoever follows a guide", () => {
  const steps = stepsOf(inTwoParts)
  const [makeFolder, tooEarly, , ...others] = steps
  const writeFile = steps[2]!
  const following = (steps: ReadonlyArray<Step>) => follow(steps, place())

  it("does what it says, in several terminals", async () => {
    await expect(following([makeFolder!, writeFile, ...others])).resolves.toBeUndefined()
  })

  it("notices a command that fails", async () => {
    const inHere = { ...makeFolder!, text: "mkdir b && cd b" } as Step
    await expect(following([inHere, tooEarly!, ...others])).rejects.toThrow("No such file")
  })

  it("notices what is not printed", async () => {
    const echo = (printed: string) => stepsOf("```sh\necho said\n```\n\n```\n" + printed + "\n```\n")
    await following(echo("s…d"))
    await expect(following(echo("sad"))).rejects.toThrow("said")
    await expect(following(echo("said\nmore"))).rejects.toThrow("said")
  })

  it("notices that a terminal is taken", async () => {
    const goesOn = stepsOf(
      "```sh\necho here; sleep 60 # goes on until Ctrl-C\n```\n\n```\nhere\n```\n\n```sh\ntrue\n```\n"
    )
    await expect(following(goesOn)).rejects.toThrow("still runs")
  })

  it("notices a fence that is for nobody", () => {
    expect(() => stepsOf("```ts\nlet nowhere\n```\n")).toThrow("into which file")
    expect(() => stepsOf("```\nnobody has said this\n```\n")).toThrow("which command")
  })
})

describe("docs/guides/getting-started.md", () => {
  const steps = stepsOf(read("docs/guides/getting-started.md").text)
  const inWorkspace = (step: Step): Step =>
    step._tag === "File"
      // Once to the letter is enough.
      ? { ...step, text: step.text.replace(`Effect.sleep("5 seconds")`, `Effect.sleep("1 second")`) }
      : { ...step, text: step.text.replaceAll(/^npm install .*$/gm, "true") }

  it("does what it says", async () => {
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
    const without = steps.filter(({ section }) => section !== "On a cluster" && section !== "Types")
    expect(without.flatMap((step) => step._tag === "Commands" && step.printed !== undefined ? [step.printed] : []))
      .toHaveLength(4)
    await follow(without.map(inWorkspace), place())
  })

  it("says what each of its programs prints", () => {
    const commands = steps.filter((step) => step._tag === "Commands")
    expect(commands.length).toBeGreaterThan(10)
    const isSilent = ({ printed, text }: Commands) =>
      printed === undefined && /^(?:node|kubectl (?!delete))/m.test(text)
    expect(commands.filter(isSilent)).toEqual([])
  })
})

describe("docs/guides/testing.md", () => {
  it("shows tests that are run", () => {
    const examples = filesBelow("docs/examples", ".test.ts")
    const shown = stepsOf(read("docs/guides/testing.md").text).filter((step) =>
      step._tag === "File" && step.text.includes("@effect/vitest")
    )
    expect(shown).toHaveLength(3)
    for (const { name, text } of shown as ReadonlyArray<File>) {
      const lines = text.split("\n").slice(1)
      const isOneOf = examples.some((example) => {
        const left = example.text.split("\n").reduce((left, line) => line === left[0] ? left.slice(1) : left, lines)
        return left.length === 0
      })
      expect(isOneOf, `${name} is, line by line, in a file of docs/examples`).toBe(true)
    }
  })
})

describe("the commands of the documents", () => {
  const documents = [
    read("README.md"),
    read("CONTRIBUTING.md"),
    ...filesBelow("docs", ".md"),
    ...filesBelow("packages", "README.md")
  ]

  // Typed at its prompt, which knows no comments, and with its option extendedglob.
  it("are in zsh what they are in bash: no comment after a command, no bare ^", () => {
    const lines = documents.flatMap(({ path, text }) =>
      [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap(([, commands]) =>
        commands!.split("\n").map((line) => `${path}: ${line}`)
      )
    )
    expect(lines.length).toBeGreaterThan(40)
    expect(lines.filter((line) => /: .*\S +# | \^/.test(line))).toEqual([])
  })
})
