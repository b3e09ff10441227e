/** What a write's query asks for. Pure. */
import { Result } from "effect"
import type { StatusCause } from "../Status.ts"
import * as Status from "../Status.ts"

export interface WriteOptions {
  readonly isDryRun: boolean
}

export const read = (query: URLSearchParams, verb: string): Result.Result<WriteOptions, Status.Status> => {
  const dryRun = query.getAll("dryRun")
  const causes = [
    ...dryRunProblems(dryRun),
    ...(verb === "patch" && query.has("force") ? [force] : []),
    ...(verb === "delete" ? [] : [
      ...fieldManagerProblems(query.get("fieldManager") ?? ""),
      ...fieldValidationProblems(query.get("fieldValidation") ?? "")
    ])
  ]
  const kind = `${verb.charAt(0).toUpperCase()}${verb.slice(1)}Options`
  return causes.length === 0
    ? Result.succeed({ isDryRun: dryRun.length > 0 })
    : Result.fail(Status.invalid({ group: "meta.k8s.io", kind }, "", causes))
}

const maxFieldManagerBytes = 128

const dryRunProblems = (values: ReadonlyArray<string>): ReadonlyArray<StatusCause> =>
  values.every((value) => value === "All") ? [] : [{
    reason: "FieldValueNotSupported",
    message: `Unsupported value: ${JSON.stringify(values)}: supported values: "All"`,
    field: "dryRun"
  }]

// Server-Side Apply, which alone knows it, is not served.
const force: StatusCause = {
  reason: "FieldValueForbidden",
  message: "Forbidden: may not be specified for non-apply patch",
  field: "force"
}

const fieldManagerProblems = (fieldManager: string): ReadonlyArray<StatusCause> => {
  if (Buffer.byteLength(fieldManager) > maxFieldManagerBytes) {
    return [{
      reason: "FieldValueTooLong",
      message: `Too long: may not be more than ${maxFieldManagerBytes} bytes`,
      field: "fieldManager"
    }]
  }
  const unprintable = /[\p{C}\p{Z}]/u.exec(fieldManager.replaceAll(" ", "_"))
  if (unprintable === null) return []
  const code = unprintable[0].codePointAt(0) ?? 0
  const position = Buffer.byteLength(fieldManager.slice(0, unprintable.index))
  return [{
    reason: "FieldValueInvalid",
    message: `Invalid value: ${goQuote(fieldManager)}: invalid character U+${
      code.toString(16).toUpperCase().padStart(4, "0")
    } (at position ${position})`,
    field: "fieldManager"
  }]
}

const goQuote = (text: string): string => JSON.stringify(text).replace(/\\u00(?=[0-9a-f]{2})/g, "\\x")

const fieldValidations = ["", "Ignore", "Strict", "Warn"]

const fieldValidationProblems = (fieldValidation: string): ReadonlyArray<StatusCause> =>
  fieldValidations.includes(fieldValidation) ? [] : [{
    reason: "FieldValueNotSupported",
    message: `Unsupported value: ${JSON.stringify(fieldValidation)}: supported values: ${
      fieldValidations.map((value) => JSON.stringify(value)).join(", ")
    }`,
    field: "fieldValidation"
  }]

/** What is wrong with the `timeout` of a query, if anything. That it passes is not heeded. */
export const timeoutProblem = (query: URLSearchParams): Status.Status | undefined => {
  const timeout = query.get("timeout") ?? ""
  if (timeout === "" || goDuration.test(timeout)) return undefined
  const problem = /^[-+]?[\d.]+$/.test(timeout) ? "missing unit in" : "invalid"
  return Status.badRequest(
    `invalid timeout specified in the request URL - time: ${problem} duration ${JSON.stringify(timeout)}`
  )
}

const goDuration = /^[-+]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)$/
