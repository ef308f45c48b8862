/**
 * An `HttpClient` that adds access tokens to requests to the origins of a table, and to no other requests.
 *
 * {@link layer} provides it as `HttpClient` of `effect/http`, and as the service {@link BearerHttpClient}. A context
 * has only one `HttpClient`: after `Layer.mergeAll(Bearer, Plain)` it is the plain client, whose requests have no
 * token. Programs with both ask for `BearerHttpClient`, or provide {@link layerHttpClient} to the consumers that need
 * tokens.
 *
 * The module is unstable, because its types name the `HttpClient` of `effect/http`, which Effect tags as unstable.
 *
 * @stability unstable
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { type AuthenticationResult, authorizationHeader } from "./AccessToken.ts"
import { ConfidentialClient } from "./ConfidentialClient.ts"
import { type AcquireTokenError, type InvalidRequestError, isEntraError } from "./EntraError.ts"
import * as ReplacementCooldown from "./internal/client/replacementCooldown.ts"
import { originOf, type OriginTable, readOriginTable } from "./internal/http/originTable.ts"
import { redactedError, redactedResponse } from "./internal/http/redactedResponse.ts"
import { followedTo, withoutRedirects } from "./internal/http/redirects.ts"
import { claimsChallengeOf } from "./internal/http/wwwAuthenticate.ts"
import { accessTokenSha256 } from "./internal/shared/sha256.ts"
import type { TokenRequest } from "./TokenRequest.ts"

export {
  /**
   * The tokens of each origin: a record from an origin, such as `https://graph.microsoft.com`, to its scopes, or to
   * `{ scopes, tenantId }`.
   *
   * **Details**
   *
   * A key may be a pattern, such as `https://*.vault.azure.net`, for vaults or storage accounts that are created at run
   * time. `*` is the whole first label, and stands for exactly one label: the pattern matches neither
   * `https://vault.azure.net` nor `https://a.b.vault.azure.net`. A port is part of a pattern, as it is part of an
   * origin. An origin of the table takes precedence over a pattern; two patterns never match the same origin. Patterns
   * for the hosts of many owners, such as `https://*`, `https://*.net` and `https://*.co.uk`, are errors.
   *
   * **Gotchas**
   *
   * Anyone can create a vault or a storage account whose host matches the pattern. Do not send requests to URLs from
   * untrusted input, or list the origins instead.
   *
   * @stability unstable
   * @category models
   * @since 0.1.0
   */
  type OriginTable
}

// -----------------------------------------------------------------------------
// services
// -----------------------------------------------------------------------------

/**
 * The client of {@link layer} under a name of its own, which no other `HttpClient` replaces.
 *
 * **When to use**
 *
 * In a program that has another `HttpClient` too. See {@link layerHttpClient} for consumers of `HttpClient`.
 *
 * **Example** (Two clients in one program)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, Layer } from "effect"
 * import { BearerHttpClient, ConfidentialClient } from "effect-entra"
 * import { HttpClient, HttpClientResponse } from "effect/http"
 *
 * // A transport that responds with the token of the request.
 * const Plain = Layer.succeed(
 *   HttpClient.HttpClient,
 *   HttpClient.make((request) =>
 *     Effect.succeed(HttpClientResponse.fromWeb(request, new Response(request.headers["authorization"] ?? "no token")))
 *   )
 * )
 * const Bearer = BearerHttpClient.layer({ "https://orders.example": "api://orders/.default" }).pipe(
 *   Layer.provide([ConfidentialClient.layerTest("a-token"), Plain])
 * )
 *
 * const program = Effect.gen(function*() {
 *   const plain = yield* HttpClient.get("https://orders.example/1")
 *   assert.strictEqual(yield* plain.text, "no token")
 *   const client = yield* BearerHttpClient.BearerHttpClient
 *   const order = yield* client.get("https://orders.example/1")
 *   assert.strictEqual(yield* order.text, "Bearer a-token")
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Layer.mergeAll(Bearer, Plain)))
 * ```
 *
 * @stability unstable
 * @category services
 * @since 0.1.0
 */
export class BearerHttpClient extends Context.Service<BearerHttpClient, HttpClient.HttpClient>()(
  "effect-entra/BearerHttpClient"
) {}

/**
 * The tenant of the tokens for requests of this fiber. It applies to origins whose entry in the table has no
 * `tenantId`; default: undefined, which means the tenant of the client.
 *
 * **Example** (One client for many tenants)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { BearerHttpClient } from "effect-entra"
 * import { HttpClient } from "effect/http"
 *
 * export const usersOf = (tenantId: string) =>
 *   HttpClient.get("https://graph.microsoft.com/v1.0/users").pipe(
 *     Effect.provideService(BearerHttpClient.CurrentTenantId, tenantId)
 *   )
 * ```
 *
 * @stability unstable
 * @category references
 * @since 0.1.0
 */
export const CurrentTenantId: Context.Reference<string | undefined> = Context.Reference(
  "effect-entra/BearerHttpClient/CurrentTenantId",
  { defaultValue: (): string | undefined => undefined }
)

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * Creates an `HttpClient` over the one of the context that adds tokens to requests (RFC 6750 section 2.1). The errors
 * of acquiring a token are part of its error type.
 *
 * **Details**
 *
 * - The constructor fails with an `InvalidRequestError` (`field_missing`, `field_malformed`) when the table is invalid. A
 *   key of the table is an origin, or a pattern: see {@link OriginTable}.
 * - The origin of a request is computed by the URL standard after all other changes of the request. Case, port, user
 *   information, other scripts or a trailing dot cannot send a token to another origin.
 * - Origins must use https; http is allowed for this machine only.
 * - A request that has an `authorization` header is sent unchanged, and so is a request to another origin.
 *
 * If the API responds with 401, the token is replaced and the request is repeated:
 * - The new token is requested with the claims of an `insufficient_claims` challenge. Concurrent requests whose token
 *   was refused cause one token request.
 * - A request whose body is a stream is not repeated. Its token is replaced, and the caller gets the 401.
 * - A replacement that the API refuses too is not replaced for 30 seconds, unless the API asks for claims for the first
 *   time. A token whose replacement failed is not replaced for 30 seconds either. The caller then gets the API's
 *   response.
 *
 * Responses and errors contain the request without the token. `HttpClientResponse.toWeb` returns `Option.none()` for
 * them.
 *
 * **Gotchas**
 *
 * - The transport does not follow redirects of a request that carries a token, whatever wraps the transport or this
 *   client. The caller gets the redirect without its body. `fetch` can follow a redirect only if a middleware builds
 *   another request and sends it with its own options of `fetch`, or in another runtime. The caller gets the redirect
 *   then too. `HttpClient.followRedirects` around this client follows redirects, and the table is checked for each hop.
 *   Do not put it below this client: there it sends the token on to other paths of the origin.
 * - Apply `HttpClient.withScope` to the client in the context. Around this client it does not apply to
 *   requests with a token.
 * - With `NODE_USE_ENV_PROXY`, http requests to this machine use the proxy too, unless `NO_PROXY` contains
 *   `localhost,127.0.0.1`.
 *
 * **Example** (Handling token errors by their tags)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Duration, Effect } from "effect"
 * import { BearerHttpClient, ConfidentialClient } from "effect-entra"
 * import { EntraSimulator } from "effect-entra/testing"
 *
 * const program = Effect.gen(function*() {
 *   const graph = yield* BearerHttpClient.make({ "https://graph.microsoft.com": "https://graph.microsoft.com/.default" })
 *   const response = yield* graph.get("https://graph.microsoft.com/v1.0/users").pipe(
 *     Effect.catchTag("EntraThrottledError", (error) => Effect.fail(`retry in ${Duration.format(error.retryAfter)}`))
 *   )
 *   // The Graph of the simulator does not know this token.
 *   assert.strictEqual(response.status, 401)
 * })
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.provide([ConfidentialClient.layerTest("a-token"), EntraSimulator.layerMemory()]))
 * )
 * ```
 *
 * @stability unstable
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  origins: OriginTable
): Effect.Effect<
  HttpClient.HttpClient.With<HttpClientError.HttpClientError | AcquireTokenError>,
  InvalidRequestError,
  ConfidentialClient | HttpClient.HttpClient
> => makeClient(origins, (error) => error)

/**
 * Returns the reason why no token was acquired, from an `HttpClientError` of {@link layer}; undefined for other errors.
 *
 * **Example** (Distinguishing a missing token from a network error)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { BearerHttpClient } from "effect-entra"
 * import { HttpClient } from "effect/http"
 *
 * export const users = HttpClient.get("https://graph.microsoft.com/v1.0/users").pipe(
 *   Effect.tapError((error) => Effect.logError(BearerHttpClient.tokenErrorOf(error)?.remedy ?? error.message))
 * )
 * ```
 *
 * @stability unstable
 * @category getters
 * @since 0.1.0
 */
export const tokenErrorOf = (error: HttpClientError.HttpClientError): AcquireTokenError | undefined =>
  "cause" in error.reason && isEntraError(error.reason.cause) ? error.reason.cause : undefined

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * Creates an `HttpClient` that adds tokens to requests, over the one of the context; see {@link make} for the rules.
 * The layer provides it as `HttpClient` and as {@link BearerHttpClient}.
 *
 * **Details**
 *
 * If no token is acquired, the request fails with an `HttpClientError` whose `cause` is the reason; see {@link
 * tokenErrorOf}. It is a `TransportError` if the reason is retryable and has no `retryAfter`, so that
 * `HttpClient.retryTransient` repeats the request. Otherwise it is an `EncodeError`.
 *
 * **Gotchas**
 *
 * If this layer and another `HttpClient` are merged, the last of them is the `HttpClient` of the program. The types do
 * not show this, and the API responds with 401 to requests without a token. {@link BearerHttpClient} is not replaced.
 *
 * **Example** (Listing users)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, Layer } from "effect"
 * import { BearerHttpClient, ClientCredential, ConfidentialClient } from "effect-entra"
 * import { EntraSimulator } from "effect-entra/testing"
 * import { HttpClient } from "effect/http"
 *
 * const Graph = BearerHttpClient.layer({ "https://graph.microsoft.com": "https://graph.microsoft.com/.default" }).pipe(
 *   Layer.provide(ConfidentialClient.layerDefault({
 *     clientId: EntraSimulator.daemonClientId,
 *     tenantId: EntraSimulator.contosoTenantId
 *   })),
 *   Layer.provide([ClientCredential.layerSecret(EntraSimulator.daemonSecret), EntraSimulator.layerMemory()])
 * )
 *
 * const program = Effect.gen(function*() {
 *   const response = yield* HttpClient.get("https://graph.microsoft.com/v1.0/users")
 *   assert.strictEqual(response.status, 200)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Graph))
 * ```
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  origins: OriginTable
): Layer.Layer<
  BearerHttpClient | HttpClient.HttpClient,
  InvalidRequestError,
  ConfidentialClient | HttpClient.HttpClient
> =>
  Layer.effectContext(
    Effect.map(makeClient(origins, httpError), (client) =>
      Context.make(BearerHttpClient, client).pipe(Context.add(HttpClient.HttpClient, client)))
  )

/**
 * Provides the {@link BearerHttpClient} of the context as `HttpClient`, to the consumers that get this layer.
 *
 * **Example** (A consumer of `HttpClient` that needs tokens, beside a plain client)
 *
 * ```ts
 * import { Context, Effect, Layer } from "effect"
 * import { BearerHttpClient } from "effect-entra"
 * import { FetchHttpClient, HttpClient, type HttpClientError } from "effect/http"
 *
 * class Orders extends Context.Service<Orders, {
 *   readonly get: (id: string) => Effect.Effect<unknown, HttpClientError.HttpClientError>
 * }>()("my-app/Orders") {
 *   static readonly layer = Layer.effect(
 *     Orders,
 *     Effect.map(HttpClient.HttpClient, (client) => ({
 *       get: (id: string) => Effect.flatMap(client.get(`https://orders.example/${id}`), (response) => response.json)
 *     }))
 *   )
 * }
 *
 * const Bearer = BearerHttpClient.layer({ "https://orders.example": "api://orders/.default" })
 *
 * export const App = Orders.layer.pipe(
 *   Layer.provide(BearerHttpClient.layerHttpClient),
 *   Layer.provide(Bearer),
 *   Layer.provideMerge(FetchHttpClient.layer)
 * )
 * ```
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerHttpClient: Layer.Layer<HttpClient.HttpClient, never, BearerHttpClient> = /*#__PURE__*/ Layer.effect(
  HttpClient.HttpClient,
  BearerHttpClient
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

type Request = HttpClientRequest.HttpClientRequest
type Response = HttpClientResponse.HttpClientResponse

const makeClient = <E>(
  table: OriginTable,
  onTokenError: (error: AcquireTokenError, request: Request) => E
): Effect.Effect<
  HttpClient.HttpClient.With<HttpClientError.HttpClientError | E>,
  InvalidRequestError,
  ConfidentialClient | HttpClient.HttpClient
> =>
  Effect.gen(function*() {
    const lookUp = yield* Effect.fromResult(readOriginTable(table))
    const tokens = yield* ConfidentialClient
    const transport = yield* HttpClient.HttpClient
    const clock = yield* Clock.Clock

    const acquire = (tokenRequest: TokenRequest, request: Request) =>
      Effect.mapError(tokens.acquireToken(tokenRequest), (error) => onTokenError(error, request))

    const sendWith = (request: Request, token: AuthenticationResult) => {
      const authorization = Redacted.value(authorizationHeader(token, request))
      return Effect.withFiber<Response, HttpClientError.HttpClientError>((fiber) => {
        const before = fiber.context
        // The settings that the transport was built with are visible only inside its effect.
        const authorized = Effect.sync(() =>
          withoutRedirects(HttpClientRequest.setHeader(request, "authorization", authorization))
        )
        return Effect.ensuring(
          Effect.flatMap(transport.postprocess(authorized), notFollowed),
          Effect.sync(() => fiber.setContext(before))
        )
      }).pipe(Effect.mapError((error) => redactedError(error, request)))
    }

    /** Sends a request with a token, and again with the token's replacement, which `left` limits. */
    const exchange = (
      request: Request,
      tokenRequest: TokenRequest,
      token: AuthenticationResult,
      left: number
    ): Effect.Effect<Response, HttpClientError.HttpClientError | E> =>
      Effect.flatMap(sendWith(request, token), (response) => {
        if (response.status === 401 && left > 0 && isFrom(response, request)) {
          const claims = claimsChallengeOf(response.headers["www-authenticate"]) ?? ""
          if (!ReplacementCooldown.isAtRest(token.accessToken, claims, clock)) {
            return replaced(response, request, tokenRequest, token, claims, left)
          }
        }
        return Effect.as(
          isRedirect(response) ? discard(response, "10 millis") : Effect.void,
          redactedResponse(response, request)
        )
      })

    const replaced = (
      response: Response,
      request: Request,
      tokenRequest: TokenRequest,
      refused: AuthenticationResult,
      claims: string,
      left: number
    ) =>
      Effect.gen(function*() {
        const repeatable = isRepeatable(request.body)
        // A token request takes long, so the connection to the API is freed first.
        if (repeatable) yield* discard(response, "1 second")
        const accessTokenSha256ToRefresh = yield* accessTokenSha256(refused.accessToken)
        const another = yield* acquire({ ...tokenRequest, accessTokenSha256ToRefresh, claims }, request).pipe(
          Effect.catch((error) => repeatable ? Effect.fail(error) : Effect.succeed(refused)),
          Effect.onInterrupt(() => repeatable ? Effect.void : discard(response, "1 second"))
        )
        return repeatable
          ? yield* exchange(request, tokenRequest, another, left - 1)
          : redactedResponse(response, request)
      })

    const send = (request: Request): Effect.Effect<Response, HttpClientError.HttpClientError | E> => {
      const entry = lookUp(requestOrigin(request))
      if (entry === undefined || request.headers["authorization"] !== undefined) {
        return transport.postprocess(Effect.succeed(request))
      }
      return Effect.withFiber((fiber) => {
        const tenantId = entry.tenantId ?? fiber.getRef(CurrentTenantId)
        const tokenRequest = tenantId === undefined ? entry : { ...entry, tenantId }
        return Effect.flatMap(
          acquire(tokenRequest, request),
          (token) => exchange(request, tokenRequest, token, mostReplacements)
        )
      })
    }

    return HttpClient.makeWith((request) => Effect.flatMap(request, send), transport.preprocess)
  })

/** More than 1: another caller's replacement may be refused too, and a challenge may follow a plain refusal. */
const mostReplacements = 3

/** Returns the origin of a request as the transports compute it. */
const requestOrigin = (request: Request): string =>
  Option.getOrElse(Option.map(HttpClientRequest.toUrl(request), originOf), () => "")

/** Returns false for the response of another origin, to which a transport has followed a redirect. */
const isFrom = (response: Response, request: Request): boolean =>
  !URL.canParse(response.url) || originOf(new URL(response.url)) === requestOrigin(request)

/** The body of a redirect is discarded here, because a client that follows the redirect does not read it. */
const isRedirect = ({ headers, status }: Response): boolean =>
  status >= 300 && status < 400 && headers["location"] !== undefined

/** Replaces a response for which a custom `fetch` has followed a redirect, because it may not come from the API. */
const notFollowed = (response: Response): Effect.Effect<Response> => {
  const location = followedTo(response)
  return location === undefined
    ? Effect.succeed(response)
    : Effect.as(
      discard(response, "10 millis"),
      HttpClientResponse.fromWeb(
        response.request,
        new globalThis.Response(null, { status: 302, headers: { location } })
      )
    )
}

/** The source of a stream may run only once, and a raw body may be such a stream. */
const isRepeatable = (body: HttpBody.HttpBody): boolean => {
  if (body._tag !== "Raw") return body._tag !== "Stream"
  const raw: unknown = body.body
  return typeof raw === "string" || ArrayBuffer.isView(raw) ||
    [ArrayBuffer, Blob, FormData, URLSearchParams].some((kind) => raw instanceof kind)
}

/** Reads up to 16 chunks of a body, within `limit`, to free the connection. */
const discard = (response: Response, limit: Duration.Input): Effect.Effect<void> =>
  Stream.runDrain(Stream.take(response.stream, 16)).pipe(Effect.timeout(limit), Effect.ignore)

/** An error with `retryAfter` is not a `TransportError`, because a retry at once does not help. */
const httpError = (error: AcquireTokenError, request: Request): HttpClientError.HttpClientError => {
  const details = { request, cause: error, description: `No token was acquired. ${error.message} ${error.remedy}` }
  return new HttpClientError.HttpClientError({
    reason: error.isRetryable && error.retryAfter === undefined
      ? new HttpClientError.TransportError(details)
      : new HttpClientError.EncodeError(details)
  })
}
