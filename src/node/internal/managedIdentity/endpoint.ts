/** The services of a client whose tokens come from the platform: its endpoint, its one tenant, and no credential. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { AuthorityResolver } from "../../../AuthorityResolver.ts"
import { ClientCredential } from "../../../ClientCredential.ts"
import * as CircuitBreaker from "../../../internal/endpoint/circuitBreaker.ts"
import * as ThrottleGate from "../../../internal/endpoint/throttleGate.ts"
import { noFields } from "../../../internal/http/fields.ts"
import { invalidAuthority, invalidRequest } from "../../../internal/shared/errors.ts"
import { quote } from "../../../internal/shared/text.ts"
import * as TokenEndpoint from "../../../TokenEndpoint.ts"
import type { Agent } from "./agent.ts"
import { readPlatformResponse } from "./answer.ts"

/** Stands for the tenant of the identity, in keys and results, where nobody has said which it is. */
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
          `tenantId ${quote(String(authority.tenant))} is named, and this managed identity's is ${quote(tenant)}`,
          "Leave tenantId out, or tell the layer the identity's own; for tokens of another tenant use "
            + "ManagedIdentity.assertion with an app registration."
        ))
  })
}

/** Nobody has to prove anything: that it runs here is the program's proof. */
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

/** Gate and circuit breaker are those of any endpoint; the retries are the platform's own. */
export const endpoint = (agent: Agent): Effect.Effect<TokenEndpoint.TokenEndpoint["Service"], never, Scope.Scope> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const { breaker, refusalTtl } = TokenEndpoint.defaults
    const gates = ThrottleGate.make(clock, {
      base: Duration.toMillis(refusalTtl.base),
      cap: Duration.toMillis(refusalTtl.cap)
    })
    const circuit = yield* CircuitBreaker.make({
      failures: breaker.failures,
      openDuration: Duration.toMillis(breaker.openDuration)
    })
    const { origin } = new URL(agent.platform.endpoint)

    const ask = ({ acquisition, authority, form, query, timing, tokenType }: TokenEndpoint.EndpointRequest) => {
      const wrong = Object.keys(query).length === 0
        ? Object.keys(form).find((name) => !understood.has(name))
        : "extraQueryParameters"
      if (wrong !== undefined) return Effect.fail(notUnderstood(wrong))
      const { clientId, correlationId, scope, tenantId } = acquisition
      const resource = scope.replace(/\/\.default$/i, "")
      return Effect.flatMap(
        agent.ask({ resource, correlationId, timing }),
        ({ answer, scrub }) =>
          Effect.fromResult(readPlatformResponse(answer, {
            authority,
            authorityUrl: acquisition.authority,
            clientId,
            tenantId,
            scopes: scope,
            tokenType,
            correlationId,
            tokenEndpoint: agent.platform.endpoint,
            now: clock.currentTimeMillisUnsafe(),
            scrub
          }))
      )
    }

    return TokenEndpoint.TokenEndpoint.of(
      ThrottleGate.guarding(
        gates,
        (request: TokenEndpoint.EndpointRequest) => circuit.protect(() => origin, ask(request))
      )
    )
  })

/** The rest of a form is meant for Entra itself, and would be lost without a word. */
const understood: ReadonlySet<string> = new Set(["client_id", "scope", "grant_type"])

const notUnderstood = (name: string) => {
  const field = name === "claims" || name === "extraQueryParameters" ? name : "extraBodyParameters"
  return invalidRequest(
    "field_unsupported",
    field,
    `${field} is set, and the platform that gives out a managed identity's tokens does not take it`,
    `Leave ${field} out, or use ManagedIdentity.assertion with an app registration, which asks Entra itself.`
  )
}
