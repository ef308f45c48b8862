/** Reads the discovery document of the authority, which shows whether the host is Entra ID and has the tenant. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Authority from "../../../Authority.ts"
import * as AuthorityResolver from "../../../AuthorityResolver.ts"
import { openIdDocumentUrl } from "../../../internal/authority/openIdConfiguration.ts"
import { meaningOf } from "../../../internal/endpoint/aadsts.ts"
import type { IdentityResponse } from "../../../internal/http/fields.ts"
import type { Transport } from "../../../internal/http/identityHttp.ts"
import { parseRetryAfter } from "../../../internal/http/retryAfter.ts"
import { isOutageStatus } from "../../../internal/shared/errors.ts"
import { fail, failure, type Finding, ok, waitOf, withoutIds } from "./finding.ts"

/** Returns the address of the document. */
export const documentUrl = (authority: Authority.Authority): string => {
  if (authority.kind === "Oidc") return openIdDocumentUrl(authority)
  const base = Authority.format({ ...authority, host: Authority.networkHost(authority) })
  return `${base}${authority.kind === "Adfs" ? "" : "/v2.0"}/.well-known/openid-configuration`
}

/** Reads the document, and resolves the endpoints as a client does. */
export const discoveryFinding = (
  authority: Authority.Authority,
  response: IdentityResponse,
  /** The time of the response in milliseconds. */
  now: number
): Effect.Effect<Finding, never, Transport> => {
  const read = readDocument(authority, response, now)
  return read.status === "fail" ?
    Effect.succeed(read) :
    AuthorityResolver.AuthorityResolver.use(({ resolve }) => resolve(authority, { channel: "standard" })).pipe(
      Effect.as(read),
      Effect.catch((error) => Effect.succeed(failure("discovery", error))),
      Effect.timeoutOrElse({
        duration: limit,
        orElse: () =>
          Effect.succeed(
            fail("discovery", `Instance discovery took longer than ${limit / 1000} s`, "Try again later.")
          )
      }),
      Effect.provide(AuthorityResolver.layer)
    )
}

const limit = 5000

const Document = Schema.fromJsonString(Schema.Struct({ issuer: Schema.String, token_endpoint: Schema.String }))

const Refusal = Schema.fromJsonString(Schema.Struct({
  error: Schema.String,
  error_description: Schema.optionalKey(Schema.String),
  error_codes: Schema.optionalKey(Schema.Array(Schema.Int))
}))

/** Returns the finding of a response to the request for the document. */
export const readDocument = (
  { host, kind }: Authority.Authority,
  { body, headers, status }: IdentityResponse,
  now: number
): Finding => {
  if (status === 429 || isOutageStatus(status)) {
    return fail(
      "discovery",
      `${host} responded with status ${status}`,
      `Try again later. The service is overloaded or down.${
        waitOf(parseRetryAfter(headers["retry-after"], now, headers["date"]))
      }`
    )
  }
  const document = status === 200 ? Schema.decodeUnknownOption(Document)(body) : Option.none()
  if (Option.isSome(document)) {
    return ok("discovery", `Issuer ${document.value.issuer} and token endpoint ${document.value.token_endpoint}`)
  }
  const refusal = Schema.decodeUnknownOption(Refusal)(body)
  if (Option.isSome(refusal)) {
    const { error, error_codes = [], error_description = error } = refusal.value
    const { code, remedy } = meaningOf(error, error_codes, kind === "Oidc")
    return fail("discovery", withoutIds(error_description), remedy, {
      code,
      ...(error_codes.length === 0 ? {} : { aadsts: error_codes })
    })
  }
  return fail(
    "discovery",
    status >= 300 && status < 400
      ? `${host} redirects the request for its discovery document`
      : `${host} responded with status ${status}, but not with a discovery document`,
    "Check the host (AZURE_AUTHORITY_HOST). It does not respond like Entra ID, or a proxy or a portal responds in its place."
  )
}
