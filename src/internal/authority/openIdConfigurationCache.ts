/**
 * The discovery documents of issuers: each asked for once, whatever the number of callers, kept for a day and renewed
 * behind their backs. What cannot be renewed stays in use.
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
import { isAhead } from "../shared/cooldown.ts"
import { closedError, copyOfOutage, invalidAuthority, isOutage, serviceUnavailable } from "../shared/errors.ts"
import { randomId } from "../shared/randomId.ts"
import { say } from "../shared/safeLog.ts"
import * as SingleFlight from "../shared/singleFlight.ts"
import type { Endpoints } from "./endpointLayout.ts"
import { question, readDocument } from "./openIdConfiguration.ts"

type Problem = InvalidAuthorityError | ServiceUnavailableError | NetworkError

/** For how many milliseconds something stands, and since when. */
interface Standing {
  readonly since: number
  readonly lasts: number
}

/** Documents that are kept; the oldest goes first. */
const most = 1000

/** Milliseconds: for which one is good, after which a renewal that failed is tried again, and for which a failure stands. */
const day = 86_400_000
const renewAgain = 300_000
const failureStands = 3000

const longestRest = 3_600_000

const limit = 10_000

/** What the provider asks for goes before what we would do. */
const restAfter = (error: Problem, usual: number): number =>
  "retryAfter" in error && error.retryAfter !== undefined
    ? Math.max(usual, Math.min(Duration.toMillis(error.retryAfter), longestRest))
    : usual

export const make = (
  http: IdentityHttp
): Effect.Effect<(authority: Authority.Authority) => Effect.Effect<Endpoints, Problem>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const newId = yield* randomId
    const flights = yield* SingleFlight.make<Endpoints, Problem>({
      closed: () => closedError("the authority resolver")
    })
    const documents = new Map<string, Standing & { readonly endpoints: Endpoints }>()
    const failures = new Map<string, Standing & { readonly error: Problem }>()

    /** Not what is from before the clock was put back. */
    const stands = ({ lasts, since }: Standing): boolean =>
      isAhead(since + lasts, clock.currentTimeMillisUnsafe(), lasts)

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
            keep(documents, issuer, { endpoints, since: clock.currentTimeMillisUnsafe(), lasts: day })
          })
        ),
        Effect.tapError((error) =>
          Effect.suspend(() => {
            const since = clock.currentTimeMillisUnsafe()
            const old = documents.get(issuer)
            if (old === undefined) {
              keep(failures, issuer, { error, since, lasts: restAfter(error, failureStands) })
              return Effect.void
            }
            documents.set(issuer, { ...old, since, lasts: restAfter(error, renewAgain) })
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
        const known = documents.get(issuer)
        if (known !== undefined) {
          return stands(known)
            ? Effect.succeed(known.endpoints)
            : Effect.as(flights.launch(issuer, fetch(authority)), known.endpoints)
        }
        const failed = failures.get(issuer)
        return failed !== undefined && stands(failed)
          ? Effect.fail(standing(failed.error, failed.since + failed.lasts - clock.currentTimeMillisUnsafe()))
          : flights.join(issuer, fetch(authority))
      })
  })

/** Returns the failure again, as decided here, with the rest of the time that the provider asked for. */
const standing = (error: Problem, left: number): Problem => {
  const changes = {
    origin: "local" as const,
    retryAfter: error.retryAfter === undefined ? undefined : Duration.millis(left)
  }
  return error._tag === "EntraInvalidAuthorityError"
    ? invalidAuthority(error.code, error.field, error.message, error.remedy, { ...error, ...changes })
    : copyOfOutage(error, changes)
}

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
  serviceUnavailable(
    "timeout",
    `the discovery document of ${authority.environment} did not come within ${limit} ms`,
    "Try again later; check the way to the provider if this goes on.",
    { origin: "service", correlationId }
  )
