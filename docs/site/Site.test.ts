import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { addressOf, headingOf, listed, modulesOf, packages, placeOf, root } from "./Pages.ts"
import { type Served, serveFolder } from "./Serve.ts"

// The built site as a reader has it: in a browser, from a server that has nothing but the files.

const dist = join(root, "docs/.vitepress/dist")

const wide = { width: 1280, height: 900 }
const narrow = { width: 390, height: 844 }

let served: Served
let browser: Browser
let complaints: Array<string> = []
let contexts: Array<BrowserContext> = []

beforeAll(async () => {
  const executablePath = process.env["KUBELOCK_CHROMIUM"] ?? ""
  if (executablePath === "") {
    throw new Error("KUBELOCK_CHROMIUM must name a Chromium: KUBELOCK_CHROMIUM=$(.ci/chromium/build)")
  }
  served = await serveFolder(dist)
  browser = await chromium.launch({
    executablePath,
    // As root there is no sandbox, and what a browser does for its own sake would be requests to elsewhere.
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync"
    ]
  })
})

afterAll(async () => {
  await browser?.close()
  await served?.close()
})

afterEach(async () => {
  const [found, open] = [complaints, contexts]
  complaints = []
  contexts = []
  for (const context of open) await context.close()
  if (found.length > 0) throw new Error(found.join("\n"))
})

/** A browser window in which whatever goes wrong is written down. */
const open = async (address: string, options: BrowserContextOptions = {}): Promise<Page> => {
  const context = await browser.newContext({ viewport: wide, ...options })
  contexts.push(context)
  context.on("request", (request) => {
    if (!request.url().startsWith(`${served.url}/`) && !request.url().startsWith("data:")) {
      complaints.push(`asked for ${request.url()}`)
    }
  })
  context.on("requestfailed", (request) => complaints.push(`${request.failure()?.errorText}: ${request.url()}`))
  context.on("response", (response) => {
    if (response.status() >= 400) complaints.push(`${response.status()}: ${response.url()}`)
  })
  context.on("weberror", (error) => complaints.push(`${error.page()?.url()}: ${error.error().stack}`))
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`${message.page()?.url()}: ${message.text()}`)
  })
  const page = await context.newPage()
  await go(page, address)
  return page
}

const go = async (page: Page, address: string): Promise<void> => {
  await page.goto(served.url + address, { waitUntil: "networkidle" })
}

/** Waits for the page of a file, and looks whether it is whole and fits into the window. */
const look = async (page: Page, path: string) => {
  const address = addressOf(path)
  await page.waitForURL((url) => url.pathname === address)
  // The address is the new one before the page is.
  await page.waitForFunction(
    (heading) => document.querySelector("h1")?.textContent?.replaceAll("\u200b", "").trim() === heading,
    headingOf(path)
  )
  const seen = await page.evaluate(() => ({
    headings: document.querySelectorAll("h1").length,
    lost: Array.from(document.querySelectorAll<HTMLAnchorElement>("a[href*='#']"), ({ href }) => new URL(href))
      .filter((url) => url.pathname === location.pathname && url.hash.length > 1)
      .map((url) => decodeURIComponent(url.hash.slice(1)))
      .filter((id) => document.getElementById(id) === null),
    unseen: [...document.images].filter((image) => image.complete && image.naturalWidth === 0).map(({ src }) => src),
    wider: document.documentElement.scrollWidth - document.documentElement.clientWidth
  }))
  return { path, ...seen }
}

const whole = (path: string) => ({ path, headings: 1, lost: [], unseen: [], wider: 0 })

const managedLock = "packages/kube/src/ManagedLock.ts"
const home = "docs/index.md"
const guides = listed().flatMap(({ pages }) => pages)
const reference = packages.flatMap((name) => [`packages/${name}/README.md`, ...modulesOf(name)])

describe("the site", () => {
  it("leads from its first page to every other, and nowhere else", async () => {
    const met = new Set(["/"])
    for (const address of met) {
      const response = await fetch(served.url + address)
      expect.soft(response.status, address).toBe(200)
      const html = await response.text()
      for (const [, href] of html.matchAll(/<a\b[^>]*\shref="([^"]+)"/g)) {
        const url = new URL(href!.replaceAll("&amp;", "&"), served.url + address)
        if (url.origin === served.url) met.add(url.pathname)
      }
    }
    const built = readdirSync(dist, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".html") && file !== "404.html")
      .map((file) => `/${file}`.replace(/\/index\.html$/, "/"))
    expect([...met].toSorted()).toEqual(built.toSorted())
    expect(built.length).toBeGreaterThan(guides.length + reference.length)
  })

  it.each([["Guides", guides], ["API", reference]])(
    "has a sidebar under %s whose every page opens by a click",
    async (name, paths) => {
      const page = await open("/")
      expect(await look(page, home)).toEqual(whole(home))
      await page.getByRole("navigation", { name: "Main Navigation" }).getByRole("link", { name }).click()
      expect(await look(page, paths[0]!)).toEqual(whole(paths[0]!))
      const sidebar = page.locator("aside.VPSidebar")
      const closed = sidebar.locator(".VPSidebarItem.collapsed .caret")
      while (await closed.count() > 0) await closed.first().click()
      const links = await sidebar.locator("a").evaluateAll((links) => links.map((link) => link.getAttribute("href")!))
      expect(links).toEqual(paths.map(addressOf))
      for (const path of paths) {
        await sidebar.locator(`a[href="${addressOf(path)}"]`).click()
        expect(await look(page, path)).toEqual(whole(path))
      }
    }
  )

  it("begins where its first page says", async () => {
    const page = await open("/")
    await page.getByRole("link", { name: "Get started" }).click()
    const first = guides.find((path) => path.startsWith("docs/guides/")) ?? "README.md"
    expect(await look(page, first)).toEqual(whole(first))
  })

  it("explains whatever a program can import", async () => {
    for (const name of packages) {
      const exported: object = await import(`@kubelock/${name}`)
      const pages = reference.filter((path) => path.startsWith("packages/"))
        .map((path) => readFileSync(join(dist, placeOf(path).replace(/\.md$/, ".html")), "utf8")).join("\n")
      const unexplained = Object.keys(exported).filter((key) => {
        const isModule = reference.includes(`packages/${name}/src/${key}.ts`)
        return !isModule && !pages.includes(`id="${key}"`)
      })
      expect.soft(unexplained).toEqual([])
    }
  })

  it("goes from a name in a signature to where that is explained", async () => {
    const page = await open("/api/kube/KubeLock.html")
    await page.locator("pre a", { hasText: "ManagedLockOptions" }).first().click()
    expect(await look(page, managedLock)).toEqual(whole(managedLock))
    expect(await page.evaluate(() => location.hash)).toBe("#ManagedLockOptions")
    expect(await page.locator("[id='ManagedLockOptions.ttl']").textContent()).toContain("ttl")
  })

  it.each([
    ["fencing token", /fencing token/i],
    ["withLock", /withLock/],
    ["waitAtMost", /waitAtMost/]
  ])("finds %s, and opens what it found", async (words, text) => {
    const page = await open("/")
    await page.getByRole("button", { name: "Search" }).click()
    await page.locator("#localsearch-input").fill(words)
    const result = page.locator("#localsearch-list a.result").first()
    await result.waitFor()
    const address = (await result.getAttribute("href"))!
    await result.click()
    await page.waitForURL(served.url + address)
    await page.locator("main").filter({ hasText: text }).waitFor()
    expect(await page.locator("main h1").count()).toBe(1)
  })

  it("says so when it finds nothing", async () => {
    const page = await open("/")
    await page.keyboard.press("Control+k")
    await page.locator("#localsearch-input").fill("xylophone")
    await page.getByText("No results for").waitFor()
    expect(await page.locator("#localsearch-list a.result").count()).toBe(0)
  })

  it("is light or dark as the reader's system is, and as the reader says from then on", async () => {
    const isDark = (page: Page) =>
      page.evaluate(() => {
        const [red = 255] = getComputedStyle(document.body).backgroundColor.match(/\d+/g)!.map(Number)
        return red < 64
      })
    expect(await isDark(await open("/", { colorScheme: "dark" }))).toBe(true)
    const page = await open("/", { colorScheme: "light" })
    expect(await isDark(page)).toBe(false)
    await page.locator(".VPNavBarAppearance button").click()
    expect(await isDark(page)).toBe(true)
    await go(page, "/guarantees.html")
    expect(await isDark(page)).toBe(true)
    await page.reload()
    expect(await isDark(page)).toBe(true)
  })

  it("can be walked through on a telephone", async () => {
    const page = await open("/", { viewport: narrow })
    await page.getByRole("button", { name: "mobile navigation" }).click()
    await page.locator(".VPNavScreen").getByRole("link", { name: "API" }).click()
    expect(await look(page, reference[0]!)).toEqual(whole(reference[0]!))
    await page.getByRole("button", { name: "Menu" }).click()
    await page.locator("aside.VPSidebar").getByRole("link", { name: "ManagedLock", exact: true }).click()
    expect(await look(page, managedLock)).toEqual(whole(managedLock))
    await page.getByRole("button", { name: "On this page" }).click()
    await page.locator(".VPLocalNavOutlineDropdown").getByRole("link", { name: "NotAcquired" }).click()
    await page.waitForURL((url) => url.hash === "#NotAcquired")
  })

  it("has no page that is wider than a telephone", async () => {
    const page = await open("/", { viewport: narrow })
    expect(await look(page, home)).toEqual(whole(home))
    for (const paths of [guides, reference]) {
      await go(page, addressOf(paths[0]!))
      for (const path of paths) {
        await page.locator(`aside.VPSidebar a[href="${addressOf(path)}"]`).dispatchEvent("click")
        expect(await look(page, path)).toEqual(whole(path))
      }
    }
  })
})
