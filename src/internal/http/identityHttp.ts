/**
 * Requests to an identity provider over the user's `HttpClient`. Redirects are refused, long bodies are cut, there are no
 * trace headers, and errors do not contain the request.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Headers from "effect/http/Headers"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as UrlParams from "effect/http/UrlParams"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { NetworkError } from "../../EntraError.ts"
import { type TimeLimit, within } from "../shared/timeLimit.ts"
import { isTraced } from "../shared/tracing.ts"
import { type Bytes, codingsOf, decodeAll } from "./contentCoding.ts"
import { type Fields, type IdentityRequest, type IdentityResponse, noFields, secretsOf } from "./fields.ts"
import * as NetworkReason from "./networkReason.ts"
import { scrubberOf } from "./redaction.ts"
import { followedTo, withoutRedirects } from "./redirects.ts"

/** The transport that users provide. */
export type Transport = HttpClient.HttpClient

export interface IdentityHttp {
  /**
   * Sends a request, with a time limit if there is one. `client` replaces the transport, for example for a credential that
   * authenticates with mutual TLS.
   */
  readonly send: <E = never>(
    request: IdentityRequest,
    options?: { readonly client?: Transport | undefined; readonly limit?: TimeLimit<IdentityResponse, E> }
  ) => Effect.Effect<IdentityResponse, NetworkError | E>
}

/** The number of bytes of a body that are read. A token response is never longer. */
export const bodyLimit = 1_048_576

/** Creates the client of identity providers over the transport. */
export const make = (
  options: { readonly transformClient?: ((client: Transport) => Transport) | undefined } = {}
): Effect.Effect<IdentityHttp, never, Transport> =>
  Effect.map(HttpClient.HttpClient, (transport) => {
    // `transformClient` may return a different client, so its result is guarded too.
    const { transformClient } = options
    const prepare = (client: Transport): Transport =>
      transformClient === undefined ? guarded(client) : staying(transformClient(guarded(client)))
    const prepared = prepare(transport)
    const sent = (request: IdentityRequest, client: Transport | undefined) =>
      (client === undefined ? prepared : prepare(client)).execute(httpRequest(request)).pipe(
        Effect.flatMap(read),
        Effect.catchCause((cause) => {
          if (Cause.hasInterruptsOnly(cause)) {
            return Effect.failCause(Cause.fromReasons<never>(cause.reasons.filter(Cause.isInterruptReason)))
          }
          if (cause.reasons.some((reason) => Cause.isDieReason(reason) && reason.defect === redirectRefused)) {
            return Effect.succeed(redirect)
          }
          const error = Cause.findErrorOption(cause)
          // The defect of a transport may contain the request with the secret, so it is replaced.
          return Effect.fail(networkError(request, Option.isSome(error) ? reasonOf(error.value, request) : "DEFECT"))
        })
      )
    return {
      send: (request, { client, limit } = {}) =>
        Effect.withFiber((fiber) => {
          const effect = isTraced(fiber) ? traced(request, sent(request, client)) : sent(request, client)
          return limit === undefined ? Effect.updateContext(effect, ownContext) : within(effect, limit, ownContext)
        })
    }
  })

/**
 * Adds a span. The client's own span would end with the transport's error, which may quote the request. A span of ours would
 * end with the body, so the body is hidden from it.
 */
const traced = (
  request: IdentityRequest,
  sent: Effect.Effect<IdentityResponse, NetworkError>
): Effect.Effect<IdentityResponse, NetworkError> =>
  sent.pipe(
    Effect.flatMap((response) =>
      Effect.as(Effect.annotateCurrentSpan("http.response.status_code", response.status), Redacted.make(response))
    ),
    Effect.withSpan(request.method, {
      kind: "client",
      // A parameter of the query may be a secret.
      attributes: { "http.request.method": request.method, "url.full": request.url.split("?", 1)[0] ?? "" }
    }, { captureStackTrace: false }),
    Effect.map(Redacted.value)
  )

/**
 * Returns the context of a request. A shared request uses the transport of the layer and not the settings of one caller. The
 * client does not trace it, so that it has no trace headers. The context records the destination.
 */
const ownContext = (context: Context.Context<never>): Context.Context<never> => {
  // The context is copied only if it has a `fetch` or a `RequestInit`, which is rare.
  const base = Context.getOrUndefined(context, FetchHttpClient.Fetch) === undefined &&
      Context.getOrUndefined(context, FetchHttpClient.RequestInit) === undefined
    ? context
    : Context.omit(FetchHttpClient.Fetch, FetchHttpClient.RequestInit)(context)
  const destination = { url: undefined }
  return base.pipe(
    // Clients call this function with each request that is sent, also with requests of a middleware below this module.
    Context.add(HttpClient.TracerDisabledWhen, (request) => {
      arrive(destination, request)
      return true
    }),
    Context.add(Destination, destination)
  )
}

/** Creates the request in one step, because each combinator copies the headers. */
const httpRequest = ({ form, headers, method, url }: IdentityRequest): HttpClientRequest.HttpClientRequest => {
  const plain = Object.fromEntries(plainOf(headers))
  const body = form === undefined
    ? HttpBody.empty
    : HttpBody.text(new URLSearchParams(plainOf(form)).toString(), "application/x-www-form-urlencoded")
  if (body._tag !== "Empty") {
    plain["content-type"] = body.contentType
    plain["content-length"] = `${body.contentLength}`
  }
  return HttpClientRequest.makeWith(method, url, UrlParams.empty, Option.none(), Headers.fromInput(plain), body)
}

/** Pairs, because a field may have a name that an object gives a meaning, such as `__proto__`. */
const plainOf = (fields: Fields): Array<[string, string]> => {
  const plain: Array<[string, string]> = []
  for (const [name, value] of Object.entries(fields)) {
    plain.push([name, typeof value === "string" ? value : Redacted.value(value)])
  }
  return plain
}

// -----------------------------------------------------------------------------
// redirects
// -----------------------------------------------------------------------------

/** The destination of the first request of a call. Further requests must have the same origin. */
interface Destination {
  url: string | undefined
}

const Destination = Context.Service<Destination>("effect-entra/internal/identityHttp/Destination")

/** The destinations of bodies, which may contain a secret, for a middleware that sends them in another runtime. */
const destinations = new WeakMap<HttpBody.HttpBody, Destination>()

/**
 * Guards a transport directly, below all middleware of `transformClient`, so that it gets every request that is sent. It
 * makes `fetch` refuse redirects, which would send the secret to another URL, and dies if a middleware follows one.
 */
const guarded = (client: Transport): Transport =>
  watched(client, (request, context) => {
    const known = Context.getOrUndefined(context, Destination) ?? destinations.get(request.body)
    const destination = known ?? { url: undefined }
    arrive(destination, request)
    if (request.body._tag !== "Empty") destinations.set(request.body, destination)
  })

/** Makes `fetch` refuse redirects, and allows every request. */
const staying = (client: Transport): Transport => watched(client, () => {})

const watched = (
  client: Transport,
  watch: (request: HttpClientRequest.HttpClientRequest, context: Context.Context<never>) => void
): Transport =>
  HttpClient.makeWith(
    (request) =>
      client.postprocess(
        Effect.flatMap(request, (request) =>
          Effect.withFiber((fiber) => {
            watch(request, fiber.context)
            return Effect.succeed(withoutRedirects(request))
          }))
      ),
    client.preprocess
  )

/** Throws if a further request of a call goes to another origin than the first. */
const arrive = (destination: Destination, { url }: HttpClientRequest.HttpClientRequest): void => {
  destination.url ??= url
  if (destination.url !== url && new URL(destination.url).origin !== new URL(url).origin) throw redirectRefused
}

const redirectRefused = new Error("A redirect was not followed.")

/** The response that stands for a redirect that was followed, or was about to be. */
const redirect: IdentityResponse = { status: 302, headers: {}, body: "", cut: false }

// -----------------------------------------------------------------------------
// bodies
// -----------------------------------------------------------------------------

const read = (
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<IdentityResponse, HttpClientError.HttpClientError> => {
  const { headers, status } = response
  if (followedTo(response) !== undefined) return Effect.succeed(redirect)
  const web = Option.getOrUndefined(HttpClientResponse.toWeb(response))
  const body = web !== undefined && !web.bodyUsed
    ? web.body === null ? Effect.succeed({ body: "", cut: false }) : readWeb(response, web.body)
    // A declared length binds an uncompressed body, so the cheap way is safe.
    : Number(headers["content-length"]) <= bodyLimit && headers["content-encoding"] === undefined
    ? Effect.map(response.text, (body) => ({ body, cut: body.length > bodyLimit }))
    : Effect.flatMap(readStream(response), (raw) => decoded(response, raw))
  return Effect.matchEffect(body, {
    onSuccess: ({ body, cut }) => Effect.succeed({ status, headers, body, cut }),
    // The status and Retry-After of a refusal are valid even if its body is empty or incomplete.
    onFailure: (error) =>
      status >= 300 || error.reason._tag === "EmptyBodyError"
        ? Effect.succeed({ status, headers, body: "", cut: false })
        : Effect.fail(error)
  })
}

type Body = Pick<IdentityResponse, "body" | "cut">

/** Reads the body of a `fetch` without a `Stream`, which would create an abort signal and an error at its end. */
const readWeb = (
  response: HttpClientResponse.HttpClientResponse,
  stream: ReadableStream<Uint8Array>
): Effect.Effect<Body, HttpClientError.HttpClientError> =>
  Effect.callback((resume) => {
    const reader = stream.getReader()
    // A custom `fetch` may return a body of strings, which the decoder rejects.
    readUpTo(reader).then(({ chunks, cut }) => ({ body: decodeUtf8(chunks), cut })).then(
      (body) => resume(Effect.succeed(body)),
      (cause) => resume(Effect.fail(undecodable(response, cause)))
    )
    // Canceling the body aborts the request.
    return Effect.sync(() => cancel(reader))
  })

const readUpTo = async (reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Bytes> => {
  const chunks: Array<Uint8Array> = []
  let total = 0
  while (true) {
    const { done, value } = await reader.read()
    if (done) return { chunks, cut: false }
    total += value.byteLength
    if (total > bodyLimit) {
      cancel(reader)
      return { chunks, cut: true }
    }
    chunks.push(value)
  }
}

/** Cancels a body in the background, and ignores failures. */
const cancel = (reader: ReadableStreamDefaultReader<Uint8Array>): void => {
  reader.cancel().catch(() => {})
}

const readStream = (response: HttpClientResponse.HttpClientResponse) =>
  Effect.suspend(() => {
    const chunks: Array<Uint8Array<ArrayBuffer>> = []
    let total = 0
    const read = Stream.runForEachWhile(response.stream, (chunk) =>
      Effect.sync(() => {
        total += chunk.byteLength
        if (total <= bodyLimit) chunks.push(Uint8Array.from(chunk))
        return total <= bodyLimit
      }))
    return Effect.map(read, () => ({ chunks, cut: total > bodyLimit }))
  })

/** Decodes a body that is encoded although `identity` was asked for. The limit holds for the result of each coding. */
const decoded = (
  response: HttpClientResponse.HttpClientResponse,
  bytes: Bytes
): Effect.Effect<Body, HttpClientError.HttpClientError> => {
  const names = codingsOf(response.headers["content-encoding"] ?? "")
  return bytes.cut || bytes.chunks.length === 0 || names.length === 0
    ? Effect.succeed({ body: decodeUtf8(bytes.chunks), cut: bytes.cut })
    : Effect.tryPromise({
      try: async () => {
        const { chunks, cut } = await decodeAll(names, bytes, readUpTo)
        return { body: decodeUtf8(chunks), cut }
      },
      catch: (cause) => undecodable(response, cause)
    })
}

const undecodable = (response: HttpClientResponse.HttpClientResponse, cause: unknown) =>
  new HttpClientError.HttpClientError({
    reason: new HttpClientError.DecodeError({ request: response.request, response, cause })
  })

const decodeUtf8 = (chunks: ReadonlyArray<Uint8Array>): string => {
  if (chunks.length < 2) return utf8.decode(chunks[0])
  const decoder = new TextDecoder()
  return chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("") + decoder.decode()
}

/** For bodies of one chunk, which leave no state in it. */
const utf8 = new TextDecoder()

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

const networkError = (request: IdentityRequest, reason: string): NetworkError => {
  const endpoint = new URL(request.url).origin
  const status = /^PROXY_RESPONSE_(\d{3})$/.exec(reason)?.[1]
  return new NetworkError({
    code: "network",
    message: `${request.method} ${endpoint} got no response (${reason}).`,
    remedy: NetworkReason.remedyOf(reason),
    origin: "service",
    correlationId: request.correlationId,
    method: request.method,
    endpoint,
    reason,
    ...(status === undefined ? {} : { status: Number(status) })
  })
}

const reasonOf = (error: HttpClientError.HttpClientError, { form = noFields, headers }: IdentityRequest): string => {
  // A `transformClient` may add errors that its type does not show.
  if (!HttpClientError.isHttpClientError(error)) return "UNKNOWN"
  return NetworkReason.reasonOf(error.reason) ??
    NetworkReason.wordsOf(error.reason, scrubberOf([form], secretsOf(headers))) ?? "UNKNOWN"
}
