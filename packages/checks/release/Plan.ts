/** What a push to main asks for: to collect changesets, to publish, or nothing. */

/** What a package.json says that matters here. */
export interface Manifest {
  readonly name: string
  readonly version: string
  /** Where it lies in the repository. */
  readonly directory: string
  readonly repository?: unknown
}

export interface State {
  readonly manifests: ReadonlyArray<Manifest>
  /** The files of `.changeset` that wait to be released. */
  readonly changesets: ReadonlyArray<string>
  readonly tags: ReadonlySet<string>
  /** The repository's address, as `https://github.com/OWNER/NAME`, where it is known. */
  readonly address?: string | undefined
}

/**
 * - `version`: changesets wait. A pull request collects them into versions and changelogs.
 * - `publish`: none waits, and a version has no tag yet, so that it was not published.
 * - `none`: all is published.
 */
export type Mode = "version" | "publish" | "none"

export const modeOf = ({ changesets, manifests, tags }: State): Mode => {
  if (changesets.length > 0) return "version"
  return manifests.every(({ name, version }) => tags.has(`${name}@${version}`)) ? "none" : "publish"
}

const part = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null ? Object.entries(value).find(([name]) => name === key)?.[1] : undefined

/**
 * Why nothing can be released yet: npm accepts provenance only for a package that names the repository, letter for letter, in which
 * it was built.
 */
export const problemsOf = ({ address, manifests }: State): ReadonlyArray<string> =>
  manifests.flatMap(({ directory, name, repository }) => {
    const wanted = JSON.stringify({
      type: "git",
      url: `git+${address ?? "https://github.com/OWNER/NAME"}.git`,
      directory
    })
    const url = part(repository, "url")
    const problem = typeof url !== "string"
      ? "names no repository"
      : address !== undefined && url.replace(/^git\+/, "").replace(/\.git$/, "") !== address
      ? `names ${url}, and is released from ${address}`
      : part(repository, "directory") !== directory
      ? `does not name its directory ${directory}`
      : undefined
    return problem === undefined ? [] : [`${name} ${problem}: its package.json needs "repository": ${wanted}`]
  })
