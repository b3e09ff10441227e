/** What of a package can be imported from outside of it, and what cannot. */

/** A program that imports all that is public, and is refused all that is not, by Node and by the compiler. */
export const programOf = (packages: Readonly<Record<string, ReadonlyArray<string>>>): string => {
  const isInternal = (module: string) => module.startsWith("internal/")
  const entries = Object.entries(packages).map(([name, modules]) => ({ name: `@kubelock/${name}`, modules }))
  const open = entries.flatMap(({ modules, name }) => [
    name,
    `${name}/package.json`,
    ...modules.filter((module) => module !== "index" && !isInternal(module)).map((module) => `${name}/${module}`)
  ])
  const internal = entries.flatMap(({ modules, name }) =>
    modules.filter(isInternal).map((module) => `${name}/${module}`)
  )
  const shut = [
    ...internal,
    ...entries.flatMap(({ modules, name }) =>
      modules.filter(isInternal).flatMap((module) => [
        `${name}/${module}.js`,
        `${name}/dist/${module}.js`,
        `${name}/src/${module}.ts`
      ])
    )
  ]
  return [
    ...internal.map((specifier) => `// @ts-expect-error: it is internal\nimport type {} from "${specifier}"`),
    ...open.filter((specifier) => !specifier.endsWith(".json")).map((specifier) =>
      `import type {} from "${specifier}"`
    ),
    `
for (const specifier of ${JSON.stringify(open)}) {
  await import(specifier, specifier.endsWith(".json") ? { with: { type: "json" } } : {})
}
for (const specifier of ${JSON.stringify(shut)}) {
  const outcome = await import(specifier).then(() => "is open", (error) => error.code)
  if (!["ERR_PACKAGE_PATH_NOT_EXPORTED", "ERR_MODULE_NOT_FOUND"].includes(outcome)) throw new Error(specifier + ": " + outcome)
}
console.log("${open.length} open, ${shut.length} shut")
`
  ].join("\n")
}
