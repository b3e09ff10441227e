import type { AnnotationEdit } from "@kubelock/core"
import type { ResourceRef } from "@kubelock/kube"
import { RetryPolicy } from "@kubelock/kube"
import { Context, Effect, Schedule, Schema } from "effect"

/** What an object is there for. Short words of letters and digits, since some kinds have nothing but labels. */
export const Data = Schema.Record(Schema.String, Schema.String)
export type Data = typeof Data.Type

/**
 * What a suite does to objects beside the store under test, as any other client of the cluster would.
 */
export class World extends Context.Service<World, {
  /** Makes a new object, of a name that no other test uses. */
  readonly object: (annotations?: AnnotationEdit.Annotations, data?: Data) => Effect.Effect<ResourceRef.ResourceRef>
  /** Where objects of this kind keep their data, as a JSON pointer. */
  readonly dataPath: string
  /** The object's data; `undefined` where it has none. */
  readonly read: (ref: ResourceRef.ResourceRef) => Effect.Effect<Data | undefined>
  /** A reference to an object that does not exist. */
  readonly nowhere: Effect.Effect<ResourceRef.ResourceRef>
  /** Replaces the object by one with these annotations and no data, or makes it. */
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
