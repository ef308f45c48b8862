/**
 * The discovery documents of issuers: each asked for once, whatever the number of callers, kept for a day and renewed
 * behind their backs. What cannot be renewed stays in use.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Authority from "../Authority.ts"
import { type InvalidAuthorityError, type NetworkError, ServiceUnavailableError } from "../EntraError.ts"
import * as RetryPolicy from "../RetryPolicy.ts"
import { closedError } from "./closed.ts"
import type { Endpoints } from "./endpoints.ts"
import { isOutage } from "./gate.ts"
import type { IdentityHttp } from "./identityHttp.ts"
import { question, readDocument } from "./openIdDiscovery.ts"
import { randomId } from "./randomId.ts"
import { say } from "./say.ts"
import * as SingleFlight from "./singleFlight.ts"

type Problem = InvalidAuthorityError | ServiceUnavailableError | NetworkError

/** Documents that are kept; the oldest goes first. */
const most = 1000

/** Milliseconds: for which one is good, after which a renewal that failed is tried again, and for which a failure stands. */
const day = 86_400_000
const renewAgain = 300_000
const failureStands = 3000

const limit = 10_000

export const make = (
  http: IdentityHttp
): Effect.Effect<(authority: Authority.Authority) => Effect.Effect<Endpoints, Problem>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const newId = yield* randomId
    const flights = yield* SingleFlight.make<Endpoints, Problem>({
      closed: () => closedError("the authority resolver")
    })
    const documents = new Map<string, { readonly endpoints: Endpoints; readonly until: number }>()
    const failures = new Map<string, { readonly error: Problem; readonly until: number }>()

    const ask = (authority: Authority.Authority): Effect.Effect<Endpoints, Problem> =>
      Effect.withFiber((fiber) => {
        const correlationId = newId()
        return http.send(question(authority, correlationId)).pipe(
          Effect.flatMap((answer) =>
            Effect.fromResult(readDocument(authority, answer, { correlationId, now: clock.currentTimeMillisUnsafe() }))
          ),
          // Only what is worth a retry stays in the error channel while the schedule runs.
          Effect.map(Result.succeed),
          Effect.catch((error) => isPassing(error) ? Effect.fail(error) : Effect.succeed(Result.fail(error))),
          Effect.retry(fiber.getRef(RetryPolicy.Current) ?? RetryPolicy.standard),
          Effect.flatMap(Effect.fromResult),
          Effect.timeoutOrElse({ duration: limit, orElse: () => Effect.fail(tooSlow(authority, correlationId)) })
        )
      })

    const fetch = (authority: Authority.Authority): Effect.Effect<Endpoints, Problem> => {
      const issuer = authority.environment
      return ask(authority).pipe(
        Effect.tap((endpoints) =>
          Effect.sync(() => {
            failures.delete(issuer)
            keep(documents, issuer, { endpoints, until: clock.currentTimeMillisUnsafe() + day })
          })
        ),
        Effect.tapError((error) =>
          Effect.suspend(() => {
            const now = clock.currentTimeMillisUnsafe()
            const old = documents.get(issuer)
            if (old === undefined) {
              keep(failures, issuer, { error, until: now + failureStands })
              return Effect.void
            }
            documents.set(issuer, { ...old, until: now + renewAgain })
            return say(
              Effect.logWarning(
                `the discovery document of ${issuer} cannot be renewed (${error.code}): the old one is used`
              )
            )
          })
        )
      )
    }

    return (authority) =>
      Effect.suspend(() => {
        const issuer = authority.environment
        const now = clock.currentTimeMillisUnsafe()
        const known = documents.get(issuer)
        if (known !== undefined) {
          return now < known.until
            ? Effect.succeed(known.endpoints)
            : Effect.as(flights.launch(issuer, fetch(authority)), known.endpoints)
        }
        const failed = failures.get(issuer)
        return failed !== undefined && now < failed.until
          ? Effect.fail(failed.error)
          : flights.join(issuer, fetch(authority))
      })
  })

/** An outage that names no time after which it may be over. */
const isPassing = (error: Problem): error is ServiceUnavailableError | NetworkError =>
  isOutage(error) && error.isRetryable && error.retryAfter === undefined

const keep = <A>(map: Map<string, A>, key: string, value: A): void => {
  for (const oldest of map.keys()) {
    if (map.has(key) || map.size < most) break
    map.delete(oldest)
  }
  map.set(key, value)
}

const tooSlow = (authority: Authority.Authority, correlationId: string): ServiceUnavailableError =>
  new ServiceUnavailableError({
    code: "timeout",
    origin: "service",
    message: `the discovery document of ${authority.environment} did not come within ${limit} ms`,
    remedy: "Try again later; check the way to the provider if this goes on.",
    correlationId
  })
