import { assert, describe, it } from "@effect/vitest"
import { toSvg } from "../src/plots/Plot.ts"

const plot = {
  title: "a < b & c",
  description: "told",
  xTitle: "x",
  yTitle: "y",
  lines: [
    { name: "up", points: [{ x: 1, y: 1 }, { x: 100, y: 100 }] },
    { name: "flat", points: [{ x: 1, y: 0 }, { x: 10, y: 10 }, { x: 100, y: 10 }] }
  ]
}

describe("a plot", () => {
  const svg = toSvg(plot)

  it("has a line for each, over logarithmic axes; what is nothing has no place there", () => {
    const paths = [...svg.matchAll(/class="line l\d" d="([^"]+)"/g)].map(([, path]) => path)
    assert.deepStrictEqual(paths, ["M64.0 344.0L536.0 56.0", "M300.0 200.0L536.0 200.0"])
  })

  it("names each line where it ends", () => {
    assert.include(svg, `<tspan x="546.0" dy="0">up</tspan>`)
    assert.include(svg, `<text class="p0" y="60.0">`)
    assert.include(svg, `<text class="p1" y="204.0">`)
  })

  it("can be read on light and on dark, and is well-formed", () => {
    assert.include(svg, "prefers-color-scheme: dark")
    assert.include(svg, "a &lt; b &amp; c")
  })
})
