import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { ControlPlane, type ControlPlaneOptions } from "@kubelock/testing/ControlPlane"
import { ConfigProvider, Effect, FileSystem, Path } from "effect"

/** A folder of binaries that are shell scripts: `etcd` is this one, `kube-apiserver` waits. */
const fakeAssets = Effect.fnUntraced(function*(etcd: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const folder = yield* fs.makeTempDirectoryScoped()
  const script = (name: string, text: string) =>
    fs.writeFileString(path.join(folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  yield* script("etcd", etcd)
  yield* script("kube-apiserver", "exec sleep 60")
  return folder
})

const failureOf = (options: ControlPlaneOptions, environment: Record<string, string> = {}) =>
  ControlPlane.start(options).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: environment })),
    Effect.scoped,
    Effect.flip
  )

describe("ControlPlane without its binaries", () => {
  it.effect("says how to get them when nobody said where they are", () =>
    Effect.gen(function*() {
      for (const environment of [{}, { KUBEBUILDER_ASSETS: "" }]) {
        const error = yield* failureOf({}, environment)
        assert.strictEqual(error._tag, "BinariesMissing")
        assert.include(error.message, "KUBEBUILDER_ASSETS is not set")
        assert.include(error.message, "setup-envtest use -p path")
      }
    }))

  it.effect("says which one is missing", () =>
    Effect.gen(function*() {
      const error = yield* failureOf({}, { KUBEBUILDER_ASSETS: "/no/such/folder" })
      assert.strictEqual(error._tag, "BinariesMissing")
      assert.include(error.message, "There is no /no/such/folder/etcd")
      assert.include(error.message, "setup-envtest use -p path")
    }))

  it.effect("shows the end of the logs when one ends early", () =>
    Effect.gen(function*() {
      const assets = yield* fakeAssets("seq 1 100; echo the disk is full >&2; exit 3")
      const error = yield* failureOf({ assets })
      assert.strictEqual(error._tag, "ControlPlaneFailed")
      assert.include(error.message, "etcd ended with exit code 3")
      assert.match(error.message, /etcd\.log:\n(.*\n)* {2}100\n {2}the disk is full/)
      assert.notMatch(error.message, /^ {2}80$/m)
    }).pipe(Effect.provide(NodeServices.layer)))

  it.effect("tries other ports when one was taken in the meantime, but not for ever", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const attempts = yield* fs.makeTempFileScoped()
      const assets = yield* fakeAssets(`echo "$@" >>${attempts}; echo listen: address already in use; exit 1`)
      const error = yield* failureOf({ assets })
      assert.strictEqual(error._tag, "ControlPlaneFailed")
      const urls = [...(yield* fs.readFileString(attempts)).matchAll(/--listen-client-urls=(\S+)/g)].map((match) =>
        match[1]
      )
      assert.lengthOf(urls, 4)
      assert.isAbove(new Set(urls).size, 1)
    }).pipe(Effect.provide(NodeServices.layer)))
})
