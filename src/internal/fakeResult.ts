/** The result that a fake client gives: looks like one from the service, good until the year 2100. */
import * as DateTime from "effect/DateTime"
import * as Redacted from "effect/Redacted"
import type { AuthenticationResult } from "../AccessToken.ts"
import type { TokenRequest } from "../TokenRequest.ts"

const expiresOn = DateTime.makeUnsafe(Date.UTC(2100, 0, 1))

export const fakeResult = (request: TokenRequest, token: string): AuthenticationResult => ({
  accessToken: Redacted.make(token, { label: "access_token" }),
  tokenType: "Bearer",
  expiresOn,
  refreshOn: expiresOn,
  scopes: typeof request.scopes === "string" ? request.scopes.split(" ") : request.scopes,
  tenantId: request.tenantId ?? "test-tenant",
  authority: request.authority ?? "https://login.microsoftonline.com",
  correlationId: request.correlationId ?? "00000000-0000-0000-0000-000000000000",
  metadata: {
    tokenSource: "IdentityProvider",
    cacheLevel: "None",
    cacheRefreshReason: "NoCachedAccessToken",
    outage: false
  }
})
