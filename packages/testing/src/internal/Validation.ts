/** What an API server demands of names, labels and annotations, in its own words. Pure. */
import { Predicate } from "effect"
import type { KubeObject, ObjectMeta } from "../KubeObject.ts"
import type { ResourceType } from "../ResourceType.ts"
import type { StatusCause } from "../Status.ts"

export const maxAnnotationBytes = 262_144

/** The problems of an object's metadata, whether it is to be created or updated. */
export const validateMetadata = (type: ResourceType, metadata: ObjectMeta): ReadonlyArray<StatusCause> => [
  ...nameProblems(type, metadata.name).map((problem) => invalidValue("metadata.name", metadata.name, problem)),
  ...labelProblems(metadata.labels ?? {}),
  ...annotationProblems(metadata.annotations ?? {})
]

/** The problems of replacing one object's metadata by another's. */
export const validateUpdate = (from: KubeObject, to: Partial<ObjectMeta>): ReadonlyArray<StatusCause> => [
  ...(["uid", "deletionTimestamp"] as const).flatMap((field) =>
    to[field] === undefined || to[field] === from.metadata[field]
      ? []
      : [invalidValue(`metadata.${field}`, to[field], "field is immutable")]
  ),
  ...newFinalizerProblems(from.metadata, to.finalizers ?? [])
]

export const nameRequired: StatusCause = {
  reason: "FieldValueRequired",
  message: "Required value: name or generateName is required",
  field: "metadata.name"
}

export const resourceVersionRequired: StatusCause = {
  reason: "FieldValueInvalid",
  message: "Invalid value: 0: must be specified for an update",
  field: "metadata.resourceVersion"
}

export const invalidValue = (field: string, value: string, problem: string): StatusCause => ({
  reason: "FieldValueInvalid",
  message: `Invalid value: ${JSON.stringify(value)}: ${problem}`,
  field
})

const subdomain = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
const label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
const qualifiedNamePart = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
const labelValue = `(${qualifiedNamePart})?`

const whole = (pattern: string) => new RegExp(`^${pattern}$`)

const subdomainForm =
  `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and ` +
  `end with an alphanumeric character (e.g. 'example.com', regex used for validation is '${subdomain}')`
const labelForm =
  `a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with ` +
  `an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '${label}')`
const qualifiedNameForm =
  `must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character ` +
  `(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '${qualifiedNamePart}')`
const labelValueForm =
  `a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and ` +
  `end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is ` +
  `'${labelValue}')`

const bytesOf = (text: string): number => new TextEncoder().encode(text).length

const problemsOf = (
  text: string,
  maxBytes: number,
  pattern: string,
  form: string,
  unit = "bytes"
): ReadonlyArray<string> => [
  ...(bytesOf(text) > maxBytes ? [`must be no more than ${maxBytes} ${unit}`] : []),
  ...(whole(pattern).test(text) ? [] : [form])
]

const subdomainProblems = (text: string) => problemsOf(text, 253, subdomain, subdomainForm)

const nameProblems = (type: ResourceType, name: string): ReadonlyArray<string> => {
  switch (type.names ?? "subdomain") {
    case "subdomain":
      return problemsOf(name, 253, subdomain, subdomainForm, "characters")
    case "label":
      return problemsOf(
        name,
        63,
        label,
        whole(subdomain).test(name) ? "must not contain dots" : labelForm,
        "characters"
      )
    case "pathSegment":
      return [
        ...(name === "." || name === ".." ? [`may not be '${name}'`] : []),
        ...["/", "%"].filter((character) => name.includes(character)).map((character) =>
          `may not contain '${character}'`
        )
      ]
  }
}

const qualifiedNameProblems = (key: string): ReadonlyArray<string> => {
  const parts = key.split("/")
  if (parts.length > 2) {
    return [
      `a valid label key ${qualifiedNameForm} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`
    ]
  }
  const [prefix, name] = parts.length === 2 ? [parts[0]!, parts[1]!] : [undefined, key]
  return [
    ...(prefix === undefined
      ? []
      : prefix === ""
      ? ["prefix part must be non-empty"]
      : subdomainProblems(prefix).map((problem) => `prefix part ${problem}`)),
    ...(name === "" ? ["name part must be non-empty"] : []),
    ...problemsOf(name, 63, qualifiedNamePart, qualifiedNameForm).map((problem) => `name part ${problem}`)
  ]
}

const labelProblems = (labels: Readonly<Record<string, string>>): ReadonlyArray<StatusCause> =>
  Object.entries(labels).flatMap(([key, value]) => [
    ...qualifiedNameProblems(key).map((problem) => invalidValue("metadata.labels", key, problem)),
    ...problemsOf(value, 63, labelValue, labelValueForm).map((problem) =>
      invalidValue("metadata.labels", value, problem)
    )
  ])

const annotationProblems = (annotations: Readonly<Record<string, string>>): ReadonlyArray<StatusCause> => {
  const entries = Object.entries(annotations)
  const totalBytes = entries.reduce((bytes, [key, value]) => bytes + bytesOf(key) + bytesOf(value), 0)
  return [
    // Unlike a label's, an annotation's key may have a prefix in upper case.
    ...entries.flatMap(([key]) =>
      qualifiedNameProblems(key.toLowerCase()).map((problem) => invalidValue("metadata.annotations", key, problem))
    ),
    ...(totalBytes > maxAnnotationBytes
      ? [{
        reason: "FieldValueTooLong",
        message: `Too long: may not be more than ${maxAnnotationBytes} bytes`,
        field: "metadata.annotations"
      }]
      : [])
  ]
}

const newFinalizerProblems = (from: ObjectMeta, finalizers: ReadonlyArray<string>): ReadonlyArray<StatusCause> => {
  const added = finalizers.filter((finalizer) => from.finalizers?.includes(finalizer) !== true)
  return Predicate.isUndefined(from.deletionTimestamp) || added.length === 0 ? [] : [{
    reason: "FieldValueForbidden",
    message:
      "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{" +
      added.map((finalizer) => JSON.stringify(finalizer)).join(", ") + "}",
    field: "metadata.finalizers"
  }]
}
