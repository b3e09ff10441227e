import { isInvalidConfig, LockName } from "@kubelock/core"
import { Option, Result } from "effect"
import { describe, expect, it } from "vitest"

describe("LockName", () => {
  it.each(["a", "A", "0", "helm", "a.b-c_d", "x".repeat(63)])("takes %j", (name) => {
    const lock = Result.getOrThrow(LockName.make(name))
    expect(LockName.toKey(lock)).toBe(`kubelock.giantswarm.io/${name}`)
    expect(LockName.fromKey(LockName.toKey(lock))).toEqual(Option.some(lock))
  })

  it.each(["", "-a", "a-", ".a", "a b", "a/b", "ä", "a\n", "x".repeat(64), "__proto__"])("refuses %j", (name) => {
    const failure = Result.getOrThrow(Result.flip(LockName.make(name)))
    expect(isInvalidConfig(failure)).toBe(true)
    expect(failure.message).toContain(`invalid lock name ${JSON.stringify(name)}: it must have 1 to 63 characters`)
    expect(LockName.fromKey(`kubelock.giantswarm.io/${name}`)).toEqual(Option.none())
  })

  it("takes no name that a program without types has left out", () => {
    const failure = Result.getOrThrow(Result.flip(LockName.make(undefined as unknown as string)))
    expect(failure).toMatchObject({ field: "lock name", value: "undefined" })
  })

  it("knows its own keys only", () => {
    expect(LockName.fromKey("helm")).toEqual(Option.none())
    expect(LockName.fromKey("example.com/helm")).toEqual(Option.none())
    expect(LockName.fromKey("kubelock.giantswarm.io-helm")).toEqual(Option.none())
  })
})
