/** A registry of npm's that has these tarballs and nothing else: what `npm install @kubelock/kube` finds, where it is told to look there. */
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import { basename } from "node:path"

export interface Registry {
  readonly url: string
  readonly close: () => void
}

export const serve = async (tarballs: ReadonlyArray<string>): Promise<Registry> => {
  const packages = tarballs.map((file) => {
    const manifest = JSON.parse(execFileSync("tar", ["-xzOf", file, "package/package.json"], { encoding: "utf8" }))
    const bytes = readFileSync(file)
    return {
      file: basename(file),
      bytes,
      manifest,
      integrity: `sha512-${createHash("sha512").update(bytes).digest("base64")}`
    }
  })
  const server = createServer((request, response): unknown => {
    const path = decodeURIComponent(request.url ?? "")
    // Another registry may have had this address before, with other tarballs.
    response.setHeader("cache-control", "no-store")
    const tarball = packages.find(({ file }) => path === `/-/${file}`)
    if (tarball !== undefined) return response.end(tarball.bytes)
    const found = packages.find(({ manifest }) => path === `/${manifest.name}`)
    if (found === undefined) return response.writeHead(404).end("{}")
    const { name, version } = found.manifest
    const dist = { tarball: `${url}/-/${found.file}`, integrity: found.integrity }
    response.setHeader("content-type", "application/json")
    return response.end(
      JSON.stringify({ name, "dist-tags": { latest: version }, versions: { [version]: { ...found.manifest, dist } } })
    )
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("the registry does not listen")
  const url = `http://127.0.0.1:${address.port}`
  return { url, close: () => server.close() }
}
