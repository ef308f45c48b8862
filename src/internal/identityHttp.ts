/**
 * Talking to an identity provider over whichever `HttpClient` the user brings: redirects refused, bodies cut, no trace
 * headers, and no error that holds the request. The only core module that knows `effect/http`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Stream from "effect/Stream"
import { NetworkError } from "../EntraError.ts"
import type { Answer, IdentityRequest } from "./exchange.ts"
import type { Form } from "./form.ts"

/** The transport that users provide. */
export type Transport = HttpClient.HttpClient

/** What a credential adds to a request: form fields, headers, or a transport that proves itself in the TLS handshake. */
export interface Authentication {
  readonly form: Form
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly client?: Transport | undefined
}

export interface IdentityHttp {
  /** `client` replaces the transport for this request: a credential that proves itself in the TLS handshake brings one. */
  readonly send: (request: IdentityRequest, client?: Transport) => Effect.Effect<Answer, NetworkError>
}

/** Bytes of a body that are read; what goes beyond is no token. */
export const bodyLimit = 1_048_576

export const make = (
  options: { readonly transformClient?: ((client: Transport) => Transport) | undefined } = {}
): Effect.Effect<IdentityHttp, never, Transport> =>
  Effect.map(HttpClient.HttpClient, (transport) => {
    const prepare = (client: Transport): Transport => (options.transformClient ?? identity)(guarded(client))
    const prepared = prepare(transport)
    return {
      send: (request, client) => {
        const url = new URL(request.url)
        const failed = (error: HttpClientError.HttpClientError) => {
          const reason = reasonOf(error)
          return reason === redirectRefused ? Effect.succeed(redirect) : Effect.fail(networkError(request, url, reason))
        }
        return Effect.suspend(() => (client === undefined ? prepared : prepare(client)).execute(httpRequest(request)))
          .pipe(
            Effect.flatMap(read),
            Effect.catch(failed),
            // What a transport dies of may hold the request, and the request holds the secret.
            Effect.catchDefect(() => Effect.fail(networkError(request, url, "DEFECT"))),
            (send) => Effect.suspend(() => Effect.provideService(send, Destination, { origin: undefined })),
            Effect.provideService(HttpClient.TracerPropagationEnabled, false),
            Effect.updateContext(withoutCallersFetch)
          )
      }
    }
  })

const identity = (client: Transport): Transport => client

/** The flight of many callers goes over the transport of the layer, not over what one of them has set for itself. */
const withoutCallersFetch = (context: Context.Context<never>): Context.Context<never> =>
  Context.omit(FetchHttpClient.Fetch, FetchHttpClient.RequestInit)(context)

const httpRequest = (request: IdentityRequest): HttpClientRequest.HttpClientRequest => {
  const base = HttpClientRequest.setHeaders(HttpClientRequest.make(request.method)(request.url), request.headers)
  return request.form === undefined ? base : HttpClientRequest.bodyUrlParams(base, request.form)
}

// -----------------------------------------------------------------------------
// redirects
// -----------------------------------------------------------------------------

/** Where the first request of this call went; whatever follows must go there too. */
class Destination extends Context.Service<Destination, { origin: string | undefined }>()(
  "effect-entra/internal/identityHttp/Destination"
) {}

/**
 * Stands directly before the transport, under everything that `transformClient` adds: sees each request that really
 * leaves, tells `fetch` not to follow redirects (it would send the secret along), and stops a middleware that does.
 */
const guarded = (client: Transport): Transport =>
  HttpClient.makeWith(
    (request) =>
      client.postprocess(
        Effect.flatMap(request, (request) =>
          Effect.withFiber((fiber) => {
            const destination = Context.getOrUndefined(fiber.context, Destination)
            const { origin } = new URL(request.url)
            if (destination !== undefined) {
              if (destination.origin !== undefined && destination.origin !== origin) return redirected(request)
              destination.origin = origin
            }
            fiber.setContext(withoutRedirects(fiber.context))
            return Effect.succeed(request)
          }))
      ),
    client.preprocess
  )

/** `fetch` follows redirects unless told not to; whatever else was asked of it holds. */
export const withoutRedirects = (context: Context.Context<never>): Context.Context<never> =>
  Context.add(context, FetchHttpClient.RequestInit, {
    ...Context.getOrUndefined(context, FetchHttpClient.RequestInit),
    redirect: "manual"
  })

const redirectRefused = "REDIRECT_REFUSED"

/** What the service answered, as far as it matters, when a middleware was about to follow it. */
const redirect: Answer = { status: 302, headers: {}, body: "", cut: false }

const redirected = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.fail(
    new HttpClientError.HttpClientError({
      reason: new HttpClientError.TransportError({ request, cause: { code: redirectRefused } })
    })
  )

// -----------------------------------------------------------------------------
// bodies
// -----------------------------------------------------------------------------

const read = (
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<Answer, HttpClientError.HttpClientError> => {
  const { headers, status } = response
  const length = Number(headers["content-length"])
  // A declared length binds an uncompressed body, so the cheap way is safe.
  const body = length <= bodyLimit && headers["content-encoding"] === undefined
    ? Effect.map(response.text, (body) => ({ body, cut: body.length > bodyLimit }))
    : readStream(response)
  return body.pipe(
    // A refusal counts by its status and its Retry-After, even when its body is empty or breaks off.
    Effect.catch((error) =>
      status >= 300 || error.reason._tag === "EmptyBodyError"
        ? Effect.succeed({ body: "", cut: false })
        : Effect.fail(error)
    ),
    Effect.map((body) => ({ status, headers, ...body }))
  )
}

const readStream = (response: HttpClientResponse.HttpClientResponse) =>
  Effect.map(
    Stream.runFoldEffect(
      Stream.takeUntil(counted(response.stream), ({ total }) => total > bodyLimit),
      () => ({ chunks: Array<Uint8Array>(), total: 0 }),
      (state, { chunk, total }) => {
        if (total <= bodyLimit) state.chunks.push(chunk)
        return Effect.succeed({ chunks: state.chunks, total })
      }
    ),
    ({ chunks, total }) => ({ body: decodeUtf8(chunks), cut: total > bodyLimit })
  )

const counted = <E>(stream: Stream.Stream<Uint8Array, E>) =>
  Stream.mapAccum(stream, () => 0, (sum, chunk) => {
    const total = sum + chunk.byteLength
    return [total, [{ chunk, total }]] as const
  })

const decodeUtf8 = (chunks: ReadonlyArray<Uint8Array>): string => {
  const decoder = new TextDecoder()
  return chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("") + decoder.decode()
}

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

const networkError = (request: IdentityRequest, url: URL, reason: string): NetworkError =>
  new NetworkError({
    code: "network",
    message: `${request.method} ${url.origin} got no answer (${reason})`,
    remedy: "Check name resolution, the proxy, the firewall and, for certificate reasons, the trusted authorities.",
    origin: "service",
    correlationId: request.correlationId,
    method: request.method,
    endpoint: url.origin,
    reason
  })

/** The transport's own code, found along its chain of causes: a word in capitals, never a message. */
const reasonOf = (error: HttpClientError.HttpClientError): string => {
  // A `transformClient` may add errors that its type does not show.
  if (!HttpClientError.isHttpClientError(error)) return "UNKNOWN"
  let cause: unknown = error.reason
  for (let depth = 0; depth < 8 && typeof cause === "object" && cause !== null; depth++) {
    const code = "code" in cause ? cause.code : undefined
    if (typeof code === "string" && /^[A-Z][A-Z0-9_]{2,60}$/.test(code)) return code
    cause = "cause" in cause ? cause.cause : undefined
  }
  return error.reason._tag
}
