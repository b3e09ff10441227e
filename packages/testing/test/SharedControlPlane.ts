import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Effect, Layer } from "effect"
import { inject } from "vitest"

/** The control plane that `controlPlane.globalSetup.ts` has started for this run: shared, so use names of your own on it. */
export const layer = Layer.unwrap(Effect.sync(() => ControlPlane.layerRunning(inject("controlPlane"))))
