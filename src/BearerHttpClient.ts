/**
 * An `HttpClient` whose requests carry a token: to the origins of a table, and to no other.
 *
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
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { type AuthenticationResult, authorizationHeader } from "./AccessToken.ts"
import { ConfidentialClient } from "./ConfidentialClient.ts"
import { type AcquireTokenError, type InvalidRequestError, isEntraError } from "./EntraError.ts"
import * as ReplacementCooldown from "./internal/client/replacementCooldown.ts"
import { withoutRedirects } from "./internal/http/identityHttp.ts"
import { type OriginTable, readOriginTable } from "./internal/http/originTable.ts"
import { redactedError, redactedResponse } from "./internal/http/redactedResponse.ts"
import { claimsChallengeOf } from "./internal/http/wwwAuthenticate.ts"
import { accessTokenSha256 } from "./internal/shared/sha256.ts"
import type { TokenRequest } from "./TokenRequest.ts"

export {
  /**
   * Which token goes where: an origin, such as `https://graph.microsoft.com`, and its scopes, or scopes and tenant.
   *
   * @category models
   * @since 0.1.0
   */
  type OriginTable
}

// -----------------------------------------------------------------------------
// services
// -----------------------------------------------------------------------------

/**
 * The tenant whose tokens the requests of this fiber carry, for origins whose tenant the table leaves open; unless set, that
 * of the client.
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
 * The `HttpClient` of the context, wrapped, with the errors of acquiring tokens in its type.
 *
 * **Details**
 *
 * Origins are compared as the URL standard serializes them, after everything else has changed the request, so neither case,
 * port, user information, other scripts nor a trailing dot lead a token astray. They are https; plain http is for this
 * machine alone. A request that has an `authorization` header is left as it is.
 *
 * When an API answers 401 its token is replaced once, by its hash, and with the claims that the API asks for
 * (`insufficient_claims`); the request is repeated if its body can be sent again: all but streams. Of many requests whose
 * token was refused one causes a token request. A replacement that is refused as well is not replaced for 30 seconds, nor
 * is a token whose replacement could not be had: then the API's answer is yours.
 *
 * Answers and errors show the request without the token; `HttpClientResponse.toWeb` has nothing for such an answer.
 *
 * **Gotchas**
 *
 * The transport follows no redirect of a request that carries a token, not even `fetch`: the answer is the redirect, without
 * its body. `HttpClient.followRedirects` around this client follows it; each hop is judged anew. `HttpClient.withScope` has
 * its effect under this client, not around it. With `NODE_USE_ENV_PROXY` plain http to this machine goes through the proxy
 * too, unless `NO_PROXY` has `localhost,127.0.0.1`.
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
 *     Effect.catchTag("EntraThrottledError", (error) => Effect.fail(`again in ${Duration.format(error.retryAfter)}`))
 *   )
 *   // The simulator's Graph believes nobody.
 *   assert.strictEqual(response.status, 401)
 * })
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.provide([ConfidentialClient.layerTest("a-token"), EntraSimulator.layerMemory()]))
 * )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  origins: OriginTable
): Effect.Effect<
  HttpClient.HttpClient.With<HttpClientError.HttpClientError | AcquireTokenError>,
  InvalidRequestError,
  ConfidentialClient | HttpClient.HttpClient
> => bearing(origins, (error) => error)

/**
 * Why there was no token, if that is what an `HttpClientError` of {@link layer} says; undefined for every other one.
 *
 * **Example** (Telling a missing token from a broken network)
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
 * @category getters
 * @since 0.1.0
 */
export const tokenErrorOf = (error: HttpClientError.HttpClientError): AcquireTokenError | undefined =>
  "cause" in error.reason && isEntraError(error.reason.cause) ? error.reason.cause : undefined

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * Replaces the `HttpClient` by one whose requests carry a token where the table says so; see {@link make} for the rules.
 *
 * **Details**
 *
 * What keeps a token from being acquired is the `cause` of an `HttpClientError` ({@link tokenErrorOf}): a `TransportError`
 * when trying again at once may help, so that `HttpClient.retryTransient` does, else an `EncodeError`.
 *
 * **Example** (Listing users)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, Layer } from "effect"
 * import {
 *   AuthorityResolver,
 *   BearerHttpClient,
 *   ClientCredential,
 *   ConfidentialClient,
 *   TokenCache,
 *   TokenEndpoint
 * } from "effect-entra"
 * import { EntraSimulator } from "effect-entra/testing"
 * import { HttpClient } from "effect/http"
 *
 * const Graph = BearerHttpClient.layer({ "https://graph.microsoft.com": "https://graph.microsoft.com/.default" }).pipe(
 *   Layer.provide(ConfidentialClient.layer({
 *     clientId: EntraSimulator.daemonClientId,
 *     tenantId: EntraSimulator.contosoTenantId
 *   })),
 *   Layer.provide([
 *     ClientCredential.layerSecret(EntraSimulator.daemonSecret),
 *     AuthorityResolver.layer,
 *     TokenEndpoint.layer,
 *     TokenCache.layerMemory()
 *   ]),
 *   Layer.provide(EntraSimulator.layerMemory())
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
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  origins: OriginTable
): Layer.Layer<HttpClient.HttpClient, InvalidRequestError, ConfidentialClient | HttpClient.HttpClient> =>
  Layer.effect(HttpClient.HttpClient, bearing(origins, httpError))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

type Request = HttpClientRequest.HttpClientRequest
type Response = HttpClientResponse.HttpClientResponse

const bearing = <E>(
  table: OriginTable,
  onTokenError: (error: AcquireTokenError, request: Request) => E
): Effect.Effect<
  HttpClient.HttpClient.With<HttpClientError.HttpClientError | E>,
  InvalidRequestError,
  ConfidentialClient | HttpClient.HttpClient
> =>
  Effect.gen(function*() {
    const origins = yield* Effect.fromResult(readOriginTable(table))
    const tokens = yield* ConfidentialClient
    const transport = yield* HttpClient.HttpClient
    const clock = yield* Clock.Clock

    const acquire = (asked: TokenRequest, request: Request) =>
      Effect.mapError(tokens.acquireToken(asked), (error) => onTokenError(error, request))

    const carrying = (request: Request, token: AuthenticationResult) => {
      const authorization = Redacted.value(authorizationHeader(token, request))
      return Effect.withFiber<Response, HttpClientError.HttpClientError>((fiber) => {
        const before = fiber.context
        // Only here is what the transport was built with to be seen.
        const sent = Effect.sync(() => {
          fiber.setContext(withoutRedirects(fiber.context))
          return HttpClientRequest.setHeader(request, "authorization", authorization)
        })
        return Effect.ensuring(transport.postprocess(sent), Effect.sync(() => fiber.setContext(before)))
      }).pipe(Effect.mapError((error) => redactedError(error, request)))
    }

    /** What the API answers to a token, or to the one that takes its place; `left` more may. */
    const answered = (
      request: Request,
      asked: TokenRequest,
      token: AuthenticationResult,
      left: number
    ): Effect.Effect<Response, HttpClientError.HttpClientError | E> =>
      Effect.flatMap(carrying(request, token), (response) => {
        if (response.status === 401 && left > 0 && isFrom(response, request)) {
          const claims = claimsChallengeOf(response.headers["www-authenticate"]) ?? ""
          if (!ReplacementCooldown.isAtRest(token.accessToken, claims, clock)) {
            return replaced(response, request, asked, token, claims, left)
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
      asked: TokenRequest,
      refused: AuthenticationResult,
      claims: string,
      left: number
    ) =>
      Effect.gen(function*() {
        const repeatable = isRepeatable(request.body)
        // Nobody is to hold a connection while the identity provider is asked.
        if (repeatable) yield* discard(response, "1 second")
        const accessTokenSha256ToRefresh = yield* accessTokenSha256(refused.accessToken)
        const another = yield* acquire({ ...asked, accessTokenSha256ToRefresh, claims }, request).pipe(
          Effect.catch((error) => repeatable ? Effect.fail(error) : Effect.succeed(refused)),
          Effect.onInterrupt(() => repeatable ? Effect.void : discard(response, "1 second"))
        )
        return repeatable ? yield* answered(request, asked, another, left - 1) : redactedResponse(response, request)
      })

    const send = (request: Request): Effect.Effect<Response, HttpClientError.HttpClientError | E> => {
      const found = origins.get(originOf(request) ?? "")
      if (found === undefined || request.headers["authorization"] !== undefined) {
        return transport.postprocess(Effect.succeed(request))
      }
      return Effect.withFiber((fiber) => {
        const tenantId = found.tenantId ?? fiber.getRef(CurrentTenantId)
        const asked = tenantId === undefined ? found : { ...found, tenantId }
        return Effect.flatMap(acquire(asked, request), (token) => answered(request, asked, token, mostReplacements))
      })
    }

    return HttpClient.makeWith((request) => Effect.flatMap(request, send), transport.preprocess)
  })

/** One that others had replaced already may be refused in its turn; and a challenge may follow a plain refusal. */
const mostReplacements = 3

/** Where a request goes, as the transports read it. */
const originOf = (request: Request): string | undefined =>
  Option.getOrUndefined(Option.map(HttpClientRequest.toUrl(request), ({ origin }) => origin))

/** Not of another host that a transport has followed a redirect to. */
const isFrom = (response: Response, request: Request): boolean =>
  !URL.canParse(response.url) || new URL(response.url).origin === originOf(request)

/** Whoever follows it does not read it, and only the transport's own answer can be ended unread. */
const isRedirect = ({ headers, status }: Response): boolean =>
  status >= 300 && status < 400 && headers["location"] !== undefined

/** Streams may have a source that runs once; what only the transport knows may be such a stream. */
const isRepeatable = (body: HttpBody.HttpBody): boolean => {
  if (body._tag !== "Raw") return body._tag !== "Stream"
  const raw: unknown = body.body
  return typeof raw === "string" || ArrayBuffer.isView(raw) ||
    [ArrayBuffer, Blob, FormData, URLSearchParams].some((kind) => raw instanceof kind)
}

/** Reads what little a refusal says, so that its connection is free again. */
const discard = (response: Response, patience: Duration.Input): Effect.Effect<void> =>
  Stream.runDrain(Stream.take(response.stream, 16)).pipe(Effect.timeout(patience), Effect.ignore)

/** Who is asked to wait is not helped by trying again at once. */
const httpError = (error: AcquireTokenError, request: Request): HttpClientError.HttpClientError => {
  const details = { request, cause: error, description: `no token: ${error.message} (${error.remedy})` }
  return new HttpClientError.HttpClientError({
    reason: error.isRetryable && error.retryAfter === undefined
      ? new HttpClientError.TransportError(details)
      : new HttpClientError.EncodeError(details)
  })
}
