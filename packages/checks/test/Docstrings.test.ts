import { describe, expect, it } from "vitest"
import { lacksOf } from "../docstrings/Lacks.ts"
import { surfaceOf } from "../docstrings/Surface.ts"
import { codeOf, filesBelow, type Source } from "./Sources.ts"

// What CONTRIBUTING promises of docstrings, held against every public name as the compiler sees it.

const modules = ["core", "kube", "testing"]
  .flatMap((name) => filesBelow(`packages/${name}/src`, ".ts"))
  .filter(({ path }) => !path.includes("/internal/"))

/** Modules whose examples need programs that not every machine has, so that they are only compiled. */
const compiled = ["packages/testing/src/ControlPlane.ts"]

describe("the docstrings of public names", () => {
  const surface = surfaceOf(modules)

  it("say what they owe", () => {
    expect(lacksOf(surface, compiled)).toEqual([])
  })

  it("are those of all that a plain look at the text finds", () => {
    const found = new Set(surface.names.map(({ name, path }) => `${path}: ${name.split(".").at(-1)}`))
    const seen = modules.flatMap((module) => {
      const code = codeOf(module)
      return [
        ...code.matchAll(/^export (?:declare )?(?:abstract )?(?:const|class|interface|type|function) (\w+)/gm),
        ...code.matchAll(/^export \{ \w+ as (\w+) \}$/gm),
        ...code.matchAll(/^ {2}static (?:readonly )?(\w+)/gm),
        ...[...code.matchAll(/^export (?:interface|class) [^]*?^\}/gm)].flatMap(([body]) => [
          ...body.matchAll(/^ {2}(?:readonly )?(?!_tag)(\w+)\??:/gm)
        ])
      ].map(([, name]) => `${module.path}: ${name}`)
    })
    expect(seen.length).toBeGreaterThan(300)
    expect(seen.filter((name) => !found.has(name))).toEqual([])
  })
})

/** A module that owes nothing. */
const good = `/**
 * Boxes.
 *
 * **Example** (A box)
 *
 * \`\`\`ts
 * import { Duration, Effect } from "effect"
 * import * as Boxes from "../../../MODULE"
 *
 * const program = Effect.gen(function*() {
 *   const box = yield* Boxes.Box
 *   yield* box.shut
 *   yield* Boxes.open({ key: "k", tries: 3, within: Duration.seconds(2) })
 * })
 * program.pipe(Effect.provide(Boxes.Box.layer), Effect.catchTag("Stuck", () => Boxes.break("lid")))
 * new Boxes.Stuck({ lid: "upper" }).lift()
 * \`\`\`
 *
 * @since 0.1.0
 */
import { Context, type Duration, Effect, Layer, Schema } from "effect"

/** The lid does not move. @category errors @since 0.1.0 */
export class Stuck extends Schema.TaggedError<Stuck>()("Stuck", {
  /** Which lid. */
  lid: Schema.String
}) {
  /** Lifts it. @category combinators @since 0.1.0 */
  lift(): void {}
}

/** How a box is opened. @category models @since 0.1.0 */
export interface OpenOptions {
  /** How long that may take. Default: a second. */
  readonly within?: Duration.Input | undefined
  /** How many lids there are. Default: 2. */
  readonly lids?: number | undefined
  /** Its colour. Default: red. */
  readonly colour?: string | undefined
}

/** Opens a {@link Box} with its \`key\`; \`tries\` says how many. Fails with \`Stuck\`. @category combinators @since 0.1.0 */
export const open = (options: OpenOptions & { readonly key: string; readonly tries: number }): Effect.Effect<string, Stuck> =>
  Effect.succeed(options.key)

/** A box. @category services @since 0.1.0 */
export class Box extends Context.Service<Box, {
  /** Shuts it. Fails with \`Stuck\`. */
  readonly shut: Effect.Effect<void, Stuck>
}>()("Box") {
  /** One that shuts. @category layers @since 0.1.0 */
  static readonly layer: Layer.Layer<Box> = Layer.succeed(Box, { shut: Effect.void })
}

/** Breaks what has this name. @category combinators @since 0.1.0 */
const break_ = (name: string): Effect.Effect<string> => Effect.succeed(name)

export { break_ as break }

/** What became of a box: shut, or open for so many \`hours\`. @category models @since 0.1.0 */
export type Fate = { readonly _tag: "Shut" } | { readonly _tag: "Open"; readonly hours: number }
`

/** What is taken from it, or put in its place, and what it owes then. */
const changes: ReadonlyArray<readonly [string, string, ReadonlyArray<string>]> = [
  [" * Boxes.\n", "", ["MODULE says nothing"]],
  [" *\n * @since 0.1.0\n */\nimport", " */\nimport", ["MODULE has no @since"]],
  ["```ts", "```ts no-run", [
    "MODULE opens without an example that is run",
    "Stuck is used by no example that is run",
    "open is used by no example that is run",
    "Box is used by no example that is run",
    "break is used by no example that is run",
    "Stuck.lift is used by no example that is run",
    "Box.shut is used by no example that is run",
    "Box.layer is used by no example that is run"
  ]],
  // To import a name, to mention it, or to have another of the same name is not to use it.
  [
    " * new Boxes.Stuck({ lid: \"upper\" }).lift()",
    " * // new Boxes.Stuck({ lid: \"upper\" }).lift()\n * const Stuck = \"Stuck\"\n * import { Stuck as Other } from \"../../../MODULE\"",
    ["Stuck is used by no example that is run", "Stuck.lift is used by no example that is run"]
  ],
  ["yield* box.shut", "yield* box", ["Box.shut is used by no example that is run"]],
  ["Effect.provide(Boxes.Box.layer), ", "", ["Box.layer is used by no example that is run"]],
  ["() => Boxes.break(\"lid\")", "() => Effect.void", ["break is used by no example that is run"]],
  ["/** The lid does not move. @category errors @since 0.1.0 */\n", "", [
    "Stuck says nothing",
    "Stuck has no @category",
    "Stuck has no @since"
  ]],
  ["/** How a box is opened. @category models", "/** @category models", ["OpenOptions says nothing"]],
  ["/** How a box is opened. @category models", "/** How a box is opened.", ["OpenOptions has no @category"]],
  ["combinators @since 0.1.0 */\n  lift", "combinators */\n  lift", ["Stuck.lift has no @since"]],
  ["/** Lifts it. @category", "/** @category", ["Stuck.lift says nothing"]],
  ["  /** Which lid. */\n", "", ["Stuck.lid says nothing"]],
  ["  /** How long that may take. Default: a second. */\n", "", [
    "OpenOptions.within says nothing",
    "OpenOptions.within does not say what holds without it",
    "OpenOptions.within does not say in which unit it is"
  ]],
  [" Default: a second.", " In seconds.", ["OpenOptions.within does not say what holds without it"]],
  ["Default: a second.", "Default: short.", ["OpenOptions.within does not say in which unit it is"]],
  [" Default: 2.", "", ["OpenOptions.lids does not say what holds without it"]],
  ["How many lids there are.", "The lids.", ["OpenOptions.lids does not say in which unit it is"]],
  [" Default: red.", "", ["OpenOptions.colour does not say what holds without it"]],
  [" with its `key`", "", ["open.key says nothing"]],
  ["`tries` says how many", "`tries`, too", ["open.tries does not say in which unit it is"]],
  ["says how many. Fails with `Stuck`.", "says how many.", [
    "open does not say that it may fail with Stuck"
  ]],
  ["{@link Box}", "{@link Bag}", ["open links to Bag, which is no public name"]],
  ["  /** Shuts it. Fails with `Stuck`. */\n", "", [
    "Box.shut says nothing",
    "Box.shut does not say that it may fail with Stuck"
  ]],
  ["/** One that shuts. @category layers", "/** @category layers", ["Box.layer says nothing"]],
  ["/** Breaks what has this name. @category", "/** @category", ["break says nothing"]],
  ["for so many `hours`", "for long", ["Fate.hours says nothing"]]
]

describe("the check of docstrings", () => {
  const pathOf = (index: number) => `packages/made-up/src/Made${index}.ts`
  const made = [["", ""] as const, ...changes].map(([from, to], index): Source => ({
    path: pathOf(index),
    text: good.replace(from, to).replaceAll("MODULE", pathOf(index))
  }))
  const again =
    `/** @since 0.1.0 */\nexport * as Boxes from "./Made0.ts"\nexport { break as smash } from "./Made0.ts"\n`
  const surface = surfaceOf([...made, { path: "packages/made-up/src/index.ts", text: again }])
  const lacks = lacksOf(surface)
  const lacksIn = (path: string) =>
    lacks.filter((lack) => lack.startsWith(`${path}: `)).map((lack) =>
      lack.slice(path.length + 2).replace(/^Made\d+/, "MODULE")
    )

  it("finds nothing to lack where nothing does", () => {
    expect(lacksIn(pathOf(0))).toEqual([])
  })

  it.each(changes.map(([from, to, owed], index) => [from, to, owed, index + 1] as const))(
    "finds what lacks where %j became %j",
    (from, _, owed, index) => {
      expect(good).toContain(from)
      expect(lacksIn(pathOf(index)).toSorted()).toEqual(owed.toSorted())
    }
  )

  it("counts an example that is only compiled where it is told so", () => {
    const path = made.find(({ text }) => text.includes("no-run"))!.path
    expect(lacksOf(surface, [path]).filter((lack) => lack.startsWith(`${path}: `))).toEqual([])
  })

  it("knows what is exported again for what it is", () => {
    const namesIn = (path: string) => surface.names.filter((name) => name.path === path).map(({ name }) => name)
    expect(namesIn("packages/made-up/src/index.ts")).toEqual(["index"])
    expect(lacksIn("packages/made-up/src/index.ts")).toEqual(["index says nothing"])
    expect(namesIn(pathOf(0)).filter((name) => name === "break")).toHaveLength(1)
  })
})
