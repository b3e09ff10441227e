/** What an API server takes for the requests of this protocol: the costs that the simulation counts with. Pure. */

/** In milliseconds of one of the server's processors, where nothing else is said. */
export interface Costs {
  /** How many requests it works on at a time. */
  readonly processors: number
  /** From the client to the server or back, of time, on average: half of it at least. */
  readonly wayMillis: number
  /** A PATCH that is applied, without what the object's size adds and without etcd. */
  readonly patchMillis: number
  readonly patchMillisPerKb: number
  /** Until etcd has written it, of time: meanwhile another write of the same object may come first, and the patch is made anew. */
  readonly commitMillis: number
  /** What a patch takes more where it is made anew, on what is read from etcd again. */
  readonly againMillis: number
  /** From there to the answer, of time: watchers may have been told before. */
  readonly answerMillis: number
  /** A PATCH whose `test` fails. */
  readonly refusedMillis: number
  readonly getMillis: number
  /** To show a change to one who watches the object. */
  readonly showMillis: number
  readonly showMillisPerKb: number
}

/** As measured on a quiet machine of two processors; what it takes to show a change, without what the watchers then do. */
export const reference: Costs = {
  processors: 2,
  wayMillis: 0.25,
  patchMillis: 1,
  patchMillisPerKb: 0.035,
  commitMillis: 0.5,
  againMillis: 6,
  answerMillis: 0.35,
  refusedMillis: 0.85,
  getMillis: 0.85,
  showMillis: 0.1,
  showMillisPerKb: 0.005
}

/** The same where all clients run on the server's processors: a watcher that is told has to read it there. */
export const besideClients: Costs = { ...reference, showMillis: 0.33 }

/** Median times of requests sent one after the other. */
export interface Measured {
  readonly processors: number
  readonly getMillis: number
  readonly refusedMillis: number
  readonly patchMillis: number
  readonly largePatchMillis: number
  readonly largeKb: number
  /** Of the server's processors, to show a change to a watcher more; absent where the server does not count it. */
  readonly showMillis?: number
}

/** What was measured, taken apart; the ways, etcd and the answer have their part of the reference. */
export const costsOf = (measured: Measured): Costs => {
  const ways = 2 * reference.wayMillis
  const rest = (millis: number) => Math.max(0.05, millis)
  return {
    ...reference,
    processors: measured.processors,
    patchMillis: rest(measured.patchMillis - ways - reference.commitMillis - reference.answerMillis),
    patchMillisPerKb: rest(measured.largePatchMillis - measured.patchMillis) / measured.largeKb,
    refusedMillis: rest(measured.refusedMillis - ways),
    getMillis: rest(measured.getMillis - ways),
    showMillis: measured.showMillis ?? reference.showMillis
  }
}

/** An annotation with a record, its key and what stands around it. */
export const recordBytes = 190

/** The metadata of an object without a lock, as it is answered. */
export const metadataBytes = 500

/** All annotations of an object together may have so many; Kubernetes refuses more. */
export const annotationBytesAtMost = 262_144

/** So many locks fit on one object at the same time. */
export const locksPerObjectAtMost = Math.floor(annotationBytesAtMost / recordBytes)
