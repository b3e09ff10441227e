import { describe, expect, it } from "vitest"
import { files } from "../../../docs/pictures/lock-life.ts"
import { type Palette, palettes } from "../../bench/src/plots/Svg.ts"
import { filesBelow, read } from "./Sources.ts"

// The pictures of the documents are what their script draws, and can be read.

/** By WCAG: from 1, the same, to 21, black on white. */
const contrast = (one: string, other: string): number => {
  const luminance = (colour: string) =>
    [0.2126, 0.7152, 0.0722].reduce((sum, weight, index) => {
      const part = Number.parseInt(colour.slice(1 + 2 * index, 3 + 2 * index), 16) / 255
      return sum + weight * (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    }, 0)
  const [darker, brighter] = [luminance(one), luminance(other)].toSorted((left, right) => left - right)
  return (brighter! + 0.05) / (darker! + 0.05)
}

describe("a lock's life", () => {
  it("is what `npm run pictures` draws, and there is no other picture", () => {
    const kept = filesBelow("docs/pictures", ".svg").map(({ path, text }) => [path.split("/").at(-1), text])
    expect(Object.fromEntries(kept)).toEqual(files)
  })

  it.each(Object.entries(files))("%s tells itself to who cannot see it", (_, svg) => {
    expect(svg).toMatch(
      /^<svg [^>]*role="img" aria-labelledby="title description">\n<title id="title">.+<\/title>\n<desc id="description">.{100,}<\/desc>\n/
    )
  })

  it.each(Object.entries(files))("%s asks for no font, picture or program from elsewhere", (_, svg) => {
    expect(svg.match(/https?:\/\/[^"]+/g)).toEqual(["http://www.w3.org/2000/svg"])
    expect(svg).not.toMatch(/@import|@font-face|<script|<image|href/)
  })

  it("is shown by the README, for light pages and for dark ones, and described there", () => {
    const [picture = ""] = /<picture>[\s\S]*?<\/picture>/.exec(read("README.md").text) ?? []
    expect(picture).toContain(`<source media="(prefers-color-scheme: dark)" srcset="docs/pictures/lock-life-dark.svg">`)
    expect(picture).toMatch(/<img\s+src="docs\/pictures\/lock-life-light\.svg"\s[^>]*alt="[^"]{50,}"/)
  })

  it.each(Object.entries<Palette>(palettes))("in colours that can be read: %s", (_, palette) => {
    const { alarm, background, first, firstTint, quiet, second, secondTint, text, third } = palette
    const pairs = [
      ...[text, quiet, first, second, third, alarm].map((colour) => [colour, background] as const),
      [first, firstTint] as const,
      [second, secondTint] as const
    ]
    for (const [colour, ground] of pairs) {
      expect.soft(contrast(colour, ground), `${colour} on ${ground}`).toBeGreaterThan(4.5)
    }
  })
})
