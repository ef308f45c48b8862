/**
 * What a token is for. In this flow Entra accepts one resource a request, asked for as `<resource>/.default`.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import type * as Authority from "./Authority.ts"
import { type InvalidScopeCode, InvalidScopeError } from "./EntraError.ts"
import { quote, sentence } from "./internal/shared/text.ts"

/**
 * The scopes of one request, checked.
 *
 * **Details**
 *
 * `canonical` is the cache's name for the set: sorted, without repeats, and folded to lower case where the service does
 * not tell cases apart. `wire` is what is sent: as the caller wrote it, without repeats.
 *
 * @category models
 * @since 0.1.0
 */
export interface ScopeSet {
  readonly canonical: string
  readonly wire: string
}

/**
 * The scope that asks for all permissions an app was granted on a resource: `<uri>/.default`.
 *
 * **Gotchas**
 *
 * A resource whose identifier ends in a slash keeps it: `https://vault.azure.net/` becomes
 * `https://vault.azure.net//.default`, because the token's audience is the identifier as written.
 *
 * **Example** (Asking for Microsoft Graph)
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
 * Check and canonicalise the scopes of a request: a string (split at spaces) or an array.
 *
 * **Details**
 *
 * For Entra kinds cases are folded, every scope ends in `/.default`, and all name the same resource. The scopes of AD FS and
 * of other issuers are exact strings, several at a time; to another issuer (`Oidc`) none at all may be sent, which leaves
 * them to the provider. Characters are those of RFC 6749 section 3.3.
 *
 * **Example** (Order and case make no difference)
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
  for (const scope of typeof input === "string" ? input.split(" ") : input.flatMap((entry) => entry.split(" "))) {
    const name = folds ? scope.toLowerCase() : scope
    if (scope === "") continue
    if (!scopeToken.test(scope) || scope.length > longest) return Result.fail(malformed(scope))
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

/** Far longer than any resource's identifier; without a bound a caller could fill the memory of who remembers it. */
const longest = 2048

/** `scope-token` of RFC 6749 section 3.3. */
const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]+$/

const problem = (code: InvalidScopeCode, message: string, remedy: string): InvalidScopeError =>
  new InvalidScopeError({ code, field: "scopes", origin: "local", message: sentence(message), remedy })

const missing = () =>
  problem(
    "scope_missing",
    "scopes is empty",
    "Name the resource to call, for example https://graph.microsoft.com/.default (TokenScope.fromResource makes it)."
  )

const malformed = (scope: string): InvalidScopeError =>
  problem(
    "scope_malformed",
    `scopes has ${quote(scope)}, which is too long or has characters that no scope may have (RFC 6749 section 3.3)`,
    "Write scopes in printable ASCII without quotes and backslashes, 2,048 characters at most, separated by spaces or as an array."
  )

const notDefault = (scope: string): InvalidScopeError =>
  problem(
    "scope_not_default",
    `scopes has ${quote(scope)}, which does not end in ${suffix} after a resource`,
    `An app asks for all that an administrator granted it: pass the resource's identifier followed by ${suffix}.`
  )

const severalResources = (scopes: ReadonlyArray<string>): InvalidScopeError =>
  problem(
    "scope_several_resources",
    `scopes names several resources: ${scopes.slice(0, 5).map(quote).join(", ")}`,
    "A token is for one resource: make one request for each."
  )
