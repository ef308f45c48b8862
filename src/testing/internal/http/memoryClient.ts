/** An `HttpClient` that passes requests to routes instead of the network. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Scope from "effect/Scope"
import { ConnectionDropped, DropConnection } from "../faults/faultResponse.ts"

/** Creates an `HttpClient` that passes requests for `origin` and for every https host to `app`. */
export const memoryClient = <E>(
  origin: string,
  app: Effect.Effect<
    HttpServerResponse.HttpServerResponse,
    E,
    HttpServerRequest.HttpServerRequest | Scope.Scope
  >
): HttpClient.HttpClient =>
  HttpClient.make((request, url) => {
    if (url.protocol !== "https:" && url.origin !== origin) {
      return transportError(request, "nothing listens at this origin: the simulator serves https only")
    }
    const received = HttpServerRequest.fromClientRequest(HttpClientRequest.setHeader(request, "host", url.host))
    return app.pipe(
      Effect.provideService(HttpServerRequest.HttpServerRequest, received),
      Effect.provideService(DropConnection, () => Effect.die(dropped)),
      Effect.scoped,
      Effect.catchCause((cause): Effect.Effect<
        HttpServerResponse.HttpServerResponse,
        HttpClientError.HttpClientError
      > =>
        Cause.squash(cause) === dropped
          ? transportError(request, "the connection was closed without a response")
          : Effect.map(HttpServerError.causeResponse(cause), ([response]) => response)
      ),
      Effect.map((response): HttpClientResponse.HttpClientResponse =>
        HttpServerResponse.toClientResponse(response, { request })
      )
    )
  })

const dropped = new ConnectionDropped("The simulator dropped the connection.")

const transportError = (
  request: HttpClientRequest.HttpClientRequest,
  description: string
): Effect.Effect<never, HttpClientError.HttpClientError> =>
  Effect.fail(
    new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, description }) })
  )
