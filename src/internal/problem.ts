/** What this process itself finds wrong with a request, an option or a variable. */
import { InvalidAuthorityError, InvalidRequestError } from "../EntraError.ts"

export const invalidRequest = (code: string, field: string, message: string, remedy: string): InvalidRequestError =>
  new InvalidRequestError({ code, field, origin: "local", message, remedy })

export const invalidAuthority = (code: string, field: string, message: string, remedy: string): InvalidAuthorityError =>
  new InvalidAuthorityError({ code, field, origin: "local", message, remedy })

export const notA = (wanted: string, field: string): InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    field,
    `${field} is not ${wanted}`,
    `Pass ${wanted} as ${field}, or leave it out if it is optional.`
  )
