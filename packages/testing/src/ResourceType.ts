/**
 * The kinds of objects a server knows: which path they live under, and in which ways their kind is unlike others.
 *
 * **Example** (What a type is called)
 *
 * ```ts
 * import { ResourceType } from "@kubelock/testing"
 *
 * const cronTab: ResourceType.ResourceType = {
 *   group: "stable.example.com",
 *   version: "v1",
 *   resource: "crontabs",
 *   kind: "CronTab",
 *   namespaced: true
 * }
 * ResourceType.apiVersion(cronTab) // => "stable.example.com/v1"
 * ResourceType.qualifiedResource(cronTab) // => "crontabs.stable.example.com"
 * ResourceType.qualifiedKind(cronTab) // => "CronTab.stable.example.com"
 *
 * const apps = ResourceType.builtIn.filter(({ group }) => group === "apps")
 * apps.map(({ kind }) => kind) // => ["DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"]
 * ```
 *
 * @since 0.1.0
 */

/**
 * One resource type.
 *
 * **Gotchas**
 *
 * The defaults of the optional fields are those of a custom resource: a real server counts its generation and refuses an
 * update that does not say which `resourceVersion` it means to replace. Built-in kinds mostly differ in both.
 *
 * @category models
 * @since 0.1.0
 */
export interface ResourceType {
  /** The API group; empty for the core group. */
  readonly group: string
  /** The version in the group, as `v1`. */
  readonly version: string
  /** The plural name in the path, as `configmaps`. */
  readonly resource: string
  /** What the objects call themselves, as `ConfigMap`. */
  readonly kind: string
  /** Whether its objects live in namespaces. */
  readonly namespaced: boolean
  /** As `configmap`. Defaults to `kind` in lower case. */
  readonly singular?: string | undefined
  /** What kubectl takes for the name as well, as `cm`. Defaults to none. */
  readonly shortNames?: ReadonlyArray<string> | undefined
  /**
   * Whether the type comes with Kubernetes. It then takes strategic merge patches, its lists leave `apiVersion` and `kind`
   * out of the items, and a request body need not state them. Defaults to false.
   */
  readonly builtIn?: boolean | undefined
  /** Whether `metadata.generation` counts the changes outside of `metadata`. Defaults to true. */
  readonly generation?: boolean | undefined
  /** Whether the generation counts changes of annotations too, as a Deployment's does. Defaults to false. */
  readonly generationCountsAnnotations?: boolean | undefined
  /** Whether an update without a `resourceVersion` is taken. Defaults to false. */
  readonly unconditionalUpdate?: boolean | undefined
  /** Whether a PUT of a missing object creates it. Defaults to false. */
  readonly createOnUpdate?: boolean | undefined
  /** Whether a DELETE is answered with the object rather than with a Status. Defaults to false. */
  readonly returnsDeleted?: boolean | undefined
  /** The fields that a field selector may name beside `metadata.name` and `metadata.namespace`, as `status.phase`. Defaults to none. */
  readonly selectableFields?: ReadonlyArray<string> | undefined
  /**
   * What a name must look like: a DNS subdomain (RFC 1123, at most 253 characters), a DNS label (at most 63), or whatever a path segment
   * may be. Defaults to `subdomain`.
   */
  readonly names?: "subdomain" | "label" | "pathSegment" | undefined
}

/**
 * The type's `apiVersion`: `v1`, or `group/version`.
 *
 * @category accessors
 * @since 0.1.0
 */
export const apiVersion = (type: Pick<ResourceType, "group" | "version">): string =>
  type.group === "" ? type.version : `${type.group}/${type.version}`

/**
 * The name that messages give the resource: `configmaps`, or `leases.coordination.k8s.io`.
 *
 * @category accessors
 * @since 0.1.0
 */
export const qualifiedResource = (type: Pick<ResourceType, "group" | "resource">): string =>
  type.group === "" ? type.resource : `${type.resource}.${type.group}`

/**
 * The name that messages give the kind: `ConfigMap`, or `Lease.coordination.k8s.io`.
 *
 * @category accessors
 * @since 0.1.0
 */
export const qualifiedKind = (type: Pick<ResourceType, "group" | "kind">): string =>
  type.group === "" ? type.kind : `${type.kind}.${type.group}`

const builtInOf = (group: string) =>
(
  resource: string,
  kind: string,
  shortNames: ReadonlyArray<string>,
  differences: Partial<ResourceType> = {}
): ResourceType => ({
  group,
  version: "v1",
  resource,
  kind,
  namespaced: true,
  shortNames,
  builtIn: true,
  generation: false,
  unconditionalUpdate: true,
  ...differences
})

const core = builtInOf("")
const apps = builtInOf("apps")
const batch = builtInOf("batch")
const rbac = builtInOf("rbac.authorization.k8s.io")

/**
 * The resource types that a server knows from the start: 25 of the built-in ones, from ConfigMaps to CustomResourceDefinitions.
 *
 * @category constants
 * @since 0.1.0
 */
export const builtIn: ReadonlyArray<ResourceType> = [
  core("configmaps", "ConfigMap", ["cm"]),
  core("endpoints", "Endpoints", ["ep"], { singular: "endpoints", createOnUpdate: true }),
  core("events", "Event", ["ev"], {
    createOnUpdate: true,
    names: "pathSegment",
    selectableFields: [
      "involvedObject.kind",
      "involvedObject.name",
      "involvedObject.namespace",
      "involvedObject.uid",
      "reason",
      "type"
    ]
  }),
  core("namespaces", "Namespace", ["ns"], { namespaced: false, returnsDeleted: true, names: "label" }),
  core("nodes", "Node", ["no"], { namespaced: false }),
  core("persistentvolumeclaims", "PersistentVolumeClaim", ["pvc"], { returnsDeleted: true }),
  core("persistentvolumes", "PersistentVolume", ["pv"], { namespaced: false, returnsDeleted: true }),
  core("pods", "Pod", ["po"], {
    generation: true,
    returnsDeleted: true,
    selectableFields: ["spec.nodeName", "status.phase"]
  }),
  core("secrets", "Secret", []),
  core("serviceaccounts", "ServiceAccount", ["sa"], { returnsDeleted: true }),
  core("services", "Service", ["svc"], { createOnUpdate: true, returnsDeleted: true, names: "label" }),
  apps("daemonsets", "DaemonSet", ["ds"], { generation: true }),
  apps("deployments", "Deployment", ["deploy"], { generation: true, generationCountsAnnotations: true }),
  apps("replicasets", "ReplicaSet", ["rs"], { generation: true }),
  apps("statefulsets", "StatefulSet", ["sts"], { generation: true, names: "label" }),
  batch("cronjobs", "CronJob", ["cj"], { generation: true }),
  batch("jobs", "Job", [], { generation: true, returnsDeleted: true }),
  builtInOf("coordination.k8s.io")("leases", "Lease", [], { unconditionalUpdate: false, createOnUpdate: true }),
  builtInOf("networking.k8s.io")("ingresses", "Ingress", ["ing"], { singular: "ingress", generation: true }),
  builtInOf("policy")("poddisruptionbudgets", "PodDisruptionBudget", ["pdb"], {
    generation: true,
    unconditionalUpdate: false,
    names: "pathSegment"
  }),
  rbac("clusterrolebindings", "ClusterRoleBinding", [], {
    namespaced: false,
    createOnUpdate: true,
    names: "pathSegment"
  }),
  rbac("clusterroles", "ClusterRole", [], { namespaced: false, createOnUpdate: true, names: "pathSegment" }),
  rbac("rolebindings", "RoleBinding", [], { createOnUpdate: true, names: "pathSegment" }),
  rbac("roles", "Role", [], { createOnUpdate: true, names: "pathSegment" }),
  builtInOf("apiextensions.k8s.io")("customresourcedefinitions", "CustomResourceDefinition", ["crd", "crds"], {
    namespaced: false,
    generation: true,
    unconditionalUpdate: false,
    returnsDeleted: true
  })
]
