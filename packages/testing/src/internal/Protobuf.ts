/**
 * Reads the protobuf bodies that kubectl sends for `create configmap`, `secret`, `namespace`, `serviceaccount` and `auth can-i`;
 * for everything else it speaks JSON. Pure.
 */
import { Option } from "effect"
import * as Base64 from "effect/encoding/Base64"

export const contentType = "application/vnd.kubernetes.protobuf"

/** The object in an enveloped message, as JSON would hold it; none for any other kind, and for what is no such message. */
export const toJson = (body: Uint8Array): Option.Option<object> => {
  const isEnveloped = magic.every((byte, index) => body[index] === byte)
  if (!isEnveloped) {
    return Option.none()
  }
  return Option.gen(function*() {
    const envelope = yield* readMessage(unknownType, body.subarray(magic.length))
    const type = kinds[String(envelope["kind"])]
    if (type === undefined || !(envelope["raw"] instanceof Uint8Array)) {
      return yield* Option.none()
    }
    const object = yield* readMessage(type, envelope["raw"])
    return { apiVersion: envelope["apiVersion"], kind: envelope["kind"], ...object }
  })
}

const magic = [..."k8s\0"].map((character) => character.charCodeAt(0))

type Message = { readonly [field: string]: unknown }

/** Adds a field's value to what the message holds so far. */
type Field = (message: Message, value: Uint8Array) => Option.Option<Message>
type MessageType = Readonly<Record<number, Field>>

const text = (value: Uint8Array): string => new TextDecoder().decode(value)

const string = (name: string): Field => (message, value) => Option.some({ ...message, [name]: text(value) })

const bytes = (name: string): Field => (message, value) => Option.some({ ...message, [name]: value })

const strings = (name: string): Field => (message, value) => {
  const before = message[name]
  return Option.some({ ...message, [name]: [...(Array.isArray(before) ? before : []), text(value)] })
}

const nested = (name: string, type: MessageType): Field => (message, value) =>
  Option.map(readMessage(type, value), (inner) => ({ ...message, [name]: inner }))

const inline = (type: MessageType): Field => (message, value) =>
  Option.map(readMessage(type, value), (inner) => ({ ...message, ...inner }))

const map = (name: string, read: (value: Uint8Array) => string): Field => (message, value) =>
  Option.map(readMessage({ 1: string("key"), 2: bytes("value") }, value), ({ key = "", value = new Uint8Array() }) => {
    const before = message[name]
    return {
      ...message,
      [name]: {
        ...(typeof before === "object" ? before : {}),
        [String(key)]: value instanceof Uint8Array ? read(value) : ""
      }
    }
  })

const base64 = (value: Uint8Array): string => Base64.encode(value)

const unknownType: MessageType = { 1: inline({ 1: string("apiVersion"), 2: string("kind") }), 2: bytes("raw") }

const metadata = nested("metadata", {
  1: string("name"),
  2: string("generateName"),
  3: string("namespace"),
  5: string("uid"),
  6: string("resourceVersion"),
  11: map("labels", text),
  12: map("annotations", text),
  14: strings("finalizers")
})

const kinds: Readonly<Record<string, MessageType | undefined>> = {
  ConfigMap: { 1: metadata, 2: map("data", text), 3: map("binaryData", base64) },
  Namespace: { 1: metadata },
  Secret: { 1: metadata, 2: map("data", base64), 3: string("type"), 4: map("stringData", text) },
  SelfSubjectAccessReview: { 1: metadata },
  ServiceAccount: { 1: metadata }
}

/** Reads the fields that the type knows, all of them length-delimited, and skips the others. */
const readMessage = (type: MessageType, body: Uint8Array): Option.Option<Message> => {
  let message: Message = {}
  let position = 0
  while (position < body.length) {
    const tag = readVarint(body, position)
    const wireType = tag.value & 7
    position = tag.end
    if (wireType === 0) {
      position = readVarint(body, position).end
      continue
    }
    if (wireType !== 2) {
      return Option.none()
    }
    const length = readVarint(body, position)
    const end = length.end + length.value
    if (end > body.length) {
      return Option.none()
    }
    const field = type[tag.value >>> 3]
    const read = field === undefined ? Option.some(message) : field(message, body.subarray(length.end, end))
    if (Option.isNone(read)) {
      return read
    }
    message = read.value
    position = end
  }
  return Option.some(message)
}

const readVarint = (body: Uint8Array, start: number): { readonly value: number; readonly end: number } => {
  let value = 0
  let position = start
  let shift = 1
  for (;;) {
    const byte = body[position++] ?? 0
    value += (byte & 0x7f) * shift
    shift *= 0x80
    if (byte < 0x80) {
      return { value, end: position }
    }
  }
}
