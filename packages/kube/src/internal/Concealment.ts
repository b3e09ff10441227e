import { oneLine } from "./Status.ts"

const placeholder = "[concealed]"

/** Takes credentials that are known out of text from elsewhere: some proxies echo a request, headers and all. */
export const concealKnown = (text: string, secrets: ReadonlyArray<string>): string =>
  secrets.reduce((concealed, secret) => concealed.replaceAll(secret, placeholder), text)

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
      .replace(
        /([\w-]*(?:token|secret|password|passwd|credential|key|jwt)["']?\s*[:=]\s*["']?)[^\s"',}]+/gi,
        `$1${placeholder}`
      )
      // Long runs that mix digits, upper and lower case: no word, and hardly a path.
      .replace(/(?=[\w+/=.-]*\d)(?=[\w+/=.-]*[a-z])(?=[\w+/=.-]*[A-Z])[\w+/=.-]{32,}/g, placeholder),
    maxLength
  )
