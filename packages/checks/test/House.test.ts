import { basename } from "node:path"
import { describe, expect, it } from "vitest"
import { codeOf, filesBelow, importsOf, read, type Source } from "./Sources.ts"

// The rules of docs/ARCHITECTURE.md, held against the sources themselves.

const packages = ["core", "kube", "testing"] as const
const sourcesOf = (name: string) => filesBelow(`packages/${name}/src`, ".ts")

/** The modules of a package in the order of its table: each may use those above it. */
const roomsOf = (name: string): ReadonlyArray<string> => {
  const section = read("docs/ARCHITECTURE.md").text.split(`### ${name}\n`)[1]?.split(/^##/m)[0] ?? ""
  return [...section.matchAll(/^\| (`[^|]+`) *\|/gm)].flatMap(([, cell]) =>
    [...cell!.matchAll(/`(\w+)`/g)].map(([, module]) => module!)
  )
}

const moduleOf = (path: string) => basename(path, ".ts")

const violations = (sources: ReadonlyArray<Source>, pattern: RegExp) =>
  sources.flatMap((source) => {
    const found = codeOf(source).match(pattern)
    return found === null ? [] : [`${source.path}: ${found[0]}`]
  })

describe.each(packages)("the house of %s", (name) => {
  const sources = sourcesOf(name)
  const rooms = roomsOf(name)
  const modules = sources.filter(({ path }) => !path.includes("/internal/") && moduleOf(path) !== "index")

  it("has a room for every module, and a module in every room", () => {
    expect(modules.map(({ path }) => moduleOf(path)).toSorted()).toEqual(rooms.toSorted())
  })

  it("lets a module use only those above it", () => {
    for (const source of modules) {
      const mine = rooms.indexOf(moduleOf(source.path))
      for (const { from } of importsOf(source)) {
        const theirs = /^\.\/(\w+)\.ts$/.exec(from)?.[1]
        if (theirs !== undefined) {
          expect.soft(rooms.indexOf(theirs), `${source.path} imports ${from}`).toBeLessThan(mine)
        }
      }
    }
  })

  it("imports no index from inside", () => {
    const found = sources.flatMap((source) =>
      importsOf(source).filter(({ from }) => from.endsWith("index.ts")).map(() => source.path)
    )
    expect(found).toEqual([])
  })

  it("exports every module from its index", () => {
    const exported = importsOf(read(`packages/${name}/src/index.ts`))
      .filter(({ from }) => from.startsWith("./"))
      .map(({ from }) => moduleOf(from))
    expect([...new Set(exported)].toSorted()).toEqual(rooms.toSorted())
  })

  it("takes time, chance and timers from Effect's services, and prints nothing", () => {
    const pattern =
      /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\brandomUUID\b|\bset(?:Timeout|Interval)\(|\bconsole\.\w+|\bperformance\.now\(/
    expect(violations(sources, pattern)).toEqual([])
  })

  it("silences no check", () => {
    const silencers = /@ts-(?:ignore|expect-error|nocheck)|oxlint-disable|eslint-disable|@effect-diagnostics/
    expect(sources.filter(({ text }) => silencers.test(text)).map(({ path }) => path)).toEqual([])
    expect(violations(sources, /\bas any\b|: any\b|<any>/)).toEqual([])
  })
})

describe("core", () => {
  // What is data, and nothing that runs, waits, or reads the world.
  const dataModules = new Set(["Brand", "Duration", "Option", "Result", "Schema"])

  it("imports nothing but data modules of effect and its siblings", () => {
    const sources = sourcesOf("core")
    expect(sources.length).toBeGreaterThan(5)
    for (const source of sources) {
      for (const { from, names } of importsOf(source)) {
        const isSibling = /^\.\/\w+\.ts$/.test(from)
        const isData = from === "effect" && names.length > 0 && names.every((name) => dataModules.has(name))
        expect.soft(isSibling || isData, `${source.path} imports ${names.join(", ")} from ${from}`).toBe(true)
      }
    }
  })

  it("reaches for no global that could tell it something it was not told", () => {
    const world = /\b(?:process|globalThis|crypto|fetch|require|Intl|navigator|structuredClone)\b/
    expect(violations(sourcesOf("core"), world)).toEqual([])
  })
})

describe("kube", () => {
  it("imports client-node once, and it and undici only when a transport is built", () => {
    const imports = sourcesOf("kube").flatMap((source) =>
      importsOf(source).map((found) => ({ ...found, path: source.path }))
    )
    const heavy = imports.filter(({ from, isTypeOnly }) =>
      /^(?:@kubernetes\/client-node|undici)/.test(from) && !isTypeOnly
    )
    expect(heavy.map(({ from, names, path }) => [path, from, names])).toEqual([
      ["packages/kube/src/internal/HttpTransport.ts", "@kubernetes/client-node", []],
      ["packages/kube/src/internal/HttpTransport.ts", "undici", []]
    ])
    const loading = imports.filter(({ from }) => from.endsWith("/HttpTransport.ts"))
    expect(loading.map(({ names, path }) => [path, names])).toEqual([["packages/kube/src/KubeTransport.ts", []]])
  })
})

describe("the rooms inside kube", () => {
  const tables = ["inside kube", "inside KubeTransport", "inside the stores"].map(roomsOf)
  const sources = filesBelow("packages/kube/src/internal", ".ts")

  it("are one for every internal module, and a module in every room", () => {
    expect(sources.map(({ path }) => moduleOf(path)).toSorted()).toEqual(tables.flat().toSorted())
  })

  it("are in order: a module uses only those above it in its table", () => {
    for (const rooms of tables) {
      for (const source of sources.filter(({ path }) => rooms.includes(moduleOf(path)))) {
        for (const { from } of importsOf(source)) {
          const theirs = rooms.indexOf(/^\.\/(\w+)\.ts$/.exec(from)?.[1] ?? "")
          expect.soft(theirs, `${source.path} imports ${from}`).toBeLessThan(rooms.indexOf(moduleOf(source.path)))
        }
      }
    }
  })
})

describe("what is quick to import", () => {
  it.each(["core", "kube"])("%s: whoever imports it opens no stdin", (name) => {
    const found = sourcesOf(name).flatMap((source) =>
      importsOf(source).filter(({ from }) => /^(?:node:)?process$/.test(from)).map(() => source.path)
    )
    expect(found).toEqual([])
  })
})

describe("testing", () => {
  it("knows nothing of locks", () => {
    const found = sourcesOf("testing").flatMap((source) =>
      importsOf(source).filter(({ from }) => from.startsWith("@kubelock/")).map(({ from }) => `${source.path}: ${from}`)
    )
    expect(found).toEqual([])
  })
})
