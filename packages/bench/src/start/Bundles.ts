/** How large the packages are in a program that is bundled for delivery. */
import { Effect } from "effect"
import { gzipSync } from "node:zlib"
import { rolldown } from "rolldown"
import { BenchFailed } from "../Scenario.ts"

export interface Bundle {
  readonly minifiedBytes: number
  readonly gzippedBytes: number
}

/** What is loaded when a layer is built, and whatever Node brings: never part of a bundle here. */
const external = /^(?:undici|@kubernetes\/client-node|node:.*)$/
const externalWithEffect = /^(?:undici|@kubernetes\/client-node|node:.*|effect(?:\/.*)?)$/

/** A program that holds on to all that the package exports, or to these names of it. */
const programOf = (specifier: string, names: ReadonlyArray<string>) =>
  names.length === 0
    ? `import * as all from "${specifier}"\nglobalThis.used = all`
    : `import { ${names.join(", ")} } from "${specifier}"\nglobalThis.used = [${names.join(", ")}]`

/** Bundles and minifies it, with the modules that are installed in the folder. */
export const bundle = (
  { folder, includesEffect, names = [], specifier }: {
    readonly folder: string
    readonly specifier: string
    /** Default: all of them. */
    readonly names?: ReadonlyArray<string>
    readonly includesEffect: boolean
  }
): Effect.Effect<Bundle, BenchFailed> =>
  Effect.tryPromise({
    try: async () => {
      const entry = `${folder}/entry.mjs`
      const built = await rolldown({
        input: entry,
        cwd: folder,
        platform: "node",
        external: includesEffect ? external : externalWithEffect,
        logLevel: "silent",
        plugins: [{
          name: "entry",
          resolveId: (id) => id === entry ? id : undefined,
          load: (id) => id === entry ? programOf(specifier, names) : undefined
        }]
      })
      const { output } = await built.generate({ minify: true, format: "esm" })
      const code = output.map((part) => part.type === "chunk" ? part.code : "").join("")
      return { minifiedBytes: Buffer.byteLength(code), gzippedBytes: gzipSync(code).length }
    },
    catch: (error) => new BenchFailed({ message: `${specifier} cannot be bundled: ${String(error)}` })
  })
