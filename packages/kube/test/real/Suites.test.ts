/** What is tested in memory and on the embedded server, unchanged on a real one, for every kind of resource. */
import { KubeAnnotationStore, KubeTransport } from "@kubelock/kube"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Effect, Layer } from "effect"
import * as SharedControlPlane from "../../../testing/test/SharedControlPlane.ts"
import { kubeLockSuite } from "../suites/kubeLockSuite.ts"
import { clusterWidgets, configMaps, nodes, realWorld, widgets } from "../suites/realWorld.ts"
import { storeSuite } from "../suites/storeSuite.ts"

const store = Layer.unwrap(
  Effect.map(
    ControlPlane,
    ({ kubeconfig }) => Layer.provide(KubeAnnotationStore.layer, KubeTransport.layerText(kubeconfig))
  )
)

const group = (suite: string) => `${suite}.suites.example.com`

for (const [suite, runSuite] of Object.entries({ store: storeSuite, lock: kubeLockSuite })) {
  for (const carrier of [configMaps, nodes, widgets(group(suite)), clusterWidgets(group(suite))]) {
    runSuite(
      `${carrier.resource} on a real API server`,
      Layer.provide(Layer.merge(realWorld(carrier), store), SharedControlPlane.layer)
    )
  }
}
