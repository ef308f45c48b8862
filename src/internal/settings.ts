/** A client's options, checked once when it is built. */
import * as Result from "effect/Result"
import * as Authority from "../Authority.ts"
import { type InvalidAuthorityError, InvalidRequestError, quote } from "../EntraError.ts"
import { type Settings, tenantAtAdfs } from "./plan.ts"

export const settingsOf = (options: {
  readonly clientId: string
  readonly authority?: string | URL | undefined
  readonly tenantId?: string | undefined
  readonly allowedTenants?: ReadonlyArray<string> | ((tenantId: string) => boolean) | undefined
}): Result.Result<Settings, InvalidAuthorityError | InvalidRequestError> =>
  Result.gen(function*() {
    const clientId = yield* parseClientId(options.clientId)
    const authority = yield* Authority.parse(options.authority ?? "public")
    const tenant = options.tenantId === undefined ? undefined : yield* Authority.parseTenant(options.tenantId)
    if (tenant !== undefined && authority.kind === "Adfs") return yield* Result.fail(tenantAtAdfs(tenant))
    return {
      clientId,
      authority: tenant === undefined ? authority : Authority.withTenant(authority, tenant),
      allows: yield* guardOf(options.allowedTenants)
    }
  })

export const parseClientId = (
  clientId: string,
  field = "clientId"
): Result.Result<string, InvalidRequestError> =>
  /^[\x21-\x7e]{1,256}$/.test(clientId)
    ? Result.succeed(clientId)
    : Result.fail(
      new InvalidRequestError({
        code: clientId === "" ? "field_missing" : "field_malformed",
        field,
        origin: "local",
        message: clientId === "" ? `${field} is empty or not set` : `${field} ${quote(clientId)} is no application id`,
        remedy: "Pass the application (client) id from the app registration's overview."
      })
    )

const guardOf = (
  allowed: ReadonlyArray<string> | ((tenantId: string) => boolean) | undefined
): Result.Result<Settings["allows"], InvalidAuthorityError> =>
  Result.gen(function*() {
    if (allowed === undefined) return undefined
    // Only a plain yes lets anyone in: not a promise, not a forgotten return.
    if (typeof allowed === "function") return (tenantId: string) => allowed(tenantId) === true
    const tenants = new Set<string>()
    for (const tenant of allowed) tenants.add(yield* Authority.parseTenant(tenant, "allowedTenants"))
    return (tenantId: string) => tenants.has(tenantId)
  })
