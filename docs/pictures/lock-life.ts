/**
 * Draws a lock's life for the README: lock-life-light.svg and lock-life-dark.svg beside this file, for light pages and for dark ones.
 *
 * Time goes from left to right, a third of the TTL per unit. Process A is above, process B below, and between them the object with the
 * lock's record, which is all that they share.
 *
 * Run it: npm run pictures
 */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { escape, type Palette, palettes } from "../../packages/bench/src/plots/Svg.ts"

const width = 680
const height = 412

const title = "A lock's life"
const description =
  "Process A takes the lock with one PATCH and renews it every third of its TTL, while process B waits by a watch and " +
  "sends nothing. Then A is cut off from the API server: its renewals do not get through, and at the TTL less the safety margin, counted " +
  "from the last renewal that did, its work is interrupted. When the TTL is over, B takes the lock over with one PATCH. When B is done it " +
  "gives the lock back with one PATCH; the watch tells A, which has waited since, and A takes it."

// What happens when, in thirds of the TTL.
const times = {
  taken: 0,
  bAsks: 0.34,
  renewed: 1,
  cutOff: 2,
  failures: [2, 2.28, 2.56, 2.84, 3.12, 3.4],
  lost: 3.7,
  expired: 4,
  takenOver: 4.07,
  aBack: 4.45,
  released: 5.02,
  told: 5.1,
  takenAgain: 5.2,
  end: 5.86
}

const x = (time: number): number => 22 + time * 110

// How far from the top durations are shown, and the lanes of A, of the object and of B, each a bar so high.
const spans = 34
const bar = 34
const lanes = { a: 80, object: 204, b: 328 }

type Attributes = Readonly<Record<string, string | number>>

const element = (name: string, attributes: Attributes, content?: string): string => {
  const given = Object.entries(attributes).map(([key, value]) =>
    ` ${key}="${typeof value === "number" ? Number(value.toFixed(1)) : value}"`
  )
  return `<${name}${given.join("")}${content === undefined ? "/>" : `>${content}</${name}>`}`
}

const text = (content: string, at: number, y: number, kind = "", anchor = "start"): string =>
  element("text", { class: kind, x: at, y, "text-anchor": anchor }, escape(content))

const box = (kind: string, from: number, until: number, lane: number): string =>
  element("rect", { class: kind, x: x(from), y: lane, width: x(until) - x(from), height: bar, rx: 6 })

const line = (kind: string, x1: number, y1: number, x2: number, y2: number): string =>
  element("path", { class: kind, d: `M${x1.toFixed(1)} ${y1.toFixed(1)}L${x2.toFixed(1)} ${y2.toFixed(1)}` })

/** An arrow straight up or down, with its head at the end. */
const arrow = (kind: string, at: number, from: number, to: number): string => {
  const back = to > from ? -8 : 8
  return line(`${kind} stroke`, at, from, at, to + back / 2) +
    element("path", { class: `${kind} fill`, d: `M${at.toFixed(1)} ${to}l-5 ${back}h10z` })
}

/** A request that does not arrive. */
const broken = (at: number, from: number, to: number): string =>
  line("lost stroke", at, from, at, to) + line("lost stroke", at - 5, to, at + 5, to + 10) +
  line("lost stroke", at + 5, to, at - 5, to + 10)

/** The number by which the text beside the picture speaks of it. */
const badge = (kind: string, number: number, at: number, y: number): string =>
  element("circle", { class: `${kind} fill`, cx: at, cy: y, r: 10.5 }) +
  text(String(number), at, y + 4.8, "number", "middle")

/** From when to when, above the lanes. */
const span = (from: number, until: number, y: number, kind: string): string =>
  line(`${kind} stroke thin`, x(from), y, x(until), y) +
  [from, until].map((time) => line(`${kind} stroke thin`, x(time), y - 5, x(time), y + 5)).join("")

const style = (palette: Palette): string => `
  text { font: 15px system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; fill: ${palette.text} }
  .name { font-weight: 600 }
  .small { font-size: 14px }
  .code { font: 13px ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace }
  .quiet { fill: ${palette.quiet} } .on { fill: ${palette.background}; font-weight: 600 }
  .stroke { fill: none; stroke-width: 2; stroke-linecap: round } .thin { stroke-width: 1.5 }
  .dotted { stroke-dasharray: 1 6; stroke-width: 2.5 } .dashed { stroke-dasharray: 5 4 }
  .number { font-size: 13px; font-weight: 700; fill: ${palette.background} }
  .margin { fill: ${palette.alarm}; opacity: 0.14 }
  .lane { stroke: ${palette.grid} }
  .background { fill: ${palette.background}; stroke: ${palette.grid} }
  .a.stroke { stroke: ${palette.first} } .a.fill, text.a { fill: ${palette.first} }
  .b.stroke { stroke: ${palette.second} } .b.fill, text.b { fill: ${palette.second} }
  .lost.stroke { stroke: ${palette.alarm} } .lost.fill, text.lost { fill: ${palette.alarm} }
  .quiet.stroke { stroke: ${palette.quiet} }
  .a.record { fill: ${palette.firstTint}; stroke: ${palette.first}; stroke-width: 1.5 }
  .b.record { fill: ${palette.secondTint}; stroke: ${palette.second}; stroke-width: 1.5 }
`

/** The picture in one palette. Pure. */
export const draw = (palette: Palette): string => {
  const t = times
  const { a, b, object } = lanes
  const belowA = a + bar
  const belowObject = object + bar
  const halfWay = (from: number, to: number) => (from + to) / 2
  const parts = [
    element("rect", { class: "background", x: 0.5, y: 0.5, width: width - 1, height: height - 1, rx: 10 }),
    ...[a, object, b].map((lane) => line("lane stroke", 12, lane + bar / 2, width - 12, lane + bar / 2)),
    text("process A", 14, a - 12, "name a"),
    text("the object, on the API server", x(t.bAsks) + 12, belowObject + 22, "name"),
    text("process B", 14, b + bar + 22, "name b"),
    // How long is what.
    element("rect", {
      class: "margin",
      x: x(t.lost),
      y: spans,
      width: x(t.expired) - x(t.lost),
      height: object - spans
    }),
    line("lost stroke thin dashed", x(t.lost), spans, x(t.lost), object),
    line("quiet stroke thin dashed", x(t.expired), spans, x(t.expired), object),
    span(t.taken, t.renewed, spans, "quiet"),
    text("ttl / 3", x(halfWay(t.taken, t.renewed)), spans - 8, "small quiet", "middle"),
    span(t.renewed, t.expired, spans, "quiet"),
    text("ttl, since the last renewal", x(halfWay(t.renewed, t.lost)), spans - 8, "small quiet", "middle"),
    text("safety margin", x(t.expired) + 8, spans + 5, "small lost"),
    // A works, and renews, until it is cut off.
    box("a fill", t.taken, t.lost, a),
    text("works under the lock", x(t.taken) + 12, a + 22, "on"),
    arrow("a", x(t.taken) + 12, belowA, object),
    badge("a", 1, x(t.taken) + 12, halfWay(belowA, object) - 4),
    text("PATCH", x(t.taken) + 29, halfWay(belowA, object) - 8, "code a"),
    text("test+add", x(t.taken) + 29, halfWay(belowA, object) + 10, "code a"),
    arrow("a", x(t.renewed), belowA, object),
    badge("a", 3, x(t.renewed), halfWay(belowA, object) - 4),
    text("renews", x(t.renewed) + 17, halfWay(belowA, object) + 1, "small a"),
    ...t.failures.map((time) => broken(x(time), belowA, belowA + 8)),
    text("cut off: renewals fail", x(t.cutOff) - 5, belowA + 38, "small lost"),
    element("rect", { class: "lost fill", x: x(t.lost) - 3, y: a - 3, width: 6, height: bar + 6, rx: 2 }),
    badge("lost", 4, x(t.lost), belowA + 60),
    text("interrupted", x(t.lost) - 17, belowA + 65, "small lost", "end"),
    // What the object says.
    box("a record", t.taken, t.expired, object),
    text("held by A", x(t.taken) + 12, object + 22, "a"),
    box("b record", t.takenOver, t.released, object),
    text("held by B", x(t.takenOver) + 12, object + 22, "b"),
    box("a record", t.takenAgain, t.end, object),
    text("by A", x(t.takenAgain) + 12, object + 22, "a"),
    // B asks, waits, works, and gives back.
    arrow("b", x(t.bAsks), b + bar / 2 - 3, belowObject),
    line("b stroke dotted", x(t.bAsks), b + bar / 2, x(t.takenOver), b + bar / 2),
    badge("b", 2, x(t.bAsks), b + bar / 2),
    text("asks, and is refused", x(t.bAsks) + 12, belowObject + 54, "small b"),
    text("waits: one watch, no requests", x(t.bAsks) + 17, b + bar / 2 - 10, "small b"),
    arrow("b", x(t.takenOver) + 12, b, belowObject),
    badge("b", 5, x(t.takenOver) + 12, halfWay(b, belowObject) + 4),
    text("PATCH", x(t.takenOver) - 5, halfWay(b, belowObject), "code b", "end"),
    text("test+replace", x(t.takenOver) - 5, halfWay(b, belowObject) + 18, "code b", "end"),
    box("b fill", t.takenOver, t.released, b),
    text("works", x(t.takenOver) + 12, b + 22, "on"),
    arrow("b", x(t.released) - 12, b, belowObject),
    badge("b", 6, x(t.released) - 12, halfWay(b, belowObject) + 4),
    text("PATCH", x(t.released) + 5, halfWay(b, belowObject), "code b"),
    text("test+remove", x(t.released) + 5, halfWay(b, belowObject) + 18, "code b"),
    // A has come back, and takes its turn.
    line("a stroke dotted", x(t.aBack), a + bar / 2, x(t.takenAgain), a + bar / 2),
    text("waits", x(t.aBack), a + bar / 2 - 9, "small a"),
    arrow("quiet", x(t.told), object, belowA),
    text("a watch event", x(t.told) - 8, halfWay(belowA, object) + 24, "small quiet", "end"),
    box("a fill", t.takenAgain, t.end, a),
    text("works", x(t.takenAgain) + 12, a + 22, "on"),
    arrow("a", x(t.takenAgain) + 12, belowA, object),
    badge("a", 7, x(t.takenAgain) + 12, halfWay(belowA, object) - 4)
  ]
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title description">`,
    element("title", { id: "title" }, escape(title)),
    element("desc", { id: "description" }, escape(description)),
    element("style", {}, style(palette)),
    ...parts,
    "</svg>",
    ""
  ].join("\n")
}

/** The files of this folder that the script writes, and what is in them. */
export const files: Readonly<Record<string, string>> = {
  "lock-life-light.svg": draw(palettes.light),
  "lock-life-dark.svg": draw(palettes.dark)
}

if (import.meta.main) {
  for (const [name, svg] of Object.entries(files)) {
    writeFileSync(join(import.meta.dirname, name), svg)
    console.log(`docs/pictures/${name}`)
  }
}
