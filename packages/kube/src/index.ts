/**
 * `@kubelock/kube`: locks on Kubernetes objects, as Effect services and layers.
 *
 * Services are classes, exported by their names; modules of functions are namespaces.
 *
 * @since 0.1.0
 */
// What users of this package meet of the other: they install only this one.
export {
  AlreadyExists,
  defaultTtl,
  Holder,
  InvalidConfig,
  isAlreadyExists,
  isInvalidConfig,
  isMalformedRecord,
  isNotFound,
  isOwnerMismatch,
  MalformedRecord,
  NotFound,
  OwnerMismatch
} from "@kubelock/core"
export * from "./AnnotationStore.ts"
export * as ClockOffset from "./ClockOffset.ts"
export * from "./HeldLock.ts"
export * as Identity from "./Identity.ts"
export * as KubeAnnotationStore from "./KubeAnnotationStore.ts"
export * from "./KubeError.ts"
export * from "./KubeLock.ts"
export * from "./KubeTransport.ts"
export * from "./Lease.ts"
export * as LockMetrics from "./LockMetrics.ts"
export * from "./ManagedLock.ts"
export * from "./ManagedLockError.ts"
export * as ResourceRef from "./ResourceRef.ts"
export * as RetryPolicy from "./RetryPolicy.ts"
export * as Turns from "./Turns.ts"
