/**
 * Starts one control plane for a whole run of vitest; tests reach it by `SharedControlPlane`. To be named as `globalSetup` of a
 * project that holds only tests which want it, and only where `KUBEBUILDER_ASSETS` is set.
 */
import { ControlPlane, type RunningControlPlane } from "@kubelock/testing/ControlPlane"
import { Effect, Exit, Scope } from "effect"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  interface ProvidedContext {
    readonly controlPlane: RunningControlPlane
  }
}

const setup = async (project: TestProject): Promise<() => Promise<void>> => {
  const scope = await Effect.runPromise(Scope.make())
  const running = await Effect.runPromise(Scope.provide(ControlPlane.start(), scope))
  project.provide("controlPlane", running)
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}

export default setup
