/**
 * A client for programs without Effect, with promises, exceptions, `AbortSignal`, and `await using`. It has the cache,
 * shared requests, refresh before expiry, retries and errors of `ConfidentialClient`.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { AuthenticationResult } from "../AccessToken.ts"
import * as AzureCredential from "../AzureCredential.ts"
import { ConfidentialClient } from "../ConfidentialClient.ts"
import type { AcquireTokenError } from "../EntraError.ts"
import { AcquireToken } from "../internal/client/hitPath.ts"
import * as ReplacementCooldown from "../internal/client/replacementCooldown.ts"
import { notA } from "../internal/shared/errors.ts"
import { isOptions, isSignal, unknownMember } from "../internal/shared/validate.ts"
import type { TokenRequest as ClientRequest } from "../TokenRequest.ts"
import type { ClientOptions } from "./ClientOptions.ts"
import * as BearerFetch from "./internal/bearerFetch.ts"
import { closed, exceptionOf, exceptionOfCause, exceptionOfThrown } from "./internal/exceptionOf.ts"
import { partsOf } from "./internal/options.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * A request for a token.
 *
 * **Details**
 *
 * - `scopes`: one resource followed by `/.default`.
 * - `tenantId`: the tenant; default: the client's.
 * - `forceRefresh`: true requests a new token without reading the cache; default: false.
 * - `claims`: the JSON text of a claims challenge. The cache is neither read nor written.
 * - `clientCapabilities`: capabilities in addition to those of the client; default: none.
 * - `minimumValidity`: the milliseconds that the token must still be valid; default: 0.
 * - `onThrottled`: overrides the client's option.
 * - `correlationId`: an id for the service, the logs and the errors; default: a new GUID.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenRequest {
  readonly scopes: string | ReadonlyArray<string>
  readonly tenantId?: string | undefined
  readonly forceRefresh?: boolean | undefined
  readonly claims?: string | undefined
  readonly clientCapabilities?: ReadonlyArray<string> | undefined
  readonly minimumValidity?: number | undefined
  readonly onThrottled?: "fail" | "wait" | undefined
  readonly correlationId?: string | undefined
}

/**
 * Options of one call: `signal`, and the fields of a `TokenRequest` other than `scopes`, as in `@azure/identity`. They
 * override those of the request.
 *
 * **Details**
 *
 * If `signal` is aborted, the call rejects with the reason of the signal. The token request continues for other callers
 * and for the cache.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallOptions extends Omit<TokenRequest, "scopes"> {
  readonly signal?: AbortSignal | undefined
}

/**
 * A token.
 *
 * **Details**
 *
 * - `token`: the access token itself. Do not log this object.
 * - `tokenType`: the type of the token, such as `Bearer`.
 * - `expiresOn`: the time at which the token expires.
 * - `refreshOn`: the time from which a call refreshes the token in the background.
 * - `scopes`, `tenantId`, `authority`, `correlationId`: the granted scopes, and the tenant, authority and
 *   correlation id of the request that fetched the token.
 * - `fromCache`: true if the token comes from the cache.
 *
 * @category models
 * @since 0.1.0
 */
export interface Token {
  readonly token: string
  readonly tokenType: string
  readonly expiresOn: Date
  readonly refreshOn: Date
  readonly scopes: ReadonlyArray<string>
  readonly tenantId: string
  readonly authority: string
  readonly correlationId: string
  readonly fromCache: boolean
}

/**
 * A `TokenCredential` of `@azure/core-auth`, for the Azure SDKs.
 *
 * **Details**
 *
 * The times of a token are milliseconds since the epoch. `getToken` takes core-auth's `abortSignal`, `tenantId`, `claims` and
 * `enableCae`, by the rules of `AzureCredential.GetTokenOptions`.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenCredential {
  readonly getToken: (scopes: string | ReadonlyArray<string>, options?: {
    readonly abortSignal?: {
      readonly aborted: boolean
      addEventListener(type: "abort", listener: () => void): void
      removeEventListener(type: "abort", listener: () => void): void
    } | undefined
    readonly tenantId?: string | undefined
    readonly claims?: string | undefined
    readonly enableCae?: boolean | undefined
  }) => Promise<{
    readonly token: string
    readonly expiresOnTimestamp: number
    readonly refreshAfterTimestamp: number
    readonly tokenType?: "Bearer"
  }>
}

/**
 * A client: one app with its credential.
 *
 * **Details**
 *
 * `getToken`, `headers`, `fetch` and the `getToken` of the `TokenCredential` reject with an `EntraError` if there is no
 * token. After `close` they reject with a `ServiceUnavailableError` whose code is `client_closed`.
 *
 * - `getToken`: returns a token for scopes or a request, from the cache, from a request that is under way, or from the
 *   service.
 * - `headers`: returns the header of a request to an API.
 * - `fetch`: adds a token to a request whose origin is in `origins`, unless the request has an `authorization` header. Other
 *   requests are sent unchanged. If the API responds with 401, the token is replaced and the request is repeated, unless its
 *   body is a stream or part of a `Request`. Redirects of a request with a token are not followed: the caller gets the
 *   redirect.
 * - `asTokenCredential`: returns the client as a `TokenCredential` for the Azure SDKs.
 * - `close`: ends the client. Waiting calls reject with `client_closed`. `await using` calls it and waits for it.
 *   `using` calls it without waiting.
 *
 * @category models
 * @since 0.1.0
 */
export interface Client extends AsyncDisposable, Disposable {
  readonly getToken: (
    request: string | ReadonlyArray<string> | TokenRequest,
    options?: CallOptions
  ) => Promise<Token>
  readonly headers: (
    request: string | ReadonlyArray<string> | TokenRequest,
    options?: CallOptions
  ) => Promise<{ readonly authorization: string }>
  readonly fetch: typeof globalThis.fetch
  readonly asTokenCredential: () => TokenCredential
  readonly close: () => Promise<void>
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * Creates a client. It sends no request and reads no credential before the first call that needs a token.
 *
 * **Details**
 *
 * Throws an `InvalidRequestError`, an `InvalidAuthorityError` or a `CredentialError` at once when an option is missing or
 * malformed. A credential that cannot be read or parsed rejects the calls.
 *
 * **Gotchas**
 *
 * Create the client once, when the program starts. Each client has a cache of its own.
 *
 * **Example** (A token without Effect)
 *
 * ```ts
 * import assert from "node:assert"
 * import { createClient, CredentialError } from "effect-entra/promise"
 *
 * await using client = createClient({
 *   clientId: "11111111-1111-1111-1111-111111111111",
 *   tenantId: "contoso.onmicrosoft.com",
 *   secret: () => process.env["AZURE_CLIENT_SECRET"] ?? ""
 * })
 *
 * try {
 *   const { token } = await client.getToken("https://graph.microsoft.com/.default", { signal: AbortSignal.timeout(5000) })
 *   assert.notStrictEqual(token, "")
 * } catch (error) {
 *   // The variable is not set here.
 *   assert.ok(error instanceof CredentialError)
 *   assert.strictEqual(error.code, "secret_empty")
 * }
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const createClient = (options: ClientOptions): Client => {
  const parts = partsOf(options)
  if (Result.isFailure(parts)) throw exceptionOf(parts.failure)
  const runtime = ManagedRuntime.make(parts.success.layer)
  let isClosed = false
  let opened: Opened | undefined

  const open = Effect.gen(function*() {
    return opened ??= {
      client: yield* ConfidentialClient,
      clock: yield* Clock.Clock,
      credential: yield* AzureCredential.make,
      context: yield* Effect.context<never>()
    }
  })

  /** Runs an effect with the open client. An aborted signal ends the wait, but not the shared request. */
  const run = <A>(use: (opened: Opened) => Effect.Effect<A, AcquireTokenError>, signal?: AbortSignal) =>
    new Promise<A>((resolve, reject) => {
      let interrupt = (): void => {}
      const abort = () => {
        reject(signal?.reason)
        interrupt()
      }
      signal?.addEventListener("abort", abort, { once: true })
      const onExit = (exit: Exit.Exit<A, unknown>) => {
        signal?.removeEventListener("abort", abort)
        if (Exit.isSuccess(exit)) resolve(exit.value)
        else reject(isClosed && opened === undefined ? closed() : exceptionOfCause(exit.cause))
      }
      interrupt = opened === undefined
        ? runtime.runCallback(Effect.flatMap(open, use), { onExit })
        : Effect.runCallbackWith(opened.context)(use(opened), { onExit })
    })

  /** Returns the reason why a call ends before it begins. */
  const refusal = (signal: AbortSignal | null | undefined): { readonly reason: unknown } | undefined => {
    if (isClosed) return { reason: closed() }
    if (signal === undefined || signal === null) return undefined
    if (!isSignal(signal)) return { reason: exceptionOf(notA("an AbortSignal", "signal")) }
    return signal.aborted ? { reason: signal.reason } : undefined
  }

  const acquire = (request: ClientRequest, signal?: AbortSignal): Promise<AuthenticationResult> => {
    const refused = refusal(signal)
    if (refused !== undefined) return Promise.reject(refused.reason)
    const answer = opened?.client.acquireToken(request)
    if (answer === undefined) return run(({ client }) => client.acquireToken(request), signal)
    // A cache hit is an `Exit`, which needs no fiber.
    const served = answer instanceof AcquireToken ? answer.client.run(answer) : answer
    const exit = Exit.isExit(served) ? Effect.runSyncExit<AuthenticationResult, AcquireTokenError>(served) : undefined
    return exit !== undefined && Exit.isSuccess(exit) ? Promise.resolve(exit.value) : run(() => served, signal)
  }

  const close = () => {
    isClosed = true
    return runtime.dispose()
  }

  const bearerFetch = BearerFetch.make({
    ...parts.success,
    acquire,
    isAtRest: ({ accessToken }, claims) =>
      opened !== undefined && ReplacementCooldown.isAtRest(accessToken, claims, opened.clock)
  })

  // The functions are asynchronous, so that a member of the caller's objects that throws rejects the call.
  return {
    getToken: async (request, options) => tokenOf(await acquire(requestOf(request, options), options?.signal)),
    headers: async (request, options) => {
      const { accessToken, tokenType } = await acquire(requestOf(request, options), options?.signal)
      return { authorization: `${tokenType} ${Redacted.value(accessToken)}` }
    },
    fetch: async (...parameters) => {
      if (isClosed) throw closed()
      return await bearerFetch(...parameters)
    },
    asTokenCredential: () => ({
      getToken: async (scopes, options) => {
        if (isClosed) throw closed()
        try {
          const { credential } = opened ?? (await run(Effect.succeed))
          return await credential.getToken(scopes, options)
        } catch (error) {
          throw exceptionOfThrown(error)
        }
      }
    }),
    close,
    [Symbol.asyncDispose]: close,
    [Symbol.dispose]: () => void close()
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

interface Opened {
  readonly client: ConfidentialClient["Service"]
  readonly clock: Clock.Clock
  readonly credential: AzureCredential.AzureCredential
  readonly context: Context.Context<never>
}

/** Returns the request of a call. Throws the exception of options that are no object, and of a member that does not exist. */
const requestOf = (request: string | ReadonlyArray<string> | TokenRequest, options?: CallOptions): TokenRequest => {
  const isScopes = typeof request === "string" || isArray(request)
  const own = isScopes ? { scopes: request } : withKnownMembers("the request", request, requestNames)
  if (options === undefined || options === null) return own
  if (!isOptions(options)) throw exceptionOf(notA("an object", "options"))
  const { signal: _, ...fields } = withKnownMembers("options", options, callNames)
  // A field without a value overrides nothing.
  return { ...own, ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) }
}

const withKnownMembers = <A>(what: string, input: A, known: Readonly<Record<string, true>>): A => {
  const problem = unknownMember(what, input, known)
  if (problem !== undefined) throw exceptionOf(problem)
  return input
}

const callNames = {
  tenantId: true,
  forceRefresh: true,
  claims: true,
  clientCapabilities: true,
  minimumValidity: true,
  onThrottled: true,
  correlationId: true,
  signal: true
} satisfies Record<keyof CallOptions, true>

const { signal: _, ...fieldNames } = callNames
const requestNames = { scopes: true, ...fieldNames } satisfies Record<keyof TokenRequest, true>

const isArray = (request: ReadonlyArray<string> | TokenRequest): request is ReadonlyArray<string> =>
  Array.isArray(request)

const tokenOf = (result: AuthenticationResult): Token => ({
  token: Redacted.value(result.accessToken),
  tokenType: result.tokenType,
  expiresOn: DateTime.toDateUtc(result.expiresOn),
  refreshOn: DateTime.toDateUtc(result.refreshOn),
  scopes: result.scopes,
  tenantId: result.tenantId,
  authority: result.authority,
  correlationId: result.correlationId,
  fromCache: result.metadata.tokenSource === "Cache"
})
