/**
 * The common part of the simulator's token endpoints: reads the form, records the request, runs scripted faults, and counts.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import { nextFault } from "../faults/faultResponse.ts"
import { type Form, json, newGuid, readCorrelationId, readForm, type Target } from "../http/wire.ts"
import type { World } from "../world/world.ts"

/** A parsed token request. */
export interface TokenRequest {
  readonly target: Target
  readonly form: Form
  readonly headers: Readonly<Record<string, string | undefined>>
}

/** Responds to a token request. `issue` returns the body of the response, or fails with a refusal. */
export const handleToken = Effect.fnUntraced(function*<R>(
  world: World,
  request: HttpServerRequest.HttpServerRequest,
  endpoint: {
    readonly target: Target
    /** The name for the counters. */
    readonly tenant: string | undefined
    readonly issue: (request: TokenRequest) => Effect.Effect<unknown, R>
    readonly codeOf: (refusal: R) => number | string
    readonly refuse: (refusal: R, correlationId: string) => HttpServerResponse.HttpServerResponse
  }
): Effect.fn.Return<HttpServerResponse.HttpServerResponse> {
  const { target } = endpoint
  const body = yield* Effect.catch(request.text, () => Effect.succeed(""))
  const form = readForm(request.headers["content-type"], body)
  const correlationId = readCorrelationId(request, target, form.fields)
  world.ledger.tokenRequest(endpoint.tenant, {
    method: request.method,
    url: `${target.origin}${request.url.startsWith("/") ? request.url : target.path}`,
    tenant: target.tenant,
    query: Object.fromEntries(target.query),
    headers: { ...request.headers },
    body,
    form: { ...form.fields }
  })
  const scripted = yield* nextFault(world, "token", request, target, form.fields)
  if (scripted !== undefined) return scripted
  return yield* endpoint.issue({ target, form, headers: request.headers }).pipe(
    Effect.map((answer) => {
      world.ledger.tokenIssued()
      return json(200, answer, { "x-ms-request-id": newGuid(), "client-request-id": correlationId })
    }),
    Effect.catch((refusal) => {
      world.ledger.refused(endpoint.codeOf(refusal))
      return Effect.succeed(endpoint.refuse(refusal, correlationId))
    })
  )
})
