/** Requests tokens from the platform's service: finds the service, answers the challenge of Azure Arc, and retries. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { type CredentialError, type NetworkError, type ServiceUnavailableError } from "../../../EntraError.ts"
import { variables } from "../../../internal/environment/environment.ts"
import { type IdentityResponse } from "../../../internal/http/fields.ts"
import * as IdentityHttp from "../../../internal/http/identityHttp.ts"
import { type Scrub, scrubberOf } from "../../../internal/http/redaction.ts"
import { parseRetryAfter } from "../../../internal/http/retryAfter.ts"
import { credentialError, serviceUnavailable } from "../../../internal/shared/errors.ts"
import { monotonicMillis } from "../../../internal/shared/monotonic.ts"
import { isCutJson } from "../../../internal/shared/validate.ts"
import type { EndpointRequest } from "../../../TokenEndpoint.ts"
import { type Files, type NamedFile, read, type ReadLimits, realPath } from "../files/files.ts"
import { isIn, keyElsewhere, keyFileOf, keyOf, keyRefused } from "./challenge.ts"
import * as Platform from "./platform.ts"

export interface Options {
  /** Absent: the system-assigned identity. */
  readonly identity?: Platform.Identity | undefined
  /** Absent: detected from the environment. */
  readonly source?: Platform.Source | undefined
}

export interface AgentRequest {
  readonly resource: string
  readonly correlationId: string
  readonly timing?: EndpointRequest["timing"] | undefined
}

export interface Agent {
  readonly platform: Platform.Platform
  /** Requests a token, with retries; returns the last response. */
  readonly requestToken: (
    request: AgentRequest
  ) => Effect.Effect<AgentResponse, CredentialError | NetworkError | ServiceUnavailableError>
}

/** Milliseconds. */
const attemptTimeout = 10_000
const probeTimeout = 2_000

const keyFileLimits: ReadLimits = { pipes: false, seconds: 5 }

/** Creates the agent. Without a probe a missing service is an outage from the start. */
export const make = (
  options: Options,
  isProbed = true
): Effect.Effect<Agent, CredentialError, IdentityHttp.Transport | Files> =>
  Effect.gen(function*() {
    const environment = yield* readVariables
    const platform = yield* Effect.fromResult(Platform.platformOf(options, environment, process.platform === "win32"))
    const context = yield* Effect.context<Files>()
    const clock = yield* Clock.Clock
    const http = yield* IdentityHttp.make()
    /** True if the service has responded once. From then on a missing response is an outage. */
    let isConfirmed = !platform.guessed || !isProbed

    const send = ({ headers, url }: Platform.PlatformRequest, { correlationId, timing }: AgentRequest) =>
      Effect.suspend(() => {
        const response = http.send({ method: "GET", url, headers, correlationId })
        if (timing === undefined) return response
        timing.attempts++
        const begun = monotonicMillis(clock)
        return Effect.onExit(response, () => {
          timing.http += monotonicMillis(clock) - begun
          return Effect.void
        })
      })

    const probe = (request: AgentRequest): Effect.Effect<void, CredentialError> =>
      Effect.suspend(() =>
        isConfirmed ? Effect.void : send(Platform.probeRequestOf(platform), request).pipe(
          Effect.timeoutOrElse({
            duration: probeTimeout,
            orElse: () => Effect.fail({ reason: "no response in time" })
          }),
          Effect.mapError(({ reason }) => noIdentity(request, reason)),
          Effect.flatMap(({ status }) =>
            Platform.isImds(status) ? Effect.void : Effect.fail(noIdentity(request, `status ${status}`))
          ),
          Effect.andThen(Effect.sync(() => {
            isConfirmed = true
          }))
        )
      )

    const readKey = (response: IdentityResponse): Effect.Effect<string, CredentialError> =>
      Effect.gen(function*() {
        const challenge = response.headers["www-authenticate"]
        const path = yield* Effect.fromResult(keyFileOf(challenge, platform.keys))
        const file: NamedFile = { path, name: "WWW-Authenticate" }
        const bytes = yield* Effect.gen(function*() {
          const real = yield* realPath(file)
          const directory = yield* realPath({ path: platform.keys.directory, name: "WWW-Authenticate" })
          return isIn(real, directory, platform.keys) ? yield* read({ ...file, path: real }, keyFileLimits) : undefined
        }).pipe(Effect.provideContext(context), Effect.mapError(unreadableKey))
        if (bytes === undefined) return yield* keyElsewhere(platform.keys)
        return yield* Effect.fromResult(keyOf(bytes))
      })

    const exchange = (request: AgentRequest) =>
      Effect.gen(function*() {
        const first = Platform.requestOf(platform, request.resource)
        const sentAt = clock.currentTimeMillisUnsafe()
        const response = yield* send(first, request)
        if (platform.source !== "azureArc" || response.status !== 401) {
          return { response, sentAt, scrub: scrubberOf([], Platform.secretsIn(platform, first)) }
        }
        const withKey = Platform.requestOf(platform, request.resource, yield* readKey(response))
        const sentAgainAt = clock.currentTimeMillisUnsafe()
        const second = yield* send(withKey, request)
        return second.status === 401
          ? yield* keyRefused()
          : { response: second, sentAt: sentAgainAt, scrub: scrubberOf([], Platform.secretsIn(platform, withKey)) }
      })

    /**
     * Sends one attempt. A status of 400 or more, or an incomplete response, is a failure while the schedule may retry,
     * and a result after that.
     */
    const attempt = (request: AgentRequest) =>
      exchange(request).pipe(
        Effect.timeoutOrElse({
          duration: attemptTimeout,
          orElse: () =>
            Effect.fail<UnsuccessfulAttempt>({
              outcome: "silence",
              retryAfter: undefined,
              result: Effect.fail(tooSlow(platform, request))
            })
        }),
        Effect.catchTag("EntraNetworkError", (error) =>
          Effect.fail<NetworkError | UnsuccessfulAttempt>(
            error.isRetryable
              ? { outcome: "silence", retryAfter: undefined, result: Effect.fail(error) }
              : error
          )),
        Effect.flatMap((result) => {
          const { body, cut, headers, status } = result.response
          const isIncomplete = status < 300 && !cut && isCutJson(body)
          return status < 400 && !isIncomplete ? Effect.succeed(result) : Effect.fail<UnsuccessfulAttempt>({
            outcome: isIncomplete ? "silence" : status,
            retryAfter: parseRetryAfter(headers["retry-after"], clock.currentTimeMillisUnsafe(), headers["date"]),
            result: Effect.succeed(result)
          })
        })
      )

    const delayOf = (error: AttemptError, attempt: number) =>
      ("outcome" in error
        ? Platform.delayAfter(platform.source, error.outcome, attempt, error.retryAfter)
        : undefined) ?? Infinity
    const retries = Schedule.forever.pipe(
      Schedule.setInputType<AttemptError>(),
      Schedule.modifyDelay(({ attempt, input }) => Effect.succeed(delayOf(input, attempt))),
      Schedule.while(({ duration }) => Duration.isFinite(duration))
    )

    return {
      platform,
      requestToken: (request) =>
        Effect.andThen(
          probe(request),
          Effect.catch(Effect.retry(attempt(request), retries), finalResult)
        )
    }
  })

interface AgentResponse {
  readonly response: IdentityResponse
  /** The time at which the request of this response was sent, in milliseconds since the epoch. */
  readonly sentAt: number
  /** Removes the secrets of the request from texts of the response. */
  readonly scrub: Scrub
}

interface UnsuccessfulAttempt {
  readonly outcome: Platform.Outcome
  readonly retryAfter: number | undefined
  /** The result when no further attempt follows. */
  readonly result: Effect.Effect<AgentResponse, NetworkError | ServiceUnavailableError>
}

type AttemptError = UnsuccessfulAttempt | CredentialError | NetworkError

const finalResult = (error: AttemptError): ReturnType<Agent["requestToken"]> =>
  "outcome" in error ? error.result : Effect.fail(error)

// -----------------------------------------------------------------------------
// the environment
// -----------------------------------------------------------------------------

const readVariables: Effect.Effect<Platform.Variables, CredentialError> = /*#__PURE__*/ Effect.suspend(() => {
  const { redacted, text } = variables((name) => Effect.fail(Platform.unreadableVariable(name)))
  return Effect.all({
    IDENTITY_ENDPOINT: text("IDENTITY_ENDPOINT"),
    IDENTITY_HEADER: redacted("IDENTITY_HEADER"),
    IDENTITY_SERVER_THUMBPRINT: text("IDENTITY_SERVER_THUMBPRINT"),
    IMDS_ENDPOINT: text("IMDS_ENDPOINT"),
    MSI_ENDPOINT: text("MSI_ENDPOINT"),
    AZURE_POD_IDENTITY_AUTHORITY_HOST: text("AZURE_POD_IDENTITY_AUTHORITY_HOST"),
    ProgramData: text("ProgramData")
  })
})

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

/** Returns whether an error of {@link Agent.requestToken} means that there is no metadata service. */
export const isAbsent = (error: CredentialError | NetworkError | ServiceUnavailableError): error is CredentialError =>
  error.code === "managed_identity_unavailable"

const noIdentity = ({ correlationId }: AgentRequest, reason: string): CredentialError =>
  credentialError(
    "managed_identity_unavailable",
    "source",
    `This machine has no managed identity: http://169.254.169.254 is not the metadata service of Azure (${reason})`,
    "Use another credential outside Azure. On Azure, pass source. Check that requests to this address "
      + "do not go through a proxy.",
    { origin: "service", correlationId }
  )

const unreadableKey = ({ code, message }: CredentialError): CredentialError =>
  credentialError(
    code,
    "IDENTITY_ENDPOINT",
    `The agent of Azure Arc requires a key file, and ${message}`,
    "Add the user of this process to the group himds (Linux) or Hybrid agent extension applications (Windows). "
      + "In a container, mount the directory of the keys too."
  )

const tooSlow = (platform: Platform.Platform, { correlationId }: AgentRequest): ServiceUnavailableError =>
  serviceUnavailable(
    "timeout",
    `${platform.endpoint} did not respond within ${attemptTimeout} ms`,
    "Try again later. Check that requests to this address do not go through a proxy.",
    { origin: "service", correlationId }
  )
