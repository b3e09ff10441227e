/** Field and label selectors, as LIST and WATCH take them. Pure. */
import { Predicate, Result } from "effect"
import type { KubeObject } from "../KubeObject.ts"
import type { ResourceType } from "../ResourceType.ts"
import * as Status from "../Status.ts"

export type Selector = (object: KubeObject) => boolean

export const parse = (
  type: ResourceType,
  options: { readonly fields: string | undefined; readonly labels: string | undefined }
): Result.Result<Selector, Status.Status> =>
  Result.gen(function*() {
    const fields = yield* Result.all(
      termsOf(options.fields).map((term) => parseFieldTerm(type, term))
    )
    const labels = yield* Result.all(termsOf(options.labels).map(parseLabelTerm))
    const terms = [...fields, ...labels]
    return (object) => terms.every((term) => term(object))
  })

// A comma inside of parentheses belongs to a set of label values.
const termsOf = (text: string | undefined): ReadonlyArray<string> =>
  text === undefined || text.trim() === "" ? [] : text.split(/,(?![^(]*\))/).map((term) => term.trim())

const parseFieldTerm = (type: ResourceType, term: string): Result.Result<Selector, Status.Status> => {
  const [, field, operator, value] = /^([^=!]+)(==|=|!=)(.*)$/.exec(term) ?? []
  if (field === undefined) {
    return Result.fail(Status.badRequest(`invalid selector: '${term}'; can't understand '${term}'`))
  }
  const own = type.namespaced ? ["metadata.name", "metadata.namespace"] : ["metadata.name"]
  if (!own.includes(field) && type.selectableFields?.includes(field) !== true) {
    return Result.fail(Status.badRequest(
      type.builtIn === true && type.namespaced
        ? `"${field}" is not a known field selector: only "metadata.name", "metadata.namespace"`
        : `field label not supported: ${field}`
    ))
  }
  return Result.succeed((object) => (valueAt(object, field.split(".")) === value) === (operator !== "!="))
}

const valueAt = (value: unknown, path: ReadonlyArray<string>): unknown =>
  path.reduce(
    (value: unknown, key) => Predicate.isObject(value) && Object.hasOwn(value, key) ? value[key] : "",
    value
  )

const labelKey = "[^\\s=!,()]+"
const labelTerm = new RegExp(
  `^(?:(?<absent>!)\\s*(?<absentKey>${labelKey})|(?<key>${labelKey})(?:\\s*(?<operator>==|=|!=)\\s*(?<value>[^\\s=!,()]*)` +
    `|\\s+(?<set>in|notin)\\s*\\((?<values>[^()]*)\\))?)$`
)

const parseLabelTerm = (term: string): Result.Result<Selector, Status.Status> => {
  const groups = labelTerm.exec(term)?.groups
  if (groups === undefined) {
    return Result.fail(Status.badRequest(`unable to parse requirement: '${term}'`))
  }
  const { absentKey, key = "", operator, set, value, values = "" } = groups
  const valueOf = (object: KubeObject, key: string): string | undefined => {
    const labels = object.metadata.labels ?? {}
    return Object.hasOwn(labels, key) ? labels[key] : undefined
  }
  if (absentKey !== undefined) {
    return Result.succeed((object) => valueOf(object, absentKey) === undefined)
  }
  if (operator === undefined && set === undefined) {
    return Result.succeed((object) => valueOf(object, key) !== undefined)
  }
  const wanted = set === undefined ? [value] : values.split(",").map((one) => one.trim())
  const isWanted = operator !== "!=" && set !== "notin"
  return Result.succeed((object) => wanted.includes(valueOf(object, key)) === isWanted)
}
