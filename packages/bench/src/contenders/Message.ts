/** What a contender is told, and what it answers: a line of JSON each. */
import { Schema } from "effect"

/** The object that carries the lock. */
export const Resource = Schema.Struct({
  group: Schema.String,
  version: Schema.String,
  resource: Schema.String,
  namespace: Schema.String,
  name: Schema.String
})
export type Resource = typeof Resource.Type

/** Take a lock that is free and give it back, so often, one after the other. */
export const Order = Schema.Struct({
  resource: Resource,
  /** The object's size, for those who keep no lock on an object but write as much. */
  objectBytes: Schema.Int,
  pairs: Schema.Int
})
export type Order = typeof Order.Type

/** How it went. */
export const Answer = Schema.Struct({
  /** How long each pair took, with all its attempts. */
  pairMicros: Schema.Array(Schema.Finite),
  /** What was tried. What fails is tried again at once. */
  attempts: Schema.Int,
  /** How many attempts failed, by what failed and why. */
  failures: Schema.Record(Schema.String, Schema.Int)
})
export type Answer = typeof Answer.Type
