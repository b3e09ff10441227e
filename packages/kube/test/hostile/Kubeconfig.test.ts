import { assert, describe, it } from "@effect/vitest"
import { InvalidConfig } from "@kubelock/core"
import { KubeTransport } from "@kubelock/kube/KubeTransport"
import { Cause, Effect, Exit, Layer } from "effect"
import fc from "fast-check"
import * as fs from "node:fs"
import * as path from "node:path"
import { afterEach, vi } from "vitest"
import * as Effort from "../../../core/test/hostile/effort.ts"
import { assertNothingInherited, inheritedKeys, junk } from "../../../core/test/hostile/junk.ts"
import * as Fixture from "../KubeTransportFixtures.ts"

// Whatever a kubeconfig says: a layer that may be used, or an InvalidConfig that says what is wrong, and where, in time.

afterEach(() => {
  vi.unstubAllEnvs()
  assertNothingInherited()
})

/** Why a layer cannot be built, if so; anything but an InvalidConfig of this field is a mistake. */
const refusal = Effect.fnUntraced(function*(
  layer: Layer.Layer<KubeTransport, InvalidConfig>,
  field = "kubeconfig"
): Effect.fn.Return<InvalidConfig | undefined> {
  const exit = yield* Effect.exit(Effect.scoped(Layer.build(layer)))
  if (Exit.isSuccess(exit)) return undefined
  const error = Cause.squash(exit.cause)
  if (!(error instanceof InvalidConfig)) throw new Error(`no InvalidConfig: ${Cause.pretty(exit.cause)}`)
  assert.strictEqual(error.field, field)
  assert.isBelow(error.message.length, 3_000)
  assert.notMatch(error.message, /[\p{Cc}\u2028\u2029]/u)
  return error
})

const refused = Effect.fnUntraced(function*(layer: Layer.Layer<KubeTransport, InvalidConfig>, field?: string) {
  const error = yield* refusal(layer, field)
  if (error === undefined) throw new Error("the layer was built")
  return error
})

const check = <A>(arbitrary: fc.Arbitrary<A>, numRuns: number, holds: (value: A) => Effect.Effect<unknown>) =>
  Effect.promise(() =>
    fc.assert(
      fc.asyncProperty(arbitrary, (value) => Effect.runPromise(Effect.asVoid(holds(value)))),
      Effort.of(numRuns)
    )
  )

const whole = {
  apiVersion: "v1",
  kind: "Config",
  clusters: [{
    name: "c",
    cluster: {
      server: "https://127.0.0.1:1",
      "certificate-authority": null,
      "certificate-authority-data": Fixture.caData,
      "insecure-skip-tls-verify": false,
      "proxy-url": "",
      "tls-server-name": ""
    }
  }],
  users: [{
    name: "u",
    user: {
      as: null,
      "auth-provider": null,
      "client-certificate": null,
      "client-certificate-data": null,
      "client-key": null,
      "client-key-data": null,
      exec: {
        apiVersion: "client.authentication.k8s.io/v1",
        command: "true",
        args: ["a"],
        env: [{ name: "A", value: "b" }],
        installHint: "",
        provideClusterInfo: true
      },
      password: null,
      token: null,
      tokenFile: null,
      username: null
    }
  }],
  contexts: [{ name: "x", context: { cluster: "c", user: "u", namespace: "n" } }],
  "current-context": "x"
}

type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }

type Place = ReadonlyArray<string | number>

const placesIn = (value: unknown): ReadonlyArray<Place> => [
  [],
  ...typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([key, inner]) =>
      placesIn(inner).map((place): Place => [Array.isArray(value) ? Number(key) : key, ...place])
    )
    : []
]

const replaced = (value: unknown, [key, ...rest]: Place, by: unknown): unknown => {
  if (key === undefined) return by
  const copy: Record<string | number, unknown> = Array.isArray(value) ? Object.assign([], value) : { ...Object(value) }
  if (by === undefined && rest.length === 0) delete copy[key]
  else copy[key] = replaced(copy[key], rest, by)
  return copy
}

const wrong: fc.Arbitrary<Json | undefined> = fc.oneof(
  fc.constantFrom<Json | undefined>(
    undefined,
    null,
    true,
    0,
    5,
    -1,
    1e300,
    "",
    "x",
    "c",
    "\0",
    "a\nb",
    "../..",
    "file:///",
    "http://[",
    "x".repeat(100_000),
    [],
    [null],
    {},
    { toString: 5 },
    { name: "x" },
    ...inheritedKeys
  ),
  fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>
)

describe("a kubeconfig", () => {
  it.effect("with anything anywhere is used or refused, as text and as a file", () =>
    Effect.gen(function*() {
      const directory = yield* Fixture.temporaryDirectory
      const file = path.join(directory, "config")
      let refusals = 0
      yield* check(
        fc.array(fc.tuple(fc.constantFrom(...placesIn(whole)), wrong), { minLength: 1, maxLength: 3 }),
        100,
        Effect.fnUntraced(function*(changes) {
          const text = JSON.stringify(
            changes.reduce<unknown>((config, [place, by]) => replaced(config, place, by), whole)
          ) ?? ""
          fs.writeFileSync(file, text)
          const asText = yield* refusal(KubeTransport.layerText(text))
          const asFile = yield* refusal(KubeTransport.layerFile(file))
          assert.strictEqual(asText === undefined, asFile === undefined)
          if (asText !== undefined) refusals++
        })
      )
      assert.isAbove(refusals, 0)
    }))

  it.effect("mutated is used or refused", () => {
    const yaml = [
      "apiVersion: v1",
      "kind: Config",
      "clusters:",
      "- name: &c c",
      "  cluster: { server: \"https://127.0.0.1:1\" }",
      "users:",
      "- name: u",
      "  user: { token: \"t\", password: 'p' } # secret",
      "contexts:",
      "- name: x",
      "  context:",
      "    cluster: *c",
      "    user: >-",
      "      u",
      "current-context: !!str x",
      ""
    ].join("\n")
    const piece = fc.oneof(
      fc.constantFrom(
        ..."{}[]:,\"'|>&*!%@`-?#\n\t \0\u00a0\ufeff",
        "<<: *c",
        "&a [*a]",
        "!!binary x",
        "!<x>",
        "---",
        "...",
        "%YAML 9.9",
        "__proto__: {x: 1}",
        "? "
      ),
      fc.string({ unit: "binary", maxLength: 3 })
    )
    const mutation = fc.tuple(fc.nat(yaml.length), fc.nat(5), piece)
    return check(
      fc.array(mutation, { minLength: 1, maxLength: 4 }),
      500,
      (mutations) =>
        refusal(KubeTransport.layerText(
          mutations.reduce((text, [at, length, piece]) => text.slice(0, at) + piece + text.slice(at + length), yaml)
        ))
    )
  })

  const enoughMillis = 10_000

  const laughs = (levels: number, of: (alias: string) => string) =>
    Array.from(
      { length: levels },
      (_, level) => `a${level + 1}: &a${level + 1} ${of(Array.from({ length: 10 }, () => `*a${level}`).join(", "))}`
    ).join("\n")

  const definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\na0: &a0 { type: string }\n"

  it.effect.each(
    [
      ["a billion laughs", `a0: &a0 [x]\n${laughs(30, (ten) => `[${ten}]`)}\nkind: Config\nusers: *a30`],
      [
        "a billion laughs in something that client-node knows",
        `${definition}${
          laughs(7, (ten) => `{ allOf: [${ten}] }`)
        }\nspec: { versions: [{ schema: { openAPIV3Schema: *a7 } }] }`
      ],
      ["itself, in itself", "&a { kind: Config, clusters: [*a], users: *a }"],
      [
        "itself, in something that client-node knows",
        `${definition}spec: { versions: [{ schema: { openAPIV3Schema: &a { not: *a } } }] }`
      ],
      ["a deep nest", "[".repeat(1_000_000)],
      ["a deep nest of mappings", "{a: ".repeat(1_000_000)],
      ["a long line", `a: "${"\\\\".repeat(1_000_000)}`],
      ["many merges", `a: &a {k: 1}\n${"b: {<<: [*a, *a]}\n".repeat(10_000)}`],
      ["more than there is room for", `kind: ${"x".repeat(5_000_000)}`],
      ["zeros", "\0".repeat(1_000_000)],
      ["many contexts", `contexts: [${"{name: x, context: {cluster: c}}, ".repeat(20_000)}]`]
    ] as const
  )("with %s is refused in time", ([, text]) => refused(KubeTransport.layerText(text)), enoughMillis)

  it.effect("takes an entry of a name that every object seems to have for what it is", () =>
    Effect.gen(function*() {
      for (const name of inheritedKeys) {
        const named = {
          ...whole,
          clusters: [{ ...whole.clusters[0], name }],
          users: [{ ...whole.users[0], name }],
          contexts: [{ name, context: { cluster: name, user: name } }]
        }
        assert.isUndefined(
          yield* refusal(KubeTransport.layerText(JSON.stringify({ ...named, "current-context": name })))
        )
        const absent = JSON.stringify({ ...whole, "current-context": name })
        assert.include((yield* refused(KubeTransport.layerText(absent))).message, `there is no context "${name}"`)
      }
    }))
})

describe("a file", () => {
  it.effect("that is none, or too long, or no text, says so", () =>
    Effect.gen(function*() {
      const directory = yield* Fixture.temporaryDirectory
      const write = (name: string, content: string | Buffer) => {
        fs.writeFileSync(path.join(directory, name), content)
        return path.join(directory, name)
      }
      const cases = [
        [directory, "EISDIR"],
        [path.join(directory, "none"), "ENOENT"],
        [`${write("file", "")}/below`, "ENOTDIR"],
        ["/dev/zero", "more than 4194304 bytes"],
        [write("long", " ".repeat(5_000_000)), "more than 4194304 bytes"],
        [write("latin1", Buffer.from("a: é", "latin1")), "no text in UTF-8"],
        [write("utf16", Buffer.from("\ufeffkind: Config", "utf16le")), "no text in UTF-8"],
        ["a\0b", "is no path of a file"],
        ["x".repeat(100_000), "is no path of a file"],
        [JSON.stringify(whole), "a kubeconfig as text is for layerText"]
      ] as const
      for (const [file, problem] of cases) {
        assert.include((yield* refused(KubeTransport.layerFile(file))).message, problem)
        vi.stubEnv("KUBECONFIG", file)
        yield* refused(KubeTransport.layer())
      }
      for (const [file, problem] of cases.slice(0, 5)) {
        for (const field of ["certificate-authority"]) {
          const text = Fixture.kubeconfig({ server: "https://127.0.0.1:1", [field]: file })
          assert.include((yield* refused(KubeTransport.layerText(text))).message, problem)
        }
        for (const field of ["client-certificate", "client-key", "tokenFile"]) {
          const text = Fixture.kubeconfig({ server: "https://127.0.0.1:1" }, { [field]: file })
          assert.include((yield* refused(KubeTransport.layerText(text))).message, problem)
        }
      }
    }))

  it.effect("named by anything but a text is refused, and nothing is read", () =>
    Effect.gen(function*() {
      yield* check(junk, 100, (value) => refusal(KubeTransport.layerFile(value() as string)))
      yield* check(junk, 100, (value) => refusal(KubeTransport.layerText(value() as string)))
    }))
})
