/** The services of a client for the platform's tokens: the endpoint, and a resolver for its one tenant. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { AuthorityResolver } from "../../../AuthorityResolver.ts"
import * as TokenSource from "../../../internal/client/tokenSource.ts"
import { invalidAuthority } from "../../../internal/shared/errors.ts"
import { quote } from "../../../internal/shared/text.ts"
import type { TokenEndpoint } from "../../../TokenEndpoint.ts"
import type { Agent } from "./agent.ts"
import { readPlatformResponse } from "./answer.ts"

/** The tenant in keys and results when the option `tenantId` is not set. */
export const unknownTenant = "managed-identity"

export const resolver = (agent: Agent, tenantId: string): AuthorityResolver["Service"] => {
  const token = agent.platform.endpoint
  const tenant = tenantId.toLowerCase()
  return AuthorityResolver.of({
    resolve: (authority) =>
      authority.tenant === tenant
        ? Effect.succeed({ token, audience: token, assertion: { thumbprint: "x5t#S256", rsa: "PS256" } })
        : Effect.fail(invalidAuthority(
          "authority_unsupported",
          "tenantId",
          `tenantId ${quote(String(authority.tenant))} is not the tenant of this managed identity, ${quote(tenant)}`,
          "Leave tenantId out, or pass the tenant of the identity to the layer. For tokens of another tenant, use "
            + "ManagedIdentity.assertion with an app registration."
        ))
  })
}

/** Creates the endpoint, with the retries of the platform. */
export const endpoint = (agent: Agent): Effect.Effect<TokenEndpoint["Service"]> =>
  Effect.flatMap(Clock.Clock, (clock) =>
    TokenSource.endpoint({
      origin: new URL(agent.platform.endpoint).origin,
      longestRequest,
      // The platform accepts no claims, so they are not sent. The API decides whether it accepts the token.
      requestToken: ({ acquisition, authority, timing, tokenType }) => {
        const { clientId, correlationId, scope, tenantId } = acquisition
        const resource = scope.replace(/\/\.default$/i, "")
        return Effect.flatMap(
          agent.requestToken({ resource, correlationId, timing }),
          ({ response, scrub, sentAt }) =>
            Effect.fromResult(readPlatformResponse(response, {
              authority,
              authorityUrl: acquisition.authority,
              clientId,
              tenantId,
              scopes: scope,
              tokenType,
              correlationId,
              tokenEndpoint: agent.platform.endpoint,
              sentAt,
              now: clock.currentTimeMillisUnsafe(),
              scrub
            }))
        )
      },
      unsupported: {
        what: "the platform that issues the tokens of managed identities does not support it",
        instead: "ManagedIdentity.assertion with an app registration"
      }
    }))

/** The milliseconds of the longest request: eight attempts of 10 seconds, with seven pauses of 10 seconds. */
const longestRequest = 150_000
