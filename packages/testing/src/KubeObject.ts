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
  readonly name: string
  readonly generateName?: string
  /** Absent for a cluster-scoped object. */
  readonly namespace?: string
  readonly uid: string
  /** The store's counter at the last write of this object, as decimal digits. */
  readonly resourceVersion: string
  /** How often the object's content changed; only where the resource type counts it. */
  readonly generation?: number
  /** RFC 3339, in whole seconds. */
  readonly creationTimestamp: string
  /** RFC 3339, in whole seconds: since when the object waits for its finalizers to be removed. */
  readonly deletionTimestamp?: string
  readonly deletionGracePeriodSeconds?: number
  /** Never the empty map: the last label takes the map with it. */
  readonly labels?: Readonly<Record<string, string>>
  /** Never the empty map: the last annotation takes the map with it. */
  readonly annotations?: Readonly<Record<string, string>>
  readonly ownerReferences?: ReadonlyArray<unknown>
  readonly finalizers?: ReadonlyArray<string>
}

/**
 * An object as the server stores it. What stands beside `metadata` (`spec`, `data`, `status`, …) is kept as it came.
 *
 * @category models
 * @since 0.1.0
 */
export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
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
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: Partial<ObjectMeta>
  readonly [field: string]: unknown
}

/**
 * Names one object: `apiVersion` is `v1` or `group/version`, `namespace` is left out for a cluster-scoped one.
 *
 * @category models
 * @since 0.1.0
 */
export interface ObjectId {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace?: string | undefined
  readonly name: string
}
