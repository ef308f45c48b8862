/** A transport that remembers what it was asked and answers by a function: for providers that the simulator is none of. */
import { Effect, Layer } from "effect"
import {
  HttpClient,
  HttpClientError,
  type HttpClientRequest,
  type HttpClientResponse,
  HttpServerResponse
} from "effect/http"

export interface Asked {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly form: URLSearchParams
}

export interface Reply {
  readonly status?: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** No answer at all: the transport's reason. */
  readonly broken?: string
}

export const dropped: Reply = { broken: "ECONNRESET" }

export const answering = (answer: (asked: Asked) => Reply | Effect.Effect<Reply>) => {
  const seen: Array<Asked> = []
  const respond = (
    request: HttpClientRequest.HttpClientRequest,
    url: URL
  ): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError> =>
    Effect.suspend(() => {
      const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
      const asked = { method: request.method, url, headers: request.headers, form: new URLSearchParams(body) }
      seen.push(asked)
      const reply = answer(asked)
      return Effect.flatMap(
        Effect.isEffect(reply) ? reply : Effect.succeed(reply),
        ({ body = "", broken, headers = {}, status = 200 }) =>
          broken === undefined
            ? Effect.succeed(HttpServerResponse.toClientResponse(
              HttpServerResponse.text(typeof body === "string" ? body : JSON.stringify(body), { status, headers }),
              { request }
            ))
            : Effect.fail(
              new HttpClientError.HttpClientError({
                reason: new HttpClientError.TransportError({ request, cause: { code: broken } })
              })
            )
      )
    })
  return { seen, layer: Layer.succeed(HttpClient.HttpClient, HttpClient.make(respond)) }
}

export const isDiscovery = ({ url }: Asked): boolean => url.pathname.endsWith("/.well-known/openid-configuration")

/** The document of the issuer that is asked, at whatever host and path. */
export const documentOf = ({ url }: Asked, more: Readonly<Record<string, unknown>> = {}): Readonly<
  Record<string, unknown>
> => {
  const issuer = url.href.slice(0, -"/.well-known/openid-configuration".length)
  return { issuer, token_endpoint: `${issuer}/token`, ...more }
}
