import { toJson } from "#internal/Protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Option } from "effect"

const field = (number: number, ...value: ReadonlyArray<number | string>): Array<number> => {
  const bytes = value.flatMap((part) => typeof part === "string" ? [...Buffer.from(part)] : [part])
  return [
    number * 8 + 2,
    ...(bytes.length < 128 ? [bytes.length] : [bytes.length % 128 + 128, bytes.length >> 7]),
    ...bytes
  ]
}
const entry = (key: string, value: string) => [...field(1, key), ...field(2, value)]

const enveloped = (kind: string, raw: ReadonlyArray<number>) =>
  new Uint8Array([
    ...Buffer.from("k8s\0"),
    ...field(1, ...field(1, "v1"), ...field(2, kind)),
    ...field(2, ...raw),
    ...field(4, "")
  ])

const metadata = field(
  1,
  ...field(1, "demo"),
  ...field(3, "default"),
  ...field(12, ...entry("a", "1")),
  ...field(8, 8, 1)
)

describe("Protobuf", () => {
  it("reads a ConfigMap, skipping the fields it does not know", () => {
    const long = "x".repeat(300)
    const body = enveloped("ConfigMap", [
      ...metadata,
      ...field(2, ...entry("k", "v")),
      ...field(2, ...entry("l", long)),
      32,
      1
    ])
    assert.deepStrictEqual(
      toJson(body),
      Option.some({
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "demo", namespace: "default", annotations: { a: "1" } },
        data: { k: "v", l: long }
      })
    )
  })

  it("writes a Secret's bytes as base64", () => {
    const body = enveloped("Secret", [...metadata, ...field(2, ...entry("k", "b")), ...field(3, "Opaque")])
    const secret = Option.getOrThrow(toJson(body))
    assert.deepInclude(secret, { data: { k: "Yg==" }, type: "Opaque" })
  })

  it("reads no other kind, and nothing else", () => {
    assert.isTrue(Option.isNone(toJson(enveloped("Deployment", metadata))))
    assert.isTrue(Option.isNone(toJson(new Uint8Array(Buffer.from("{}")))))
    assert.isTrue(Option.isNone(toJson(enveloped("ConfigMap", metadata).slice(0, 30))))
  })
})
