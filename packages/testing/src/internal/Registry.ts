/**
 * The rules of the API: what each verb does to the store, and how it is refused. Pure: a registry and a request in, another
 * registry and an answer out, or a Status.
 */
import { Equal, Predicate, Result, Schema, Struct } from "effect"
import type { KubeObject, KubeObjectInput, ObjectId, ObjectMeta } from "../KubeObject.ts"
import * as ObjectStore from "../ObjectStore.ts"
import type { ResourceType } from "../ResourceType.ts"
import { apiVersion, builtIn, qualifiedResource } from "../ResourceType.ts"
import type { StatusCause } from "../Status.ts"
import * as Status from "../Status.ts"
import * as Draft from "./Draft.ts"
import * as Json from "./Json.ts"
import * as Patch from "./Patch.ts"
import * as Validation from "./Validation.ts"

/** What the server knows. */
export interface Registry {
  readonly types: ReadonlyArray<ResourceType>
  readonly store: ObjectStore.ObjectStore
}

/** One object of a type. The namespace of a cluster-scoped one is empty. */
export interface Target {
  readonly type: ResourceType
  readonly namespace: string
  readonly name: string
}

/** What a write needs from outside: the time in RFC 3339, and randomness for new objects. */
export interface Stamp {
  readonly now: string
  readonly uid: string
  readonly nameSuffix: string
}

/** What a write came to. */
export interface Change {
  readonly registry: Registry
  readonly code: number
  readonly answer: KubeObjectInput | Status.Status
}

export type Outcome = Result.Result<Change, Status.Status>

/** A registry with the built-in types and the namespaces that every cluster has. */
export const make = (
  options: { readonly types: ReadonlyArray<ResourceType>; readonly maxHistory: number | undefined },
  stamps: ReadonlyArray<Stamp>
): Registry => {
  const empty = options.types.reduce(register, { types: builtIn, store: ObjectStore.make(options) })
  return ["default", "kube-system", "kube-public", "kube-node-lease"].reduce((registry, name, index) => {
    const type = builtIn.find((type) => type.kind === "Namespace")!
    const draft = { apiVersion: "v1", kind: "Namespace", metadata: { name } }
    return Result.match(createDraft(registry, { type, namespace: "", name: "" }, draft, stamps[index]!), {
      onFailure: () => registry,
      onSuccess: (change) => change.registry
    })
  }, empty)
}

export const namespacesFromTheStart = 4

/** Adds a type, or replaces the one of the same resource. */
export const register = (registry: Registry, type: ResourceType): Registry => ({
  ...registry,
  types: [
    ...registry.types.filter((known) =>
      known.group !== type.group || known.version !== type.version || known.resource !== type.resource
    ),
    type
  ]
})

export const findByKind = (registry: Registry, id: Pick<ObjectId, "apiVersion" | "kind">): ResourceType | undefined =>
  registry.types.find((type) => type.kind === id.kind && apiVersion(type) === id.apiVersion)

export const keyOf = (target: Target): ObjectStore.Key => ({
  resource: qualifiedResource(target.type),
  namespace: target.namespace,
  name: target.name
})

export const get = (registry: Registry, target: Target): Result.Result<KubeObject, Status.Status> =>
  Result.fromNullishOr(
    ObjectStore.get(registry.store, keyOf(target)),
    () => Status.notFound(target.type, target.name)
  )

export const list = (
  registry: Registry,
  type: ResourceType,
  namespace: string | undefined
): ReadonlyArray<KubeObject> => ObjectStore.list(registry.store, qualifiedResource(type), namespace)

/** POST to a collection. */
export const create = (registry: Registry, target: Target, body: string, stamp: Stamp): Outcome =>
  Result.flatMap(parseBody(registry, target.type, body), (draft) => createDraft(registry, target, draft, stamp))

/** PUT to an object. */
export const update = (registry: Registry, target: Target, body: string, stamp: Stamp): Outcome =>
  Result.gen(function*() {
    const draft = yield* parseBody(registry, target.type, body)
    yield* checkIdentity(target, draft.metadata)
    const current = ObjectStore.get(registry.store, keyOf(target))
    if (current === undefined) {
      return target.type.createOnUpdate === true
        ? yield* createDraft(registry, target, draft, stamp)
        : yield* Result.fail(Status.notFound(target.type, target.name))
    }
    const { uid } = draft.metadata
    if (uid !== undefined && uid !== current.metadata.uid) {
      return yield* Result.fail(Status.conflict(target.type, target.name, wrongUid(target, uid, current.metadata.uid)))
    }
    return yield* replace(registry, target, current, draft)
  })

/** PATCH of an object, by the patch's content type without its parameters. */
export const patch = (registry: Registry, target: Target, contentType: string, body: string): Outcome =>
  Result.gen(function*() {
    const applyPatch = patchTypes(target.type)[contentType]
    if (applyPatch === undefined) {
      return yield* Result.fail(
        target.type.builtIn === true ? Status.unsupportedPatchType : Status.unsupportedMediaType(customPatchTypes)
      )
    }
    const current = yield* get(registry, target)
    const parsed = yield* Result.mapError(
      contentType === jsonPatch ? Json.parseAsWritten(body) : Json.parse(body),
      (problem) => Status.badRequest(`error decoding patch: ${problem}`)
    )
    const patched = yield* Result.mapError(applyPatch(current, parsed), statusOfPatchProblem)
    const draft = yield* readPatched(registry, target.type, patched)
    yield* checkIdentity(target, draft.metadata)
    return yield* replace(registry, target, current, draft)
  })

/** DELETE of an object, with its DeleteOptions as the body, if any. */
export const remove = (registry: Registry, target: Target, body: string, now: string): Outcome =>
  Result.gen(function*() {
    const options = yield* readDeleteOptions(body)
    const current = yield* get(registry, target)
    const broken = brokenPrecondition(options, current.metadata)
    if (broken !== undefined) {
      return yield* Result.fail(Status.preconditionFailed(target.type, target.name, broken))
    }
    const change = removeObject(registry, target, current, now)
    return options.dryRun ? { ...change, registry } : change
  })

/** DELETE of a collection: all objects given. */
export const removeAll = (
  registry: Registry,
  type: ResourceType,
  objects: ReadonlyArray<KubeObject>,
  now: string
): Registry =>
  objects.reduce((left, object) => removeObject(left, targetOf(type, object), object, now).registry, registry)

/** Creates an object, or replaces the one of the same name whatever its resourceVersion. */
export const put = (registry: Registry, type: ResourceType, input: KubeObjectInput, stamp: Stamp): Outcome =>
  Result.gen(function*() {
    const { resourceVersion: _, ...metadata } = input.metadata
    const namespace = type.namespaced ? metadata.namespace ?? "" : ""
    const target = { type, namespace, name: metadata.name ?? "" }
    const draft = yield* Result.mapError(
      Draft.fromJson(type, { ...input, metadata }),
      (problem) => Status.badRequest(cannotBeHandled(type, type.kind, apiVersion(type), problem))
    )
    const current = ObjectStore.get(registry.store, keyOf(target))
    return current === undefined
      ? yield* createDraft(registry, target, draft, stamp)
      : yield* replace(registry, target, current, {
        ...draft,
        metadata: { ...draft.metadata, resourceVersion: current.metadata.resourceVersion }
      })
  })

const createDraft = (registry: Registry, target: Target, draft: KubeObjectInput, stamp: Stamp): Outcome =>
  Result.gen(function*() {
    const { type } = target
    yield* checkNamespace(registry, target, draft.metadata)
    if (!["0", undefined].includes(draft.metadata.resourceVersion)) {
      return yield* Result.fail(Status.unexplainedError("resourceVersion should not be set on objects to be created"))
    }
    const name = draft.metadata.name ?? generatedName(draft.metadata.generateName, stamp)
    if (name === undefined) {
      return yield* Result.fail(Status.invalid(type, "", [Validation.nameRequired]))
    }
    const object = decorate(type, {
      ...draft,
      metadata: {
        ...withoutDeletion(draft.metadata),
        name,
        ...(type.namespaced ? { namespace: target.namespace } : {}),
        uid: stamp.uid,
        resourceVersion: "",
        creationTimestamp: stamp.now,
        ...(type.generation === false ? {} : { generation: 1 })
      }
    })
    yield* checkValid(type, name, [
      ...Validation.validateMetadata(type, object.metadata),
      ...definitionProblems(type, object)
    ])
    const key = keyOf({ ...target, name })
    if (ObjectStore.get(registry.store, key) !== undefined) {
      return yield* Result.fail(Status.alreadyExists(type, name))
    }
    return stored(registry, type, key, object, 201)
  })

const replace = (registry: Registry, target: Target, current: KubeObject, draft: KubeObjectInput): Outcome =>
  Result.gen(function*() {
    const { name, type } = target
    yield* checkResourceVersion(target, current, draft.metadata.resourceVersion)
    yield* checkValid(type, name, Validation.validateUpdate(current, draft.metadata))
    const object = keepIdentity(type, current, draft)
    yield* checkValid(type, name, [
      ...Validation.validateMetadata(type, object.metadata),
      ...definitionProblems(type, object)
    ])
    return object.metadata.deletionTimestamp !== undefined && object.metadata.finalizers === undefined
      ? { registry: gone(registry, target, object), code: 200, answer: object }
      : stored(registry, type, keyOf(target), object, 200)
  })

const stored = (
  registry: Registry,
  type: ResourceType,
  key: ObjectStore.Key,
  object: KubeObject,
  code: number
): Change => {
  const store = ObjectStore.put(registry.store, key, object)
  const types = typesDefinedBy(type, object)
  return {
    registry: types.reduce(register, { ...registry, store }),
    code,
    answer: ObjectStore.get(store, key) ?? object
  }
}

/** What the client cannot change, whatever it sends. */
const keepIdentity = (type: ResourceType, current: KubeObject, draft: KubeObjectInput): KubeObject => {
  const { metadata } = current
  const { generation: _, ...changes } = withoutDeletion(draft.metadata)
  const object: KubeObject = {
    ...draft,
    metadata: {
      ...changes,
      ...Struct.pick(metadata, ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"]),
      ...Struct.pick(metadata, ["deletionTimestamp", "deletionGracePeriodSeconds"])
    }
  }
  return metadata.generation === undefined ? object : withGeneration(
    object,
    type.generation !== false && !Equal.equals(contentOf(type, current), contentOf(type, object))
      ? metadata.generation + 1
      : metadata.generation
  )
}

const withGeneration = (object: KubeObject, generation: number): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, generation }
})

const withoutDeletion = (metadata: Partial<ObjectMeta>): Partial<ObjectMeta> => {
  const { deletionGracePeriodSeconds: _, deletionTimestamp: __, ...kept } = metadata
  return kept
}

/** What the generation counts the changes of. */
const contentOf = (type: ResourceType, object: KubeObject): object => {
  const { metadata, status, ...content } = object
  return {
    ...content,
    ...(type.builtIn === true ? {} : { status }),
    ...(type.generationCountsAnnotations === true ? { annotations: metadata.annotations } : {})
  }
}

const removeObject = (registry: Registry, target: Target, current: KubeObject, now: string): Change => {
  const { metadata } = current
  if (metadata.finalizers !== undefined) {
    const marked = metadata.deletionTimestamp === undefined ? terminating(current, now) : current
    return stored(registry, target.type, keyOf(target), marked, 200)
  }
  const left = gone(registry, target, current)
  const resourceVersion = String(left.store.revision)
  return {
    registry: left,
    code: 200,
    answer: target.type.returnsDeleted !== true
      ? Status.deleted(target.type, metadata.name, metadata.uid)
      : isNamespace(target.type)
      ? {
        ...current,
        metadata: { ...metadata, resourceVersion, deletionTimestamp: now },
        status: { phase: "Terminating" }
      }
      : { ...current, metadata: { ...metadata, resourceVersion } }
  }
}

const terminating = (object: KubeObject, now: string): KubeObject => ({
  ...object,
  metadata: {
    ...object.metadata,
    ...(object.metadata.generation === undefined ? {} : { generation: object.metadata.generation + 1 }),
    deletionTimestamp: now,
    deletionGracePeriodSeconds: 0
  }
})

/** Removes an object and all that cannot be without it: what is in a namespace, or of a defined type. */
const gone = (registry: Registry, target: Target, object: KubeObject): Registry => {
  const types = typesDefinedBy(target.type, object)
  const orphaned = isNamespace(target.type)
    ? registry.types.filter((type) => type.namespaced).flatMap((type) =>
      list(registry, type, target.name).map((object) => keyOf(targetOf(type, object)))
    )
    : types.flatMap((type) => list(registry, type, undefined).map((object) => keyOf(targetOf(type, object))))
  return {
    types: registry.types.filter((type) =>
      types.every((defined) => defined.resource !== type.resource || defined.group !== type.group)
    ),
    store: [...orphaned, keyOf(target)].reduce(ObjectStore.remove, registry.store)
  }
}

const targetOf = (type: ResourceType, object: KubeObject): Target => ({
  type,
  namespace: object.metadata.namespace ?? "",
  name: object.metadata.name
})

const isNamespace = (type: ResourceType): boolean => type.group === "" && type.kind === "Namespace"
const isDefinition = (type: ResourceType): boolean => type.kind === "CustomResourceDefinition" && type.builtIn === true

// --- reading what was sent

const parseBody = (
  registry: Registry,
  type: ResourceType,
  text: string
): Result.Result<KubeObjectInput, Status.Status> =>
  Result.gen(function*() {
    const unrecognized = (problem: string, shown: string) =>
      Status.badRequest(`the object provided is unrecognized (must be of type ${type.kind}): ${problem} (${shown})`)
    const parsed = yield* Result.mapError(
      Json.parse(text),
      (problem) =>
        unrecognized(`couldn't get version/kind; json parse error: ${problem}`, text === "" ? "<empty>" : text)
    )
    const body = parsed ?? {}
    if (!Predicate.isObject(body)) {
      return yield* Result.fail(unrecognized(`couldn't get version/kind; json parse error: ${notAnObject(body)}`, text))
    }
    if (type.builtIn !== true && !Predicate.isString(body["kind"])) {
      return yield* Result.fail(unrecognized(`Object 'Kind' is missing in '${text}'`, text))
    }
    yield* checkKind(registry, type, body)
    return yield* Result.mapError(
      Draft.fromJson(type, body),
      (problem) => Status.badRequest(cannotBeHandled(type, type.kind, apiVersion(type), problem))
    )
  })

const notAnObject = (value: unknown): string =>
  `json: cannot unmarshal ${Json.goTypeOf(value)} into Go value of type struct { APIVersion string ` +
  `"json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }`

const cannotBeHandled = (type: ResourceType, kind: string, version: string, problem: string): string =>
  `${kind} in version "${version.slice(version.indexOf("/") + 1)}" cannot be handled as a ${type.kind}: ${problem}`

const checkKind = (
  registry: Registry,
  type: ResourceType,
  body: { readonly [key: string]: unknown }
): Result.Result<void, Status.Status> => {
  const kind = sent(body["kind"], type.kind)
  const version = sent(body["apiVersion"], apiVersion(type))
  if (kind === type.kind && version === apiVersion(type)) {
    return Result.void
  }
  if (type.builtIn === true) {
    const problem = notConvertible(registry, type, kind, version)
    return Result.fail(Status.badRequest(cannotBeHandled(type, kind, version, problem)))
  }
  return Result.fail(
    version === apiVersion(type)
      ? Status.invalid({ ...type, kind }, nameIn(body), [Validation.invalidValue("kind", kind, `must be ${type.kind}`)])
      : Status.badRequest(
        `the API version in the data (${version}) does not match the expected API version (${apiVersion(type)})`
      )
  )
}

const notConvertible = (registry: Registry, type: ResourceType, kind: string, version: string): string =>
  findByKind(registry, { apiVersion: version, kind }) === undefined
    ? notRegistered(kind, version)
    : `converting (${goPackageOf(version)}.${kind}) to (${type.group === "" ? "core" : type.group}.${type.kind}): ` +
      "unknown conversion"

const sent = (value: unknown, otherwise: string): string =>
  Predicate.isString(value) && value !== "" ? value : otherwise

const goPackageOf = (version: string): string => version.slice(version.indexOf("/") + 1)

const notRegistered = (kind: string, version: string): string =>
  `no kind "${kind}" is registered for version "${version}" in scheme "pkg/runtime/scheme.go:111"`

const nameIn = (body: { readonly [key: string]: unknown }): string => {
  const metadata = body["metadata"]
  return Predicate.isObject(metadata) && Predicate.isString(metadata["name"]) ? metadata["name"] : ""
}

const readPatched = (
  registry: Registry,
  type: ResourceType,
  patched: unknown
): Result.Result<KubeObjectInput, Status.Status> => {
  const refused = (problem: string) =>
    Status.invalid({ group: "", kind: "" }, "", [
      Validation.invalidValue("patch", JSON.stringify(patched), problem)
    ])
  if (!Predicate.isObject(patched)) {
    return Result.fail(refused(notAnObject(patched)))
  }
  const kind = sent(patched["kind"], type.kind)
  const version = sent(patched["apiVersion"], apiVersion(type))
  return kind === type.kind && version === apiVersion(type)
    ? Result.mapError(Draft.fromJson(type, patched), refused)
    : Result.fail(refused(notConvertible(registry, type, kind, version)))
}

const jsonPatch = "application/json-patch+json"
const mergePatch = "application/merge-patch+json"
const strategicMergePatch = "application/strategic-merge-patch+json"
// As a real server says, which knows Server-Side Apply too.
const customPatchTypes = [jsonPatch, mergePatch, "application/apply-patch+yaml"]

type ApplyPatch = (document: unknown, patch: unknown) => Result.Result<unknown, Patch.PatchProblem>

const patchTypes = (type: ResourceType): Readonly<Record<string, ApplyPatch | undefined>> => ({
  [jsonPatch]: Patch.applyJsonPatch,
  [mergePatch]: Patch.applyMergePatch,
  // Lists are replaced, and no `$patch` directive is known: enough for what kubectl sends for maps.
  ...(type.builtIn === true ? { [strategicMergePatch]: Patch.applyMergePatch } : {})
})

const statusOfPatchProblem = (problem: Patch.PatchProblem): Status.Status =>
  problem._tag === "Malformed" ? Status.badRequest(problem.message) : Status.unprocessablePatch

interface DeleteOptions {
  readonly dryRun: boolean
  readonly uid: string | undefined
  readonly resourceVersion: string | undefined
}

const readDeleteOptions = (body: string): Result.Result<DeleteOptions, Status.Status> =>
  Result.gen(function*() {
    if (body === "") {
      return { dryRun: false, uid: undefined, resourceVersion: undefined }
    }
    const refused = (problem: string) => Status.badRequest(`couldn't get version/kind; json parse error: ${problem}`)
    const options = (yield* Result.mapError(Json.parse(body), refused)) ?? {}
    if (!Predicate.isObject(options)) {
      return yield* Result.fail(refused(notAnObject(options)))
    }
    const kind = sent(options["kind"], "DeleteOptions")
    if (kind !== "DeleteOptions") {
      return yield* Result.fail(Status.badRequest(notRegistered(kind, sent(options["apiVersion"], "v1"))))
    }
    const preconditions = Predicate.isObject(options["preconditions"]) ? options["preconditions"] : {}
    const text = (value: unknown) => Predicate.isString(value) ? value : undefined
    return {
      dryRun: Array.isArray(options["dryRun"]) && options["dryRun"].includes("All"),
      uid: text(preconditions["uid"]),
      resourceVersion: text(preconditions["resourceVersion"])
    }
  })

const brokenPrecondition = (options: DeleteOptions, { resourceVersion, uid }: ObjectMeta): string | undefined => {
  if (options.uid !== undefined && options.uid !== uid) {
    return `the UID in the precondition (${options.uid}) does not match the UID in record (${uid}). The object might ` +
      "have been deleted and then recreated"
  }
  if (options.resourceVersion !== undefined && options.resourceVersion !== resourceVersion) {
    return `the ResourceVersion in the precondition (${options.resourceVersion}) does not match the ResourceVersion in ` +
      `record (${resourceVersion}). The object might have been modified`
  }
  return undefined
}

// --- what must hold

const checkValid = (
  type: ResourceType,
  name: string,
  causes: ReadonlyArray<StatusCause>
): Result.Result<void, Status.Status> =>
  causes.length === 0 ? Result.void : Result.fail(Status.invalid(type, name, causes))

const checkIdentity = (target: Target, metadata: Partial<ObjectMeta>): Result.Result<void, Status.Status> => {
  const { name } = target
  if (metadata.name === undefined) {
    return Result.fail(
      Status.badRequest(`the name of the object (${name} based on URL) was undeterminable: name must be provided`)
    )
  }
  return metadata.name === name
    ? checkNamespaceOf(target, metadata)
    : Result.fail(
      Status.badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${name})`)
    )
}

const checkNamespaceOf = (target: Target, metadata: Partial<ObjectMeta>): Result.Result<void, Status.Status> =>
  metadata.namespace === undefined || metadata.namespace === target.namespace
    ? Result.void
    : Result.fail(
      Status.badRequest("the namespace of the provided object does not match the namespace sent on the request")
    )

const checkNamespace = (
  registry: Registry,
  target: Target,
  metadata: Partial<ObjectMeta>
): Result.Result<void, Status.Status> =>
  Result.flatMap(checkNamespaceOf(target, metadata), () => {
    const namespaces = { group: "", resource: "namespaces" }
    const key = { resource: "namespaces", namespace: "", name: target.namespace }
    return !target.type.namespaced || ObjectStore.get(registry.store, key) !== undefined
      ? Result.void
      : Result.fail(Status.notFound(namespaces, target.namespace))
  })

const checkResourceVersion = (
  { name, type }: Target,
  current: KubeObject,
  resourceVersion: string | undefined
): Result.Result<void, Status.Status> => {
  if (resourceVersion === undefined || resourceVersion === "0") {
    return type.unconditionalUpdate === true
      ? Result.void
      : Result.fail(
        Status.invalid({ ...type, kind: type.resource }, name, [Validation.resourceVersionRequired])
      )
  }
  if (!/^[0-9]+$/.test(resourceVersion)) {
    return Result.fail(Status.unexplainedError(notANumber(resourceVersion)))
  }
  return resourceVersion === current.metadata.resourceVersion
    ? Result.void
    : Result.fail(Status.conflict(type, name))
}

/** What Go says of a resourceVersion that is no number. */
export const notANumber = (text: string): string => `strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`

const wrongUid = ({ name, namespace, type }: Target, sent: string, current: string): string =>
  `StorageError: invalid object, Code: 4, Key: /registry/${
    [type.resource, namespace, name].filter(Boolean).join("/")
  }, ` +
  `ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: ${sent}, ` +
  `UID in object meta: ${current}`

// A real server cuts the base so that the whole stays within 63 characters.
const generatedName = (generateName: string | undefined, stamp: Stamp): string | undefined =>
  generateName === undefined ? undefined : `${generateName.slice(0, 58)}${stamp.nameSuffix}`

// --- the two kinds that mean something to the server itself

const decorate = (type: ResourceType, object: KubeObject): KubeObject => {
  if (isNamespace(type)) {
    const labels = { ...object.metadata.labels, "kubernetes.io/metadata.name": object.metadata.name }
    return {
      spec: { finalizers: ["kubernetes"] },
      status: { phase: "Active" },
      ...object,
      metadata: { ...object.metadata, labels }
    }
  }
  const [defined] = typesDefinedBy(type, object)
  return defined === undefined ? object : {
    ...object,
    status: {
      acceptedNames: { kind: defined.kind, plural: defined.resource, singular: singularOf(defined) },
      conditions: ["NamesAccepted", "Established"].map((type) => ({
        type,
        status: "True",
        reason: type === "Established" ? "InitialNamesAccepted" : "NoConflicts",
        lastTransitionTime: object.metadata.creationTimestamp
      })),
      storedVersions: [defined.version]
    }
  }
}

const singularOf = (type: ResourceType): string => type.singular ?? type.kind.toLowerCase()

const DefinitionSpec = Schema.Struct({
  group: Schema.String,
  scope: Schema.Literals(["Namespaced", "Cluster"]),
  names: Schema.Struct({
    kind: Schema.String,
    plural: Schema.String,
    singular: Schema.optionalKey(Schema.String),
    shortNames: Schema.optionalKey(Schema.Array(Schema.String))
  }),
  versions: Schema.NonEmptyArray(Schema.Struct({ name: Schema.String, served: Schema.Boolean }))
})

const decodeDefinition = Schema.decodeUnknownResult(DefinitionSpec)

const typesDefinedBy = (type: ResourceType, object: KubeObject): ReadonlyArray<ResourceType> =>
  !isDefinition(type) ? [] : Result.match(decodeDefinition(object["spec"]), {
    onFailure: () => [],
    onSuccess: ({ group, names, scope, versions }) =>
      versions.filter((version) => version.served).map((version) => ({
        group,
        version: version.name,
        resource: names.plural,
        kind: names.kind,
        namespaced: scope === "Namespaced",
        singular: names.singular,
        shortNames: names.shortNames
      }))
  })

const definitionProblems = (type: ResourceType, object: KubeObject): ReadonlyArray<StatusCause> =>
  !isDefinition(type) ? [] : Result.match(decodeDefinition(object["spec"]), {
    onFailure: (error) => [{ reason: "FieldValueInvalid", message: error.message, field: "spec" }],
    onSuccess: ({ group, names }) =>
      object.metadata.name === `${names.plural}.${group}` ? [] : [
        Validation.invalidValue("metadata.name", object.metadata.name, `must be spec.names.plural+"."+spec.group`)
      ]
  })
