/**
 * JSON text as Go's `encoding/json` writes it.
 *
 * **Details**
 *
 * Beside what `JSON.stringify` does, Go escapes `<`, `>`, `&`, U+2028 and U+2029, and writes what is no valid Unicode as
 * `\ufffd`. Both are JSON for the same value, but there are places where the bytes count: in a lock's annotation, which is compared
 * to the byte, and in the `test` of a JSON Patch, which a Kubernetes API server compares with its own encoding of the object.
 *
 * **Example** (Go's escapes)
 *
 * ```ts
 * import { GoJson } from "@kubelock/core"
 *
 * GoJson.stringify({ "a<b": ["é", "\n"] }) // => '{"a\\u003cb":["é","\\n"]}'
 * ```
 *
 * @since 0.1.0
 */

/**
 * Go's JSON text of a string, or of whatever holds strings.
 *
 * **Gotchas**
 *
 * Keys stay in their order. Go sorts those of a map.
 *
 * @category conversions
 * @since 0.1.0
 */
export const stringify = (value: string | object): string => {
  if (typeof value === "string" && plain.test(value)) return `"${value}"`
  const text = JSON.stringify(value)
  return text.search(different) === -1 ? text : asGo(text)
}

// Nothing in it is written otherwise than it is.
const plain = /^[ !#-%'-;=?-[\]-~]*$/

// What both write alike is most of what there is, and told in a single pass.
const different = /[<>&\u2028\u2029]|\\ud/

const asGo = (text: string): string =>
  text.replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)
    // JSON.stringify escapes lone surrogates, and a backslash of the text itself is doubled before them.
    .replace(/(\\\\)|\\ud[89a-f][0-9a-f]{2}/g, (escape, backslash) => (backslash === undefined ? "\\ufffd" : escape))
