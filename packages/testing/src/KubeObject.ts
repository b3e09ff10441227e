/**
 * What the server keeps: Kubernetes objects as plain JSON, of which only `metadata` is understood.
 *
 * @since 0.1.0
 */

/**
 * An object's metadata as the server stores it. `managedFields` and `selfLink` are never kept.
 *
 * @category models
 * @since 0.1.0
 */
export interface ObjectMeta {
  /** Unique among the objects of its type and namespace. */
  readonly name: string
  /** What the server made the name from, by adding five characters; absent where the name was given. */
  readonly generateName?: string
  /** Absent for a cluster-scoped object. */
  readonly namespace?: string
  /** Of this object alone: one that is deleted and made again under its name has another. */
  readonly uid: string
  /** The store's counter at the last write of this object, as decimal digits. */
  readonly resourceVersion: string
  /** How often the object's content was written, from 1 on; absent where the resource type does not count it. */
  readonly generation?: number
  /** RFC 3339, in whole seconds. */
  readonly creationTimestamp: string
  /** RFC 3339, in whole seconds: since when the object waits for its finalizers to be removed. Absent where nobody has deleted it. */
  readonly deletionTimestamp?: string
  /** 0 seconds while the object waits for its finalizers to be removed, and absent otherwise: no Pod runs that would need longer. */
  readonly deletionGracePeriodSeconds?: number
  /** Absent rather than empty: the last label takes the map with it. */
  readonly labels?: Readonly<Record<string, string>>
  /** Absent rather than empty: the last annotation takes the map with it. */
  readonly annotations?: Readonly<Record<string, string>>
  /** Kept as it came; no garbage is collected by it. Absent where nobody gave any. */
  readonly ownerReferences?: ReadonlyArray<unknown>
  /** What must be removed from here before a deletion takes effect. Absent rather than empty. */
  readonly finalizers?: ReadonlyArray<string>
}

/**
 * An object as the server stores it. What stands beside `metadata` (`spec`, `data`, `status`, …) is kept as it came.
 *
 * @category models
 * @since 0.1.0
 */
export interface KubeObject {
  /** `v1`, or the group and the version, as `apps/v1`. */
  readonly apiVersion: string
  /** As `ConfigMap`. */
  readonly kind: string
  /** What names and versions the object. */
  readonly metadata: ObjectMeta
  readonly [field: string]: unknown
}

/**
 * An object as someone hands it in: of the metadata only what they care to say.
 *
 * @category models
 * @since 0.1.0
 */
export interface KubeObjectInput {
  /** `v1`, or the group and the version, as `apps/v1`. */
  readonly apiVersion: string
  /** As `ConfigMap`. */
  readonly kind: string
  /** At least a name, or what to generate one from; the server gives `uid`, `resourceVersion` and the times. */
  readonly metadata: Partial<ObjectMeta>
  readonly [field: string]: unknown
}

/**
 * Names one object.
 *
 * @category models
 * @since 0.1.0
 */
export interface ObjectId {
  /** `v1`, or the group and the version, as `apps/v1`. */
  readonly apiVersion: string
  /** As `ConfigMap`. */
  readonly kind: string
  /** Left out for a cluster-scoped object. */
  readonly namespace?: string | undefined
  /** The object's own name. */
  readonly name: string
}
