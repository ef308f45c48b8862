/**
 * The responses of scripted faults.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Stream from "effect/Stream"
import type { Fault } from "../../Fault.ts"
import { type Refusal, toResponse, wrongSecret } from "../http/refusal.ts"
import { json, readCorrelationId, type Target } from "../http/wire.ts"
import type { World } from "../world/world.ts"
import type { Endpoint } from "./faultQueue.ts"

/** The defect of a dropped connection where the transport provides no {@link DropConnection}. */
export class ConnectionDropped extends Error {
  override readonly name = "ConnectionDropped"
}

/**
 * The function of a transport that closes a connection without a response.
 *
 * **Details**
 *
 * The in-memory client fails with a `TransportError`, and the server of `effect-entra/node` destroys the socket. Default: a
 * defect, for which most servers respond with status 500.
 *
 * @category services
 * @since 0.1.0
 */
export const DropConnection = Context.Reference<
  (request: HttpServerRequest.HttpServerRequest) => Effect.Effect<never>
>("effect-entra/testing/EntraSimulator/DropConnection", {
  defaultValue: () => () => Effect.die(new ConnectionDropped("The simulator dropped the connection."))
})

/**
 * A function that is called with each scripted fault, before it replaces or delays the response. Default: no function.
 *
 * @category services
 * @since 0.1.0
 */
export const OnFault = Context.Reference<(fault: Fault) => Effect.Effect<void>>(
  "effect-entra/testing/EntraSimulator/OnFault",
  { defaultValue: () => () => Effect.void }
)

/**
 * Returns the scripted response to a request; undefined when the ordinary response follows. `refuse` creates the
 * response of a refusal.
 */
export const nextFault = (
  world: World,
  endpoint: Endpoint,
  request: HttpServerRequest.HttpServerRequest,
  target: Target,
  fields: Readonly<Record<string, string>> = {},
  refuse: Refuse = toResponse
): Effect.Effect<HttpServerResponse.HttpServerResponse | undefined> => {
  const tenant = world.findTenant(target.tenant)?.id ?? target.tenant
  const fault = world.faults.take(endpoint, tenant, new URL(target.origin).host)
  if (fault === undefined) return Effect.undefined
  world.ledger.faulted()
  const correlationId = readCorrelationId(request, target, fields)
  return Effect.andThen(
    Effect.flatMap(OnFault, (onFault) => onFault(fault)),
    faultResponse(fault, { request, fields, origin: world.origin, clock: world.clock, correlationId, refuse })
  )
}

/** Creates the response of a scripted refusal. */
export type Refuse = (
  refusal: Refusal,
  options: Parameters<typeof toResponse>[1]
) => HttpServerResponse.HttpServerResponse

interface FaultContext {
  readonly request: HttpServerRequest.HttpServerRequest
  readonly fields: Readonly<Record<string, string>>
  readonly origin: string
  readonly clock: Clock.Clock
  readonly correlationId: string
  readonly refuse: Refuse
}

const faultResponse = (
  fault: Fault,
  context: FaultContext
): Effect.Effect<HttpServerResponse.HttpServerResponse | undefined> => {
  const now = context.clock.currentTimeMillisUnsafe()
  const { correlationId, origin } = context
  switch (fault._tag) {
    case "Refused": {
      const headers = retryAfterHeader(fault.retryAfter, fault.format, now)
      if (fault.html) {
        const { status } = fault.refusal
        const page = `<!DOCTYPE html><html><body><h1>${status} The service is unavailable</h1></body></html>`
        return Effect.succeed(HttpServerResponse.text(page, { status, headers, contentType: "text/html" }))
      }
      return Effect.succeed(context.refuse(fault.refusal, { origin, now, correlationId, headers }))
    }
    case "Delay":
      return Effect.as(
        Effect.provideService(Effect.sleep(fault.duration), Clock.Clock, context.clock),
        undefined
      )
    case "Dropped":
      return Effect.flatMap(DropConnection, (drop) => drop(context.request))
    case "Malformed":
      return Effect.succeed(
        fault.kind === "noAccessToken"
          ? json(200, { token_type: "Bearer", expires_in: 3599, ext_expires_in: 3599 })
          : HttpServerResponse.text(fault.kind === "cut" ? "{\"token_type\":\"Bearer\"," : "<html>Sign in</html>", {
            contentType: "application/json; charset=utf-8"
          })
      )
    case "Redirect":
      return Effect.succeed(
        HttpServerResponse.empty({ status: fault.status, headers: { location: fault.location } })
      )
    case "Echo": {
      const { client_assertion: assertion, client_id: clientId = "", client_secret: secret } = context.fields
      const refusal = wrongSecret(clientId)
      const text = `${refusal.text} Submitted: ${secret ?? assertion ?? "nothing"}.`
      return Effect.succeed(toResponse({ ...refusal, text }, { origin, now, correlationId }))
    }
    case "HugeBody":
      return Effect.succeed(hugeResponse(fault.bytes))
    case "Custom":
      return Effect.succeed(
        HttpServerResponse.text(fault.body, {
          status: fault.status,
          headers: fault.headers,
          contentType: fault.headers["content-type"] ?? "text/plain"
        })
      )
  }
}

const retryAfterHeader = (
  retryAfter: Duration.Input | undefined,
  format: "seconds" | "date",
  now: number
): Record<string, string> => {
  if (retryAfter === undefined) return {}
  const millis = Duration.toMillis(retryAfter)
  return {
    "retry-after": format === "date" ? new Date(now + millis).toUTCString() : String(Math.ceil(millis / 1000))
  }
}

const chunkSize = 64 * 1024

const hugeResponse = (bytes: number): HttpServerResponse.HttpServerResponse => {
  const encoder = new TextEncoder()
  const head = encoder.encode(
    "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"ext_expires_in\":3599,\"access_token\":\"huge\",\"padding\":\""
  )
  const tail = encoder.encode("\"}")
  const chunks = [head]
  let left = bytes - head.length - tail.length
  for (; left > 0; left -= chunkSize) chunks.push(encoder.encode("x".repeat(Math.min(left, chunkSize))))
  chunks.push(tail)
  return HttpServerResponse.stream(Stream.fromIterable(chunks, { chunkSize: 1 }), {
    contentType: "application/json; charset=utf-8"
  })
}
