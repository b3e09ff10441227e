/** Lines over two logarithmic axes, as SVG: each named where it ends, readable on light and on dark. Pure. */
import { escape, palettes } from "./Svg.ts"

export interface Line {
  readonly name: string
  readonly points: ReadonlyArray<{ readonly x: number; readonly y: number }>
  /** A measure to hold the others against: thin and dashed. */
  readonly isReference?: boolean
}

export interface Plot {
  readonly title: string
  /** Told to who cannot see it. */
  readonly description: string
  readonly xTitle: string
  readonly yTitle: string
  readonly lines: ReadonlyArray<Line>
}

const width = 700
const height = 400
const frame = { left: 64, right: 536, top: 56, bottom: 344 }

const { dark, light } = palettes

const style = `
  text { font: 13px system-ui, sans-serif; fill: ${light.text} }
  .title { font-size: 16px; font-weight: 600 }
  .quiet { fill: ${light.quiet} }
  .grid { stroke: ${light.grid}; stroke-width: 1 }
  .line { fill: none; stroke-width: 2.5; stroke-linejoin: round; stroke-linecap: round }
  .reference { stroke: ${light.quiet}; stroke-width: 1.5; stroke-dasharray: 5 5 }
  .l0 { stroke: ${light.first} } .l1 { stroke: ${light.second} } .l2 { stroke: ${light.third} }
  .p0 { fill: ${light.first} } .p1 { fill: ${light.second} } .p2 { fill: ${light.third} } .pr { fill: ${light.quiet} }
  .background { fill: ${light.background} }
  @media (prefers-color-scheme: dark) {
    text { fill: ${dark.text} }
    .quiet { fill: ${dark.quiet} }
    .grid { stroke: ${dark.grid} }
    .reference { stroke: ${dark.quiet} }
    .l0 { stroke: ${dark.first} } .l1 { stroke: ${dark.second} } .l2 { stroke: ${dark.third} }
    .p0 { fill: ${dark.first} } .p1 { fill: ${dark.second} } .p2 { fill: ${dark.third} } .pr { fill: ${dark.quiet} }
    .background { fill: ${dark.background} }
  }
`

/** The powers of ten that hold all of the values. */
const decades = (values: ReadonlyArray<number>): ReadonlyArray<number> => {
  const logs = values.map((value) => Math.log10(value))
  const first = Math.floor(Math.min(...logs))
  const last = Math.max(first + 1, Math.ceil(Math.max(...logs)))
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}

const scale = (powers: ReadonlyArray<number>, from: number, to: number) => (value: number): number => {
  const first = powers[0] ?? 0
  return from + (to - from) * (Math.log10(value) - first) / (powers.length - 1)
}

const powerText = (power: number): string =>
  power >= 0 ? (10 ** power).toLocaleString("en-US") : (10 ** power).toFixed(-power)

/** From above to below, each at least so far from the one before, and none below the frame. */
const apart = (places: ReadonlyArray<number>, least: number): ReadonlyArray<number> => {
  const order = places.map((place, index) => ({ place, index })).toSorted((left, right) => left.place - right.place)
  let before = -Infinity
  const down = order.map(({ index, place }) => ({ index, place: before = Math.max(place, before + least) }))
  const excess = Math.max(0, before - (frame.bottom - 14))
  return places.map((_, index) => (down.find((found) => found.index === index)?.place ?? 0) - excess)
}

/** As many lines as there is room for beside the plot. */
const wrapped = (name: string): ReadonlyArray<string> =>
  name.split(" ").reduce<ReadonlyArray<string>>((lines, word) => {
    const last = lines.at(-1)
    return last === undefined || last.length + word.length > 19
      ? [...lines, word]
      : [...lines.slice(0, -1), `${last} ${word}`]
  }, [])

export const toSvg = ({ description, lines: given, title, xTitle, yTitle }: Plot): string => {
  const lines = given.map((line) => ({ ...line, points: line.points.filter(({ y }) => y > 0) }))
  const points = lines.flatMap(({ points }) => points)
  const xPowers = decades(points.map(({ x }) => x))
  const yPowers = decades(points.map(({ y }) => y))
  const x = scale(xPowers, frame.left, frame.right)
  const y = scale(yPowers, frame.bottom, frame.top)
  const grid = [
    ...xPowers.map((power) => {
      const at = x(10 ** power).toFixed(1)
      return `<path class="grid" d="M${at} ${frame.top}V${frame.bottom}"/>` +
        `<text class="quiet" x="${at}" y="${frame.bottom + 20}" text-anchor="middle">${powerText(power)}</text>`
    }),
    ...yPowers.map((power) => {
      const at = y(10 ** power)
      return `<path class="grid" d="M${frame.left} ${at.toFixed(1)}H${frame.right}"/>` +
        `<text class="quiet" x="${frame.left - 8}" y="${(at + 4).toFixed(1)}" text-anchor="end">${
          powerText(power)
        }</text>`
    })
  ]
  const colours = lines.map(({ isReference = false }, index) =>
    isReference ? "r" : String(lines.slice(0, index).filter((line) => line.isReference !== true).length)
  )
  const drawn = lines.map(({ isReference = false, points }, index) => {
    const path = points.map((point, at) => `${at === 0 ? "M" : "L"}${x(point.x).toFixed(1)} ${y(point.y).toFixed(1)}`)
    return `<path class="line ${isReference ? "reference" : `l${colours[index]}`}" d="${path.join("")}"/>`
  })
  const labelHeight = 6 + 15 * Math.max(...lines.map(({ name }) => wrapped(name).length))
  const names = apart(lines.map(({ points }) => y(points.at(-1)?.y ?? 1)), labelHeight).map((place, index) => {
    const { name, points } = lines[index]!
    const beginsAt = Math.min(frame.right, x(points.at(-1)?.x ?? 1)) + 10
    const parts = wrapped(name)
    const spans = parts.map((part, at) =>
      `<tspan x="${beginsAt.toFixed(1)}" dy="${at === 0 ? 0 : 15}">${escape(part)}</tspan>`
    )
    const top = place + 4 - 7.5 * (parts.length - 1)
    return `<text class="p${colours[index]}" y="${top.toFixed(1)}">${spans.join("")}</text>`
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${
      escape(description)
    }">`,
    `<style>${style}</style>`,
    `<rect class="background" width="${width}" height="${height}"/>`,
    `<text class="title" x="${frame.left}" y="22">${escape(title)}</text>`,
    `<text class="quiet" x="${frame.left}" y="42">${escape(yTitle)}</text>`,
    ...grid,
    `<text class="quiet" x="${(frame.left + frame.right) / 2}" y="${height - 12}" text-anchor="middle">${
      escape(xTitle)
    }</text>`,
    ...drawn,
    ...names,
    "</svg>",
    ""
  ].join("\n")
}
