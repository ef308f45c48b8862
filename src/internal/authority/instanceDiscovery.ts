/** Instance discovery: the request that asks whether a host belongs to a cloud, and the meaning of its response. */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type * as Authority from "../../Authority.ts"
import type { InvalidAuthorityError } from "../../EntraError.ts"
import { type IdentityRequest, type IdentityResponse, standardHeaders } from "../http/fields.ts"
import { invalidAuthority, isOutageStatus } from "../shared/errors.ts"
import { quote } from "../shared/text.ts"
import { isText, membersOf, textsOf } from "../shared/validate.ts"

/** The result of instance discovery. `host` is the host that requests are sent to. */
export type Verdict =
  | { readonly _tag: "Valid"; readonly host: string }
  | { readonly _tag: "Invalid" }
  | { readonly _tag: "Unknown" }

export const unknownVerdict: Verdict = { _tag: "Unknown" }

/** Returns the request that asks `discoveryHost` about the authority's host. */
export const discoveryRequest = (
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

/** Returns the host from which instance discovery is requested. */
export const parseDiscoveryHost = (input: unknown): Result.Result<string, InvalidAuthorityError> =>
  typeof input === "string" && isHost(input.toLowerCase())
    ? Result.succeed(input.toLowerCase())
    : Result.fail(invalidAuthority(
      "host_malformed",
      "discoveryHost",
      "discoveryHost is not a host name",
      "Pass only a host name, such as login.microsoftonline.com, with its port if that is not 443."
    ))

/** Returns the verdict of a response. A response that neither confirms nor rejects the host means `Unknown`. */
export const readVerdict = (authority: Authority.Authority, response: IdentityResponse): Verdict => {
  const { status } = response
  if (status === 429 || isOutageStatus(status)) return unknownVerdict
  const members = membersOf(response.body)
  const metadata = members?.["metadata"] === undefined ? [] : instancesOf(members["metadata"])
  const error = members?.["error"]
  if (members === undefined || metadata === undefined || (error !== undefined && !isText(error))) return unknownVerdict
  if (error === "invalid_instance") return { _tag: "Invalid" }
  const entry = metadata.find(({ aliases }) => aliases.includes(authority.host))
  // The configured host receives the credential anyway, so its preferred network for its own cloud is trusted.
  return entry !== undefined && entry.aliases.includes(entry.preferred_network) && isHost(entry.preferred_network)
    ? { _tag: "Valid", host: entry.preferred_network }
    : unknownVerdict
}

// -----------------------------------------------------------------------------
// metadata from options
// -----------------------------------------------------------------------------

/** The members of an instance discovery response that are used. */
export interface InstanceMetadata {
  readonly metadata: ReadonlyArray<{
    readonly preferred_network: string
    readonly preferred_cache?: string | undefined
    readonly aliases: ReadonlyArray<string>
  }>
}

/** The host that requests are sent to, by host name or alias. */
export type Instances = ReadonlyMap<string, string>

/** Returns the instances of metadata that the user supplies, as text or parsed. */
export const parseMetadata = (
  input: string | InstanceMetadata,
  field = "instanceMetadata"
): Result.Result<Instances, InvalidAuthorityError> => {
  const members: unknown = typeof input === "string" ? membersOf(input) : input
  const metadata = Predicate.hasProperty(members, "metadata") ? instancesOf(members.metadata) : undefined
  if (metadata === undefined) {
    return Result.fail(metadataProblem(field, "is not of the shape { metadata: [{ preferred_network, aliases }] }"))
  }
  const instances = new Map<string, string>()
  for (const { aliases, preferred_network: network } of metadata) {
    for (const host of [network, ...aliases]) {
      if (!isHost(host.toLowerCase())) {
        return Result.fail(metadataProblem(field, `has ${quote(host)}, which is not a host name`))
      }
      const known = instances.get(host.toLowerCase())
      if (known !== undefined && known !== network.toLowerCase()) {
        return Result.fail(metadataProblem(field, `has the host ${quote(host)} twice, with different networks`))
      }
      instances.set(host.toLowerCase(), network.toLowerCase())
    }
  }
  return instances.size === 0 ? Result.fail(metadataProblem(field, "has no host")) : Result.succeed(instances)
}

const metadataProblem = (field: string, what: string): InvalidAuthorityError =>
  invalidAuthority(
    "metadata_malformed",
    field,
    `${field} ${what}`,
    `Pass the response of that cloud's instance discovery as text or parsed JSON, or leave ${field} out.`
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const isHost = (text: string): boolean =>
  URL.canParse(`https://${text}`) && new URL(`https://${text}`).host === text && text !== ""

type Instance = InstanceMetadata["metadata"][number]

/** Returns the instances of a response, or undefined when its members have other types. */
const instancesOf = (metadata: unknown): ReadonlyArray<Instance> | undefined => {
  if (!Array.isArray(metadata)) return undefined
  const instances: Array<Instance> = []
  for (const item of metadata) {
    const instance = instanceOf(item)
    if (instance === undefined) return undefined
    instances.push(instance)
  }
  return instances
}

const instanceOf = (item: unknown): Instance | undefined => {
  if (!Predicate.hasProperty(item, "preferred_network") || !isText(item.preferred_network)) return undefined
  if (Predicate.hasProperty(item, "preferred_cache") && !isOptionalText(item.preferred_cache)) return undefined
  const aliases = Predicate.hasProperty(item, "aliases") ? textsOf(item.aliases) : undefined
  return aliases === undefined ? undefined : { preferred_network: item.preferred_network, aliases }
}

const isOptionalText = (value: unknown): boolean => value === undefined || isText(value)
