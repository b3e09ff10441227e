/**
 * What can become of a lock that is kept for somebody, or of waiting for one.
 *
 * **Details**
 *
 * - {@link LockLost}: the lock is not, or may no longer be, the holder's. Its `reason` says why.
 * - {@link WaitTimeout}: it did not become free in time. It names the holder.
 * - {@link OperationsRefused}: the lock is held, but the operations of a fenced write cannot be made on the object.
 *
 * **Example** (Why was it lost?)
 *
 * ```ts
 * import { LockLost, TakenOver } from "@kubelock/kube"
 *
 * const lost = new LockLost({
 *   lock: "helm",
 *   resource: "configmaps/deploys in prod",
 *   owner: "alice",
 *   nowNanos: 0n,
 *   reason: new TakenOver({ holder: { owner: "bob", createdAtNanos: 0n, ttlNanos: 30_000_000_000n } })
 * })
 * lost.message.startsWith(`"alice" has lost lock "helm" on configmaps/deploys in prod: taken over by "bob"`) // => true
 * ```
 *
 * **Example** (Whether somebody must be told)
 *
 * ```ts
 * import { Broken, LayerEnded, type LossReason, NotRenewed, ObjectDeleted, Released } from "@kubelock/kube"
 *
 * const isOurOwnDoing = ({ _tag }: LossReason) => _tag === "Released" || _tag === "LayerEnded"
 *
 * const reasons = [new NotRenewed({}), new Broken(), new ObjectDeleted(), new Released(), new LayerEnded()]
 * reasons.map(isOurOwnDoing) // => [false, false, false, true, true]
 * ```
 *
 * **Example** (Errors for tests of one's own)
 *
 * ```ts
 * import { OperationsRefused, WaitTimeout } from "@kubelock/kube"
 * import { Duration } from "effect"
 *
 * const resource = "configmaps/deploys in prod"
 * const timeout = new WaitTimeout({ lock: "helm", resource, owner: "alice", waited: Duration.seconds(5), nowNanos: 0n })
 * timeout.message.startsWith(`"alice" has waited 5s for lock "helm"`) // => true
 *
 * const refused = new OperationsRefused({ resource, operations: ["add /data/version"] })
 * refused.message.startsWith("configmaps/deploys in prod was not changed, though the lock is held") // => true
 * ```
 *
 * @since 0.1.0
 */
import { describeHolder, Holder, quote } from "@kubelock/core"
import { Duration, Schema } from "effect"

const where = {
  /** The lock's name. */
  lock: Schema.String,
  /** The object that carries the lock, in words. */
  resource: Schema.String,
  /** For whom the lock was, or should have been, held. */
  owner: Schema.String
}

/**
 * No renewal has succeeded in time: what the record says of the holder is over, or so nearly that another clock may think so.
 *
 * @category reasons
 * @since 0.1.0
 */
export class NotRenewed extends Schema.TaggedClass<NotRenewed>()("NotRenewed", {
  /** What the last renewal failed with; absent where it got no answer, or none was due yet. */
  problem: Schema.optionalKey(Schema.String)
}) {}

/** Somebody else holds the lock: by their clock it had expired. @category reasons @since 0.1.0 */
export class TakenOver extends Schema.TaggedClass<TakenOver>()("TakenOver", {
  /** Who that is, since when and for how long. */
  holder: Holder
}) {}

/** The record was removed, or overwritten with something that is no record. @category reasons @since 0.1.0 */
export class Broken extends Schema.TaggedClass<Broken>()("Broken", {}) {}

/** The object was deleted, and perhaps made again: without the lock. @category reasons @since 0.1.0 */
export class ObjectDeleted extends Schema.TaggedClass<ObjectDeleted>()("ObjectDeleted", {}) {}

/** The holder itself has given the lock back. @category reasons @since 0.1.0 */
export class Released extends Schema.TaggedClass<Released>()("Released", {}) {}

/** The layer of `KubeLock` has ended, and with it the renewals. @category reasons @since 0.1.0 */
export class LayerEnded extends Schema.TaggedClass<LayerEnded>()("LayerEnded", {}) {}

/** Why a lock is no longer held: one of the six reasons, as a schema. @category reasons @since 0.1.0 */
export const LossReason = Schema.Union([NotRenewed, TakenOver, Broken, ObjectDeleted, Released, LayerEnded])

/** What the schema {@link LossReason} holds: tell them apart by `_tag`. @category reasons @since 0.1.0 */
export type LossReason = typeof LossReason.Type

const explain = (reason: LossReason, nowNanos: bigint): string => {
  switch (reason._tag) {
    case "NotRenewed":
      return `it could not be renewed in time${reason.problem === undefined ? "" : ` (${reason.problem})`}`
    case "TakenOver":
      return `taken over by ${describeHolder(reason.holder, nowNanos)}`
    case "Broken":
      return "its record was removed or overwritten: somebody broke the lock, or it expired and was taken and released since"
    case "ObjectDeleted":
      return "the object that carried it was deleted"
    case "Released":
      return "it was released by its holder"
    case "LayerEnded":
      return "the layer of KubeLock, which kept it, has ended before the section that worked under it"
  }
}

/**
 * The lock is not, or may no longer be, held. Whatever it protected must not be touched any more.
 *
 * @category errors
 * @since 0.1.0
 */
export class LockLost extends Schema.TaggedError<LockLost>()("LockLost", {
  ...where,
  /** Why. */
  reason: LossReason,
  /** When that was found out, by this machine's clock: nanoseconds since 1970. */
  nowNanos: Schema.BigInt
}) {
  override get message(): string {
    return `${quote(this.owner)} has lost lock ${quote(this.lock)} on ${this.resource}: ` +
      explain(this.reason, this.nowNanos)
  }
}

/**
 * The lock was not free within `waitAtMost`.
 *
 * @category errors
 * @since 0.1.0
 */
export class WaitTimeout extends Schema.TaggedError<WaitTimeout>()("WaitTimeout", {
  ...where,
  /** For how long it was waited for: `waitAtMost`. */
  waited: Schema.Duration,
  /** Who held the lock when it was last seen; absent where it was not seen held. */
  holder: Schema.optionalKey(Holder),
  /** When the time was over, by this machine's clock: nanoseconds since 1970. */
  nowNanos: Schema.BigInt
}) {
  override get message(): string {
    const holder = this.holder === undefined
      ? "it was not seen held: others were faster each time, or the API server did not answer"
      : `it is held by ${describeHolder(this.holder, this.nowNanos)}`
    return `${quote(this.owner)} has waited ${Duration.format(this.waited)} for lock ` +
      `${quote(this.lock)} on ${this.resource} in vain: ${holder}`
  }
}

/**
 * The lock is held, but a fenced write could not be made: one of its own `test` operations failed, or a path in it does not
 * exist. Nothing was changed.
 *
 * @category errors
 * @since 0.1.0
 */
export class OperationsRefused extends Schema.TaggedError<OperationsRefused>()("OperationsRefused", {
  /** The object that carries the lock, in words. */
  resource: Schema.String,
  /** Each operation's kind and path, as `add /data/version`; values are left out. */
  operations: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `${this.resource} was not changed, though the lock is held: one of the operations (${
      this.operations.join(", ")
    }) tests for what is not so, or names a path that does not exist (JSON Patch makes no maps on the way)`
  }
}
