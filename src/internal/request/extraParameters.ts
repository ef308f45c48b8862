/**
 * The extra parameters of a request in the query or the body, and its cache partition. They are parsed and merged here, and
 * encoded for the cache key and for the keys of shared requests and gates.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { InvalidRequestError } from "../../EntraError.ts"
import type { ExtraParameters, TokenRequest } from "../../TokenRequest.ts"
import { encode } from "../cache/cacheKey.ts"
import { claimsWith } from "../endpoint/claimsParameter.ts"
import { type Fields, noFields } from "../http/fields.ts"
import { invalidRequest } from "../shared/errors.ts"
import * as RecentMap from "../shared/recentMap.ts"
import { quote } from "../shared/text.ts"
import { isRedactedText, isText } from "../shared/validate.ts"

export interface Extras {
  readonly query: Fields
  readonly form: Fields
  /** The capabilities of the client and of the request. */
  readonly capabilities: ReadonlyArray<string>
  /** The `claims` parameter of a request without claims. */
  readonly claims: string
  /** The encoded parts that belong to the cache key. */
  readonly partition: string
  /** All parameters, encoded for the keys of shared requests and gates. */
  readonly sent: string
}

export type ExtraOptions = Pick<
  TokenRequest,
  "extraQueryParameters" | "extraBodyParameters" | "cachePartition" | "clientCapabilities"
>

/**
 * The extras that a client adds to each request. `capabilities` are sent as claims, and the issued tokens depend on
 * them.
 */
export interface ClientExtras {
  readonly query: ReadonlyMap<string, Parameter>
  readonly capabilities: ReadonlyArray<string>
  readonly aliasOf: AliasOf
  /** Aliases of secrets in `sent`, which may change with every request and must not push out those of the key. */
  readonly sentAliasOf: AliasOf
  /** The extras of a request without its own parameters or partition. */
  readonly own: Extras
  /** {@link sentWith} of a request that has neither parameters nor claims of its own. */
  readonly ownSent: string
}

/** Returns the extras that a client's options add to each request. */
export const clientExtrasOf = (options: {
  readonly extraQueryParameters?: ExtraParameters | undefined
  readonly clientCapabilities?: ReadonlyArray<string> | undefined
}): Result.Result<ClientExtras, InvalidRequestError> =>
  Result.gen(function*() {
    const query = yield* parametersOf(options.extraQueryParameters, "extraQueryParameters")
    const capabilities = yield* capabilitiesOf(options.clientCapabilities)
    const client = { query, capabilities, aliasOf: makeAliases(), sentAliasOf: makeAliases() }
    const own = encodedExtras({ ...client, body: new Map() })
    return { ...client, own, ownSent: sentWith(own, undefined, undefined) }
  })

/** Returns the extras of a request. Its parameters override the client's parameters of the same name. */
export const extrasOf = (
  request: ExtraOptions,
  client: ClientExtras
): Result.Result<Extras, InvalidRequestError> => {
  const { cachePartition, clientCapabilities, extraBodyParameters, extraQueryParameters } = request
  return Result.gen(function*() {
    const query = yield* parametersOf(extraQueryParameters, "extraQueryParameters")
    const body = yield* parametersOf(extraBodyParameters, "extraBodyParameters")
    if (cachePartition !== undefined && (typeof cachePartition !== "string" || cachePartition === "")) {
      return yield* Result.fail(
        malformed("cachePartition", "cachePartition is not a non-empty string", partitionRemedy)
      )
    }
    const capabilities = yield* capabilitiesOf(clientCapabilities)
    return encodedExtras({
      ...client,
      query: new Map([...client.query, ...query]),
      capabilities: [...new Set([...client.capabilities, ...capabilities])],
      body,
      partition: cachePartition
    })
  })
}

/** Returns the text of everything that a request sends besides what its cache key says. */
export const sentWith = (
  extras: Extras,
  claims: string | undefined,
  sendCertificateChain: boolean | undefined
): string => encode([claims ?? "", extras.sent, String(sendCertificateChain)])

// -----------------------------------------------------------------------------
// reading
// -----------------------------------------------------------------------------

interface Parameter {
  readonly value: string | Redacted.Redacted<string>
  readonly inCacheKey: boolean
}

type Parameters = ReadonlyMap<string, Parameter>

type Field = "extraQueryParameters" | "extraBodyParameters"

/** The parameters that the library sets. */
const reserved: { readonly [F in Field]: ReadonlySet<string> } = {
  extraBodyParameters: new Set([
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "grant_type",
    "scope",
    "claims"
  ]),
  extraQueryParameters: new Set()
}

const parametersOf = (
  input: ExtraParameters | undefined,
  field: Field
): Result.Result<Parameters, InvalidRequestError> => {
  const parameters = new Map<string, Parameter>()
  if (input === undefined) return Result.succeed(parameters)
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    return Result.fail(malformed(field, `${field} is not an object of parameters`, parameterRemedy))
  }
  for (const [name, value] of Object.entries(input)) {
    if (value === undefined) continue
    if (name === "") return Result.fail(malformed(field, `${field} has a parameter without a name`, parameterRemedy))
    if (reserved[field].has(name.toLowerCase())) {
      return Result.fail(malformed(
        field,
        `${field} has the parameter ${quote(name)}, which the library sets`,
        "Remove the parameter. The fields of the request and the credential determine its value."
      ))
    }
    const parameter = parameterOf(value)
    if (parameter === undefined) {
      return Result.fail(
        malformed(field, `${field} has an invalid value for ${quote(name)}`, parameterRemedy)
      )
    }
    parameters.set(name, parameter)
  }
  return Result.succeed(parameters)
}

/** Returns the parameter of an unchecked value, or undefined if the value is invalid. */
const parameterOf = (input: unknown): Parameter | undefined => {
  if (isParameterValue(input)) return { value: input, inCacheKey: true }
  if (typeof input !== "object" || input === null || !("value" in input) || !("inCacheKey" in input)) return undefined
  const { inCacheKey, value } = input
  return isParameterValue(value) && typeof inCacheKey === "boolean" ? { value, inCacheKey } : undefined
}

const isParameterValue = (value: unknown): value is string | Redacted.Redacted<string> =>
  isText(value) || isRedactedText(value)

const capabilitiesOf = (
  input: ReadonlyArray<string> | undefined
): Result.Result<ReadonlyArray<string>, InvalidRequestError> =>
  input === undefined || (Array.isArray(input) && input.every((one) => typeof one === "string" && /^\w+$/.test(one)))
    ? Result.succeed([...new Set(input)])
    : Result.fail(malformed(
      "clientCapabilities",
      "clientCapabilities is not an array of capabilities",
      `Pass the capabilities of the app, such as ["cp1"] for claims challenges, or leave clientCapabilities out.`
    ))

// -----------------------------------------------------------------------------
// encoding
// -----------------------------------------------------------------------------

const encodedExtras = ({ aliasOf, body, capabilities, partition, query, sentAliasOf }: {
  readonly query: Parameters
  readonly body: Parameters
  readonly capabilities: ReadonlyArray<string>
  readonly partition?: string | undefined
  readonly aliasOf: AliasOf
  readonly sentAliasOf: AliasOf
}): Extras => {
  const encodedParameters = (isIncluded: (parameter: Parameter) => boolean, aliasOf: AliasOf) => [
    ...encodeParameters("query", query, isIncluded, aliasOf),
    ...encodeParameters("body", body, isIncluded, aliasOf)
  ]
  return {
    query: fields(query),
    form: fields(body),
    capabilities,
    claims: claimsWith(capabilities, ""),
    partition: encode([
      ...encodedParameters(({ inCacheKey }) => inCacheKey, aliasOf),
      ...[...capabilities].sort().flatMap((one) => ["xms_cc", one]),
      ...(partition === undefined ? [] : ["partition", partition])
    ]),
    sent: encode(encodedParameters(() => true, sentAliasOf))
  }
}

const fields = (parameters: Parameters): Fields =>
  parameters.size === 0 ? noFields : Object.fromEntries([...parameters].map(([name, { value }]) => [name, value]))

/**
 * Encodes parameters in alphabetical order. Each has its kind, so that parameters of different kinds never encode the
 * same.
 */
const encodeParameters = (
  kind: string,
  parameters: Parameters,
  isIncluded: (parameter: Parameter) => boolean,
  aliasOf: AliasOf
): ReadonlyArray<string> =>
  [...parameters]
    .filter(([, parameter]) => isIncluded(parameter))
    .sort(([one], [another]) => one < another ? -1 : 1)
    .flatMap(([name, { value }]) =>
      isText(value) ? [kind, name, value] : [`${kind}, secret`, name, aliasOf(Redacted.value(value))]
    )

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

/** Returns an error without the value, which may be a secret. */
const malformed = (field: string, message: string, remedy: string): InvalidRequestError =>
  invalidRequest("field_malformed", field, message, remedy)

const parameterRemedy =
  "Pass an object whose values are strings, redacted strings, or { value, inCacheKey } with one of them."

const partitionRemedy = "Pass the name of a partition, or leave cachePartition out."

// -----------------------------------------------------------------------------
// aliases
// -----------------------------------------------------------------------------

/**
 * A function that returns the alias of a secret. Keys contain aliases, because a key may be logged and a secret may
 * not.
 */
export type AliasOf = (secret: string) => string

/** The number of aliases that are kept. A forgotten secret gets another alias, so that its token is acquired again. */
const keptAliases = 10_000

/** The counter of aliases. It is global, so that two secrets never have the same alias, even in different clients. */
let aliasCount = 0

/** Creates a function that returns an alias for each secret. */
export const makeAliases = (): AliasOf => {
  const names = RecentMap.make<string>(keptAliases)
  return (secret) => {
    const known = names.get(secret)
    if (known !== undefined) return known
    const name = `${++aliasCount}`
    names.set(secret, name)
    return name
  }
}
