import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, describe, expect, it } from "vitest"
import * as Contents from "../packed/Contents.ts"
import * as Licences from "../packed/Licences.ts"
import * as Sizes from "../packed/Sizes.ts"
import { root } from "./Sources.ts"

// `npm run check:packages` looks at the packages themselves. Here is what it would say of others.

const manifest = {
  name: "@kubelock/some",
  version: "0.1.0",
  license: "Apache-2.0",
  type: "module",
  sideEffects: false,
  keywords: ["a", "b", "c", "d"],
  engines: { node: ">=22.19" },
  exports: {
    ".": { types: "./dist/index.d.ts", default: "./dist/index.js" },
    "./internal/*": null,
    "./*": { types: "./dist/*.d.ts", default: "./dist/*.js" }
  },
  dependencies: { "@kubelock/core": "^0.1.0" },
  publishConfig: { access: "public", provenance: true }
}

const sources = { modules: ["index", "internal/Deep"], hasChangelog: false }

const compiled = (module: string, up: string): ReadonlyArray<readonly [string, string]> => {
  const file = module.split("/").at(-1)
  return [
    [`src/${module}.ts`, "export {}\n"],
    [`dist/${module}.js`, `export {};\n//# sourceMappingURL=${file}.js.map`],
    [`dist/${module}.js.map`, JSON.stringify({ sources: [`${up}src/${module}.ts`] })],
    [`dist/${module}.d.ts`, `export {};\n//# sourceMappingURL=${file}.d.ts.map`],
    [`dist/${module}.d.ts.map`, JSON.stringify({ sources: [`${up}src/${module}.ts`] })]
  ]
}

const packed = (changes: Readonly<Record<string, string | undefined>> = {}): Contents.Files => {
  const files = new Map([
    ["LICENSE", "Apache"],
    ["README.md", "# Some"],
    ["package.json", JSON.stringify(manifest)],
    ...compiled("index", "../"),
    ...compiled("internal/Deep", "../../")
  ])
  for (const [file, text] of Object.entries(changes)) {
    if (text === undefined) files.delete(file)
    else files.set(file, text)
  }
  return files
}

const withManifest = (changes: Readonly<Record<string, unknown>>) =>
  packed({ "package.json": JSON.stringify({ ...manifest, ...changes }) })

const command = (text: string) =>
  packed({
    "package.json": JSON.stringify({ ...manifest, bin: { some: "./dist/internal/Deep.js" } }),
    "dist/internal/Deep.js": `${text}export {};\n//# sourceMappingURL=Deep.js.map`
  })

describe("what a tarball holds", () => {
  it("is right as it should be", () => {
    expect(Contents.problemsOf(packed(), sources)).toEqual([])
    expect(Contents.problemsOf(command("#!/usr/bin/env node\n"), sources)).toEqual([])
    expect(Contents.problemsOf(packed({ "CHANGELOG.md": "" }), { ...sources, hasChangelog: true })).toEqual([])
  })

  it.each([
    ["dist/.tsbuildinfo", "{}"],
    ["test/Some.test.ts", ""],
    ["src/Some.test.ts", ""],
    ["dist/Gone.js", "//# sourceMappingURL=index.js.map"],
    ["tsconfig.json", "{}"],
    ["CHANGELOG.md", ""]
  ])("is not %s", (file, text) => {
    expect(Contents.problemsOf(packed({ [file]: text }), sources)).toContain(`${file} has no place in a package`)
  })

  it.each(["LICENSE", "README.md", "src/internal/Deep.ts", "dist/index.d.ts", "dist/internal/Deep.js.map"])(
    "is %s",
    (file) => {
      expect(Contents.problemsOf(packed({ [file]: undefined }), sources)).toContain(`${file} is missing`)
    }
  )

  it("is the changelog, once there is one", () => {
    expect(Contents.problemsOf(packed(), { ...sources, hasChangelog: true })).toEqual(["CHANGELOG.md is missing"])
  })

  it.each<readonly [string, Contents.Files, string]>([
    ["a workspace's range", withManifest({ dependencies: { a: "workspace:^" } }), "workspace:^"],
    ["a catalog's range", withManifest({ dependencies: { a: "catalog:" } }), "catalog:"],
    ["another version of ours", withManifest({ dependencies: { "@kubelock/core": "^0.0.9" } }), "^0.0.9"],
    ["exports of sources", withManifest({ exports: "./src/index.ts" }), "a source"],
    ["exports of what is not there", withManifest({ exports: { ".": "./dist/main.js" } }), "dist/main.js"],
    ["a pattern that nothing matches", withManifest({ exports: { "./*": "./lib/*.js" } }), "lib/*.js"],
    ["a command that is not there", withManifest({ bin: "./dist/main.js" }), "dist/main.js"],
    ["a command in TypeScript", withManifest({ bin: { some: "./src/index.ts" } }), "a source"],
    ["a command that no shell can start", command(""), "#!/usr/bin/env node"],
    ["no exports", withManifest({ exports: undefined }), "exports nothing"],
    ["imports", withManifest({ imports: { "#internal/*": "./src/internal/*.ts" } }), "imports"],
    ["a script", withManifest({ scripts: { postinstall: "node dist/index.js" } }), "scripts"],
    ["another licence", withManifest({ license: "MIT" }), "licence"],
    ["no engines", withManifest({ engines: undefined }), "Node"],
    ["no keywords", withManifest({ keywords: [] }), "keywords"],
    ["side effects", withManifest({ sideEffects: true }), "side effects"],
    ["CommonJS", withManifest({ type: "commonjs" }), "ESM"],
    ["no provenance", withManifest({ publishConfig: { access: "public" } }), "provenance"],
    ["a map to nowhere", packed({ "dist/index.js.map": `{"sources":[]}` }), "leads nowhere"],
    ["a map to elsewhere", packed({ "dist/index.js.map": `{"sources":["../../src/index.ts"]}` }), "which is not there"],
    ["code without a map", packed({ "dist/index.js": "export {}" }), "names no map"],
    ["code with another's map", packed({ "dist/index.js": "export {}\n//# sourceMappingURL=a.js.map" }), "names no map"]
  ])("has not %s", (_, files, problem) => {
    const problems = Contents.problemsOf(files, sources)
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(problem)
  })
})

describe("sizes", () => {
  it("are within their limits, or named", () => {
    const at = (kib: number) => ({ title: "it", kib, limit: 10 })
    expect(Sizes.problemsOf([at(0), at(10)])).toEqual([])
    expect(Sizes.problemsOf([at(10.06), at(Number.NaN)])).toEqual([
      "it: 10.1 KiB, and the limit is 10",
      "it: NaN KiB, and the limit is 10"
    ])
  })

  it("have limits for every package", () => {
    expect(Object.keys(Sizes.packages)).toEqual(["core", "kube", "testing"])
  })
})

describe("licences", () => {
  const folder = mkdtempSync(join(tmpdir(), "kubelock-licences-"))
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const install = (path: string, manifest: Readonly<Record<string, unknown>>) => {
    mkdirSync(join(folder, path), { recursive: true })
    writeFileSync(join(folder, path, "package.json"), JSON.stringify({ version: "1.0.0", ...manifest }))
  }

  it("are allowed of all that is installed with the packages", () => {
    const dependencies = Licences.dependenciesOf(
      ["core", "kube", "testing"].map((name) => join(root, "packages", name))
    )
    const names = dependencies.map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining(["effect", "undici", "js-yaml", "@peculiar/x509"]))
    expect(names).not.toContain("vitest")
    expect(Licences.refused(dependencies)).toEqual([])
  })

  it("are found to the last dependency, in nested folders too", () => {
    install("", { name: "app", license: "MIT", dependencies: { a: "1" }, peerDependencies: { b: "1" } })
    install("node_modules/a", { name: "a", license: "ISC", dependencies: { c: "1" } })
    install("node_modules/a/node_modules/c", { name: "c", licenses: [{ type: "GPL-3.0-only" }] })
    install("node_modules/b", { name: "b", dependencies: { a: "1" }, optionalDependencies: { c: "1", d: "1" } })
    install("node_modules/c", { name: "c", version: "2.0.0", license: { type: "MIT" } })
    const found = Licences.dependenciesOf([folder])
    expect(found.map(({ licence, name, version }) => `${name} ${version} ${licence}`)).toEqual([
      "a 1.0.0 ISC",
      "app 1.0.0 MIT",
      "b 1.0.0 ",
      "c 1.0.0 GPL-3.0-only",
      "c 2.0.0 MIT"
    ])
    expect(Licences.refused(found).map(({ name, version }) => `${name} ${version}`)).toEqual(["b 1.0.0", "c 1.0.0"])
  })

  it("cannot be told of what is not installed", () => {
    install("", { name: "app", license: "MIT", dependencies: { "kubelock-is-not-there": "1" } })
    expect(() => Licences.dependenciesOf([folder])).toThrow("app needs kubelock-is-not-there")
  })

  it.each<readonly [string, boolean]>([
    ["MIT", true],
    ["(MIT OR GPL-3.0-only)", true],
    ["MIT OR GPL-3.0-only AND ISC", true],
    ["(MIT OR GPL-3.0-only) AND ISC", true],
    ["(MIT AND (ISC))", true],
    ["MIT AND GPL-3.0-only", false],
    ["GPL-3.0-only OR MIT AND AGPL-3.0-only", false],
    ["", false],
    ["UNLICENSED", false],
    ["SEE LICENSE IN LICENSE", false],
    ["MIT ISC", false],
    ["(MIT", false],
    ["MIT OR", false],
    ["Apache-2.0 WITH LLVM-exception", false]
  ])("%s", (expression, allowed) => {
    expect(Licences.isAllowed(expression)).toBe(allowed)
  })
})
