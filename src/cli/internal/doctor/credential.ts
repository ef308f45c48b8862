/** Loads the credential, and reads the values that the service checks from an assertion of it. */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { ClientCredential } from "../../../ClientCredential.ts"
import type { CredentialError } from "../../../EntraError.ts"
import { randomId } from "../../../internal/shared/randomId.ts"
import { expiryHorizon } from "../../../internal/telemetry/warnings.ts"
import type { Files } from "../../../node/NodeClientCredential.ts"
import type { ClientMaterial, ClientSetup } from "../clientFlags.ts"
import { claimsOf, headerOf } from "../jwt.ts"
import { fail, failure, type Finding, ok, warn } from "./finding.ts"

type Credential = ClientCredential["Service"]

export interface CheckedCredential {
  readonly finding: Finding
  /** The credential, if it can be used. */
  readonly credential: Credential | undefined
}

/** The milliseconds for reading the files of a credential. */
const limit = 5000

/** Loads the credential, and returns its finding. */
export const checkCredential = (
  setup: ClientSetup,
  material: ClientMaterial,
  clientId: string
): Effect.Effect<CheckedCredential, never, Files> =>
  setup.loader.load(material).pipe(
    Effect.flatMap((credential) =>
      Effect.map(describe(credential, material, clientId), (finding) => ({ credential, finding }))
    ),
    Effect.catch((error) => Effect.succeed({ credential: undefined, finding: failure("credential", error) })),
    Effect.timeoutOrElse({
      duration: limit,
      orElse: () =>
        Effect.succeed({
          credential: undefined,
          finding: fail(
            "credential",
            `The credential was not loaded within ${limit / 1000} s`,
            "Check the volume or pipe that its file is on."
          )
        })
    })
  )

const describe = Effect.fnUntraced(function*(
  credential: Credential,
  { kind }: ClientMaterial,
  clientId: string
): Effect.fn.Return<Finding, CredentialError> {
  const sent = yield* sentOf(credential, clientId)
  if (kind === "secret" || kind === "secretFile") return secretFinding(sent("client_secret"))
  const now = yield* Clock.currentTimeMillis
  const assertion = sent("client_assertion")
  if (kind === "federation") return ok("credential", federatedWords(assertion))
  const expiresOn = credential.expiresOn?.()
  const words = `${thumbprintWords(assertion)}${
    expiresOn === undefined ? "" : `, expires at ${DateTime.formatIso(expiresOn)}`
  }`
  return expiresOn !== undefined && DateTime.toEpochMillis(expiresOn) - now < expiryHorizon
    ? warn(
      "credential",
      `The certificate matches its key, but expires soon: ${words}`,
      "Create a new certificate and register it with the app, beside the old one. See docs/registering.md#a-certificate "
        + "of effect-entra."
    )
    : ok("credential", `The certificate matches its key: ${words}`)
})

/**
 * Returns the finding of a secret, which it does not show. The library keeps white space around the secret of a file,
 * because other providers may have such secrets.
 */
export const secretFinding = (secret: string): Finding =>
  secret === secret.trim()
    ? ok("credential", "A client secret, which is not shown. Its expiry is known to the service only")
    : warn(
      "credential",
      "The client secret begins or ends with white space, which is sent as a part of it",
      "Remove the white space from the file. The secrets of Entra ID have none."
    )

/** Returns the fields that the credential adds to a token request. An assertion has both thumbprints. Nothing is sent. */
const sentOf = (
  credential: Credential,
  clientId: string
): Effect.Effect<(field: string) => string, CredentialError> =>
  Effect.gen(function*() {
    const correlationId = (yield* randomId)()
    const acquisition = {
      clientId,
      tenantId: "",
      scope: "",
      authority: "",
      claims: "",
      clientCapabilities: [],
      sendCertificateChain: undefined,
      correlationId
    }
    const { form } = yield* credential.begin(acquisition).authenticate({
      ...acquisition,
      tokenEndpoint: "doctor",
      audience: "doctor",
      assertion: { thumbprint: "x5t", also: "x5t#S256", rsa: "PS256" }
    })
    return (field) => {
      const value = form[field]
      return Redacted.isRedacted(value) ? Redacted.value(value) : value ?? ""
    }
  })

const Thumbprints = Schema.Struct({ x5t: Schema.String, "x5t#S256": Schema.String })

/** Returns the thumbprints of an assertion, which are in base64url, in hexadecimal as the portal shows them. */
const thumbprintWords = (assertion: string): string => {
  const header = headerOf(assertion, Thumbprints)
  const hexadecimal = (text: string) => Buffer.from(text, "base64url").toString("hex").toUpperCase()
  return header === undefined
    ? "its thumbprint is unknown"
    : `thumbprint ${hexadecimal(header.x5t)} (SHA-256 ${hexadecimal(header["x5t#S256"])})`
}

const FederatedClaims = Schema.Struct({
  iss: Schema.String,
  sub: Schema.String,
  aud: Schema.Union([Schema.String, Schema.Array(Schema.String)])
})

/** Returns the claims of a federated token that the service compares with the federated credentials of the app. */
const federatedWords = (assertion: string): string => {
  const claims = claimsOf(assertion, FederatedClaims)
  return claims === undefined
    ? "A federated token"
    : `A federated token with iss ${claims.iss}, sub ${claims.sub}, aud ${[claims.aud].flat().join(" ")}`
}
