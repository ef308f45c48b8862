/** Instance discovery: the question whether a host belongs to a cloud, and what the answer means. */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Authority from "../Authority.ts"
import type { Answer, IdentityRequest } from "./exchange.ts"
import { requestHeaders } from "./form.ts"

/** `host` is where requests go. */
export type Verdict =
  | { readonly _tag: "Valid"; readonly host: string }
  | { readonly _tag: "Invalid" }
  | { readonly _tag: "Unknown" }

export const unknown: Verdict = { _tag: "Unknown" }

export const question = (
  authority: Authority.Authority,
  discoveryHost: string,
  correlationId: string
): IdentityRequest => {
  const authorize = `https://${authority.host}/${authority.tenant ?? "common"}/oauth2/v2.0/authorize`
  const query = new URLSearchParams({ "api-version": "1.1", authorization_endpoint: authorize })
  return {
    method: "GET",
    url: `https://${discoveryHost}/common/discovery/instance?${query}`,
    headers: requestHeaders(correlationId),
    correlationId
  }
}

/** Anything but a clear word leaves the host as it is. */
export const readVerdict = (authority: Authority.Authority, answer: Answer): Verdict => {
  const body = decode(answer.body)
  if (Result.isFailure(body)) return unknown
  if (body.success.error === "invalid_instance") return { _tag: "Invalid" }
  const entry = body.success.metadata?.find(({ aliases }) => aliases.includes(authority.host))
  // The configured host is trusted with the credential, so its word on where its cloud prefers requests is taken.
  return entry !== undefined && entry.aliases.includes(entry.preferred_network) && isHost(entry.preferred_network)
    ? { _tag: "Valid", host: entry.preferred_network }
    : unknown
}

const isHost = (text: string): boolean =>
  URL.canParse(`https://${text}`) && new URL(`https://${text}`).host === text && text !== ""

const InstanceResponse = Schema.Struct({
  error: Schema.optionalKey(Schema.String),
  metadata: Schema.optionalKey(Schema.Array(Schema.Struct({
    preferred_network: Schema.String,
    aliases: Schema.Array(Schema.String)
  })))
})

const decode = Schema.decodeUnknownResult(Schema.fromJsonString(InstanceResponse))
