/**
 * A Kubernetes API server for tests: real HTTP, no cluster, faults on demand. It knows nothing of locks.
 *
 * @since 0.1.0
 */
export * as Certificates from "./Certificates.ts"
export * from "./ControlPlane.ts"
export * as Faults from "./Faults.ts"
export * from "./KubeApiServer.ts"
export * as KubeObject from "./KubeObject.ts"
export * as ObjectStore from "./ObjectStore.ts"
export * as ResourceType from "./ResourceType.ts"
export * as Status from "./Status.ts"
