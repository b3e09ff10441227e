/**
 * `@kubelock/core`: what a lock is. Pure decisions over an annotation map; no clock, no randomness, no I/O.
 *
 * @since 0.1.0
 */
export * as AnnotationEdit from "./AnnotationEdit.ts"
export * as GoJson from "./GoJson.ts"
export * from "./LockError.ts"
export * as LockName from "./LockName.ts"
export * as LockRecord from "./LockRecord.ts"
export * as LockState from "./LockState.ts"
export * as Rfc3339 from "./Rfc3339.ts"
export * as Transition from "./Transition.ts"
export * as Ttl from "./Ttl.ts"
export { defaultTtl } from "./Ttl.ts"
