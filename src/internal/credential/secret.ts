/** Client secrets, which are sent in the form or in a header (RFC 6749 section 2.3.1). */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { CredentialError } from "../../EntraError.ts"
import { formEncoded } from "../http/fields.ts"
import { credentialError } from "../shared/errors.ts"
import { nonSecretOf } from "../shared/nonValue.ts"
import { isRedactedText } from "../shared/validate.ts"
import type { Attempt, Authentication } from "./credential.ts"
import type { MaterialKind } from "./credentialSource.ts"

export type Secret = Redacted.Redacted<string>

export const secretMethods = ["client_secret_basic", "client_secret_post"] as const

/** How a secret is sent (OpenID Connect Core 1.0 section 9). */
export type SecretMethod = typeof secretMethods[number]

/** Returns the functions of secrets, which are sent by `method`; default: by the method that the provider supports. */
export const secrets = (method?: SecretMethod): Effect.Effect<MaterialKind<Secret, Secret>, CredentialError> =>
  method === undefined || secretMethods.includes(method)
    ? Effect.succeed(secretsBy(method))
    : Effect.fail(
      credentialError(
        "field_malformed",
        "method",
        `method is not one of ${secretMethods.join(", ")}`,
        "Pass one of them, or leave method out."
      )
    )

const secretsBy = (method: SecretMethod | undefined): MaterialKind<Secret, Secret> => ({
  read: (given) => Effect.suspend(() => Effect.fromResult(secretsOf(given))),
  same: (one, other) => Redacted.value(one) === Redacted.value(other),
  prove: (secret, attempt) =>
    isSet(secret)
      ? Effect.succeed(proofOf(secret, attempt.clientId, method ?? attempt.secretMethod))
      : Effect.suspend(() => Effect.fail(empty(false)))
})

/** Returns the secrets, or the first problem of one of them. */
export const secretsOf = (given: ReadonlyArray<Secret>): Result.Result<ReadonlyArray<Secret>, CredentialError> =>
  // The client of a vault returns plain strings, and JavaScript code may pass them on.
  !given.every(Redacted.isRedacted)
    ? Result.fail(plain())
    : given.length === 0 || !given.every(isSet)
    ? Result.fail(empty(given.length === 0))
    : Result.all(given.map((secret) => secretValueOf(secret)))

/**
 * Returns the secret, or an error if its text cannot be a secret. White space around a secret may belong to it, unless
 * it comes from a variable.
 */
export const secretValueOf = (
  secret: Secret,
  failure: (what: string, remedy: string) => CredentialError = malformed
): Result.Result<Secret, CredentialError> => {
  const defect = nonSecretOf(Redacted.value(secret).replace(/^[^\S\r\n]+|[^\S\r\n]+$/g, ""))
  return defect === undefined ? Result.succeed(secret) : Result.fail(failure(defect.what, defect.remedy))
}

const isSet = (secret: unknown): boolean => isRedactedText(secret) && Redacted.value(secret).trim() !== ""

const proofOf = (secret: Secret, clientId: string, method: Attempt["secretMethod"]): Authentication => {
  if (method !== "client_secret_basic") return { form: { client_secret: secret } }
  const pair = `${formEncoded(clientId)}:${formEncoded(Redacted.value(secret))}`
  return {
    form: {},
    headers: { authorization: Redacted.make(`Basic ${btoa(pair)}`, { label: "authorization" }) }
  }
}

const malformed = (what: string, remedy: string) =>
  credentialError(
    "secret_malformed",
    "secret",
    `The client secret ${what}`,
    `${remedy} Pass the secret's value as the portal showed it when the secret was created.`
  )

const plain = () =>
  credentialError(
    "secret_malformed",
    "secret",
    "The client secret is not redacted",
    "Wrap the secret with Redacted.make(value) where it is read, so that it is never printed."
  )

const empty = (none: boolean) =>
  credentialError(
    "secret_empty",
    "secret",
    none ? "The list has no client secret" : "The client secret is empty or not set",
    "Pass the secret's value as the portal showed it when the secret was created."
  )
