/** What the README tells an operator to type, on a real API server with RBAC: typed, with its own kubectl. */
import { assert, layer } from "@effect/vitest"
import { isNotFound, KubeAnnotationStore, KubeLock, KubeTransport, ResourceRef } from "@kubelock/kube"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Effect, Layer } from "effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { env } from "node:process"
import * as SharedControlPlane from "../../../testing/test/SharedControlPlane.ts"
import * as ReadmeProgram from "../ReadmeProgram.ts"
import { read } from "../Sources.ts"

// The control plane is shared, and others may want a namespace `prod` too.
const namespace = "readme-prod"

const readme = read("README.md").text
const inNamespace = (text: string) =>
  text.replaceAll(/-n prod\b|\bnamespace: prod\b|=prod:/g, (place) => place.replace("prod", namespace))

const commands = [...readme.matchAll(/^kubectl (.+)$/gm)].map(([, command]) => inNamespace(command!))
const commandWith = (word: string) => commands.find((command) => command.includes(word)) ?? `no command with ${word}`

const kubectl = (kubeconfig: string, command: string) =>
  ReadmeProgram.run(
    kubeconfig,
    join(env["KUBEBUILDER_ASSETS"] ?? "", "kubectl"),
    // As a shell takes the words apart.
    ...Array.from(command.matchAll(/(?:[^\s']|'[^']*')+/g), ([word]) => word.replaceAll("'", ""))
  )

/** The same server, for a ServiceAccount. */
const kubeconfigOf = (kubeconfig: string, token: string) => {
  const config = JSON.parse(kubeconfig)
  return JSON.stringify({ ...config, users: [{ ...config.users[0], user: { token } }] })
}

/** Does what the README says, as whoever may do everything, and yields the kubeconfig of who may then use the lock. */
const setUp = Effect.gen(function*() {
  const { kubeconfig } = yield* ControlPlane
  const manifest = join(yield* ReadmeProgram.folder, "role.yaml")
  writeFileSync(manifest, inNamespace(/```yaml\n([\s\S]*?)```/.exec(readme)?.[1] ?? ""))
  yield* kubectl(kubeconfig, `create namespace ${namespace}`)
  yield* kubectl(kubeconfig, `-n ${namespace} create serviceaccount deployer`)
  yield* kubectl(kubeconfig, commandWith("create configmap"))
  yield* kubectl(kubeconfig, `apply -f ${manifest}`)
  yield* kubectl(kubeconfig, commandWith("create rolebinding"))
  const token = (yield* kubectl(kubeconfig, `-n ${namespace} create token deployer`)).trim()
  // The server learns of the role a moment later.
  const isGranted = kubectl(
    kubeconfig,
    `auth can-i --list -n ${namespace} --as system:serviceaccount:${namespace}:deployer`
  ).pipe(
    Effect.map((rights) => rights.includes("deploys"))
  )
  while (!(yield* isGranted)) yield* Effect.sleep("20 millis")
  return kubeconfigOf(kubeconfig, token)
})

layer(SharedControlPlane.layer, { excludeTestServices: true })("what the README says to type", (it) => {
  it.effect("makes the object and a role that is enough, and shows and breaks a lock", () =>
    Effect.gen(function*() {
      const theirs = yield* setUp
      assert.lengthOf(commands, 4)

      const printed = yield* ReadmeProgram.runOnCluster(theirs, namespace)
      assert.match(printed, /^.*deploying under token \d+\n$/)
      const version = `-n ${namespace} get configmap deploys -o jsonpath={.data.version}`
      assert.strictEqual(yield* kubectl(theirs, version), "5.3.0")

      const onCluster = KubeLock.layer.pipe(
        Layer.provide(KubeAnnotationStore.layer),
        Layer.provide(KubeTransport.layerText(theirs))
      )
      yield* Effect.gen(function*() {
        const locks = yield* KubeLock
        const resource = ResourceRef.configMap({ namespace, name: "deploys" })
        const lease = yield* locks.acquire({ resource, name: "helm", owner: "alice" })
        const shown = yield* kubectl(theirs, commandWith("get configmap"))
        assert.include(shown, "kubelock.giantswarm.io/helm")
        assert.include(shown, "alice")
        yield* kubectl(theirs, commandWith("annotate"))
        assert.isTrue(isNotFound(yield* Effect.flip(locks.renew(lease))))
      }).pipe(Effect.provide(onCluster))
    }).pipe(Effect.scoped))
})
