/** Requests the OpenID Connect token of a GitHub Actions job from the endpoint that GitHub names in the environment. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { type CredentialError } from "../../EntraError.ts"
import { type IdentityResponse } from "../../internal/http/fields.ts"
import * as IdentityHttp from "../../internal/http/identityHttp.ts"
import { credentialError, isOutageStatus } from "../../internal/shared/errors.ts"
import { isLoopback } from "../../internal/shared/text.ts"
import { isCutJson } from "../../internal/shared/validate.ts"
import { isHeader } from "./managedIdentity/challenge.ts"

/** Fetches a new token for each attempt, because a token lives for a few minutes only. */
export type FetchToken = (correlationId: string) => Effect.Effect<Redacted.Redacted<string>, CredentialError>

export const make = (audience: string): Effect.Effect<FetchToken, CredentialError, IdentityHttp.Transport> =>
  Effect.gen(function*() {
    const http = yield* IdentityHttp.make()
    const base = yield* variable(urlName)
    const token = yield* Effect.filterOrFail(
      variable(tokenName),
      (token) => isHeader(Redacted.value(token)),
      () => malformed(tokenName, "contains characters that are not allowed in a header, such as a line break")
    )
    const url = yield* Effect.fromResult(endpointOf(Redacted.value(base), audience))
    return (correlationId) =>
      http.send({
        method: "GET",
        url,
        headers: { accept: "application/json", authorization: `Bearer ${Redacted.value(token)}` },
        correlationId
      }).pipe(
        Effect.mapError(({ reason }) => unavailable(`did not respond (${reason})`)),
        Effect.timeoutOrElse({
          duration: attemptTimeout,
          orElse: () => Effect.fail(unavailable(`did not respond within ${attemptTimeout / 1000} s`))
        }),
        Effect.flatMap((response) => Effect.fromResult(tokenOf(response))),
        Effect.retry({ schedule: delays, times: 2, while: ({ code }) => code === "github_actions_unavailable" })
      )
  })

/** Milliseconds; three attempts with their delays fit into the default `attemptTimeout`, so that the error names GitHub. */
const attemptTimeout = 2500

const delays = /*#__PURE__*/ Schedule.exponential(200)

const urlName = "ACTIONS_ID_TOKEN_REQUEST_URL"
const tokenName = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"

/** Reads a variable; an empty value counts as not set. */
const variable = (name: string): Effect.Effect<Redacted.Redacted<string>, CredentialError> =>
  Effect.suspend(() => Config.Redacted(name)).pipe(
    Effect.filterOrFail((value) => Redacted.value(value).trim() !== ""),
    Effect.mapError(() => missing(name))
  )

// -----------------------------------------------------------------------------
// decisions
// -----------------------------------------------------------------------------

/** Returns the URL of a token request. The bearer token is sent there, so the URL must be https or on this machine. */
export const endpointOf = (base: string, audience: string): Result.Result<string, CredentialError> => {
  const url = URL.canParse(base) ? new URL(base) : undefined
  if (url === undefined || !isSafe(url)) return Result.fail(malformed(urlName, "is not an https URL"))
  if (url.username !== "" || url.password !== "") {
    return Result.fail(malformed(urlName, "contains a user name or a password"))
  }
  url.searchParams.set("audience", audience)
  return Result.succeed(url.href)
}

const isSafe = ({ hostname, protocol }: URL): boolean =>
  protocol === "https:" || (protocol === "http:" && isLoopback(hostname))

const Body = /*#__PURE__*/ Schema.fromJsonString(/*#__PURE__*/ Schema.Struct({ value: Schema.NonEmptyString }))

const decode = /*#__PURE__*/ Schema.decodeUnknownOption(Body)

/** Returns the token of a response. */
export const tokenOf = (
  { body, cut, status }: IdentityResponse
): Result.Result<Redacted.Redacted<string>, CredentialError> => {
  if (status === 429 || isOutageStatus(status)) return Result.fail(unavailable(`responded with status ${status}`))
  if (status !== 200) {
    return Result.fail(credentialError(
      "github_actions_refused",
      tokenName,
      `GitHub's token endpoint responded with status ${status}`,
      `Use ${tokenName} only in the job that it was set for, while the job runs. ${permission}`
    ))
  }
  if (!cut && isCutJson(body)) {
    return Result.fail(unavailable("responded with a body that ends in the middle of its JSON"))
  }
  const decoded = cut ? Option.none() : decode(body)
  return Option.isSome(decoded)
    ? Result.succeed(Redacted.make(decoded.value.value, { label: "client_assertion" }))
    : Result.fail(credentialError(
      "github_actions_malformed",
      urlName,
      `GitHub's token endpoint did not respond with { "value": "<token>" }`,
      `Check that ${urlName} is the value that GitHub sets. Check that no proxy responds in place of GitHub.`
    ))
}

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

const permission = "Give the job the permission to request a token in the workflow: `permissions: id-token: write`."

const malformed = (name: string, fault: string): CredentialError =>
  credentialError(
    "github_actions_missing",
    name,
    `${name} ${fault}`,
    "Leave the variable as GitHub sets it for the job."
  )

const missing = (name: string): CredentialError =>
  credentialError(
    "github_actions_missing",
    name,
    `${name} is not set: the program is not in a GitHub Actions job, or the job has no permission to request a token`,
    `${permission} GitHub then sets ${urlName} and ${tokenName}.`
  )

const unavailable = (fault: string): CredentialError =>
  credentialError(
    "github_actions_unavailable",
    urlName,
    `GitHub's token endpoint ${fault}`,
    "Run the job again later. On a self-hosted runner, check the connection to GitHub and the proxy."
  )
