/** Private keys in PEM, read and used with WebCrypto and jose. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { CredentialCode, CredentialError } from "../../EntraError.ts"
import { credentialError } from "../shared/errors.ts"
import { isRedactedText } from "../shared/validate.ts"
import type { Algorithm, AssertionHeader, Claims } from "./clientAssertion.ts"

/** Signs a header and claims as a JWT. */
export type Sign = (
  header: AssertionHeader,
  claims: Claims
) => Effect.Effect<Redacted.Redacted<string>, CredentialError>

export interface SigningKey {
  /** Whether it is RSA; otherwise it is EC on P-256. */
  readonly rsa: boolean
  readonly key: KeyOf
  readonly sign: Sign
}

// -----------------------------------------------------------------------------
// jose
// -----------------------------------------------------------------------------

/** Only who has a key loads it, and of it these parts; it takes longer than all else that is imported here. */
export const loadJose = /*#__PURE__*/ Effect.promise(async () => {
  const [{ importPKCS8, importX509 }, { CompactSign }, { compactVerify }] = await Promise.all([
    import("jose/key/import"),
    import("jose/jws/compact/sign"),
    import("jose/jws/compact/verify")
  ])
  return {
    importPKCS8,
    importX509,
    compactVerify,
    sign: (payload: Uint8Array, header: { readonly alg: string }, key: CryptoKey): Promise<string> =>
      new CompactSign(payload).setProtectedHeader(header).sign(key)
  }
})

export type Jose = Effect.Success<typeof loadJose>

export type KeyOf = (algorithm: string) => Promise<CryptoKey>

/** WebCrypto ties a key to one algorithm, so it is imported once for each that is used. */
export const memoized = (load: KeyOf): KeyOf => {
  const keys = new Map<string, Promise<CryptoKey>>()
  return (algorithm) => {
    const key = keys.get(algorithm) ?? load(algorithm)
    keys.set(algorithm, key)
    return key
  }
}

// -----------------------------------------------------------------------------
// reading
// -----------------------------------------------------------------------------

export const loadKey = (
  jose: Jose,
  privateKey: Redacted.Redacted<string>
): Effect.Effect<SigningKey, CredentialError> =>
  Effect.gen(function*() {
    if (!isRedactedText(privateKey)) return yield* notRedacted()
    const pkcs8 = yield* keyBlock(Redacted.value(privateKey))
    const key = memoized((algorithm) => jose.importPKCS8(pkcs8, algorithm))
    return {
      rsa: yield* keyKind(key, "privateKey"),
      key,
      sign: (header, claims) =>
        Effect.tryPromise({
          try: async () =>
            signed(await jose.sign(new TextEncoder().encode(JSON.stringify(claims)), header, await key(header.alg))),
          catch: () =>
            problem("signing_failed", "privateKey", "could not sign the assertion", "Check that the key may sign.")
        })
    }
  })

export const signed = (jwt: string): Redacted.Redacted<string> => Redacted.make(jwt, { label: "client_assertion" })

/** The algorithm that a user wants must be one of the key's kind. */
export const unfit = (algorithm: Algorithm, rsa: boolean): CredentialError =>
  problem(
    "algorithm_unsupported",
    "algorithm",
    `is ${algorithm}, and the key is ${rsa ? "RSA" : "EC on P-256"}`,
    rsa ? "Use PS256 or RS256, or leave it out." : "Use ES256, or leave it out."
  )

/** True: RSA; false: EC. */
export const keyKind = (key: KeyOf, field: "privateKey" | "certificate"): Effect.Effect<boolean, CredentialError> =>
  Effect.tryPromise(() => key("PS256")).pipe(
    Effect.flatMap(({ algorithm }) =>
      "modulusLength" in algorithm && typeof algorithm.modulusLength === "number" && algorithm.modulusLength < 2048
        ? Effect.fail(unsupportedKey(field, `has only ${algorithm.modulusLength} bits`))
        : Effect.succeed(true)
    ),
    Effect.catchTag("UnknownError", () =>
      Effect.mapError(
        Effect.as(Effect.tryPromise(() => key("ES256")), false),
        () => unsupportedKey(field, "is damaged, or neither plain RSA nor EC on the curve P-256")
      ))
  )

/** The one block that is the key; what stands around it (attributes, certificates) is left out. */
const keyBlock = (text: string): Effect.Effect<string, CredentialError> => {
  const block = /-----BEGIN PRIVATE KEY-----[^-]*-----END PRIVATE KEY-----/.exec(text)?.[0]
  if (block !== undefined) return Effect.succeed(block)
  const label = /-----BEGIN ([A-Z0-9 ]+)-----/.exec(text)?.[1]
  return Effect.fail(
    label === undefined || label === "PRIVATE KEY"
      ? problem(
        "key_unreadable",
        "privateKey",
        "holds no whole private key in PEM",
        "Pass the text that starts with -----BEGIN PRIVATE KEY-----."
      )
      : problem(
        "key_format",
        "privateKey",
        `is PEM of the kind ${label}, and unencrypted PKCS#8 is needed`,
        "Convert it: openssl pkcs8 -topk8 -nocrypt -in key.pem. NodeClientCredential of effect-entra/node reads other kinds."
      )
  )
}

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

export const problem = (code: CredentialCode, field: string, what: string, remedy: string): CredentialError =>
  credentialError(code, field, `${field} ${what}`, remedy)

const notRedacted = () =>
  problem(
    "key_unreadable",
    "privateKey",
    "is not set, or is no redacted text",
    "Wrap the PEM text where it is read, so that nothing prints it: Redacted.make(text)."
  )

const unsupportedKey = (field: string, what: string) =>
  problem("key_unsupported", field, what, "Use an RSA key of 2048 bits or more, or an EC key on P-256.")
