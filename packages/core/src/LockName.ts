/**
 * The name of a lock. Several locks of different names can sit on one object.
 *
 * **Details**
 *
 * A name becomes the name part of an annotation key, `kubelock.giantswarm.io/<name>`, and must be valid there: 1 to 63 characters,
 * letters and digits at both ends, and `-`, `_` and `.` in between (Kubernetes: "Annotations, syntax and character set").
 *
 * **Example** (A name and its annotation key)
 *
 * ```ts
 * import { LockName } from "@kubelock/core"
 * import { Option, Result } from "effect"
 *
 * const name = Result.getOrThrow(LockName.make("helm"))
 * LockName.toKey(name) // => "kubelock.giantswarm.io/helm"
 * LockName.fromKey("kubelock.giantswarm.io/helm") // => Option.some(name)
 * Result.isFailure(LockName.make("no spaces")) // => true
 * ```
 *
 * @since 0.1.0
 */
import { type Brand, Option, Result } from "effect"
import { InvalidConfig } from "./LockError.ts"

/** A valid lock name. @category models @since 0.1.0 */
export type LockName = string & Brand.Brand<"@kubelock/core/LockName">

/** What stands before the slash in every lock's annotation key. @category constants @since 0.1.0 */
export const keyPrefix = "kubelock.giantswarm.io"

const namePart = /^[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$/

// A pattern would take `undefined` for the name "undefined": a program without types may get here.
const isLockName = (text: unknown): text is LockName => typeof text === "string" && namePart.test(text)

/** The name, or `InvalidConfig`. @category constructors @since 0.1.0 */
export const make = (name: string): Result.Result<LockName, InvalidConfig> => fromUnknown(name)

const fromUnknown = (name: unknown): Result.Result<LockName, InvalidConfig> =>
  isLockName(name)
    ? Result.succeed(name)
    : Result.fail(
      InvalidConfig.of(
        "lock name",
        name,
        "it must have 1 to 63 characters, begin and end with a letter or digit, and hold only those and - _ . in between"
      )
    )

/** The annotation key of a lock. @category conversions @since 0.1.0 */
export const toKey = (name: LockName): string => {
  if (name !== last.name) last = { name, key: `${keyPrefix}/${name}` }
  return last.key
}

// A text that was put together anew is looked up in a map ten times as slowly as one that was looked up before.
let last = { name: "", key: `${keyPrefix}/` }

/** The lock that an annotation key belongs to, if it is one of ours. @category conversions @since 0.1.0 */
export const fromKey = (key: string): Option.Option<LockName> => {
  const name = key.slice(keyPrefix.length + 1)
  return key.startsWith(`${keyPrefix}/`) && isLockName(name) ? Option.some(name) : Option.none()
}
