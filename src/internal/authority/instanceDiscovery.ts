/** Instance discovery: the question whether a host belongs to a cloud, and what the answer means. */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Authority from "../../Authority.ts"
import type { InvalidAuthorityError } from "../../EntraError.ts"
import { type IdentityRequest, type IdentityResponse, standardHeaders } from "../http/fields.ts"
import { invalidAuthority } from "../shared/errors.ts"
import { quote } from "../shared/text.ts"

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
    headers: { ...standardHeaders, "client-request-id": correlationId },
    correlationId
  }
}

/** The host that is asked. */
export const parseDiscoveryHost = (input: unknown): Result.Result<string, InvalidAuthorityError> =>
  typeof input === "string" && isHost(input.toLowerCase())
    ? Result.succeed(input.toLowerCase())
    : Result.fail(invalidAuthority(
      "host_malformed",
      "discoveryHost",
      "discoveryHost is no host",
      "Pass a host name alone, such as login.microsoftonline.com, with its port if it is not 443."
    ))

/** Anything but a clear word leaves the host as it is. */
export const readVerdict = (authority: Authority.Authority, answer: IdentityResponse): Verdict => {
  const { status } = answer
  if (status === 408 || status === 429 || status >= 500) return unknown
  const body = decode(answer.body)
  if (Result.isFailure(body)) return unknown
  if (body.success.error === "invalid_instance") return { _tag: "Invalid" }
  const entry = body.success.metadata?.find(({ aliases }) => aliases.includes(authority.host))
  // The configured host is trusted with the credential, so its word on where its cloud prefers requests is taken.
  return entry !== undefined && entry.aliases.includes(entry.preferred_network) && isHost(entry.preferred_network)
    ? { _tag: "Valid", host: entry.preferred_network }
    : unknown
}

// -----------------------------------------------------------------------------
// metadata of the user's own
// -----------------------------------------------------------------------------

/** What discovery would answer, as far as it is used. */
export interface InstanceMetadata {
  readonly metadata: ReadonlyArray<{
    readonly preferred_network: string
    readonly preferred_cache?: string | undefined
    readonly aliases: ReadonlyArray<string>
  }>
}

/** The host that requests go to, by each host that means it. */
export type Instances = ReadonlyMap<string, string>

export const parseMetadata = (
  input: string | InstanceMetadata,
  field = "instanceMetadata"
): Result.Result<Instances, InvalidAuthorityError> => {
  const decoded = typeof input === "string" ? decodeMetadataText(input) : decodeMetadata(input)
  if (Result.isFailure(decoded)) {
    return Result.fail(metadataProblem(field, "is not of the shape { metadata: [{ preferred_network, aliases }] }"))
  }
  const instances = new Map<string, string>()
  for (const { aliases, preferred_network: network } of decoded.success.metadata) {
    for (const host of [network, ...aliases]) {
      if (!isHost(host.toLowerCase())) {
        return Result.fail(metadataProblem(field, `has ${quote(host)}, which is no host`))
      }
      const known = instances.get(host.toLowerCase())
      if (known !== undefined && known !== network.toLowerCase()) {
        return Result.fail(metadataProblem(field, `has the host ${quote(host)} twice, for different networks`))
      }
      instances.set(host.toLowerCase(), network.toLowerCase())
    }
  }
  return instances.size === 0 ? Result.fail(metadataProblem(field, "names no host")) : Result.succeed(instances)
}

const metadataProblem = (field: string, what: string): InvalidAuthorityError =>
  invalidAuthority(
    "metadata_malformed",
    field,
    `${field} ${what}`,
    "Pass what instance discovery of that cloud answers, as text or parsed, or leave it out."
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const isHost = (text: string): boolean =>
  URL.canParse(`https://${text}`) && new URL(`https://${text}`).host === text && text !== ""

const InstanceResponse = Schema.Struct({
  error: Schema.optionalKey(Schema.String),
  metadata: Schema.optionalKey(Schema.Array(Schema.Struct({
    preferred_network: Schema.String,
    aliases: Schema.Array(Schema.String)
  })))
})

const Metadata = Schema.Struct({
  metadata: Schema.Array(Schema.Struct({
    preferred_network: Schema.String,
    preferred_cache: Schema.optional(Schema.String),
    aliases: Schema.Array(Schema.String)
  }))
})

const decodeMetadata = Schema.decodeUnknownResult(Metadata)
const decodeMetadataText = Schema.decodeUnknownResult(Schema.fromJsonString(Metadata))

const decode = Schema.decodeUnknownResult(Schema.fromJsonString(InstanceResponse))
