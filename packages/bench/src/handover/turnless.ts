/**
 * Loaded before a worker: where `globalThis` has this symbol as true, managed locks try as soon as they are seen free. Nothing in the library asks
 * for that, so its module for turns is replaced.
 */
import { registerHooks } from "node:module"

export const isTurnless = Symbol.for("@kubelock/bench/isTurnless")

const own = "?own"

registerHooks({
  load: (url, context, nextLoad) => {
    if (url.endsWith("/Turns.ts" + own)) return nextLoad(url.slice(0, -own.length), context)
    if (!url.endsWith("/kube/src/Turns.ts")) return nextLoad(url, context)
    const source = `
      import * as own from "${url}${own}"
      export * from "${url}${own}"
      export const tryAtMillis = (turns, random) => {
        const atMillis = own.tryAtMillis(turns, random)
        return atMillis !== undefined && globalThis[Symbol.for("${isTurnless.description}")] === true ? -Infinity : atMillis
      }`
    return { format: "module", source, shortCircuit: true }
  }
})
