/** A certificate and its key, read from PEM with WebCrypto and jose: thumbprints, chain, and a function that signs. */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Base64Url from "effect/encoding/Base64Url"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { CredentialError } from "../../EntraError.ts"
import { isText } from "../shared/validate.ts"
import { validity } from "./certificateValidity.ts"
import type { Algorithm, Thumbprints } from "./clientAssertion.ts"
import { foreign } from "./credentialSource.ts"
import {
  type Jose,
  keyKind,
  type KeyOf,
  loadJose,
  loadKey,
  memoized,
  problem,
  type Sign,
  signed
} from "./privateKey.ts"

export interface Certificate {
  /** Whether the key is RSA; otherwise it is EC on P-256. */
  readonly rsa: boolean
  readonly thumbprints: Thumbprints
  /** The certificates in base64 DER, leaf first: the value of `x5c`. */
  readonly chain: ReadonlyArray<string>
  /** Milliseconds since the epoch; undefined when it cannot be told. */
  readonly validFrom: number | undefined
  readonly expiresOn: number | undefined
  readonly sign: Sign
}

/** Signs bytes with a key that stays where it is. */
export type Signer = (
  input: Uint8Array,
  options: { readonly algorithm: Algorithm }
) => Effect.Effect<Uint8Array, unknown>

export const loadCertificate = (options: {
  readonly certificate: string
  readonly privateKey?: Redacted.Redacted<string> | undefined
  readonly sign?: Signer | undefined
}): Effect.Effect<Certificate, CredentialError> =>
  Effect.gen(function*() {
    const chain = isText(options.certificate) ? certificates(options.certificate) : []
    const leaf = chain[0]
    const der = leaf === undefined ? undefined : Result.getOrUndefined(Base64.decode(leaf))
    if (leaf === undefined || der === undefined) return yield* unreadableCertificate()
    const jose = yield* loadJose
    const publicKey = memoized((algorithm) => jose.importX509(pem(leaf), algorithm))
    const { rsa, sign } = yield* signing(jose, publicKey, options)
    const valid = validity(der)
    return {
      rsa,
      thumbprints: {
        "x5t#S256": Base64Url.encode(yield* digest("SHA-256", der)),
        x5t: Base64Url.encode(yield* digest("SHA-1", der))
      },
      chain,
      validFrom: valid?.notBefore,
      expiresOn: valid?.notAfter,
      sign
    }
  })

/** Why a certificate is of no use now; undefined: it is. */
export const untimely = (
  { expiresOn, validFrom }: Pick<Certificate, "expiresOn" | "validFrom">,
  now: number
): CredentialError | undefined => {
  if (validFrom !== undefined && now < validFrom) {
    return problem(
      "certificate_not_yet_valid",
      "certificate",
      `is valid from ${new Date(validFrom).toISOString()} only`,
      "Wait until then, use another certificate, or set this machine's clock if it is wrong."
    )
  }
  return expiresOn !== undefined && now >= expiresOn
    ? problem(
      "certificate_expired",
      "certificate",
      `expired at ${new Date(expiresOn).toISOString()}`,
      "Renew it: make a new one and register it with the app. See docs/registering.md#a-certificate of effect-entra."
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
      yield* matches(jose, key, publicKey, rsa)
      return { rsa, sign }
    }
    if (sign === undefined || privateKey !== undefined) return yield* oneOfBoth(privateKey === undefined)
    yield* isReadable(publicKey)
    return { rsa: yield* keyKind(publicKey, "certificate"), sign: outside(jose, publicKey, sign) }
  })

/** All that a certificate could be for, to tell one for another kind of key from one that cannot be read. */
const otherKinds = ["PS256", "ES256", "ES384", "ES512", "EdDSA"]

const isReadable = (publicKey: KeyOf): Effect.Effect<unknown, CredentialError> =>
  Effect.mapError(
    Effect.firstSuccessOf(otherKinds.map((kind) => Effect.tryPromise(() => publicKey(kind)))),
    unreadableCertificate
  )

/** What the key signs, the certificate must verify; a wrong pair is found here and not by the service. */
const matches = (jose: Jose, key: KeyOf, publicKey: KeyOf, rsa: boolean): Effect.Effect<void, CredentialError> =>
  Effect.gen(function*() {
    const algorithm = rsa ? "PS256" : "ES256"
    const trusted = yield* Effect.catch(
      Effect.tryPromise(() => publicKey(algorithm)),
      () => Effect.andThen(isReadable(publicKey), Effect.fail(otherKind()))
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

/** A signer that somebody else keeps. Its first signature is held against the certificate; the others are the service's. */
const outside = (jose: Jose, publicKey: KeyOf, sign: Signer): Sign => {
  let isKnown = false
  return (header, claims) =>
    Effect.gen(function*() {
      const { alg } = header
      const input = `${encoded(header)}.${encoded(claims)}`
      const signature = yield* Effect.mapError(
        Effect.suspend(() => sign(new TextEncoder().encode(input), { algorithm: alg })),
        (error) =>
          foreign(error, {
            code: "signer_failed",
            field: "sign",
            what: "the function that signs",
            remedy: "Look at that function, and at the vault behind it: nothing was sent to the service."
          })
      )
      // JavaScript passes what it likes.
      if (!(signature instanceof Uint8Array)) return yield* signerMismatch("returned no bytes")
      if (alg === "ES256" && signature.length !== 64) {
        return yield* signerMismatch(`returned ${signature.length} bytes, and ES256 has 64 (r and s, no DER)`)
      }
      const jwt = `${input}.${Base64Url.encode(signature)}`
      if (!isKnown) {
        yield* Effect.mapError(
          Effect.tryPromise(async () => {
            await jose.compactVerify(jwt, await publicKey(alg))
          }),
          () => signerMismatch(`made a signature that is none by this certificate's key with ${alg}`)
        )
        isKnown = true
      }
      return signed(jwt)
    })
}

const encoded = (json: unknown): string => Base64Url.encode(JSON.stringify(json))

// -----------------------------------------------------------------------------
// certificates
// -----------------------------------------------------------------------------

const certificates = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g)]
    .map(([block]) => block.replace(/-----[A-Z ]+-----|\s/g, ""))

const pem = (base64: string): string => `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----`

const digest = (algorithm: "SHA-256" | "SHA-1", data: Uint8Array): Effect.Effect<Uint8Array> =>
  Effect.promise(async () => new Uint8Array(await crypto.subtle.digest(algorithm, new Uint8Array(data))))

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

const unreadableCertificate = () =>
  problem(
    "certificate_unreadable",
    "certificate",
    "holds no certificate in PEM that can be read",
    "Pass the text that starts with -----BEGIN CERTIFICATE-----, the app's own certificate first."
  )

const keyMismatch = () =>
  problem(
    "key_mismatch",
    "privateKey",
    "is not the key of the first certificate",
    "Pass the key that the certificate was made for, and the app's own certificate before those of its issuers."
  )

const otherKind = () =>
  problem(
    "key_mismatch",
    "certificate",
    "is for another kind of key than privateKey",
    "Pass the certificate that was made for this key; both RSA, or both EC on P-256."
  )

const oneOfBoth = (none: boolean) =>
  problem(
    "key_missing",
    "privateKey",
    none ? "is missing, and so is sign" : "and sign are both there",
    "Pass the certificate's private key, or a function that signs with it."
  )

const signerMismatch = (what: string) =>
  problem("signer_mismatch", "sign", what, "Let it sign with the key that this certificate was made for.")
