/**
 * Which object carries a lock: any object of any resource, built in or custom, namespaced or cluster-scoped.
 *
 * **Details**
 *
 * A reference is plain data. It is checked when it is first used: `KubeLock` answers `InvalidConfig` before it sends anything.
 *
 * **Gotchas**
 *
 * `resource` is the plural, lower-case name of the URL (`configmaps`), not the kind (`ConfigMap`).
 *
 * **Example** (References)
 *
 * ```ts
 * import { ResourceRef } from "@kubelock/kube"
 *
 * const deploys = ResourceRef.configMap({ namespace: "prod", name: "deploys" })
 * ResourceRef.toPath(deploys) // => "/api/v1/namespaces/prod/configmaps/deploys"
 *
 * const cluster = ResourceRef.make({ group: "infra.example.com", version: "v1", resource: "clusters", name: "eu1" })
 * ResourceRef.describe(cluster) // => "clusters.infra.example.com/eu1"
 * ```
 *
 * @since 0.1.0
 */
import { InvalidConfig } from "@kubelock/core"
import { Result } from "effect"

/** @category models @since 0.1.0 */
export interface ResourceRef {
  /** The API group; `""` is the core group. */
  readonly group: string
  readonly version: string
  /** The plural name, e.g. `configmaps`. */
  readonly resource: string
  /** Absent for a cluster-scoped resource. */
  readonly namespace?: string | undefined
  readonly name: string
}

/** @category models @since 0.1.0 */
export interface Namespaced {
  readonly namespace: string
  readonly name: string
}

/** @category models @since 0.1.0 */
export interface ClusterScoped {
  readonly name: string
}

/** An object of any resource: what Go calls a GroupVersionResource, and the object's name. @category constructors @since 0.1.0 */
export const make = (ref: ResourceRef): ResourceRef => ref

const namespaced =
  (group: string, version: string, resource: string) => ({ name, namespace }: Namespaced): ResourceRef => ({
    group,
    version,
    resource,
    namespace,
    name
  })

const clusterScoped = (group: string, version: string, resource: string) => ({ name }: ClusterScoped): ResourceRef => ({
  group,
  version,
  resource,
  name
})

/** @category constructors @since 0.1.0 */
export const configMap: (object: Namespaced) => ResourceRef = namespaced("", "v1", "configmaps")

/** @category constructors @since 0.1.0 */
export const secret: (object: Namespaced) => ResourceRef = namespaced("", "v1", "secrets")

/** @category constructors @since 0.1.0 */
export const service: (object: Namespaced) => ResourceRef = namespaced("", "v1", "services")

/** @category constructors @since 0.1.0 */
export const serviceAccount: (object: Namespaced) => ResourceRef = namespaced("", "v1", "serviceaccounts")

/** @category constructors @since 0.1.0 */
export const pod: (object: Namespaced) => ResourceRef = namespaced("", "v1", "pods")

/** @category constructors @since 0.1.0 */
export const persistentVolumeClaim: (object: Namespaced) => ResourceRef = namespaced("", "v1", "persistentvolumeclaims")

/** @category constructors @since 0.1.0 */
export const namespace: (object: ClusterScoped) => ResourceRef = clusterScoped("", "v1", "namespaces")

/** @category constructors @since 0.1.0 */
export const node: (object: ClusterScoped) => ResourceRef = clusterScoped("", "v1", "nodes")

/** @category constructors @since 0.1.0 */
export const deployment: (object: Namespaced) => ResourceRef = namespaced("apps", "v1", "deployments")

/** @category constructors @since 0.1.0 */
export const statefulSet: (object: Namespaced) => ResourceRef = namespaced("apps", "v1", "statefulsets")

/** @category constructors @since 0.1.0 */
export const daemonSet: (object: Namespaced) => ResourceRef = namespaced("apps", "v1", "daemonsets")

/** @category constructors @since 0.1.0 */
export const job: (object: Namespaced) => ResourceRef = namespaced("batch", "v1", "jobs")

/** @category constructors @since 0.1.0 */
export const cronJob: (object: Namespaced) => ResourceRef = namespaced("batch", "v1", "cronjobs")

/** A `coordination.k8s.io` Lease, used as a mere carrier of annotations: its spec is left alone. @category constructors @since 0.1.0 */
export const lease: (object: Namespaced) => ResourceRef = namespaced("coordination.k8s.io", "v1", "leases")

const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

/**
 * The reference, or what is wrong with it.
 *
 * **Details**
 *
 * A name may be anything that the API server takes for a path segment: some resources (RBAC's) allow more than a DNS name.
 *
 * @category validation
 * @since 0.1.0
 */
export const validate = (ref: ResourceRef): Result.Result<ResourceRef, InvalidConfig> => {
  const refuse = (field: string, value: string, problem: string) =>
    Result.fail(new InvalidConfig({ field: `resource ${field}`, value, problem }))
  if (ref.group !== "" && !(subdomain.test(ref.group) && ref.group.length <= 253)) {
    return refuse("group", ref.group, "it must be a DNS name, or empty for the core group")
  }
  if (!label.test(ref.version)) return refuse("version", ref.version, "it must be an API version such as v1")
  if (!label.test(ref.resource)) {
    return refuse("type", ref.resource, "it must be the plural, lower-case name of the resource, such as configmaps")
  }
  if (ref.namespace !== undefined && !label.test(ref.namespace)) {
    return refuse("namespace", ref.namespace, "it must be a DNS label; leave it out for a cluster-scoped resource")
  }
  if (!isPathSegment(ref.name)) {
    return refuse(
      "name",
      ref.name,
      "it must be the name of an object: 1 to 253 characters, without / and %, and not . or .."
    )
  }
  return Result.succeed(ref)
}

// k8s.io/apimachinery/pkg/api/validation/path: IsValidPathSegmentName
const isPathSegment = (name: string): boolean =>
  name.length >= 1 && name.length <= 253 && name !== "." && name !== ".." && !/[/%]/.test(name) && name.isWellFormed()

/** The object's path on the API server. @category conversions @since 0.1.0 */
export const toPath = ({ group, name, namespace, resource, version }: ResourceRef): string =>
  (group === "" ? `/api/${version}` : `/apis/${group}/${version}`) +
  (namespace === undefined ? "" : `/namespaces/${namespace}`) +
  `/${resource}/${encodeURIComponent(name)}`

/** The object in words, as errors and logs call it. @category conversions @since 0.1.0 */
export const describe = ({ group, name, namespace, resource }: ResourceRef): string =>
  `${resource}${group === "" ? "" : `.${group}`}/${name}${namespace === undefined ? "" : ` in ${namespace}`}`
