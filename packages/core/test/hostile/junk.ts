/** What no type lets through, but a program without types does; and names that mean something to JavaScript itself. */
import * as fc from "fast-check"

/** Keys that every object seems to have. */
export const inheritedKeys = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "valueOf",
  "hasOwnProperty",
  "toJSON",
  "then",
  "__defineGetter__"
] as const

const fail = (): never => {
  throw new Error("hostile")
}

const cyclic = () => {
  const knot: Record<string, unknown> = {}
  knot["knot"] = [knot]
  return knot
}

const nested = (depth: number) => Array.from({ length: depth }).reduce<unknown>((inner) => [inner], "bottom")

const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

const makers: ReadonlyArray<() => unknown> = [
  () => undefined,
  () => null,
  ...[true, false, 0, -0, -1, 0.1, Number.NaN, Infinity, -Infinity, 1e308, 2 ** 53, 0n, -1n, 10n ** 400n].map(
    (value) => () => value
  ),
  ...["", " ", "\0", "a\nb", "a\r\nx: y", "\u001b[2J", "\u202e", "\u2028", "\ud800", "../..", "%2e%2e", "1 second"].map(
    (
      value
    ) =>
    () => value
  ),
  ...inheritedKeys.map((value) => () => value),
  () => "x".repeat(300_000),
  () => Symbol("hostile"),
  () => () => 1,
  () => new Date(Number.NaN),
  () => /x/,
  () => new Map([["a", 1]]),
  () => Promise.resolve(1),
  () => [],
  () => ["a"],
  () => [null],
  () => ({}),
  () => Object.create(null),
  () => JSON.parse("{\"__proto__\":{\"polluted\":true}}"),
  cyclic,
  () => nested(20_000),
  () => ({
    get hostile() {
      return fail()
    }
  }),
  () => ({ toString: fail, valueOf: fail, toJSON: fail }),
  () => ({ toJSON: () => undefined }),
  () => ({ [Symbol.toPrimitive]: fail, [Symbol.iterator]: fail }),
  () => new Proxy({}, { get: fail, has: fail, ownKeys: fail, getOwnPropertyDescriptor: fail, getPrototypeOf: fail }),
  () => new Proxy(() => 1, { get: fail, apply: fail }),
  revoked
]

/** What makes anything at all: fast-check itself could not look at some of it. */
export const junk: fc.Arbitrary<() => unknown> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...makers) },
  {
    weight: 1,
    arbitrary: fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true, withSet: true })
      .map((value) => () => value)
  }
)

const inherited = (): string =>
  [Object.prototype, Array.prototype, Function.prototype, String.prototype].flatMap(Reflect.ownKeys).map(String).join()

const inheritedBefore = inherited()

/** Fails if anything has been left where every object inherits it. */
export const assertNothingInherited = (): void => {
  if (inherited() !== inheritedBefore) throw new Error(`prototypes were changed: ${inherited()}`)
}
