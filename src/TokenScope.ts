/**
 * The scopes of a token request. In the client credentials flow Entra accepts one resource per request, in the form
 * `<resource>/.default`.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type * as Authority from "./Authority.ts"
import { type InvalidScopeCode, InvalidScopeError } from "./EntraError.ts"
import { type NonValue, nonValueOf } from "./internal/shared/nonValue.ts"
import { quote, sentence } from "./internal/shared/text.ts"

/**
 * The checked scopes of one request.
 *
 * **Details**
 *
 * - `canonical`: the part of the cache key: sorted, without duplicates, and in lower case where the service ignores
 *   case.
 * - `wire`: the value of the form field `scope`: as the caller wrote the scopes, without duplicates.
 *
 * @category models
 * @since 0.1.0
 */
export interface ScopeSet {
  readonly canonical: string
  readonly wire: string
}

/**
 * Returns the scope that requests all permissions that the app was granted on a resource: `<uri>/.default`.
 *
 * **Gotchas**
 *
 * A resource whose identifier ends in a slash keeps it: `https://vault.azure.net/` becomes
 * `https://vault.azure.net//.default`, because the token's audience is the identifier as written.
 *
 * **Example** (The scope of Microsoft Graph)
 *
 * ```ts
 * import assert from "node:assert"
 * import { TokenScope } from "effect-entra"
 *
 * assert.strictEqual(TokenScope.fromResource("https://graph.microsoft.com"), "https://graph.microsoft.com/.default")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromResource = (uri: string): string => `${uri}${suffix}`

/**
 * Checks and canonicalizes the scopes of a request: a string, which is split at spaces, or an array.
 *
 * **Details**
 *
 * - `kind` is the kind of the authority; default: `"Entra"`.
 * - For `"Entra"` and `"Ciam"` the case is ignored. Every scope must end in `/.default`, and all must have the same
 *   resource.
 * - For `"Adfs"` and `"Oidc"` scopes are exact strings, and several are allowed. For `"Oidc"` the list may be empty;
 *   the provider then decides.
 * - Fails with `scope_missing`, `scope_malformed` (RFC 6749 section 3.3, at most 2,048 characters each),
 *   `scope_not_default` or `scope_several_resources`.
 *
 * **Example** (Ignoring duplicates and case)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Result } from "effect"
 * import { TokenScope } from "effect-entra"
 *
 * const scopes = Result.getOrThrow(TokenScope.parse(["api://Orders/.default", "API://orders/.default"]))
 * assert.strictEqual(scopes.canonical, "api://orders/.default")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const parse = (
  input: string | ReadonlyArray<string>,
  kind: Authority.Kind = "Entra"
): Result.Result<ScopeSet, InvalidScopeError> => {
  const folds = kind === "Entra" || kind === "Ciam"
  const scopes = new Map<string, string>()
  for (const scope of (typeof input === "string" ? input : input.join(" ")).split(" ")) {
    const name = folds ? scope.toLowerCase() : scope
    if (scope === "") continue
    if (!scopeToken.test(scope) || scope.length > longest) return Result.fail(malformed(scope))
    const defect = folds && open.test(scope) ? nonValueOf(scope.replace(/\/\.default$/i, "")) : undefined
    if (defect !== undefined) return Result.fail(noValue(scope, defect))
    if (!scopes.has(name)) scopes.set(name, scope)
  }
  if (scopes.size === 0 && kind !== "Oidc") return Result.fail(missing())
  for (const [name, scope] of scopes) {
    if (folds && !(name.endsWith(suffix) && name.length > suffix.length)) return Result.fail(notDefault(scope))
  }
  if (folds && scopes.size > 1) return Result.fail(severalResources([...scopes.values()]))
  return Result.succeed({ canonical: [...scopes.keys()].sort().join(" "), wire: [...scopes.values()].join(" ") })
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const suffix = "/.default"

/** Characters of a scope. Without a bound a caller could fill the cache with long keys. */
const longest = 2048

/** The characters and words of placeholders. Few scopes have them, so that few are checked further. */
const open = /[<>{}[\]$%#'`*]|your|client|tenant|_/i

/** `scope-token` of RFC 6749 section 3.3. */
const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]+$/

const problem = (code: InvalidScopeCode, message: string, remedy: string): InvalidScopeError =>
  new InvalidScopeError({ code, field: "scopes", origin: "local", message: sentence(message), remedy })

const missing = () =>
  problem(
    "scope_missing",
    "scopes is empty",
    "Pass the scope of the API, for example https://graph.microsoft.com/.default. TokenScope.fromResource returns it."
  )

const malformed = (scope: string): InvalidScopeError =>
  problem(
    "scope_malformed",
    `scopes contains ${
      quote(scope)
    }, which is too long or contains characters that RFC 6749 section 3.3 does not allow`,
    "Write each scope in printable ASCII without quotes and backslashes, with at most 2,048 characters. Separate scopes by spaces, or pass an array."
  )

const noValue = (scope: string, { remedy, what }: NonValue): InvalidScopeError =>
  problem("scope_malformed", `scopes contains ${quote(scope)}, which ${what}`, remedy)

const notDefault = (scope: string): InvalidScopeError => {
  const resource = resourceOf(scope)
  return problem(
    "scope_not_default",
    `scopes contains ${quote(scope)}, which is not a resource followed by ${suffix}`,
    resource !== undefined
      ? `Pass ${quote(fromResource(resource))}. An app requests all permissions that it was granted.`
      : `Pass the identifier of the resource followed by ${suffix}. An app requests all permissions that it was granted.`
  )
}

/**
 * Returns the resource of a scope that is the URI of a host without a path, as most identifiers of resources are. A slash
 * at its end, and a suffix without its slash, do not belong to it. Resources such as https://management.core.windows.net/
 * do keep their slash, so they are not named.
 */
const resourceOf = (scope: string): string | undefined =>
  /^((?:https|api):\/\/[^\s/?#]+?)(?:\.default|(?<!\/\/\w+\.core\.windows\.net)\/)?$/i.exec(scope)?.[1]

const severalResources = (scopes: ReadonlyArray<string>): InvalidScopeError =>
  problem(
    "scope_several_resources",
    `scopes contains several resources: ${scopes.slice(0, 5).map(quote).join(", ")}`,
    "Make one request for each resource. A token is valid for one resource."
  )
