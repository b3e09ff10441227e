/** What an operator has: a cluster on which docs/guides/in-a-pod.md was followed, and a shell with kubectl. */
import { Identity, KubeAnnotationStore, KubeLock, KubeTransport, ResourceRef } from "@kubelock/kube"
import { ControlPlane } from "@kubelock/testing/ControlPlane"
import { Context, Effect, Layer, Schedule, Schema } from "effect"
import { strictEqual } from "node:assert/strict"
import { join } from "node:path"
import process from "node:process"
import { temporaryDirectory, write } from "../KubeTransportFixtures.ts"
import { fencesOf, openShell, pathOf, read, type Shell } from "./guides.ts"

const FileSystemRoot = Context.Reference<string>("@kubelock/kube/internal/FileSystemRoot", { defaultValue: () => "" })

// Their shell commands. Each test says which it types, by its beginning.
const guides = {
  inAPod: fencesOf(read("docs/guides/in-a-pod.md"), "sh"),
  stuckLocks: fencesOf(read("docs/guides/stuck-locks.md"), "sh")
}
const typed = new Set<string>()

/** What no test has typed yet. */
export const untyped = (): ReadonlyArray<string> => Object.values(guides).flat().filter((fence) => !typed.has(fence))

export const namespace = "prod"
export const resource = ResourceRef.configMap({ namespace, name: "deploys" })
/** Of the same namespace, and none of the Deployment's business. */
export const other = ResourceRef.configMap({ namespace, name: "other" })
export const helm = { resource, name: "helm" }
export const key = "kubelock.giantswarm.io/helm"
const account = "system:serviceaccount:prod:deployer"
export const rolePath = "/apis/rbac.authorization.k8s.io/v1/namespaces/prod/roles/deploys-lock"
export const verbs = ["get", "list", "watch", "patch"] as const

/** The cluster as it is when somebody has followed docs/guides/in-a-pod.md. */
export class Cluster extends Context.Service<Cluster, {
  /** Types a fence of a guide, or something of one's own. */
  readonly shell: Shell["type"]
  /** What was printed when the manifests were applied. */
  readonly applied: string
  /** As a process in a Pod of the Deployment finds the API server. */
  readonly inPod: Layer.Layer<KubeTransport>
  readonly admin: ControlPlane["Service"]["request"]
}>()("@kubelock/kube/test/Cluster") {}

const Token = Schema.Struct({ status: Schema.Struct({ token: Schema.String }) })

export const cluster = Layer.effect(
  Cluster,
  Effect.gen(function*() {
    const { caCertificatePem, kubeconfig, request, url } = yield* ControlPlane
    const root = yield* temporaryDirectory
    const shell = yield* openShell({
      kubeconfigFile: write(root, "kubeconfig", kubeconfig),
      workingDirectory: pathOf("docs/manifests")
    })
    const { exitCode, printed } = yield* shell.type(guide("inAPod", "kubectl apply"))
    strictEqual(exitCode, 0, printed)
    yield* request("POST", "/api/v1/namespaces/prod/configmaps", {
      metadata: { name: "other", annotations: { a: "b" } }
    })
    const { status } = yield* Schema.decodeUnknownEffect(Token)(
      yield* request("POST", "/api/v1/namespaces/prod/serviceaccounts/deployer/token", { spec: { audiences: [] } })
    )
    // Where kubelet puts them.
    const folder = join(root, "var/run/secrets/kubernetes.io/serviceaccount")
    write(folder, "token", status.token)
    write(folder, "ca.crt", caCertificatePem)
    write(folder, "namespace", namespace)
    const { hostname, port } = new URL(url)
    Object.assign(process.env, { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port })
    yield* untilRightsAre(verbs)
    return Cluster.of({
      shell: shell.type,
      applied: printed,
      inPod: Layer.orDie(Layer.provide(KubeTransport.layerInCluster(), Layer.succeed(FileSystemRoot, root))),
      admin: request
    })
  })
)

/** The one fence of a guide that begins so. It counts as typed. */
export const guide = (name: keyof typeof guides, beginning: string): string => {
  const found = guides[name].filter((fence) => fence.startsWith(beginning))
  strictEqual(found.length, 1, beginning)
  typed.add(found[0]!)
  return found[0]!
}

const Review = Schema.Struct({ status: Schema.Struct({ allowed: Schema.Boolean }) })

/** The server learns of roles a moment after they are written. */
export const untilRightsAre = Effect.fnUntraced(function*(allowed: ReadonlyArray<string>) {
  const { request } = yield* ControlPlane
  yield* Effect.forEach(verbs, (verb) =>
    request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SubjectAccessReview",
      spec: { user: account, resourceAttributes: { resource: "configmaps", verb, name: "deploys", namespace } }
    }).pipe(
      Effect.flatMap(Schema.decodeUnknownEffect(Review)),
      Effect.repeat({
        schedule: Schedule.spaced("10 millis"),
        until: ({ status }) => status.allowed === allowed.includes(verb)
      })
    ), { discard: true }).pipe(Effect.timeout("20 seconds"))
})

const Metadata = Schema.Struct({
  metadata: Schema.StructWithRest(
    Schema.Struct({
      resourceVersion: Schema.String,
      annotations: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
    }),
    [Schema.Record(Schema.String, Schema.Unknown)]
  )
})

export const objectNow = Effect.flatMap(Cluster, ({ admin }) => admin("GET", ResourceRef.toPath(resource))).pipe(
  Effect.flatMap(Schema.decodeUnknownEffect(Metadata))
)

export const textNow = Effect.map(objectNow, ({ metadata }) => metadata.annotations?.[key])

/** Puts the text where the lock's record would be, whatever is there. */
export const putText = Effect.fnUntraced(function*(text: string | undefined) {
  const { metadata } = yield* objectNow
  const { [key]: _, ...annotations } = metadata.annotations ?? {}
  yield* (yield* Cluster).admin("PUT", ResourceRef.toPath(resource), {
    metadata: { ...metadata, annotations: { ...annotations, ...(text === undefined ? {} : { [key]: text }) } }
  })
})

/** As a process of its own, in a Pod of this name. */
export const asPod = (pod: string) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Cluster, ({ inPod }) =>
    effect.pipe(
      Effect.provideService(Identity.Identity, { owner: `${pod}-1-0k3j9xq1z5ab`, process: pod }),
      Effect.provide(Layer.fresh(KubeLock.layer.pipe(
        Layer.provideMerge(KubeAnnotationStore.layer),
        Layer.provideMerge(inPod)
      )))
    ))
