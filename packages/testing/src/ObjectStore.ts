/**
 * Versioned objects in memory: one counter for all of them, and a bounded history of what happened to them. Pure: every
 * write returns another store.
 *
 * **Details**
 *
 * The counter is what Kubernetes calls the resourceVersion. It rises by one with every write to any object, also with a
 * deletion; a write that changes nothing is none. The history serves watches: it answers what happened since a
 * resourceVersion, as long as that is not older than what is kept.
 *
 * **Example** (A write, and what a watch would see of it)
 *
 * ```ts
 * import { ObjectStore } from "@kubelock/testing"
 * import { Result } from "effect"
 *
 * const key = { resource: "configmaps", namespace: "default", name: "a" }
 * const object = {
 *   apiVersion: "v1",
 *   kind: "ConfigMap",
 *   metadata: { name: "a", namespace: "default", uid: "1", resourceVersion: "", creationTimestamp: "2024-01-01T00:00:00Z" }
 * }
 * const before = ObjectStore.make()
 * const after = ObjectStore.put(before, key, object)
 *
 * after.revision // => before.revision + 1
 * ObjectStore.get(after, key)?.metadata.resourceVersion // => String(after.revision)
 * Result.getOrThrow(ObjectStore.since(after, before.revision)).map(({ type }) => type) // => ["ADDED"]
 * Result.isFailure(ObjectStore.since(ObjectStore.expireHistory(after), before.revision)) // => true
 * ObjectStore.list(ObjectStore.remove(after, key), "configmaps") // => []
 * ```
 *
 * @since 0.1.0
 */
import { Equal, HashMap, Option, Result } from "effect"
import type { KubeObject } from "./KubeObject.ts"

/**
 * Where an object is kept.
 *
 * @category models
 * @since 0.1.0
 */
export interface Key {
  /** The resource with its group, as `configmaps` or `leases.coordination.k8s.io`. */
  readonly resource: string
  /** Empty for a cluster-scoped object. */
  readonly namespace: string
  /** The object's own name. */
  readonly name: string
}

/**
 * One thing that happened to one object.
 *
 * @category models
 * @since 0.1.0
 */
export interface Event {
  /** What a watch calls it, if it sees all objects: by a selector, a change may look like a deletion. */
  readonly type: "ADDED" | "MODIFIED" | "DELETED"
  /** The counter's value at this write. */
  readonly revision: number
  /** Where the object is, or was. */
  readonly key: Key
  /** The object after the write; of a deletion its last state, with the deletion's resourceVersion. */
  readonly object: KubeObject
  /** The object before the write. */
  readonly previous: KubeObject | undefined
}

/**
 * A store. Treat it as opaque but for `revision`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ObjectStore {
  /** The counter: the resourceVersion of the last write. */
  readonly revision: number
  /** Every `object` with its `key`, by the path that is made of that. */
  readonly objects: HashMap.HashMap<string, { readonly key: Key; readonly object: KubeObject }>
  /** What happened lately, the oldest first. */
  readonly history: ReadonlyArray<Event>
  /** How many events are remembered. */
  readonly maxHistory: number
  /** The oldest resourceVersion from which the history is still complete. */
  readonly oldestRevision: number
}

/**
 * The history since a resourceVersion is no longer complete.
 *
 * @category models
 * @since 0.1.0
 */
export interface HistoryExpired {
  /** The resourceVersion that was asked for. */
  readonly requested: number
  /** The oldest one that could have been. */
  readonly oldest: number
}

/**
 * An empty store. Its counter stands at 1: to those who ask, 0 means any resourceVersion.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: {
  /** How many events to remember. Defaults to 1024. */
  readonly maxHistory?: number | undefined
}): ObjectStore => ({
  // A real server never shows 0, which means "any version" to those who ask.
  revision: 1,
  objects: HashMap.empty(),
  history: [],
  maxHistory: options?.maxHistory ?? 1024,
  oldestRevision: 1
})

/**
 * The object under a key; `undefined` where there is none.
 *
 * @category reading
 * @since 0.1.0
 */
export const get = (store: ObjectStore, key: Key): KubeObject | undefined =>
  Option.getOrUndefined(HashMap.get(store.objects, pathOf(key)))?.object

/**
 * All objects of a resource, in one namespace or in all, ordered by namespace and name.
 *
 * @category reading
 * @since 0.1.0
 */
export const list = (store: ObjectStore, resource: string, namespace?: string): ReadonlyArray<KubeObject> =>
  HashMap.toEntries(store.objects)
    .filter(([, { key }]) => key.resource === resource && (namespace === undefined || key.namespace === namespace))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { object }]) => object)

/**
 * What happened since a resourceVersion, oldest first; of a resourceVersion in the future, nothing. Fails with
 * {@link HistoryExpired} where the history does not reach back so far.
 *
 * @category reading
 * @since 0.1.0
 */
export const since = (store: ObjectStore, revision: number): Result.Result<ReadonlyArray<Event>, HistoryExpired> => {
  if (revision < store.oldestRevision) {
    return Result.fail({ requested: revision, oldest: store.oldestRevision })
  }
  let start = store.history.length
  while (start > 0 && store.history[start - 1]!.revision > revision) start--
  return Result.succeed(store.history.slice(start))
}

/**
 * Writes an object under a key, whatever is there. The store stamps the resourceVersion; what differs from the stored object
 * in nothing else is no write.
 *
 * @category writing
 * @since 0.1.0
 */
export const put = (store: ObjectStore, key: Key, object: KubeObject): ObjectStore => {
  const previous = get(store, key)
  if (previous !== undefined && Equal.equals(previous, stamp(object, previous.metadata.resourceVersion))) {
    return store
  }
  const revision = store.revision + 1
  const stamped = stamp(object, String(revision))
  return {
    ...remember(store, {
      type: previous === undefined ? "ADDED" : "MODIFIED",
      revision,
      key,
      object: stamped,
      previous
    }),
    objects: HashMap.set(store.objects, pathOf(key), { key, object: stamped })
  }
}

/**
 * Removes the object under a key, if there is one.
 *
 * @category writing
 * @since 0.1.0
 */
export const remove = (store: ObjectStore, key: Key): ObjectStore => {
  const previous = get(store, key)
  if (previous === undefined) {
    return store
  }
  const revision = store.revision + 1
  return {
    ...remember(store, { type: "DELETED", revision, key, object: stamp(previous, String(revision)), previous }),
    objects: HashMap.remove(store.objects, pathOf(key))
  }
}

/**
 * Forgets all history: from now on every resourceVersion before this one is expired.
 *
 * @category writing
 * @since 0.1.0
 */
export const expireHistory = (store: ObjectStore): ObjectStore => ({
  ...store,
  history: [],
  oldestRevision: store.revision
})

const pathOf = (key: Key): string => `${key.resource}/${key.namespace}/${key.name}`

const stamp = (object: KubeObject, resourceVersion: string): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, resourceVersion }
})

const remember = (store: ObjectStore, event: Event): ObjectStore => {
  const forgotten = Math.max(0, store.history.length + 1 - store.maxHistory)
  const history = [...store.history, event]
  return {
    ...store,
    revision: event.revision,
    history: history.slice(forgotten),
    oldestRevision: forgotten === 0 ? store.oldestRevision : history[forgotten - 1]!.revision
  }
}
