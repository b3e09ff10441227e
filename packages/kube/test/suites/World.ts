import type { AnnotationEdit } from "@kubelock/core"
import type { ResourceRef } from "@kubelock/kube"
import { RetryPolicy } from "@kubelock/kube"
import { Context, Effect, Schedule } from "effect"

/**
 * What a suite does to objects beside the store under test, as any other client of the cluster would.
 */
export class World extends Context.Service<World, {
  /** Makes a new object, of a name that no other test uses. */
  readonly object: (annotations?: AnnotationEdit.Annotations) => Effect.Effect<ResourceRef.ResourceRef>
  /** A reference to an object that does not exist. */
  readonly nowhere: Effect.Effect<ResourceRef.ResourceRef>
  /** Replaces the object's annotations, or makes it. */
  readonly put: (ref: ResourceRef.ResourceRef, annotations: AnnotationEdit.Annotations) => Effect.Effect<void>
  readonly delete: (ref: ResourceRef.ResourceRef) => Effect.Effect<void>
}>()("@kubelock/kube/test/World") {}

/** Tries again at once: under a test clock nobody would wake a sleeper. */
export const withoutPauses = Effect.provideService(RetryPolicy.RetryPolicy, {
  ...RetryPolicy.defaults,
  conflict: Schedule.recurs(8),
  throttled: Schedule.recurs(5),
  unavailable: Schedule.recurs(6),
  timeout: Schedule.recurs(3)
})
