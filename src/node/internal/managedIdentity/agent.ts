/** Asks the platform's service for tokens: finds it, proves to Azure Arc who is asking, and asks again by the rules. */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import { type CredentialError, type NetworkError, type ServiceUnavailableError } from "../../../EntraError.ts"
import { type IdentityResponse } from "../../../internal/http/fields.ts"
import * as IdentityHttp from "../../../internal/http/identityHttp.ts"
import { type Scrub, scrubberOf } from "../../../internal/http/redaction.ts"
import { parseRetryAfter } from "../../../internal/http/retryAfter.ts"
import { credentialError, serviceUnavailable } from "../../../internal/shared/errors.ts"
import type { EndpointRequest } from "../../../TokenEndpoint.ts"
import { type Files, type Named, type Patience, read, realPath } from "../files/files.ts"
import { isIn, keyElsewhere, keyFileOf, keyOf, keyRefused } from "./challenge.ts"
import * as Platform from "./platform.ts"

export interface Options {
  /** Absent: the system-assigned one. */
  readonly identity?: Platform.Identity | undefined
  /** Absent: as the environment says. */
  readonly source?: Platform.Source | undefined
}

export interface Asking {
  readonly resource: string
  readonly correlationId: string
  readonly timing?: EndpointRequest["timing"] | undefined
}

export interface Agent {
  readonly platform: Platform.Platform
  /** The last answer, and what removes the secrets of the question from it. */
  readonly ask: (
    asking: Asking
  ) => Effect.Effect<Answered, CredentialError | NetworkError | ServiceUnavailableError>
}

/** Milliseconds. */
const attemptTimeout = 10_000
const probeTimeout = 2_000

const keyPatience: Patience = { pipes: false, seconds: 5 }

export const make = (
  options: Options
): Effect.Effect<Agent, CredentialError, IdentityHttp.Transport | Files> =>
  Effect.gen(function*() {
    const found = yield* variables
    const platform = yield* Effect.fromResult(Platform.platformOf(options, found, process.platform === "win32"))
    const context = yield* Effect.context<Files>()
    const clock = yield* Clock.Clock
    const http = yield* IdentityHttp.make()
    /** Whether somebody has answered: then this is the place, and silence is an outage. */
    let answered = !platform.guessed

    const send = ({ headers, url }: Platform.Question, { correlationId, timing }: Asking) =>
      Effect.suspend(() => {
        const sent = http.send({ method: "GET", url, headers, correlationId })
        if (timing === undefined) return sent
        timing.attempts++
        const begun = clock.currentTimeMillisUnsafe()
        return Effect.onExit(sent, () => {
          timing.http += clock.currentTimeMillisUnsafe() - begun
          return Effect.void
        })
      })

    const probe = (asking: Asking): Effect.Effect<void, CredentialError> =>
      Effect.suspend(() =>
        answered ? Effect.void : send(Platform.probeOf(platform), asking).pipe(
          Effect.timeoutOrElse({ duration: probeTimeout, orElse: () => Effect.fail({ reason: "no answer in time" }) }),
          Effect.mapError(({ reason }) => absent(asking, reason)),
          Effect.flatMap(({ status }) =>
            Platform.isImds(status) ? Effect.void : Effect.fail(absent(asking, `status ${status}`))
          ),
          Effect.andThen(Effect.sync(() => {
            answered = true
          }))
        )
      )

    const key = (answer: IdentityResponse): Effect.Effect<string, CredentialError> =>
      Effect.gen(function*() {
        const challenge = answer.headers["www-authenticate"]
        const path = yield* Effect.fromResult(keyFileOf(challenge, platform.keys))
        const file: Named = { path, name: "WWW-Authenticate" }
        const bytes = yield* Effect.gen(function*() {
          const real = yield* realPath(file)
          const directory = yield* realPath({ path: platform.keys.directory, name: "WWW-Authenticate" })
          return isIn(real, directory, platform.keys) ? yield* read({ ...file, path: real }, keyPatience) : undefined
        }).pipe(Effect.provideContext(context), Effect.mapError(unreadable))
        if (bytes === undefined) return yield* keyElsewhere(platform.keys)
        return yield* Effect.fromResult(keyOf(bytes))
      })

    const exchange = (asking: Asking) =>
      Effect.gen(function*() {
        const question = Platform.questionOf(platform, asking.resource)
        const answer = yield* send(question, asking)
        if (platform.source !== "azureArc" || answer.status !== 401) {
          return { answer, scrub: scrubberOf([], Platform.secretsIn(platform, question)) }
        }
        const proven = Platform.questionOf(platform, asking.resource, yield* key(answer))
        const second = yield* send(proven, asking)
        return second.status === 401
          ? yield* keyRefused()
          : { answer: second, scrub: scrubberOf([], Platform.secretsIn(platform, proven)) }
      })

    /** An answer that the rules may want to ask again after is a failure for as long as the schedule runs. */
    const attempt = (asking: Asking) =>
      exchange(asking).pipe(
        Effect.timeoutOrElse({
          duration: attemptTimeout,
          orElse: () =>
            Effect.fail<Failure>({
              outcome: "timeout",
              retryAfter: undefined,
              result: Effect.fail(tooSlow(platform, asking))
            })
        }),
        Effect.flatMap((answered) => {
          const { headers, status } = answered.answer
          return status < 400 ? Effect.succeed(answered) : Effect.fail<Failure>({
            outcome: status,
            retryAfter: parseRetryAfter(headers["retry-after"], clock.currentTimeMillisUnsafe()),
            result: Effect.succeed(answered)
          })
        })
      )

    const delayOf = (failed: Failed, attempt: number) =>
      ("outcome" in failed
        ? Platform.delayAfter(platform.source, failed.outcome, attempt, failed.retryAfter)
        : undefined) ?? Infinity
    const again = Schedule.forever.pipe(
      Schedule.setInputType<Failed>(),
      Schedule.modifyDelay(({ attempt, input }) => Effect.succeed(delayOf(input, attempt))),
      Schedule.while(({ duration }) => Duration.isFinite(duration))
    )

    return {
      platform,
      ask: (asking) =>
        Effect.andThen(
          probe(asking),
          Effect.catch(Effect.retry(attempt(asking), again), lastOf)
        )
    }
  })

interface Answered {
  readonly answer: IdentityResponse
  readonly scrub: Scrub
}

interface Failure {
  readonly outcome: Platform.Outcome
  readonly retryAfter: number | undefined
  /** What it comes to when it is the last one. */
  readonly result: Effect.Effect<Answered, ServiceUnavailableError>
}

type Failed = Failure | CredentialError | NetworkError

const lastOf = (failed: Failed): ReturnType<Agent["ask"]> => "outcome" in failed ? failed.result : Effect.fail(failed)

// -----------------------------------------------------------------------------
// the environment
// -----------------------------------------------------------------------------

const optional = <A>(name: string, config: Config.Config<A>): Effect.Effect<A | undefined, CredentialError> =>
  Effect.suspend(() => Config.option(config)).pipe(
    Effect.map(Option.getOrUndefined),
    Effect.catchCause(() => Effect.fail(Platform.unreadableVariable(name)))
  )

const text = (name: string) => Effect.map(optional(name, Config.String(name)), (value) => value || undefined)

const variables: Effect.Effect<Platform.Variables, CredentialError> = /*#__PURE__*/ Effect.suspend(() =>
  Effect.all({
    IDENTITY_ENDPOINT: text("IDENTITY_ENDPOINT"),
    IDENTITY_HEADER: Effect.map(
      optional("IDENTITY_HEADER", Config.Redacted("IDENTITY_HEADER")),
      (value) => value === undefined || Redacted.value(value) === "" ? undefined : value
    ),
    IDENTITY_SERVER_THUMBPRINT: text("IDENTITY_SERVER_THUMBPRINT"),
    IMDS_ENDPOINT: text("IMDS_ENDPOINT"),
    MSI_ENDPOINT: text("MSI_ENDPOINT"),
    AZURE_POD_IDENTITY_AUTHORITY_HOST: text("AZURE_POD_IDENTITY_AUTHORITY_HOST"),
    ProgramData: text("ProgramData")
  })
)

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

const absent = ({ correlationId }: Asking, reason: string): CredentialError =>
  credentialError(
    "managed_identity_unavailable",
    "source",
    `this machine has no managed identity: http://169.254.169.254 is not Azure's metadata service (${reason})`,
    "Use another credential outside Azure; where this should be Azure, pass source, and keep the address off proxies.",
    { origin: "service", correlationId }
  )

const unreadable = ({ code, message }: CredentialError): CredentialError =>
  credentialError(
    code,
    "IDENTITY_ENDPOINT",
    `Azure Arc's agent asks for a key, and ${message}`,
    "Add this process's user to the group himds (Linux) or Hybrid agent extension applications (Windows); "
      + "in a container also mount the directory of the keys."
  )

const tooSlow = (platform: Platform.Platform, { correlationId }: Asking): ServiceUnavailableError =>
  serviceUnavailable(
    "timeout",
    `${platform.endpoint} gave no answer within ${attemptTimeout} ms`,
    "Try again later; check that requests to this address are not led over a proxy.",
    { origin: "service", correlationId }
  )
