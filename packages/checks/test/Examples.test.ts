import { spawnSync } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeAll, describe, expect, it } from "vitest"
import { assertion, docstringsIn, examplesIn, filesBelow, read, root } from "./Sources.ts"

// Every `ts` example of the README, the docs and the docstrings is compiled, run, and held to its `// =>` comments.

const examples = [
  read("README.md"),
  ...["core", "kube", "testing"].map((name) => read(`packages/${name}/README.md`)),
  ...filesBelow("docs", ".md"),
  ...["core", "kube", "testing"].flatMap((name) => filesBelow(`packages/${name}/src`, ".ts"))
].flatMap(({ path, text }) =>
  (path.endsWith(".ts") ? docstringsIn(text) : [text])
    .flatMap(examplesIn)
    .map((example, index) => ({ title: `${path} #${index + 1}`, ...example }))
)

// Below the root, so that it finds the workspace's packages; compiled first, since Node strips no types there.
const folder = join(root, "node_modules/.cache/kubelock-examples")

const asserting = (code: string): string =>
  code.replaceAll(assertion, (_, actual, expected) => `same(${actual}, ${expected})`)

const preamble = `import { Equal as $Equal } from "effect"
import { isDeepStrictEqual as $isDeepStrictEqual } from "node:util"
let asserted = 0
const same = (actual: unknown, expected: unknown) => {
  if (!$Equal.equals(actual, expected) && !$isDeepStrictEqual(actual, expected)) {
    throw Object.assign(new Error("not what the example says"), { actual, expected })
  }
  asserted++
}
export const count = () => asserted
`

const tsconfig = {
  extends: join(root, "tsconfig.base.json"),
  compilerOptions: {
    composite: false,
    incremental: false,
    tsBuildInfoFile: null,
    declaration: false,
    declarationMap: false,
    noUnusedLocals: false,
    types: ["node"],
    typeRoots: [join(root, "node_modules/@types")],
    rootDir: folder,
    outDir: join(folder, "out")
  },
  include: ["*.ts"]
}

const runner = `
const outcomes = []
for (const file of process.argv.slice(2)) {
  try {
    const example = await import("./out/" + file)
    outcomes.push({ asserted: example.count() })
  } catch (error) {
    outcomes.push({ problem: String(error?.stack ?? error), actual: String(error?.actual), expected: String(error?.expected) })
  }
}
console.log("\\n" + JSON.stringify(outcomes))
process.exit(0)
`

const toRun = examples.map((example, index) => ({ ...example, file: `example-${index}.js` })).filter(({ isRun }) =>
  isRun
)

type Outcome = { readonly asserted: number } | { readonly problem: string }

describe("examples", () => {
  let complaints = ""
  let outcomes: ReadonlyArray<Outcome> = []

  beforeAll(() => {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, "package.json"), `{ "type": "module" }`)
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(tsconfig))
    writeFileSync(join(folder, "run.js"), runner)
    for (const [index, { code }] of examples.entries()) {
      writeFileSync(join(folder, `example-${index}.ts`), preamble + asserting(code))
    }
    const compiled = spawnSync(join(root, "node_modules/.bin/tsc"), ["-p", folder], { encoding: "utf8" })
    complaints = compiled.stderr +
      compiled.stdout.replaceAll(/example-(\d+)\.ts/g, (_, index) => examples[Number(index)]!.title)
    const run = spawnSync(process.execPath, [join(folder, "run.js"), ...toRun.map(({ file }) => file)], {
      encoding: "utf8"
    })
    outcomes = JSON.parse(run.stdout.split("\n").findLast((line) => line !== "") ?? "[]")
  })

  it("compile", () => {
    expect(complaints).toBe("")
  })

  it("are many", () => {
    expect(examples.length).toBeGreaterThan(12)
  })

  it.each(toRun.map(({ code, title }, index) => [title, code, index] as const))("%s", (_, code, index) => {
    const promised = code.split("\n").filter((line) => line.includes("// =>")).length
    expect(outcomes[index]).toEqual({ asserted: promised })
  })
})
