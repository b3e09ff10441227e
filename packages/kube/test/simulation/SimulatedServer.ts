/**
 * An API server with one ConfigMap, which does one thing at a time and at once: the network before it takes the time.
 *
 * It knows what the library asks for, and the PUT of Go programs. What it answers is what a real one was seen to.
 */
import * as JsonPatch from "#internal/JsonPatch"
import { type AnnotationEdit } from "@kubelock/core"
import { ResourceRef } from "@kubelock/kube"
import { ObjectStore } from "@kubelock/testing"
import { Result, type Schema } from "effect"

export const resource = ResourceRef.configMap({ namespace: "default", name: "object" })

/** Where fenced writes write. */
export const writtenPath = "/data/written"

const key: ObjectStore.Key = { resource: "configmaps", namespace: "default", name: "object" }
const objectPath = ResourceRef.toPath(resource)
const collectionPath = ResourceRef.toCollectionPath(resource)

export interface Request {
  readonly method: string
  readonly path: string
  readonly query?: Readonly<Record<string, string>> | undefined
  readonly body?: string | undefined
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** A change that a request made. */
export interface Change {
  readonly resourceVersion: number
  readonly before: AnnotationEdit.Annotations
  readonly after: AnnotationEdit.Annotations
  /** What its operations wrote besides. */
  readonly written: ReadonlyArray<string>
}

/** One who watches: told every line, and when there is nothing more. */
export interface Watcher {
  readonly line: (line: string) => void
  readonly end: () => void
}

export interface SimulatedServer {
  /** Does as it is asked, and says what it changed. */
  readonly handle: (request: Request) => { readonly answer: Answer; readonly change: Change | undefined }
  /** Follows the object from a resourceVersion on; what it returns ends that. */
  readonly watch: (request: Request, watcher: Watcher) => () => void
  readonly annotations: () => AnnotationEdit.Annotations
  readonly revision: () => number
  readonly forgetHistory: () => void
  readonly remove: () => void
  readonly makeAgain: () => void
  /** Ends every watch. */
  readonly disconnect: () => void
}

const statusOf = (code: number, reason: string, message: string): Answer => ({
  status: code,
  headers: {},
  body: JSON.stringify({
    kind: "Status",
    apiVersion: "v1",
    status: "Failure",
    code,
    reason,
    message,
    details: { name: "object", kind: "configmaps" }
  })
})

const ok = (body: unknown): Answer => ({ status: 200, headers: {}, body: JSON.stringify(body) })

const notFound = statusOf(404, "NotFound", "configmaps \"object\" not found")
const expired = statusOf(410, "Expired", "too old resource version")

export const make = (): SimulatedServer => {
  let store = ObjectStore.make()
  let incarnations = 0
  const watchers = new Set<Watcher>()

  const objectOf = () => ObjectStore.get(store, key)
  const annotationsOf = () => objectOf()?.metadata.annotations ?? {}

  const update = (after: ObjectStore.ObjectStore) => {
    const before = store
    store = after
    if (after.revision === before.revision) return
    const event = after.history.at(-1)!
    for (const watcher of Array.from(watchers)) watcher.line(lineOf(event))
  }

  const watchOn = (watcher: Watcher) => {
    watchers.add(watcher)
    return () => {
      watchers.delete(watcher)
    }
  }

  /** Without a resourceVersion a server shows what there is, and nothing of what has been. */
  const watchFromNow = (watcher: Watcher) => {
    for (const object of ObjectStore.list(store, "configmaps")) watcher.line(JSON.stringify({ type: "ADDED", object }))
    return watchOn(watcher)
  }

  const makeAgain = () =>
    update(ObjectStore.put(store, key, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: {
        name: "object",
        namespace: "default",
        uid: `uid-${++incarnations}`,
        resourceVersion: "",
        creationTimestamp: "1970-01-01T00:00:00Z"
      },
      data: {}
    }))
  makeAgain()

  const change = (asked: Written, written: ReadonlyArray<string>) => {
    const before = annotationsOf()
    update(ObjectStore.put(store, key, { ...asked, metadata: withoutEmptyMap(asked.metadata) }))
    return {
      answer: ok(objectOf()),
      change: { resourceVersion: store.revision, before, after: annotationsOf(), written }
    }
  }

  const patch = ({ body = "[]" }: Request) => {
    const operations: ReadonlyArray<{ readonly op: "add"; readonly path: string; readonly value: string }> = JSON.parse(
      body
    )
    const patched = JsonPatch.apply(objectOf()! as unknown as Schema.Json, operations)
    if (Result.isFailure(patched)) {
      return { answer: statusOf(422, "Invalid", "the server rejected our request due to an error"), change: undefined }
    }
    return change(
      patched.success as unknown as Written,
      operations.flatMap(({ path, value }) => path === writtenPath ? [value] : [])
    )
  }

  const put = ({ body = "{}" }: Request) => {
    const asked: Written = JSON.parse(body)
    return asked.metadata.resourceVersion === objectOf()!.metadata.resourceVersion
      ? change(asked, [])
      : { answer: statusOf(409, "Conflict", "the object has been modified"), change: undefined }
  }

  return {
    handle: (request) => {
      if (request.path === collectionPath) {
        const items = ObjectStore.list(store, "configmaps")
        return { answer: ok({ metadata: { resourceVersion: String(store.revision) }, items }), change: undefined }
      }
      if (request.path !== objectPath || objectOf() === undefined) return { answer: notFound, change: undefined }
      switch (request.method) {
        case "PATCH":
          return patch(request)
        case "PUT":
          return put(request)
        default:
          return { answer: ok(objectOf()), change: undefined }
      }
    },
    watch: ({ query = {} }, watcher) => {
      const from = query["resourceVersion"]
      if (from === undefined) return watchFromNow(watcher)
      const missed = ObjectStore.since(store, Number(from))
      if (Result.isFailure(missed)) {
        watcher.line(JSON.stringify({ type: "ERROR", object: JSON.parse(expired.body) }))
        watcher.end()
        return () => {}
      }
      for (const event of missed.success) watcher.line(lineOf(event))
      return watchOn(watcher)
    },
    annotations: annotationsOf,
    revision: () => store.revision,
    forgetHistory: () => {
      store = ObjectStore.expireHistory(store)
    },
    remove: () => update(ObjectStore.remove(store, key)),
    makeAgain,
    disconnect: () => {
      for (const watcher of Array.from(watchers)) watcher.end()
      watchers.clear()
    }
  }
}

type Written = Parameters<typeof ObjectStore.put>[2]

/** Go leaves out a map that is empty. */
const withoutEmptyMap = ({ annotations = {}, ...rest }: Written["metadata"]): Written["metadata"] =>
  Object.keys(annotations).length === 0 ? rest : { ...rest, annotations }

const lineOf = ({ object, type }: ObjectStore.Event) => JSON.stringify({ type, object })

/** A line that says only how far the server is. */
export const bookmarkOf = (revision: number) =>
  JSON.stringify({ type: "BOOKMARK", object: { metadata: { resourceVersion: String(revision) } } })
