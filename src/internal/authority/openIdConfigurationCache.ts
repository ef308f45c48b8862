/**
 * A cache of discovery documents. Concurrent callers share one request per issuer (in code a flight). A document is kept
 * for a day and then refreshed in the background, and if its refresh fails, it stays in use.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Authority from "../../Authority.ts"
import type { InvalidAuthorityError, NetworkError, ServiceUnavailableError } from "../../EntraError.ts"
import * as RetryPolicy from "../../RetryPolicy.ts"
import type { IdentityHttp } from "../http/identityHttp.ts"
import { longestRetryAfter } from "../shared/cooldown.ts"
import { closedError, copyOfOutage, invalidAuthority, isOutage, serviceUnavailable } from "../shared/errors.ts"
import { monotonicMillis } from "../shared/monotonic.ts"
import { randomId } from "../shared/randomId.ts"
import { logSafely } from "../shared/safeLog.ts"
import * as SingleFlight from "../shared/singleFlight.ts"
import type { Endpoints } from "./endpointLayout.ts"
import {
  configurationRequest,
  isAbsent,
  oauthDocumentUrl,
  openIdDocumentUrl,
  readConfiguration
} from "./openIdConfiguration.ts"

type DiscoveryError = InvalidAuthorityError | ServiceUnavailableError | NetworkError

/** The monotonic time from which an entry is valid, and its lifetime, in milliseconds. */
interface Lifetime {
  readonly since: number
  readonly lasts: number
}

/** The number of documents that are kept. The oldest document is removed first. */
const maxDocuments = 1000

/** Times in milliseconds. A failed refresh is retried after `refreshRetryInterval`. */
const documentLifetime = 86_400_000
const refreshRetryInterval = 300_000
const failureLifetime = 3000

const requestTimeout = 10_000

/** Returns the longer of `usual` and the provider's `Retry-After`, which is limited to an hour. */
const lifetimeAfter = (error: DiscoveryError, usual: number): number =>
  "retryAfter" in error && error.retryAfter !== undefined
    ? Math.max(usual, Math.min(Duration.toMillis(error.retryAfter), longestRetryAfter))
    : usual

/** Creates a cache: a function that returns the endpoints of an issuer. */
export const make = (
  http: IdentityHttp
): Effect.Effect<(authority: Authority.Authority) => Effect.Effect<Endpoints, DiscoveryError>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const newId = yield* randomId
    const flights = yield* SingleFlight.make<Endpoints, DiscoveryError>({
      closed: () => closedError("The authority resolver"),
      limit: requestTimeout + 1000
    })
    const documents = new Map<string, Lifetime & { readonly endpoints: Endpoints }>()
    const failures = new Map<string, Lifetime & { readonly error: DiscoveryError }>()

    /** Returns whether an entry is still valid. */
    const isCurrent = ({ lasts, since }: Lifetime): boolean => monotonicMillis(clock) - since < lasts

    const request = (authority: Authority.Authority): Effect.Effect<Endpoints, DiscoveryError> =>
      Effect.withFiber((fiber) => {
        const correlationId = newId()
        const documentAt = (url: string) =>
          Effect.map(http.send(configurationRequest(url, correlationId)), (response) => ({ url, response }))
        return documentAt(openIdDocumentUrl(authority)).pipe(
          // An authorization server without OpenID Connect has its document at another address.
          Effect.flatMap((first) =>
            isAbsent(first.response)
              ? Effect.map(
                documentAt(oauthDocumentUrl(authority)),
                (second) => isAbsent(second.response) ? first : second
              )
              : Effect.succeed(first)
          ),
          Effect.flatMap(({ response, url }) =>
            Effect.fromResult(
              readConfiguration(authority, response, { url, correlationId, now: clock.currentTimeMillisUnsafe() })
            )
          ),
          // The schedule retries every failure, so only transient failures stay in the error channel meanwhile.
          Effect.map(Result.succeed),
          Effect.catch((error) => isTransient(error) ? Effect.fail(error) : Effect.succeed(Result.fail(error))),
          Effect.retry(fiber.getRef(RetryPolicy.Current) ?? RetryPolicy.standard),
          Effect.flatMap(Effect.fromResult),
          Effect.timeoutOrElse({
            duration: requestTimeout,
            orElse: () => Effect.fail(tooSlow(authority, correlationId))
          })
        )
      })

    const fetch = (authority: Authority.Authority): Effect.Effect<Endpoints, DiscoveryError> => {
      const issuer = authority.environment
      return request(authority).pipe(
        Effect.tap((endpoints) =>
          Effect.sync(() => {
            failures.delete(issuer)
            store(documents, issuer, { endpoints, since: monotonicMillis(clock), lasts: documentLifetime })
          })
        ),
        Effect.tapError((error) =>
          Effect.suspend(() => {
            const since = monotonicMillis(clock)
            const old = documents.get(issuer)
            if (old === undefined) {
              store(failures, issuer, { error, since, lasts: lifetimeAfter(error, failureLifetime) })
              return Effect.void
            }
            documents.set(issuer, { ...old, since, lasts: lifetimeAfter(error, refreshRetryInterval) })
            return logSafely(
              Effect.logWarning(
                `the discovery document of ${issuer} could not be refreshed (${error.code}); the old one stays in use`
              )
            )
          })
        )
      )
    }

    return (authority) =>
      Effect.suspend(() => {
        const issuer = authority.environment
        const cached = documents.get(issuer)
        if (cached !== undefined) {
          return isCurrent(cached)
            ? Effect.succeed(cached.endpoints)
            : Effect.as(flights.launch(issuer, fetch(authority)), cached.endpoints)
        }
        const failed = failures.get(issuer)
        return failed !== undefined && isCurrent(failed)
          ? Effect.fail(cachedFailure(failed.error, failed.since + failed.lasts - monotonicMillis(clock)))
          : flights.join(issuer, fetch(authority))
      })
  })

/** Returns a copy of a cached failure with local origin and the rest of the provider's `Retry-After`. */
const cachedFailure = (error: DiscoveryError, left: number): DiscoveryError => {
  const changes = {
    origin: "local" as const,
    retryAfter: error.retryAfter === undefined ? undefined : Duration.millis(left)
  }
  return error._tag === "EntraInvalidAuthorityError"
    ? invalidAuthority(error.code, error.field, error.message, error.remedy, { ...error, ...changes })
    : copyOfOutage(error, changes)
}

/** Returns whether a failure is worth an immediate retry: an outage without `Retry-After`. */
const isTransient = (error: DiscoveryError): error is ServiceUnavailableError | NetworkError =>
  isOutage(error) && error.isRetryable && error.retryAfter === undefined

const store = <A>(map: Map<string, A>, key: string, value: A): void => {
  for (const oldest of map.keys()) {
    if (map.has(key) || map.size < maxDocuments) break
    map.delete(oldest)
  }
  map.set(key, value)
}

const tooSlow = (authority: Authority.Authority, correlationId: string): ServiceUnavailableError =>
  serviceUnavailable(
    "timeout",
    `The discovery document of ${authority.environment} did not arrive within ${requestTimeout} ms`,
    "Try again later. If this persists, check the network connection to the provider.",
    { origin: "service", correlationId }
  )
