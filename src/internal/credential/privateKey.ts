/** Private keys in PEM, read and used with WebCrypto and jose. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { CredentialCode, CredentialError } from "../../EntraError.ts"
import { credentialError } from "../shared/errors.ts"
import { withRemedy } from "../shared/text.ts"
import { isRedactedText } from "../shared/validate.ts"
import type { Algorithm, AssertionHeader, Claims } from "./clientAssertion.ts"
import { type Block, faultOf, openSshLabel, openSshRemedy, readPem } from "./pem.ts"

/** Signs a header and claims as a JWT. */
export type Sign = (
  header: AssertionHeader,
  claims: Claims
) => Effect.Effect<Redacted.Redacted<string>, CredentialError>

export interface SigningKey {
  /** True if the key is RSA. Otherwise it is EC on P-256. */
  readonly rsa: boolean
  readonly key: KeyOf
  readonly sign: Sign
}

// -----------------------------------------------------------------------------
// jose
// -----------------------------------------------------------------------------

/**
 * Loads the parts of jose that are used. They load only with a key, because their import takes longer than all other imports.
 */
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

/** A function that returns the key for an algorithm. */
export type KeyOf = (algorithm: string) => Promise<CryptoKey>

/** Memoizes the import of a key. WebCrypto binds a key to one algorithm, so there is one import per algorithm. */
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

/** Loads a private key from PEM. */
export const loadKey = (
  jose: Jose,
  privateKey: Redacted.Redacted<string>
): Effect.Effect<SigningKey, CredentialError> =>
  Effect.gen(function*() {
    if (!isRedactedText(privateKey)) return yield* notRedacted()
    const block = yield* keyBlock(Redacted.value(privateKey))
    const key = memoized((algorithm) => jose.importPKCS8(block.pem, algorithm))
    return {
      rsa: yield* Effect.mapError(keyKind(key, "privateKey"), (error) => {
        const fault = faultOf(block)
        return fault === undefined ? error : unsupportedKey("privateKey", fault.what, fault.remedy)
      }),
      key,
      sign: (header, claims) =>
        Effect.tryPromise({
          try: async () =>
            redactedAssertion(
              await jose.sign(new TextEncoder().encode(JSON.stringify(claims)), header, await key(header.alg))
            ),
          catch: () =>
            credentialFieldError(
              "signing_failed",
              "privateKey",
              "could not sign the assertion",
              "Check that the key may be used for signatures."
            )
        })
    }
  })

export const redactedAssertion = (jwt: string): Redacted.Redacted<string> =>
  Redacted.make(jwt, { label: "client_assertion" })

/** Returns the error of a configured algorithm that this kind of key does not support. */
export const algorithmMismatch = (algorithm: Algorithm, rsa: boolean): CredentialError =>
  credentialFieldError(
    "algorithm_unsupported",
    "algorithm",
    `is ${algorithm}, but the key is ${rsa ? "RSA" : "EC on P-256"}`,
    `Use ${rsa ? "PS256 or RS256" : "ES256"}, or leave algorithm out.`
  )

/** Returns true for an RSA key and false for an EC key. */
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
        () => unsupportedKey(field, "is damaged, or neither RSA nor EC on the curve P-256")
      ))
  )

/** Returns the PEM block of the key, without the attributes and certificates around it. */
const keyBlock = (text: string): Effect.Effect<Block, CredentialError> => {
  const { blocks, fault: noBlocks } = readPem(text)
  const block = blocks.find(({ label }) => label === "PRIVATE KEY")
  if (block?.isWhole === true) return Effect.succeed(block)
  const label = blocks[0]?.label
  const fault = block === undefined ? noBlocks : faultOf(block)
  return Effect.fail(
    block !== undefined || label === undefined
      ? credentialFieldError(
        "key_unreadable",
        "privateKey",
        fault?.what ?? "does not contain a complete private key in PEM",
        withRemedy(fault?.remedy, "Pass the PEM text that starts with -----BEGIN PRIVATE KEY-----.")
      )
      : credentialFieldError(
        "key_format",
        "privateKey",
        `is PEM of the type ${label}, but unencrypted PKCS#8 is required`,
        label === openSshLabel
          ? openSshRemedy
          : "Convert it with `openssl pkcs8 -topk8 -nocrypt -in key.pem`. NodeClientCredential of effect-entra/node reads other types."
      )
  )
}

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

/** Returns a credential error about a field. `what` completes the sentence that begins with the field's name. */
export const credentialFieldError = (
  code: CredentialCode,
  field: string,
  what: string,
  remedy: string
): CredentialError => credentialError(code, field, `${field} ${what}`, remedy)

const notRedacted = () =>
  credentialFieldError(
    "key_unreadable",
    "privateKey",
    "is not set, or is not a redacted string",
    "Wrap the PEM text with Redacted.make(text) where it is read, so that it is never printed."
  )

const unsupportedKey = (field: string, what: string, remedy?: string) =>
  credentialFieldError(
    "key_unsupported",
    field,
    what,
    withRemedy(remedy, "Use an RSA key of 2048 bits or more, or an EC key on P-256.")
  )
