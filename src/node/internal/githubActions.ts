/** The identity that GitHub gives a job of a workflow: a token for an audience, from an endpoint that the job is told. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { type CredentialCode, type CredentialError } from "../../EntraError.ts"
import { type IdentityResponse } from "../../internal/http/fields.ts"
import * as IdentityHttp from "../../internal/http/identityHttp.ts"
import { credentialError } from "../../internal/shared/errors.ts"
import { isHeader } from "./managedIdentity/challenge.ts"

/** For the correlation id of an attempt: a fresh token. Each lives for minutes and is cheap. */
export type Ask = (correlationId: string) => Effect.Effect<Redacted.Redacted<string>, CredentialError>

export const make = (audience: string): Effect.Effect<Ask, CredentialError, IdentityHttp.Transport> =>
  Effect.gen(function*() {
    const http = yield* IdentityHttp.make()
    const base = yield* variable(urlName)
    const token = yield* Effect.filterOrFail(
      variable(tokenName),
      (token) => isHeader(Redacted.value(token)),
      () => malformed(tokenName, "has characters that no header may have, such as a line break")
    )
    const url = yield* Effect.fromResult(endpointOf(Redacted.value(base), audience))
    return (correlationId) =>
      http.send({
        method: "GET",
        url,
        headers: { accept: "application/json", authorization: `Bearer ${Redacted.value(token)}` },
        correlationId
      }).pipe(
        Effect.mapError(({ reason }) => unavailable(`gave no answer (${reason})`)),
        Effect.timeoutOrElse({
          duration: patience,
          orElse: () => Effect.fail(unavailable(`gave no answer within ${patience / 1000} s`))
        }),
        Effect.flatMap((answer) => Effect.fromResult(tokenOf(answer))),
        Effect.retry({ schedule: pauses, times: 2, while: ({ code }) => code === "github_actions_unavailable" })
      )
  })

/** Milliseconds; with the pauses less than an attempt may take, so that the error names GitHub. */
const patience = 2500

const pauses = /*#__PURE__*/ Schedule.exponential(200)

const urlName = "ACTIONS_ID_TOKEN_REQUEST_URL"
const tokenName = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"

/** A variable that is set to nothing counts as not set. */
const variable = (name: string): Effect.Effect<Redacted.Redacted<string>, CredentialError> =>
  Effect.suspend(() => Config.Redacted(name)).pipe(
    Effect.filterOrFail((value) => Redacted.value(value).trim() !== ""),
    Effect.mapError(() => missing(name))
  )

// -----------------------------------------------------------------------------
// decisions
// -----------------------------------------------------------------------------

/** The bearer token goes there, so it does not leave this machine in the clear. */
export const endpointOf = (base: string, audience: string): Result.Result<string, CredentialError> => {
  const url = URL.canParse(base) ? new URL(base) : undefined
  if (url === undefined || !isSafe(url)) return Result.fail(malformed(urlName, "is no https URL"))
  if (url.username !== "" || url.password !== "") {
    return Result.fail(malformed(urlName, "has a user name or a password in it"))
  }
  url.searchParams.set("audience", audience)
  return Result.succeed(url.href)
}

const isSafe = ({ hostname, protocol }: URL): boolean =>
  protocol === "https:" || (protocol === "http:" && /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname))

const Body = /*#__PURE__*/ Schema.fromJsonString(/*#__PURE__*/ Schema.Struct({ value: Schema.NonEmptyString }))

const decode = /*#__PURE__*/ Schema.decodeUnknownOption(Body)

export const tokenOf = (
  { body, cut, status }: IdentityResponse
): Result.Result<Redacted.Redacted<string>, CredentialError> => {
  if (status === 429 || status >= 500) return Result.fail(unavailable(`answered with status ${status}`))
  if (status !== 200) {
    return Result.fail(problem(
      "github_actions_refused",
      tokenName,
      `GitHub's token endpoint answered with status ${status}`,
      `The token of ${tokenName} is good for this job alone, while it runs. ${permission}`
    ))
  }
  const decoded = cut ? Option.none() : decode(body)
  return Option.isSome(decoded)
    ? Result.succeed(Redacted.make(decoded.value.value, { label: "client_assertion" }))
    : Result.fail(problem(
      "github_actions_malformed",
      urlName,
      `GitHub's token endpoint answered with something else than { "value": "<token>" }`,
      `Check that ${urlName} is as GitHub sets it, and what answers in its place (a proxy's page, for one).`
    ))
}

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

const permission = "Give the job the right to ask for an identity, in the workflow: `permissions: id-token: write`."

const problem = (code: CredentialCode, field: string, message: string, remedy: string): CredentialError =>
  credentialError(code, field, message, remedy)

const malformed = (name: string, what: string): CredentialError =>
  problem("github_actions_missing", name, `${name} ${what}`, "Leave the variable as GitHub sets it for the job.")

const missing = (name: string): CredentialError =>
  problem(
    "github_actions_missing",
    name,
    `${name} is not set: this is no job of GitHub Actions, or it may not ask for an identity`,
    `${permission} GitHub then sets ${urlName} and ${tokenName}.`
  )

const unavailable = (what: string): CredentialError =>
  problem(
    "github_actions_unavailable",
    urlName,
    `GitHub's token endpoint ${what}`,
    "Run the job again later; on a runner of your own, check that it reaches GitHub, and its proxy."
  )
