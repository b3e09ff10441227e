/**
 * A change to one annotation, as data: what must be there now, and what shall be there then.
 *
 * **Details**
 *
 * This is the compare-and-set that every store performs: in memory by {@link apply}, on a cluster as one JSON Patch of `test`
 * operations and changes. Several edits on one object happen all or none.
 *
 * **Example** (Taking an annotation that nobody has)
 *
 * ```ts
 * import { AnnotationEdit } from "@kubelock/core"
 * import { Result } from "effect"
 *
 * const take = { key: "kubelock.giantswarm.io/helm", expected: undefined, value: "mine" }
 * const taken = AnnotationEdit.apply({ team: "web" }, [take])
 * taken // => Result.succeed({ team: "web", "kubelock.giantswarm.io/helm": "mine" })
 *
 * const again = AnnotationEdit.apply(Result.getOrThrow(taken), [take])
 * again // => Result.fail(new AnnotationEdit.EditRefused({ keys: [take.key] }))
 *
 * // What a plain object inherits is no annotation.
 * AnnotationEdit.get({ team: "web" }, "toString") // => undefined
 * ```
 *
 * @since 0.1.0
 */
import { Result, Schema } from "effect"

/**
 * An object's annotations.
 *
 * **Gotchas**
 *
 * The keys are other people's words: look one up with {@link get}, which does not see what a plain object inherits.
 *
 * @category models
 * @since 0.1.0
 */
export type Annotations = Readonly<Record<string, string>>

/** A change to one annotation: `undefined` stands for absence, before and after. @category models @since 0.1.0 */
export interface AnnotationEdit {
  /** Which annotation. */
  readonly key: string
  /** What it must be for the edit to be made, to the byte. */
  readonly expected: string | undefined
  /** What it shall be then. */
  readonly value: string | undefined
}

/** Some annotation was not what an edit expected, so none of the edits was made. @category errors @since 0.1.0 */
export class EditRefused extends Schema.TaggedError<EditRefused>()("EditRefused", {
  /** The keys that the edits were for. */
  keys: Schema.Array(Schema.String),
  /** What the store said, if it said anything. */
  said: Schema.optional(Schema.String)
}) {
  override get message(): string {
    const said = this.said === undefined ? "" : `. ${this.said}`
    return `not every annotation of ${this.keys.join(", ")} has the expected value: nothing was changed${said}`
  }
}

/** The value of one annotation; `undefined` if there is none. @category getters @since 0.1.0 */
export const get = (annotations: Annotations, key: string): string | undefined =>
  Object.hasOwn(annotations, key) ? annotations[key] : undefined

/**
 * Makes all the edits, or none of them. Fails with `EditRefused` if some annotation is not what its edit expects.
 *
 * @category combinators
 * @since 0.1.0
 */
export const apply = (
  annotations: Annotations,
  edits: ReadonlyArray<AnnotationEdit>
): Result.Result<Annotations, EditRefused> => {
  if (edits.some((edit) => get(annotations, edit.key) !== edit.expected)) {
    return Result.fail(new EditRefused({ keys: edits.map((edit) => edit.key) }))
  }
  const next = new Map(Object.entries(annotations))
  for (const { key, value } of edits) {
    if (value === undefined) next.delete(key)
    else next.set(key, value)
  }
  return Result.succeed(Object.fromEntries(next))
}
