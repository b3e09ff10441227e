import { assert, describe, it } from "@effect/vitest"
import * as Objects from "../src/contenders/Objects.ts"

const metrics = `# TYPE apiserver_request_total counter
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="GET",version="v1"} 12
apiserver_request_total{code="409",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="PUT",version="v1"} 3e+06
apiserver_request_total{code="200",component="apiserver",dry_run="",group="coordination.k8s.io",resource="leases",scope="resource",subresource="",verb="PUT",version="v1"} 500
apiserver_request_total{code="200",component="apiserver",dry_run="",group="other",resource="configmaps",scope="resource",subresource="",verb="GET",version="v1"} 7
apiserver_request_sli_duration_seconds_count{group="",resource="configmaps"} 90
`

describe("Objects", () => {
  it("counts the requests of one kind, whatever they were answered", () => {
    assert.strictEqual(Objects.requestsIn(metrics, Objects.small), 3_000_012)
    assert.strictEqual(Objects.requestsIn(metrics, Objects.lease), 500)
  })

  it("has a large object near to what etcd takes, and no larger", () => {
    assert.closeTo(Objects.bytesOf(Objects.large), 900 * 1_024, 100)
  })
})
