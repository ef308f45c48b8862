/**
 * What a request carries beyond the standard: parameters of its own in the query or the body, and a partition of the cache.
 * Parsed and merged here, and encoded for the cache key and for the keys of flights and gates.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { InvalidRequestError } from "../../EntraError.ts"
import type { ExtraParameters, TokenRequest } from "../../TokenRequest.ts"
import { encode } from "../cache/cacheKey.ts"
import { type Fields, noFields } from "../http/fields.ts"
import { invalidRequest } from "../shared/errors.ts"
import { quote } from "../shared/text.ts"
import { isRedactedText, isText } from "../shared/validate.ts"

export interface Extras {
  readonly query: Fields
  readonly form: Fields
  /** Part of the cache key: what tokens are kept apart by. */
  readonly partition: string
  /** All of it, part of the keys of flights and gates. */
  readonly sent: string
}

export type ExtraOptions = Pick<TokenRequest, "extraQueryParameters" | "extraBodyParameters" | "cachePartition">

export const none: Extras = { query: noFields, form: noFields, partition: "", sent: "" }

/** What a client adds to each of its requests. `capabilities` are sent as claims, and the tokens have them. */
export interface ClientExtras {
  readonly query: ReadonlyMap<string, Parameter>
  readonly capabilities: ReadonlyArray<string>
  readonly aliasOf: AliasOf
  /** Of what is outside the key, which may change with every request. */
  readonly sentAliasOf: AliasOf
  /** Those of a request that has none of its own. */
  readonly own: Extras
  /** {@link sentWith} of a request that has neither parameters nor claims of its own. */
  readonly ownSent: string
}

export const clientExtrasOf = (options: {
  readonly extraQueryParameters?: ExtraParameters | undefined
  readonly clientCapabilities?: ReadonlyArray<string> | undefined
}): Result.Result<ClientExtras, InvalidRequestError> =>
  Result.gen(function*() {
    const query = yield* parametersOf(options.extraQueryParameters, "extraQueryParameters")
    const capabilities = yield* capabilitiesOf(options.clientCapabilities)
    const client = { query, capabilities, aliasOf: makeAliases(), sentAliasOf: makeAliases() }
    const own = extras({ ...client, body: new Map() })
    return { ...client, own, ownSent: sentWith(own, undefined, undefined) }
  })

/** A parameter of the request is taken before the client's of the same name. */
export const extrasOf = (
  request: ExtraOptions,
  client: ClientExtras
): Result.Result<Extras, InvalidRequestError> => {
  const { cachePartition, extraBodyParameters, extraQueryParameters } = request
  return Result.gen(function*() {
    const query = yield* parametersOf(extraQueryParameters, "extraQueryParameters")
    const body = yield* parametersOf(extraBodyParameters, "extraBodyParameters")
    if (cachePartition !== undefined && (typeof cachePartition !== "string" || cachePartition === "")) {
      return yield* Result.fail(malformed("cachePartition", "cachePartition is empty or no string", partitionRemedy))
    }
    return extras({ ...client, query: new Map([...client.query, ...query]), body, partition: cachePartition })
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

/** The library writes these itself. */
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
  for (const [name, given] of Object.entries(input)) {
    if (given === undefined) continue
    if (name === "") return Result.fail(malformed(field, `${field} has a parameter without a name`, parameterRemedy))
    if (reserved[field].has(name.toLowerCase())) {
      return Result.fail(malformed(
        field,
        `${field} names ${quote(name)}, which the library writes itself`,
        "Leave it out; a request's own fields and the credential decide on it."
      ))
    }
    const parameter = parameterOf(given)
    if (parameter === undefined) {
      return Result.fail(
        malformed(field, `${field} has a value of ${quote(name)} that is no parameter`, parameterRemedy)
      )
    }
    parameters.set(name, parameter)
  }
  return Result.succeed(parameters)
}

/** What TypeScript does not see comes from JavaScript and from JSON. */
const parameterOf = (given: unknown): Parameter | undefined => {
  if (isValue(given)) return { value: given, inCacheKey: true }
  if (typeof given !== "object" || given === null || !("value" in given) || !("inCacheKey" in given)) return undefined
  const { inCacheKey, value } = given
  return isValue(value) && typeof inCacheKey === "boolean" ? { value, inCacheKey } : undefined
}

const isValue = (value: unknown): value is string | Redacted.Redacted<string> => isText(value) || isRedactedText(value)

const capabilitiesOf = (
  input: ReadonlyArray<string> | undefined
): Result.Result<ReadonlyArray<string>, InvalidRequestError> =>
  input === undefined || (Array.isArray(input) && input.every((one) => typeof one === "string" && /^\w+$/.test(one)))
    ? Result.succeed([...new Set(input)])
    : Result.fail(malformed(
      "clientCapabilities",
      "clientCapabilities is not an array of capabilities",
      `Pass what the app can handle, such as ["cp1"] for claims challenges, or leave it out.`
    ))

// -----------------------------------------------------------------------------
// encoding
// -----------------------------------------------------------------------------

const extras = ({ aliasOf, body, capabilities, partition, query, sentAliasOf }: {
  readonly query: Parameters
  readonly body: Parameters
  readonly capabilities: ReadonlyArray<string>
  readonly partition?: string | undefined
  readonly aliasOf: AliasOf
  readonly sentAliasOf: AliasOf
}): Extras => {
  const listed = (wanted: (parameter: Parameter) => boolean, aliasOf: AliasOf) => [
    ...list("query", query, wanted, aliasOf),
    ...list("body", body, wanted, aliasOf)
  ]
  return {
    query: fields(query),
    form: fields(body),
    partition: encode([
      ...listed(({ inCacheKey }) => inCacheKey, aliasOf),
      ...[...capabilities].sort().flatMap((one) => ["xms_cc", one]),
      ...(partition === undefined ? [] : ["partition", partition])
    ]),
    sent: encode(listed(() => true, sentAliasOf))
  }
}

const fields = (parameters: Parameters): Fields =>
  parameters.size === 0 ? noFields : Object.fromEntries([...parameters].map(([name, { value }]) => [name, value]))

/** In one order, whatever the order of writing; each with its kind, so that no two kinds are taken for one another. */
const list = (
  kind: string,
  parameters: Parameters,
  wanted: (parameter: Parameter) => boolean,
  aliasOf: AliasOf
): ReadonlyArray<string> =>
  [...parameters]
    .filter(([, parameter]) => wanted(parameter))
    .sort(([one], [another]) => one < another ? -1 : 1)
    .flatMap(([name, { value }]) =>
      isText(value) ? [kind, name, value] : [`${kind}, secret`, name, aliasOf(Redacted.value(value))]
    )

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

/** A value is not shown: it may be a secret. */
const malformed = (field: string, message: string, remedy: string): InvalidRequestError =>
  invalidRequest("field_malformed", field, message, remedy)

const parameterRemedy =
  "Pass an object whose values are strings, redacted strings, or { value, inCacheKey } with one of them."

const partitionRemedy = "Pass a name for the partition, or leave cachePartition out."

/** Names for secrets, where keys are made of them: a key may be logged, and secrets may not. */

export type AliasOf = (secret: string) => string

/** Of so many the names are known; one that is forgotten gets another, and what was filed under it is asked for anew. */
const most = 10_000

/** No two secrets of a process have the same name, whichever client gave it. */
let made = 0

export const makeAliases = (): AliasOf => {
  const names = new Map<string, string>()
  return (secret) => {
    const known = names.get(secret)
    if (known !== undefined) {
      // What is in use is not forgotten.
      names.delete(secret)
      names.set(secret, known)
      return known
    }
    for (const oldest of names.keys()) {
      if (names.size < most) break
      names.delete(oldest)
    }
    const name = `${++made}`
    names.set(secret, name)
    return name
  }
}
