/** The embedded server's kubeconfig, given to kubectl as it is. */
import { assert, describe, it } from "@effect/vitest"
import { KubeApiServer, type Options } from "@kubelock/testing"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { env } from "node:process"
import { promisify } from "node:util"

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "kubelock-kubectl-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

const kubectl = Effect.fnUntraced(function*(command: string) {
  const server = yield* KubeApiServer
  const folder = yield* temporaryFolder
  const kubeconfig = join(folder, "kubeconfig")
  writeFileSync(kubeconfig, server.kubeconfig)
  // Nobody answers it if it asks for a user name, and what it keeps of earlier servers is in another home.
  const running = promisify(execFile)(join(env["KUBEBUILDER_ASSETS"] ?? "", "kubectl"), command.split(" "), {
    env: { HOME: folder, KUBECONFIG: kubeconfig }
  })
  running.child.stdin?.end()
  return (yield* Effect.promise(() => running)).stdout
}, Effect.scoped)

describe("kubectl, with the kubeconfig of the embedded server", () => {
  it.effect.each<Options>([{}, { tls: true }, { token: "secret" }, { tls: true, token: "secret" }])(
    "is let in: %j",
    (options) =>
      Effect.gen(function*() {
        assert.include(yield* kubectl("create configmap mine"), "configmap/mine created")
        assert.include(yield* kubectl("get configmaps"), "mine")
      }).pipe(Effect.provide(KubeApiServer.layer(options)))
  )
})
