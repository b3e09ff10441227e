/** How spans and logs name the locks that they are about. */
import * as ResourceRef from "../ResourceRef.ts"

/** What is known of a lock. */
interface Named {
  readonly resource: ResourceRef.ResourceRef
  readonly name: string
  /** Absent where nobody asked as one. */
  readonly owner?: string | undefined
}

const listed = (values: ReadonlyArray<string>): string => [...new Set(values)].join(", ")

/** Of an object, whatever its locks. */
export const ofObject = (resource: ResourceRef.ResourceRef) => ({ "kubelock.resource": ResourceRef.describe(resource) })

/** What went wrong, in words: loggers do not agree on how to show an error. */
export const ofProblem = ({ message }: { readonly message: string }) => ({ "kubelock.problem": message })

/** Of locks that are wanted, or looked at. */
export const ofLocks = (locks: ReadonlyArray<Named>) => {
  const owners = locks.flatMap(({ owner }) => owner === undefined ? [] : [owner])
  return {
    "kubelock.lock": listed(locks.map(({ name }) => name)),
    "kubelock.resource": listed(locks.map(({ resource }) => ResourceRef.describe(resource))),
    ...(owners.length === 0 ? undefined : { "kubelock.owner": listed(owners) })
  }
}

/** What names locks that are held. */
export type OfHeld = ReturnType<typeof ofHeld>

/** Of locks that are held: leases, or what is held of managed ones. */
export const ofHeld = (locks: ReadonlyArray<Named & { readonly fencingToken: bigint }>) => ({
  ...ofLocks(locks),
  "kubelock.fencing_token": listed(locks.map(({ fencingToken }) => String(fencingToken)))
})
