/** What all pictures have in common: colours that can be read on light and on dark pages. Pure. */

export interface Palette {
  readonly background: string
  readonly text: string
  readonly quiet: string
  readonly grid: string
  readonly first: string
  readonly firstTint: string
  readonly second: string
  readonly secondTint: string
  readonly third: string
  readonly alarm: string
}

export const palettes = {
  light: {
    background: "#ffffff",
    text: "#24292f",
    quiet: "#57606a",
    grid: "#d0d7de",
    first: "#0969da",
    firstTint: "#eaf5ff",
    second: "#bc4c00",
    secondTint: "#fff4ec",
    third: "#1a7f37",
    alarm: "#cf222e"
  },
  dark: {
    background: "#0d1117",
    text: "#e6edf3",
    quiet: "#9198a1",
    grid: "#30363d",
    first: "#58a6ff",
    firstTint: "#0c2440",
    second: "#ffa657",
    secondTint: "#36200c",
    third: "#56d364",
    alarm: "#ff7b72"
  }
} as const satisfies Readonly<Record<string, Palette>>

export const escape = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
