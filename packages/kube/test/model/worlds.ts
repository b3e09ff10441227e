import type { Config } from "./Protocol.ts"

const base: Config = {
  clients: ["ours", "ours"],
  locks: ["x"],
  ttl: 2,
  safetyMargin: 1,
  takeoverDelay: 0,
  skew: 1,
  clockSteps: 0,
  until: 4,
  acquisitionsPerClient: 1,
  renewalsPerAcquisition: 1,
  losses: 0,
  crashes: 0
}

/** What is searched to its end: small, and together about everything that can go wrong. */
export const complete: Readonly<Record<string, Config>> = {
  "two that renew, their clocks apart by what is allowed": base,
  "two, and a clock that is set": { ...base, clockSteps: 1, until: 3 },
  "two, and one request or answer that is lost or late": {
    ...base,
    renewalsPerAcquisition: 0,
    losses: 1,
    skew: 0,
    until: 3
  },
  "two that renew, and one request or answer that is lost or late": { ...base, losses: 1, skew: 0, until: 2 },
  "two that renew, and one crashes": { ...base, crashes: 1, until: 3 },
  "three": {
    ...base,
    clients: ["ours", "ours", "ours"],
    renewalsPerAcquisition: 0,
    ttl: 1,
    safetyMargin: 0,
    skew: 0,
    until: 2
  },
  "one and a Go program, with a takeoverDelay for its clock": { ...base, clients: ["go", "ours"], takeoverDelay: 1 },
  "one and a Go program, each of them twice": {
    ...base,
    clients: ["go", "ours"],
    takeoverDelay: 1,
    acquisitionsPerClient: 2,
    renewalsPerAcquisition: 0
  },
  "one and a Go program, and one request or answer that is lost": {
    ...base,
    clients: ["go", "ours"],
    takeoverDelay: 1,
    losses: 1,
    until: 3
  },
  "two that want two locks at once": { ...base, locks: ["x", "y"], renewalsPerAcquisition: 0, skew: 0, until: 3 },
  "two that want two locks at once, and one request or answer that is lost or late": {
    ...base,
    locks: ["x", "y"],
    renewalsPerAcquisition: 0,
    losses: 1,
    skew: 0,
    until: 2
  },
  "two that renew two locks at once, and one request or answer that is lost or late": {
    ...base,
    locks: ["x", "y"],
    losses: 1,
    skew: 0,
    until: 2
  }
}

/** What is too large to be searched to its end: as far as one has time for. */
export const large: Readonly<Record<string, Config>> = {
  "two that take it twice and renew, with losses, a crash and clocks that are set": {
    ...base,
    ttl: 3,
    until: 7,
    acquisitionsPerClient: 2,
    renewalsPerAcquisition: 2,
    losses: 2,
    crashes: 1,
    clockSteps: 1
  },
  "three that renew, with losses": { ...base, clients: ["ours", "ours", "ours"], losses: 1, until: 5 },
  "two and a Go program": { ...base, clients: ["ours", "ours", "go"], takeoverDelay: 1, losses: 1, until: 5 }
}

/** Where the clocks are further apart: by a tick, which both strict comparisons still bear, and by two. */
export const apart = (ticks: number): Config => ({
  ...base,
  skew: base.safetyMargin + base.takeoverDelay + ticks,
  renewalsPerAcquisition: 0
})
