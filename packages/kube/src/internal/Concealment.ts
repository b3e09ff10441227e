import { GoJson } from "@kubelock/core"
import { Result } from "effect"
import { oneLine } from "./Status.ts"

const placeholder = "[concealed]"

/** Takes credentials that are known out of text from elsewhere: some proxies echo a request, headers and all. */
export const concealKnown = (text: string, secrets: ReadonlyArray<string>): string =>
  secrets.flatMap(formsOf).reduce((concealed, form) => concealed.replaceAll(form, placeholder), text)

/** The same for an answer, which is JSON or should be: all else in it stays as it is. */
export const concealInJson = (text: string, secrets: ReadonlyArray<string>): string => {
  if (secrets.length === 0) return text
  const conceal = (_: string, part: unknown) => typeof part === "string" ? concealKnown(part, secrets) : part
  // Where it is no JSON, or too much of it, or nested too deep to be looked at.
  const asText = () => concealKnown(text, secrets)
  if (text.length > longestJson) return asText()
  return Result.getOrElse(Result.try(() => JSON.stringify(JSON.parse(text, conceal))), asText)
}

const longestJson = 1_000_000

/** A secret as it may stand in JSON, in a URL, in a page of HTML, or encoded, as in a header. */
const formsOf = (secret: string): ReadonlyArray<string> => {
  const wellFormed = secret.toWellFormed()
  const forms = [
    secret,
    JSON.stringify(secret).slice(1, -1),
    GoJson.stringify(secret).slice(1, -1),
    encodeURIComponent(wellFormed),
    wellFormed.replace(/[&<>"']/g, (char) => htmlEntities[char] ?? char),
    Buffer.from(wellFormed).toString("base64").replace(/=+$/, ""),
    Buffer.from(wellFormed).toString("base64url")
  ]
  return [...new Set(forms)].filter((form) => form !== "")
}

const htmlEntities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&#34;",
  "'": "&#39;"
}

/**
 * One bounded line of what a program or a library said while it fetched credentials, without whatever looks like one:
 * what exactly is secret in it, nobody knows.
 */
export const concealGuessed = (text: string, maxLength: number): string =>
  oneLine(
    text
      // Long enough for any credential to be recognised whole before the line is cut.
      .slice(0, 100_000)
      .replace(/-----BEGIN [^-]+-----[\s\S]*?(-----END [^-]+-----|$)/g, placeholder)
      .replace(/\beyJ[\w-]+(\.[\w-]*){0,2}/g, placeholder)
      .replace(/\b(bearer|basic)\s+[^\s"',]+/gi, `$1 ${placeholder}`)
      // Each pattern begins where a word begins: where it began at every character, a long word would take for ever.
      .replace(
        /(?<![\w-])([\w-]*(?:token|secret|password|passwd|credential|key|jwt)["']?\s*[:=]\s*["']?)[^\s"',}]+/gi,
        `$1${placeholder}`
      )
      // Long runs that mix digits, upper and lower case: no word, and hardly a path.
      .replace(/(?<![\w+/=.-])(?=[\w+/=.-]*\d)(?=[\w+/=.-]*[a-z])(?=[\w+/=.-]*[A-Z])[\w+/=.-]{32,}/g, placeholder),
    maxLength
  )
