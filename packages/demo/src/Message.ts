/** What a worker process is told, and what it tells. */
import { Schema } from "effect"

/** Where the cluster is. */
export const Cluster = Schema.Union([
  Schema.Struct({ kubeconfig: Schema.String }),
  Schema.Struct({ file: Schema.String, context: Schema.optionalKey(Schema.String) })
])
export type Cluster = typeof Cluster.Type

/** A worker's orders, as its one argument. */
export const Orders = Schema.fromJsonString(Schema.Struct({
  worker: Schema.String,
  cluster: Cluster,
  namespace: Schema.String,
  configMap: Schema.String,
  rounds: Schema.Int,
  withLock: Schema.Boolean
}))

/** One section: the counter was read and written in it. Times are of the machine's monotonic clock, which all its processes share. */
export const Section = Schema.TaggedStruct("Section", {
  worker: Schema.String,
  fromMicros: Schema.Int,
  toMicros: Schema.Int,
  before: Schema.Int,
  fencingToken: Schema.optionalKey(Schema.String)
})
export type Section = typeof Section.Type

/** What the lock cost a worker: how often it was acquired, and all requests that this took, from waiting to releasing. */
export const Cost = Schema.TaggedStruct("Cost", {
  worker: Schema.String,
  acquisitions: Schema.Int,
  requests: Schema.Int
})
export type Cost = typeof Cost.Type

/** A line on a worker's standard output. */
export const Message = Schema.fromJsonString(Schema.Union([Section, Cost]))
export type Message = typeof Message.Type
