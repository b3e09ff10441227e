/**
 * One operation on the locks of one object, as a machine: told what came back, it says what to do next. Pure: the shell that
 * performs it reads the clocks, sends what is to be sent, and pauses where something failed.
 *
 * **Details**
 *
 * - An edit is decided on what was read, or on what is believed before anything was read. What is only believed is no ground to
 *   refuse anything: then the object is read first.
 * - After a refusal, and after a write of which nobody knows what became, the object is read. It shows whether a write of ours was
 *   made; if not, another one is decided on what is there.
 */
import { AnnotationEdit, isInvalidConfig, LockRecord, type Transition } from "@kubelock/core"
import { Result } from "effect"
import type { ObjectMetadata } from "../AnnotationStore.ts"

/** A moment on both clocks. */
export interface Instant {
  readonly wallNanos: bigint
  readonly monotonicNanos: bigint
}

/** Edits that were sent, and when they were decided on. */
export interface Attempt<Edit> {
  readonly edits: ReadonlyArray<Edit>
  readonly sentAt: Instant
}

/** What is to be done. */
export interface Task<Edit, E> {
  /** What the annotations are taken to be before anything was read; the server refuses edits decided on a wrong belief. */
  readonly believed?: AnnotationEdit.Annotations | undefined
  readonly decide: (annotations: AnnotationEdit.Annotations, now: Instant) => Result.Result<ReadonlyArray<Edit>, E>
  /** The time by which the record that was written under a key is still valid. Default: the wall clock's. */
  readonly timeOf?: ((now: Instant, key: string) => bigint) | undefined
  /**
   * Whether a refusal is the end, and which: asked at once, and again with what was read after it. By default another decision
   * follows.
   */
  readonly ending?:
    | ((attempt: Attempt<Edit>, seen: ObjectMetadata | undefined) => E | undefined)
    | undefined
}

/** How far it has come. */
export interface State<Edit> {
  /** What a decision would rest on was read, and not only believed. */
  readonly isRead: boolean
  /** The last try, if the server refused it. */
  readonly lastRefused: Attempt<Edit> | undefined
  readonly refused: ReadonlyArray<Attempt<Edit>>
  /** Tries of which nobody knows what became. */
  readonly perhapsMade: ReadonlyArray<Attempt<Edit>>
}

/** What to do next. */
export type Next<Edit, E> =
  | { readonly _tag: "Send"; readonly attempt: Attempt<Edit> }
  /** `isConflict`: somebody was faster, and whoever goes on at once will meet them again. */
  | { readonly _tag: "Read"; readonly isConflict: boolean }
  /** It was made: by this attempt. */
  | { readonly _tag: "Made"; readonly attempt: Attempt<Edit> }
  | { readonly _tag: "Refuse"; readonly error: E }

/** A machine, and what it wants. */
export interface Step<Edit, E> {
  readonly state: State<Edit>
  readonly next: Next<Edit, E>
}

/** Before anything was done. */
export const notBegun: State<never> = { isRead: false, lastRefused: undefined, refused: [], perhapsMade: [] }

const readNext: Next<never, never> = { _tag: "Read", isConflict: false }

/** The beginning. */
export const start = <Edit extends AnnotationEdit.AnnotationEdit, E>(
  task: Task<Edit, E>,
  now: Instant
): Step<Edit, E> =>
  task.believed === undefined ? { state: notBegun, next: readNext } : decideOn(task, notBegun, task.believed, now)

/** The server has refused a try. */
export const refused = <Edit extends AnnotationEdit.AnnotationEdit, E>(
  task: Task<Edit, E>,
  before: State<Edit>,
  attempt: Attempt<Edit>
): Step<Edit, E> => {
  const state = { ...before, lastRefused: attempt, refused: [...before.refused, attempt] }
  const error = state.perhapsMade.length === 0 ? task.ending?.(attempt, undefined) : undefined
  return error === undefined
    ? { state, next: { _tag: "Read", isConflict: state.isRead } }
    : { state, next: { _tag: "Refuse", error } }
}

/** Nobody knows what became of a try, or it certainly was not made. */
export const failed = <Edit, E>(before: State<Edit>, attempt: Attempt<Edit>, isUnknown: boolean): Step<Edit, E> => ({
  state: {
    ...before,
    lastRefused: undefined,
    perhapsMade: isUnknown ? [...before.perhapsMade, attempt] : before.perhapsMade
  },
  next: readNext
})

/** The object was read. */
export const read = <Edit extends AnnotationEdit.AnnotationEdit, E>(
  task: Task<Edit, E>,
  before: State<Edit>,
  seen: ObjectMetadata,
  now: Instant
): Step<Edit, E> => {
  const { annotations } = seen
  const state: State<Edit> = { ...before, isRead: true, lastRefused: undefined }
  const isThere = (edit: Edit) => isRecordThere(edit, annotations, task.timeOf?.(now, edit.key) ?? now.wallNanos)
  // A proxy may have sent the request twice: the answer is then that of the repetition, and a record of ours tells.
  const made = before.refused.find(({ edits }) => edits.every(isThere)) ??
    before.perhapsMade.find(({ edits, sentAt }) =>
      edits.every((edit) => isThere(edit) || wasRemoved(edit, annotations, sentAt.wallNanos))
    )
  if (made !== undefined) return { state, next: { _tag: "Made", attempt: made } }
  const error = before.lastRefused === undefined ? undefined : task.ending?.(before.lastRefused, seen)
  return error === undefined
    ? decideOn(task, state, annotations, now)
    : { state, next: { _tag: "Refuse", error } }
}

const decideOn = <Edit extends AnnotationEdit.AnnotationEdit, E>(
  { decide }: Task<Edit, E>,
  state: State<Edit>,
  annotations: AnnotationEdit.Annotations,
  now: Instant
): Step<Edit, E> =>
  Result.match(decide(annotations, now), {
    onSuccess: (edits): Step<Edit, E> => ({ state, next: { _tag: "Send", attempt: { edits, sentAt: now } } }),
    onFailure: (error) =>
      state.isRead || isInvalidConfig(error) ? { state, next: { _tag: "Refuse", error } } : { state, next: readNext }
  })

/** Whether the record that an edit leaves is there, and still valid. */
const isRecordThere = (
  edit: AnnotationEdit.AnnotationEdit | Transition.RecordEdit,
  annotations: AnnotationEdit.Annotations,
  nowNanos: bigint
): boolean =>
  "record" in edit &&
  AnnotationEdit.get(annotations, edit.key) === edit.value &&
  !LockRecord.isExpired(edit.record, nowNanos)

/**
 * Whether a removal whose answer was lost has been made. The acquisition that it was about must be gone; where another has come
 * in its place since, it can only have come after the removal.
 */
const wasRemoved = (
  edit: AnnotationEdit.AnnotationEdit | Transition.RemovalEdit,
  annotations: AnnotationEdit.Annotations,
  sentAtNanos: bigint
): boolean => {
  if (!("removed" in edit)) return false
  const text = AnnotationEdit.get(annotations, edit.key)
  if (text === undefined) return true
  const found = Result.getOrUndefined(LockRecord.parse(text))
  if (text === edit.expected || found === undefined) return false
  const isRenewed = found.id !== undefined && found.id === edit.removed?.id
  return !isRenewed && found.createdAtNanos >= sentAtNanos
}
