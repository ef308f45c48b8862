/** A certificate and its key from PEM, read with WebCrypto and jose: thumbprints, chain, and signing. */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Base64Url from "effect/encoding/Base64Url"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { CredentialError } from "../../EntraError.ts"
import { withRemedy } from "../shared/text.ts"
import { isText } from "../shared/validate.ts"
import { validity } from "./certificateValidity.ts"
import type { Algorithm, Thumbprints } from "./clientAssertion.ts"
import { foreignError } from "./credentialSource.ts"
import { type Fault, faultOf, readPem } from "./pem.ts"
import {
  credentialFieldError,
  type Jose,
  keyKind,
  type KeyOf,
  loadJose,
  loadKey,
  memoized,
  redactedAssertion,
  type Sign
} from "./privateKey.ts"

export interface Certificate {
  /** True if the key is RSA; otherwise it is EC on P-256. */
  readonly rsa: boolean
  readonly thumbprints: Thumbprints
  /** The certificates in base64 DER, leaf first: the value of `x5c`. */
  readonly chain: ReadonlyArray<string>
  /** Milliseconds since the epoch, or undefined if the certificate's validity cannot be read. */
  readonly validFrom: number | undefined
  readonly expiresOn: number | undefined
  readonly sign: Sign
}

/** A function that signs bytes with a key outside of this process, such as in a vault. */
export type Signer = (
  input: Uint8Array,
  options: { readonly algorithm: Algorithm }
) => Effect.Effect<Uint8Array, unknown>

/** Loads a certificate with its private key, or with a function that signs. */
export const loadCertificate = (options: {
  readonly certificate: string
  readonly privateKey?: Redacted.Redacted<string> | undefined
  readonly sign?: Signer | undefined
}): Effect.Effect<Certificate, CredentialError> =>
  Effect.gen(function*() {
    const read = readPem(isText(options.certificate) ? options.certificate : "")
    const [leaf, ...issuers] = read.blocks.filter(({ label }) => label === "CERTIFICATE")
    const fault = leaf === undefined ? read.fault : faultOf(leaf)
    const der = leaf === undefined ? undefined : Result.getOrUndefined(Base64.decode(leaf.base64))
    if (leaf === undefined || fault !== undefined || der === undefined) return yield* unreadableCertificate(fault)
    const jose = yield* loadJose
    const publicKey = memoized((algorithm) => jose.importX509(leaf.pem, algorithm))
    const { rsa, sign } = yield* signing(jose, publicKey, options)
    const valid = validity(der)
    return {
      rsa,
      thumbprints: {
        "x5t#S256": Base64Url.encode(yield* digest("SHA-256", der)),
        x5t: Base64Url.encode(yield* digest("SHA-1", der))
      },
      chain: [leaf, ...issuers.filter((issuer) => faultOf(issuer) === undefined)].map(({ base64 }) => base64),
      validFrom: valid?.notBefore,
      expiresOn: valid?.notAfter,
      sign
    }
  })

/** A certificate whose validity begins within this time, in milliseconds, is used if no other is valid. */
export const clockTolerance = 300_000

/** Returns the reason why a certificate is not valid now, or undefined if it is valid. */
export const validityProblem = (
  { expiresOn, validFrom }: Pick<Certificate, "expiresOn" | "validFrom">,
  now: number
): CredentialError | undefined => {
  if (validFrom !== undefined && now < validFrom) {
    return credentialFieldError(
      "certificate_not_yet_valid",
      "certificate",
      `is not valid before ${new Date(validFrom).toISOString()}`,
      "Wait until then, use another certificate, or correct this machine's clock."
    )
  }
  return expiresOn !== undefined && now >= expiresOn
    ? credentialFieldError(
      "certificate_expired",
      "certificate",
      `expired at ${new Date(expiresOn).toISOString()}`,
      "Create a new certificate and register it with the app. See docs/registering.md#a-certificate of effect-entra."
    )
    : undefined
}

// -----------------------------------------------------------------------------
// keys
// -----------------------------------------------------------------------------

const signing = (
  jose: Jose,
  publicKey: KeyOf,
  { privateKey, sign }: {
    readonly privateKey?: Redacted.Redacted<string> | undefined
    readonly sign?: Signer | undefined
  }
): Effect.Effect<{ readonly rsa: boolean; readonly sign: Sign }, CredentialError> =>
  Effect.gen(function*() {
    if (privateKey !== undefined && sign === undefined) {
      const { key, rsa, sign } = yield* loadKey(jose, privateKey)
      yield* checkKeyPair(jose, key, publicKey, rsa)
      return { rsa, sign }
    }
    if (sign === undefined || privateKey !== undefined) return yield* privateKeyOrSign(privateKey === undefined)
    yield* checkReadable(publicKey)
    return { rsa: yield* keyKind(publicKey, "certificate"), sign: externalSign(jose, publicKey, sign) }
  })

/** The algorithms of all kinds of keys. They tell a certificate for another kind of key from an unreadable certificate. */
const keyAlgorithms = ["PS256", "ES256", "ES384", "ES512", "EdDSA"]

const checkReadable = (publicKey: KeyOf): Effect.Effect<unknown, CredentialError> =>
  Effect.mapError(
    Effect.firstSuccessOf(keyAlgorithms.map((kind) => Effect.tryPromise(() => publicKey(kind)))),
    () => unreadableCertificate()
  )

/** Checks that the certificate verifies a signature of the key, so that a wrong pair fails before any request. */
const checkKeyPair = (jose: Jose, key: KeyOf, publicKey: KeyOf, rsa: boolean): Effect.Effect<void, CredentialError> =>
  Effect.gen(function*() {
    const algorithm = rsa ? "PS256" : "ES256"
    const trusted = yield* Effect.catch(
      Effect.tryPromise(() => publicKey(algorithm)),
      () => Effect.andThen(checkReadable(publicKey), Effect.fail(keyKindMismatch()))
    )
    yield* Effect.mapError(
      Effect.tryPromise(async () => {
        await jose.compactVerify(
          await jose.sign(new Uint8Array([1]), { alg: algorithm }, await key(algorithm)),
          trusted
        )
      }),
      keyMismatch
    )
  })

/**
 * Returns a `Sign` that calls an external signer. Its first signature is verified with the certificate. The service verifies
 * the others.
 */
const externalSign = (jose: Jose, publicKey: KeyOf, sign: Signer): Sign => {
  let isVerified = false
  return (header, claims) =>
    Effect.gen(function*() {
      const { alg } = header
      const input = `${encoded(header)}.${encoded(claims)}`
      const signature = yield* Effect.mapError(
        Effect.suspend(() => sign(new TextEncoder().encode(input), { algorithm: alg })),
        (error) =>
          foreignError(error, {
            code: "signer_failed",
            field: "sign",
            what: "The function sign",
            remedy: "Check that function, and the vault behind it. No request was sent."
          })
      )
      // A JavaScript function may return any value.
      if (!(signature instanceof Uint8Array)) return yield* signerMismatch("did not return a Uint8Array")
      if (alg === "ES256" && signature.length !== 64) {
        return yield* signerMismatch(
          `returned ${signature.length} bytes, but an ES256 signature has 64 bytes (r and s, not DER)`
        )
      }
      const jwt = `${input}.${Base64Url.encode(signature)}`
      if (!isVerified) {
        yield* Effect.mapError(
          Effect.tryPromise(async () => {
            await jose.compactVerify(jwt, await publicKey(alg))
          }),
          () => signerMismatch(`returned a signature that is not valid for this certificate's key with ${alg}`)
        )
        isVerified = true
      }
      return redactedAssertion(jwt)
    })
}

const encoded = (json: unknown): string => Base64Url.encode(JSON.stringify(json))

// -----------------------------------------------------------------------------
// certificates
// -----------------------------------------------------------------------------

const digest = (algorithm: "SHA-256" | "SHA-1", data: Uint8Array): Effect.Effect<Uint8Array> =>
  Effect.promise(async () => new Uint8Array(await crypto.subtle.digest(algorithm, new Uint8Array(data))))

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

const unreadableCertificate = (fault?: Fault) =>
  credentialFieldError(
    "certificate_unreadable",
    "certificate",
    fault?.what ?? "does not contain a readable certificate in PEM",
    withRemedy(
      fault?.remedy,
      "Pass the PEM text that starts with -----BEGIN CERTIFICATE-----, with the app's own certificate first."
    )
  )

const keyMismatch = () =>
  credentialFieldError(
    "key_mismatch",
    "privateKey",
    "is not the key of the first certificate",
    "Pass the private key of this certificate. Put the app's own certificate before those of its issuers."
  )

const keyKindMismatch = () =>
  credentialFieldError(
    "key_mismatch",
    "certificate",
    "is for another kind of key than privateKey",
    "Pass the certificate of this key. Both are RSA, or both are EC on P-256."
  )

const privateKeyOrSign = (none: boolean) =>
  credentialFieldError(
    "key_missing",
    "privateKey",
    none ? "and sign are both missing" : "and sign are both set",
    "Pass either the certificate's private key, or a function that signs with it."
  )

const signerMismatch = (what: string) =>
  credentialFieldError("signer_mismatch", "sign", what, "Sign with the private key of this certificate.")
