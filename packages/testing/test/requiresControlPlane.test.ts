import { assert, describe, it } from "@effect/vitest"
import { filesToLeaveOut, notice } from "./requiresControlPlane.ts"

const all = { KUBEBUILDER_ASSETS: "/a", KUBELOCK_GO_PEER: "/b", KUBELOCK_TOXIPROXY: "/c" }

describe("What a machine lacks", () => {
  it("is nothing where all is there", () => {
    assert.isUndefined(notice(all))
    assert.deepStrictEqual(filesToLeaveOut({ ...all, KUBELOCK_REQUIRE_CONTROL_PLANE: "1" }), [])
  })

  it("is told in one line, with how to mend it", () => {
    const line = notice({ ...all, KUBELOCK_GO_PEER: "" })
    assert.match(line ?? "", /^Not run: .*Go library.* KUBELOCK_GO_PEER=.* npm test$/)
    assert.notInclude(line, "KUBEBUILDER_ASSETS")
    assert.notInclude(notice({}), "\n")
  })

  it("fails the run where nothing may be left out", () => {
    assert.throws(
      () => filesToLeaveOut({ ...all, KUBEBUILDER_ASSETS: "", KUBELOCK_REQUIRE_CONTROL_PLANE: "1" }),
      "Not run:"
    )
  })
})
