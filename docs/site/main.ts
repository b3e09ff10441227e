import { join } from "node:path"
import { build, createServer, serve } from "vitepress"
import { generate } from "./Generate.ts"
import { root } from "./Pages.ts"

// Builds the site into docs/.vitepress/dist; `dev` shows it while one writes, `preview` what was built.

const docs = join(root, "docs")
const [command = "build"] = process.argv.slice(2)

switch (command) {
  case "build":
    generate()
    await build(docs)
    break
  case "dev": {
    generate()
    const server = await createServer(docs)
    await server.listen()
    server.printUrls()
    break
  }
  case "preview":
    await serve({ root: docs })
    break
  default:
    throw new Error(`build, dev or preview, not ${command}`)
}
