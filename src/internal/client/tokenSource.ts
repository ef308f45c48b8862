/**
 * The services of a client whose tokens do not come from a token endpoint: an endpoint over any source of tokens, and an
 * empty credential.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { AccessToken } from "../../AccessToken.ts"
import { ClientCredential } from "../../ClientCredential.ts"
import type { AcquireTokenError } from "../../EntraError.ts"
import * as TokenEndpoint from "../../TokenEndpoint.ts"
import { withBudget } from "../endpoint/acquisitionLimit.ts"
import * as CircuitBreaker from "../endpoint/circuitBreaker.ts"
import * as ThrottleGate from "../endpoint/throttleGate.ts"
import { noFields } from "../http/fields.ts"
import { invalidRequest } from "../shared/errors.ts"

/** A source of tokens. */
export interface TokenSource {
  /** The name of the source for the circuit breaker. */
  readonly origin: string
  /** The milliseconds of the longest request. */
  readonly longestRequest: number
  readonly requestToken: (request: TokenEndpoint.EndpointRequest) => Effect.Effect<AccessToken, AcquireTokenError>
  /** The texts of the error of an unsupported field: the reason, and the alternative. */
  readonly unsupported: { readonly what: string; readonly instead: string }
}

/** A credential that adds no field to a request, because the source itself authenticates the program. */
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

/** Creates the gates of a source, which remember refusals as long as those of a token endpoint. */
export const makeGates = (clock: Clock.Clock): ThrottleGate.Gates => {
  const { base, cap } = TokenEndpoint.defaults.refusalTtl
  return ThrottleGate.make(clock, { base: Duration.toMillis(base), cap: Duration.toMillis(cap) })
}

/** Creates the endpoint of a source, with the throttle gate and the circuit breaker of a token endpoint. */
export const endpoint = (
  { longestRequest, origin, requestToken, unsupported }: TokenSource
): Effect.Effect<TokenEndpoint.TokenEndpoint["Service"]> =>
  Effect.map(Clock.Clock, (clock) => {
    const { breaker } = TokenEndpoint.defaults
    const circuit = CircuitBreaker.make(clock, {
      failures: breaker.failures,
      openDuration: Duration.toMillis(breaker.openDuration),
      probeTimeout: longestRequest
    })
    const service = TokenEndpoint.TokenEndpoint.of(
      ThrottleGate.guarding(makeGates(clock), (request: TokenEndpoint.EndpointRequest) => {
        const field = unsupportedField(request)
        return circuit.protect(
          () => origin,
          field === undefined
            ? requestToken(request)
            : Effect.fail(
              invalidRequest(
                "field_unsupported",
                field,
                `${field} is set, but ${unsupported.what}`,
                `Leave ${field} out, or use ${unsupported.instead}, which requests tokens from Entra.`
              )
            )
        )
      })
    )
    return withBudget(service, longestRequest)
  })

/** Returns the name of a field of the request that only Entra supports. */
const unsupportedField = ({ form, query }: TokenEndpoint.EndpointRequest): string | undefined =>
  Object.keys(query).length > 0
    ? "extraQueryParameters"
    : Object.keys(form).some((name) => !supportedFields.has(name))
    ? "extraBodyParameters"
    : undefined

/**
 * The form fields that cause no error. Each source decides about `claims`, because the APIs that send a challenge, and
 * the Azure SDKs, do not distinguish its tokens from others.
 */
const supportedFields: ReadonlySet<string> = new Set(["client_id", "scope", "grant_type", "claims"])
