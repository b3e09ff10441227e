/** How spans and logs name the locks that they are about. */
import type { Tracer } from "effect"
import * as ResourceRef from "../ResourceRef.ts"

/** For spans: to look where a call came from takes as long as all the deciding. */
export const withoutStack = { captureStackTrace: false }

/** What is known of a lock. */
interface Named {
  readonly resource: ResourceRef.ResourceRef
  readonly name: string
  /** Absent where nobody asked as one. */
  readonly owner?: string | undefined
}

const listed = <A>(all: ReadonlyArray<A>, textOf: (one: A) => string): string =>
  all.length === 1 ? textOf(all[0]!) : [...new Set(all.map(textOf))].join(", ")

/** Of an object, whatever its locks. */
export const ofObject = (resource: ResourceRef.ResourceRef) => ({ "kubelock.resource": ResourceRef.describe(resource) })

/** What went wrong, in words: loggers do not agree on how to show an error. */
export const ofProblem = ({ message }: { readonly message: string }) => ({ "kubelock.problem": message })

/** Of locks that are wanted, or looked at. */
export const ofLocks = (locks: ReadonlyArray<Named>) => {
  const attributes: Record<string, string> = {
    "kubelock.lock": listed(locks, ({ name }) => name),
    "kubelock.resource": listed(locks, ({ resource }) => ResourceRef.describe(resource))
  }
  const owned = locks.filter(({ owner }) => owner !== undefined)
  if (owned.length > 0) attributes["kubelock.owner"] = listed(owned, ({ owner }) => owner!)
  return attributes
}

/** What names locks that are held. */
export type OfHeld = ReturnType<typeof ofHeld>

const fencingToken = "kubelock.fencing_token"

const tokensOf = (locks: ReadonlyArray<{ readonly fencingToken: bigint }>) =>
  listed(locks, ({ fencingToken }) => String(fencingToken))

/** Of locks that are held: leases, or what is held of managed ones. */
export const ofHeld = (locks: ReadonlyArray<Named & { readonly fencingToken: bigint }>) => {
  const attributes = ofLocks(locks)
  attributes[fencingToken] = tokensOf(locks)
  return attributes
}

/** Of locks that a span has named before they were had. */
export const setToken = (span: Tracer.Span, locks: ReadonlyArray<{ readonly fencingToken: bigint }>): void =>
  span.attribute(fencingToken, tokensOf(locks))
