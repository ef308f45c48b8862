/** Tokens of Microsoft Entra ID as a service of Effect 3, over the package `effect-entra-standalone`. */
import { HttpClient, HttpClientRequest } from "@effect/platform"
import { Context, Effect, Layer, Redacted, Runtime } from "effect"
import {
  type ClientError,
  type ClientOptions,
  createClient,
  EntraError,
  type LogEntry,
  type TokenRequest
} from "effect-entra-standalone"

/** A token. The text itself is redacted. */
export interface AccessToken {
  readonly accessToken: Redacted.Redacted
  readonly expiresOn: Date
  readonly tenantId: string
  readonly fromCache: boolean
}

/** The options of a client with a secret. */
export interface Options extends Omit<ClientOptions, "secret" | "certificate" | "assertion"> {
  readonly secret: Redacted.Redacted
}

/** The exceptions of the package have a `_tag`, so `Effect.catchTag` distinguishes them as they are. */
export class EntraTokens extends Context.Tag("EntraTokens")<EntraTokens, {
  readonly acquire: (request: string | TokenRequest) => Effect.Effect<AccessToken, ClientError>
}>() {
  /** Invalid options fail the layer. The client is closed with the layer. */
  static readonly layer = ({ secret, ...options }: Options): Layer.Layer<EntraTokens, ClientError> =>
    Layer.scoped(
      EntraTokens,
      Effect.runtime<never>().pipe(
        Effect.flatMap((runtime) =>
          Effect.acquireRelease(
            typed(Effect.try(() =>
              createClient({
                log: (entry) => Runtime.runSync(runtime, logged(entry)),
                ...options,
                secret: () => Redacted.value(secret)
              })
            )),
            (client) => Effect.promise(() => client.close())
          )
        ),
        Effect.map((client) => ({
          // An interruption aborts the wait of this fiber. Other callers and the cache still get the token.
          acquire: (request) =>
            typed(Effect.tryPromise((signal) => client.getToken(request, { signal }))).pipe(
              Effect.map(({ expiresOn, fromCache, tenantId, token }) => ({
                accessToken: Redacted.make(token),
                expiresOn,
                tenantId,
                fromCache
              }))
            )
        }))
      )
    )
}

/** Returns a client of `@effect/platform` whose requests carry a token. Send requests to one API only. */
export const withToken = (request: string | TokenRequest) =>
  Effect.zipWith(
    EntraTokens,
    HttpClient.HttpClient,
    ({ acquire }, client) =>
      HttpClient.mapRequestEffect(client, (outgoing) =>
        Effect.map(acquire(request), ({ accessToken }) =>
          HttpClientRequest.bearerToken(outgoing, accessToken)))
  )

const logged = ({ annotations, level, message }: LogEntry) =>
  Effect.annotateLogs(
    (level === "Error" ? Effect.logError : level === "Warn" ? Effect.logWarning : Effect.logInfo)(message),
    { ...annotations }
  )

/** Adds the type of the exceptions of the package. Any other exception is a bug. */
const typed = <A>(effect: Effect.Effect<A, { readonly error: unknown }>): Effect.Effect<A, ClientError> =>
  Effect.catchAll(effect, ({ error }) => isClientError(error) ? Effect.fail(error) : Effect.die(error))

const isClientError = (error: unknown): error is ClientError => error instanceof EntraError
