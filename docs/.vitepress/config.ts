import { join } from "node:path"
import { type DefaultTheme, defineConfig } from "vitepress"
import { brokenLinks } from "../site/Check.ts"
import { fenceIndentedCode, linkedNames } from "../site/Highlight.ts"
import { linksOfTheRepository, slugOf } from "../site/Links.ts"
import { addressOf, listed, modulesOf, packages, placeOf, root, titleOf, unlisted } from "../site/Pages.ts"

const lost = unlisted()
if (lost.length > 0) throw new Error(`in no sidebar, see docs/site/Pages.ts: ${lost.join(", ")}`)

const itemOf = (path: string): DefaultTheme.SidebarItem => ({ text: titleOf(path), link: addressOf(path) })

const guides: Array<DefaultTheme.SidebarItem> = listed().map(({ isCollapsed, pages, title }) => ({
  text: title,
  ...(isCollapsed === true ? { collapsed: true } : {}),
  items: pages.map(itemOf)
}))

const reference: Array<DefaultTheme.SidebarItem> = packages.map((name) => ({
  text: `@kubelock/${name}`,
  link: addressOf(`packages/${name}/README.md`),
  items: modulesOf(name).map(itemOf)
}))

export default defineConfig({
  title: "kubelock",
  description: "Distributed locks for Effect, kept as annotations on any Kubernetes object.",
  lang: "en",
  cacheDir: join(root, "node_modules/.cache/kubelock-docs"),
  rewrites: (page) => page.startsWith("generated/") ? page.slice("generated/".length) : placeOf(`docs/${page}`),
  head: [["link", { rel: "icon", type: "image/svg+xml", href: "/lock.svg" }]],
  lastUpdated: false,
  markdown: {
    anchor: { slugify: slugOf },
    config: (markdown) => {
      linksOfTheRepository(markdown)
      fenceIndentedCode(markdown)
    },
    codeTransformers: [linkedNames]
  },
  themeConfig: {
    logo: "/lock.svg",
    nav: [
      { text: "Guides", link: addressOf("README.md"), activeMatch: "^/(?!api/|source/packages/|$)" },
      { text: "API", link: addressOf("packages/kube/README.md"), activeMatch: "^/api/" }
    ],
    sidebar: { "/api/": reference, "/source/packages/": [], "/": guides },
    outline: [2, 3],
    docFooter: { prev: "Previous", next: "Next" },
    search: {
      provider: "local",
      options: {
        // The files that pages link to are no text to search in; what is left out here is not even rendered.
        _render: (source, environment, markdown) =>
          /^search: false$/m.test(source.split("\n---\n")[0] ?? "") ? "" : markdown.render(source, environment)
      }
    }
  },
  buildEnd: ({ outDir }) => {
    const broken = brokenLinks(outDir)
    if (broken.length > 0) throw new Error(broken.join("\n"))
  }
})
