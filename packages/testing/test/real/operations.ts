/** Random sequences of what clients do to a few objects. */
import { Effect } from "effect"
import fc from "fast-check"
import { at, jsonPatch, mergePatch, metadataOnly, type NoAnswer } from "../support/Client.ts"
import type { Client } from "./Side.ts"

/** A resourceVersion or uid to send: one that the client has seen, an impossible one, or none. */
type Believed = "seen" | "wrong" | "none"

type Change =
  | { readonly _tag: "JsonPatch"; readonly patch: ReadonlyArray<object> }
  | { readonly _tag: "MergePatch"; readonly annotations: Annotations | null; readonly resourceVersion: Believed }
  | {
    readonly _tag: "Put"
    readonly annotations: Annotations
    readonly resourceVersion: Believed
    readonly uid: Believed
  }
  | { readonly _tag: "Create"; readonly annotations: Annotations }
  | { readonly _tag: "Delete" }
  | { readonly _tag: "Get" }
  | { readonly _tag: "List" }

type Annotations = Readonly<Record<string, string | null>>

/** One client does one thing to one object. */
export interface Operation {
  readonly client: number
  readonly object: string
  readonly change: Change
  readonly isMetadataOnly: boolean
  readonly isDryRun: boolean
}

// Small domains: what matters is that operations meet.
const key = fc.constantFrom("x", "example.com/y", "z~/z")
const text = fc.constantFrom("", "1", "2", "<&>", "é\u2028")
const annotations = fc.dictionary(key, text, { maxKeys: 2, noNullPrototype: true })
const annotationsPatch = fc.option(
  fc.dictionary(key, fc.option(text), { maxKeys: 2, noNullPrototype: true }),
  { freq: 5 }
)
const believed = fc.constantFrom<Believed>("seen", "wrong", "none")

const pointer = key.map((key) => `/metadata/annotations/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`)
const jsonPatchOperation = fc.oneof(
  fc.record({ op: fc.constant("test"), path: pointer, value: fc.option(text) }),
  fc.record({ op: fc.constantFrom("add", "replace"), path: pointer, value: text }),
  fc.record({ op: fc.constant("remove"), path: pointer }),
  fc.record({ op: fc.constantFrom("move", "copy"), from: pointer, path: pointer }),
  fc.record({ op: fc.constant("test"), path: fc.constant("/metadata/annotations"), value: fc.option(annotations) }),
  fc.record({ op: fc.constant("add"), path: fc.constant("/metadata/annotations"), value: annotations })
)

const change = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ _tag: fc.constant("JsonPatch"), patch: fc.array(jsonPatchOperation, { maxLength: 3 }) })
  },
  {
    weight: 2,
    arbitrary: fc.record({ _tag: fc.constant("MergePatch"), annotations: annotationsPatch, resourceVersion: believed })
  },
  {
    weight: 2,
    arbitrary: fc.record({ _tag: fc.constant("Put"), annotations, resourceVersion: believed, uid: believed })
  },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Create"), annotations }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constantFrom("Delete", "Get", "List") }) }
)

export const operations: fc.Arbitrary<ReadonlyArray<Operation>> = fc.array(
  fc.record({
    client: fc.nat(2),
    object: fc.constantFrom("a", "b"),
    change,
    isMetadataOnly: fc.boolean(),
    isDryRun: fc.constantFrom(false, false, false, true)
  }),
  { maxLength: 30, size: "max" }
)

/** What a client has last seen of an object. */
interface Sight {
  readonly uid: string
  readonly resourceVersion: string
}

/** Does one after the other, and looks at the end. */
export const perform = (operations: ReadonlyArray<Operation>) => (client: Client): Effect.Effect<void, NoAnswer> =>
  Effect.gen(function*() {
    const sights = new Map<string, Sight>()
    for (const object of ["a", "b"]) yield* client.ask("POST", "configmaps", { body: configMap(object, {}) })
    for (const operation of operations) {
      const sight = `${operation.client} ${operation.object}`
      const { body, status } = yield* request(client, operation, sights.get(sight))
      if (status < 300 && !operation.isDryRun && at(body, "metadata", "uid") !== undefined) {
        const [uid, resourceVersion] = ["uid", "resourceVersion"].map((field) => String(at(body, "metadata", field)))
        sights.set(sight, { uid: uid!, resourceVersion: resourceVersion! })
      }
    }
    yield* client.ask("GET", "configmaps")
  })

const request = (client: Client, { change, isDryRun, isMetadataOnly, object }: Operation, sight: Sight | undefined) => {
  const path = `configmaps/${object}`
  const accept = isMetadataOnly ? metadataOnly : undefined
  const query = isDryRun ? "dryRun=All" : undefined
  const believedOf = (field: keyof Sight, believed: Believed, wrong: string) =>
    believed === "none" ? {} : { [field]: believed === "seen" ? sight?.[field] : wrong }
  switch (change._tag) {
    case "Get":
      return client.ask("GET", path, { accept })
    case "List":
      return client.ask("GET", "configmaps")
    case "Create":
      return client.ask("POST", "configmaps", {
        accept,
        query,
        body: configMap(object, { annotations: change.annotations })
      })
    case "Delete":
      return client.ask("DELETE", path, { query })
    case "JsonPatch":
      return client.ask("PATCH", path, { accept, query, contentType: jsonPatch, body: change.patch })
    case "MergePatch":
      return client.ask("PATCH", path, {
        accept,
        query,
        contentType: mergePatch,
        body: {
          metadata: {
            annotations: change.annotations,
            ...believedOf("resourceVersion", change.resourceVersion, "1")
          }
        }
      })
    case "Put":
      return client.ask("PUT", path, {
        accept,
        query,
        body: configMap(object, {
          annotations: change.annotations,
          ...believedOf("resourceVersion", change.resourceVersion, "1"),
          ...believedOf("uid", change.uid, "00000000-0000-0000-0000-000000000000")
        })
      })
  }
}

const configMap = (name: string, metadata: object) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, ...metadata }
})
