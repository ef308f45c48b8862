/** The services of a client for the platform's tokens: the endpoint, a resolver for its one tenant, and an empty credential. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { AuthorityResolver } from "../../../AuthorityResolver.ts"
import { ClientCredential } from "../../../ClientCredential.ts"
import { withBudget } from "../../../internal/endpoint/acquisitionLimit.ts"
import * as CircuitBreaker from "../../../internal/endpoint/circuitBreaker.ts"
import * as ThrottleGate from "../../../internal/endpoint/throttleGate.ts"
import { noFields } from "../../../internal/http/fields.ts"
import { invalidAuthority, invalidRequest } from "../../../internal/shared/errors.ts"
import { quote } from "../../../internal/shared/text.ts"
import * as TokenEndpoint from "../../../TokenEndpoint.ts"
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

/** A credential that adds nothing to a request, because the platform identifies the program by the machine. */
export const credential = /*#__PURE__*/ ClientCredential.of({
  channel: "standard",
  binding: () => undefined,
  begin: () => authentication
})

const authentication = {
  revision: () => "",
  authenticate: () => Effect.succeed({ form: noFields }),
  refused: () => Effect.succeed(false)
}

/** Creates the gates of a platform, which remember as long as those of any endpoint. */
export const makeGates = (clock: Clock.Clock): ThrottleGate.Gates => {
  const { base, cap } = TokenEndpoint.defaults.refusalTtl
  return ThrottleGate.make(clock, { base: Duration.toMillis(base), cap: Duration.toMillis(cap) })
}

/** Creates the endpoint, with the throttle gate and the circuit breaker of any endpoint and the retries of the platform. */
export const endpoint = (agent: Agent): Effect.Effect<TokenEndpoint.TokenEndpoint["Service"]> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const { breaker } = TokenEndpoint.defaults
    const gates = makeGates(clock)
    const circuit = CircuitBreaker.make(clock, {
      failures: breaker.failures,
      openDuration: Duration.toMillis(breaker.openDuration),
      probeTimeout: longestRequest
    })
    const { origin } = new URL(agent.platform.endpoint)

    const requestToken = (
      { acquisition, authority, form, query, timing, tokenType }: TokenEndpoint.EndpointRequest
    ) => {
      const unsupported = Object.keys(query).length === 0
        ? Object.keys(form).find((name) => !supportedFields.has(name))
        : "extraQueryParameters"
      if (unsupported !== undefined) return Effect.fail(unsupportedField(unsupported))
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
    }

    const service = TokenEndpoint.TokenEndpoint.of(
      ThrottleGate.guarding(
        gates,
        (request: TokenEndpoint.EndpointRequest) => circuit.protect(() => origin, requestToken(request))
      )
    )
    return withBudget(service, longestRequest)
  })

/** The milliseconds of the longest request: eight attempts of 10 seconds, with seven pauses of 10 seconds. */
const longestRequest = 150_000

/**
 * The form fields that cause no error. The platform would ignore other fields, which are for Entra. `claims` is
 * accepted and not sent, because the APIs that send a challenge, and the Azure SDKs, do not distinguish tokens of the
 * platform from others. The API decides whether it accepts the token that the platform returns.
 */
const supportedFields: ReadonlySet<string> = new Set(["client_id", "scope", "grant_type", "claims"])

const unsupportedField = (name: string) => {
  const field = name === "extraQueryParameters" ? name : "extraBodyParameters"
  return invalidRequest(
    "field_unsupported",
    field,
    `${field} is set, but the platform that issues the tokens of managed identities does not support it`,
    `Leave ${field} out, or use ManagedIdentity.assertion with an app registration, which requests tokens from Entra.`
  )
}
