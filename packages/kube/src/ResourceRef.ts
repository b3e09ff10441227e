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
 * **Example** (Those that have a name of their own here)
 *
 * ```ts
 * import { ResourceRef } from "@kubelock/kube"
 *
 * const object = { namespace: "prod", name: "a" }
 * ResourceRef.describe(ResourceRef.secret(object)) // => "secrets/a in prod"
 * ResourceRef.describe(ResourceRef.service(object)) // => "services/a in prod"
 * ResourceRef.describe(ResourceRef.serviceAccount(object)) // => "serviceaccounts/a in prod"
 * ResourceRef.describe(ResourceRef.pod(object)) // => "pods/a in prod"
 * ResourceRef.describe(ResourceRef.persistentVolumeClaim(object)) // => "persistentvolumeclaims/a in prod"
 * ResourceRef.describe(ResourceRef.deployment(object)) // => "deployments.apps/a in prod"
 * ResourceRef.describe(ResourceRef.statefulSet(object)) // => "statefulsets.apps/a in prod"
 * ResourceRef.describe(ResourceRef.daemonSet(object)) // => "daemonsets.apps/a in prod"
 * ResourceRef.describe(ResourceRef.job(object)) // => "jobs.batch/a in prod"
 * ResourceRef.describe(ResourceRef.cronJob(object)) // => "cronjobs.batch/a in prod"
 * ResourceRef.describe(ResourceRef.lease(object)) // => "leases.coordination.k8s.io/a in prod"
 * ResourceRef.describe(ResourceRef.namespace({ name: "prod" })) // => "namespaces/prod"
 * ResourceRef.describe(ResourceRef.node({ name: "n1" })) // => "nodes/n1"
 * ```
 *
 * @since 0.1.0
 */
import { InvalidConfig } from "@kubelock/core"
import { Result } from "effect"
import * as Given from "./internal/Given.ts"

/** An object on a cluster. @category models @since 0.1.0 */
export interface ResourceRef {
  /** The API group; `""` is the core group. */
  readonly group: string
  /** The version in the group, e.g. `v1`. */
  readonly version: string
  /** The plural name, e.g. `configmaps`. */
  readonly resource: string
  /** Absent for a cluster-scoped resource. */
  readonly namespace?: string | undefined
  /** The object's own name. */
  readonly name: string
}

/** Names an object of a namespaced resource. @category models @since 0.1.0 */
export interface Namespaced {
  /** The namespace that it lives in. */
  readonly namespace: string
  /** The object's own name. */
  readonly name: string
}

/** Names an object of a cluster-scoped resource. @category models @since 0.1.0 */
export interface ClusterScoped {
  /** The object's own name. */
  readonly name: string
}

/**
 * An object of any resource: what Go calls a GroupVersionResource, and the object's name. It is copied as it
 * is now, and checked when it is first used.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (ref: ResourceRef): ResourceRef =>
  Result.match(read(ref), {
    // `validate` says why.
    onFailure: () => ref,
    onSuccess: asMade
  })

/** Those that stay as they are: plain, frozen data. */
const made = new WeakSet<ResourceRef>()

const asMade = (ref: ResourceRef): ResourceRef => {
  made.add(Object.freeze(ref))
  return ref
}

// A program without types may give nothing at all: `validate` says so.
const namespaced = (group: string, version: string, resource: string) => (object: Namespaced): ResourceRef => {
  const { name, namespace } = { ...object }
  return asMade({ group, version, resource, namespace, name })
}

const clusterScoped = (group: string, version: string, resource: string) => (object: ClusterScoped): ResourceRef => {
  const { name } = { ...object }
  return asMade({ group, version, resource, name })
}

/** A ConfigMap. @category constructors @since 0.1.0 */
export const configMap: (object: Namespaced) => ResourceRef = namespaced("", "v1", "configmaps")

/** A Secret. @category constructors @since 0.1.0 */
export const secret: (object: Namespaced) => ResourceRef = namespaced("", "v1", "secrets")

/** A Service. @category constructors @since 0.1.0 */
export const service: (object: Namespaced) => ResourceRef = namespaced("", "v1", "services")

/** A ServiceAccount. @category constructors @since 0.1.0 */
export const serviceAccount: (object: Namespaced) => ResourceRef = namespaced("", "v1", "serviceaccounts")

/** A Pod. @category constructors @since 0.1.0 */
export const pod: (object: Namespaced) => ResourceRef = namespaced("", "v1", "pods")

/** A PersistentVolumeClaim. @category constructors @since 0.1.0 */
export const persistentVolumeClaim: (object: Namespaced) => ResourceRef = namespaced("", "v1", "persistentvolumeclaims")

/** A Namespace. @category constructors @since 0.1.0 */
export const namespace: (object: ClusterScoped) => ResourceRef = clusterScoped("", "v1", "namespaces")

/** A Node. @category constructors @since 0.1.0 */
export const node: (object: ClusterScoped) => ResourceRef = clusterScoped("", "v1", "nodes")

/** A Deployment. The API server counts annotation changes in its `metadata.generation`, unlike that of other kinds. @category constructors @since 0.1.0 */
export const deployment: (object: Namespaced) => ResourceRef = namespaced("apps", "v1", "deployments")

/** A StatefulSet. @category constructors @since 0.1.0 */
export const statefulSet: (object: Namespaced) => ResourceRef = namespaced("apps", "v1", "statefulsets")

/** A DaemonSet. @category constructors @since 0.1.0 */
export const daemonSet: (object: Namespaced) => ResourceRef = namespaced("apps", "v1", "daemonsets")

/** A Job. @category constructors @since 0.1.0 */
export const job: (object: Namespaced) => ResourceRef = namespaced("batch", "v1", "jobs")

/** A CronJob. @category constructors @since 0.1.0 */
export const cronJob: (object: Namespaced) => ResourceRef = namespaced("batch", "v1", "cronjobs")

/** A `coordination.k8s.io` Lease, used as a mere carrier of annotations: its spec is left alone. @category constructors @since 0.1.0 */
export const lease: (object: Namespaced) => ResourceRef = namespaced("coordination.k8s.io", "v1", "leases")

const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

/**
 * The reference, as data of its own, or `InvalidConfig` that says what is wrong with it.
 *
 * **Details**
 *
 * A name may be anything that the API server takes for a path segment (apimachinery's `IsValidPathSegmentName`), without control
 * characters and of at most 253 characters: some resources (RBAC's) allow more than a DNS name.
 *
 * **Example** (A kind is no resource)
 *
 * ```ts
 * import { ResourceRef } from "@kubelock/kube"
 * import { Result } from "effect"
 *
 * const deploys = { group: "", version: "v1", resource: "ConfigMap", namespace: "prod", name: "deploys" }
 * Result.isFailure(ResourceRef.validate(deploys)) // => true
 * Result.isSuccess(ResourceRef.validate({ ...deploys, resource: "configmaps" })) // => true
 * ```
 *
 * @category validation
 * @since 0.1.0
 */
export const validate = (ref: ResourceRef): Result.Result<ResourceRef, InvalidConfig> => {
  const known = valid.get(ref)
  if (known !== undefined) return Result.succeed(known)
  return Result.map(check(ref), (checked) => {
    valid.set(asMade(checked), checked)
    if (made.has(ref)) valid.set(ref, checked)
    return checked
  })
}

/** What was found valid, of what stays as it is: a program asks for locks of the same objects again and again. */
const valid = new WeakMap<ResourceRef, ResourceRef>()

/** A copy of what is given, whatever it says. */
const read = (ref: ResourceRef): Result.Result<ResourceRef, InvalidConfig> =>
  typeof ref !== "object" || ref === null
    ? refuse("resource", ref, "it must be one that ResourceRef has made")
    : Given.read("resource", ref, ({ group, name, namespace, resource, version }) => ({
      group,
      version,
      resource,
      ...(namespace === undefined ? undefined : { namespace }),
      name
    }))

const check = (given: ResourceRef): Result.Result<ResourceRef, InvalidConfig> =>
  Result.gen(function*() {
    const ref = yield* read(given)
    const { group, name, namespace, resource, version } = ref
    if (group !== "" && !(matches(subdomain, group) && group.length <= 253)) {
      return yield* refuse("resource group", group, "it must be a DNS name, or empty for the core group")
    }
    if (!matches(label, version)) {
      return yield* refuse("resource version", version, "it must be an API version such as v1")
    }
    if (!matches(label, resource)) {
      return yield* refuse(
        "resource type",
        resource,
        "it must be the plural, lower-case name of the resource, such as configmaps"
      )
    }
    if (namespace !== undefined && !matches(label, namespace)) {
      return yield* refuse(
        "resource namespace",
        namespace,
        "it must be a DNS label; leave it out for a cluster-scoped resource"
      )
    }
    if (!isPathSegment(name)) {
      return yield* refuse(
        "resource name",
        name,
        "it must be the name of an object: 1 to 253 characters, without control characters, / and %, and not . or .."
      )
    }
    return ref
  })

const refuse = (field: string, value: unknown, problem: string) => Result.fail(InvalidConfig.of(field, value, problem))

// A pattern would take `undefined` for the text "undefined": a program without types may get here.
const matches = (pattern: RegExp, text: unknown): boolean => typeof text === "string" && pattern.test(text)

// k8s.io/apimachinery/pkg/api/validation/path: IsValidPathSegmentName. A control character would tear an error or a log line apart.
const isPathSegment = (name: unknown): boolean =>
  typeof name === "string" && name.length >= 1 && name.length <= 253 && name !== "." && name !== ".." &&
  !/[/%\p{Cc}]/u.test(name) && name.isWellFormed()

/**
 * The path on the API server of all objects of its kind, in its namespace.
 *
 * **Example** (Where an object's watch is)
 *
 * ```ts
 * import { ResourceRef } from "@kubelock/kube"
 *
 * ResourceRef.toCollectionPath(ResourceRef.node({ name: "n1" })) // => "/api/v1/nodes"
 * ```
 *
 * @category conversions
 * @since 0.1.0
 */
export const toCollectionPath = ({ group, namespace, resource, version }: ResourceRef): string =>
  (group === "" ? `/api/${version}` : `/apis/${group}/${version}`) +
  (namespace === undefined ? "" : `/namespaces/${namespace}`) +
  `/${resource}`

/** The object's path on the API server. @category conversions @since 0.1.0 */
export const toPath = (ref: ResourceRef): string => `${toCollectionPath(ref)}/${encodeURIComponent(ref.name)}`

/** The object in words, as errors and logs call it. @category conversions @since 0.1.0 */
export const describe = ({ group, name, namespace, resource }: ResourceRef): string =>
  `${resource}${group === "" ? "" : `.${group}`}/${name}${namespace === undefined ? "" : ` in ${namespace}`}`
