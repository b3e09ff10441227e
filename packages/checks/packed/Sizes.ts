/** How large the packages may be: as npm downloads them, on disk, and in a program that is bundled. */
import { Effect } from "effect"
import { statSync } from "node:fs"
import { bundle } from "../../bench/src/start/Bundles.ts"
import type { Files } from "./Contents.ts"

/** At most so many KiB. Raise a limit together with the change that needs it, and say in its commit why it does. */
export interface Limits {
  readonly packed: number
  readonly unpacked: number
}

export const packages: Readonly<Record<string, Limits>> = {
  core: { packed: 50, unpacked: 200 },
  kube: { packed: 270, unpacked: 1_150 },
  testing: { packed: 160, unpacked: 650 }
}

/** Minified, at most so many KiB, and gzipped; without `undici` and `@kubernetes/client-node`, which no bundle begins with. */
export interface Bundled {
  readonly title: string
  readonly specifier: string
  /** Default: all of them. */
  readonly names?: ReadonlyArray<string>
  readonly includesEffect: boolean
  readonly minified: number
  readonly gzipped: number
}

const lock = ["KubeLock", "KubeAnnotationStore", "KubeTransport", "ResourceRef"]

export const bundles: ReadonlyArray<Bundled> = [
  { title: "all of core", specifier: "@kubelock/core", includesEffect: false, minified: 13, gzipped: 5.5 },
  { title: "all of kube", specifier: "@kubelock/kube", includesEffect: false, minified: 107, gzipped: 38.5 },
  {
    title: "what takes a lock",
    specifier: "@kubelock/kube",
    names: lock,
    includesEffect: false,
    minified: 105,
    gzipped: 38
  },
  {
    title: "what takes a lock, with effect",
    specifier: "@kubelock/kube",
    names: lock,
    includesEffect: true,
    minified: 265,
    gzipped: 89
  }
]

export interface Measured {
  readonly title: string
  readonly kib: number
  readonly limit: number
}

const measured = (title: string, bytes: number, limit: number): Measured => ({ title, kib: bytes / 2 ** 10, limit })

export const ofPackage = (name: string, tarball: string, files: Files): ReadonlyArray<Measured> => {
  const limits = packages[name]
  if (limits === undefined) throw new Error(`${name} has no limits: how large may it be?`)
  const unpacked = [...files.values()].reduce((bytes, text) => bytes + Buffer.byteLength(text), 0)
  return [
    measured(`${name}, packed`, statSync(tarball).size, limits.packed),
    measured(`${name}, unpacked`, unpacked, limits.unpacked)
  ]
}

/** Of programs that use the packages that are installed in this folder. */
export const ofBundles = async (folder: string): Promise<ReadonlyArray<Measured>> => {
  const all: Array<Measured> = []
  for (const { gzipped, minified, title, ...what } of bundles) {
    const { gzippedBytes, minifiedBytes } = await Effect.runPromise(bundle({ folder, ...what }))
    all.push(
      measured(`${title}, minified`, minifiedBytes, minified),
      measured(`${title}, gzipped`, gzippedBytes, gzipped)
    )
  }
  return all
}

export const lineOf = ({ kib, limit, title }: Measured): string =>
  `${kib.toFixed(1).padStart(7)} of ${String(limit).padStart(5)} KiB  ${title}`

export const problemsOf = (all: ReadonlyArray<Measured>): ReadonlyArray<string> =>
  all.filter(({ kib, limit }) => !(kib <= limit)).map(({ kib, limit, title }) =>
    `${title}: ${kib.toFixed(1)} KiB, and the limit is ${limit}`
  )
