/** A certificate and its key, read from PEM with WebCrypto and jose: thumbprints, chain, and a function that signs. */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { CredentialError } from "../EntraError.ts"
import type { AssertionClaims, AssertionHeader, Thumbprints } from "./assertion.ts"
import { notAfter } from "./notAfter.ts"

export interface Certificate {
  /** Whether the key is RSA; otherwise it is EC on P-256. */
  readonly rsa: boolean
  readonly thumbprints: Thumbprints
  /** The certificates in base64 DER, leaf first: the value of `x5c`. */
  readonly chain: ReadonlyArray<string>
  /** Milliseconds since the epoch; undefined when it cannot be told. */
  readonly expiresOn: number | undefined
  readonly sign: (
    header: AssertionHeader,
    claims: AssertionClaims
  ) => Effect.Effect<Redacted.Redacted<string>, CredentialError>
}

export const loadCertificate = (options: {
  readonly certificate: string
  readonly privateKey: Redacted.Redacted<string>
}): Effect.Effect<Certificate, CredentialError> =>
  Effect.gen(function*() {
    const chain = certificates(options.certificate)
    const leaf = chain[0]
    const der = leaf === undefined ? undefined : Result.getOrUndefined(Base64.decode(leaf))
    if (der === undefined) return yield* unreadableCertificate()
    const pkcs8 = yield* keyBlock(Redacted.value(options.privateKey))
    const jose = yield* loadJose
    const key = memoized((algorithm) => jose.importPKCS8(pkcs8, algorithm))
    const publicKey = memoized((algorithm) => jose.importX509(pem(leaf ?? ""), algorithm))
    const rsa = yield* keyKind(key)
    yield* matches(jose, key, publicKey, rsa)
    return {
      rsa,
      thumbprints: {
        "x5t#S256": Base64Url.encode(yield* digest("SHA-256", der)),
        x5t: Base64Url.encode(yield* digest("SHA-1", der))
      },
      chain,
      expiresOn: notAfter(der),
      sign: (header, claims) =>
        Effect.tryPromise({
          try: async () =>
            Redacted.make(
              await jose.sign(new TextEncoder().encode(JSON.stringify(claims)), header, await key(header.alg)),
              { label: "client_assertion" }
            ),
          catch: () =>
            problem("signing_failed", "privateKey", "could not sign the assertion", "Check that the key may sign.")
        })
    }
  })

// -----------------------------------------------------------------------------
// jose
// -----------------------------------------------------------------------------

/** Only who has a certificate loads it, and of it these parts; it takes longer than all else that is imported here. */
const loadJose = /*#__PURE__*/ Effect.promise(async () => {
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

type Jose = Effect.Success<typeof loadJose>

// -----------------------------------------------------------------------------
// reading
// -----------------------------------------------------------------------------

type KeyOf = (algorithm: string) => Promise<CryptoKey>

/** WebCrypto ties a key to one algorithm, so it is imported once for each that is used. */
const memoized = (load: KeyOf): KeyOf => {
  const keys = new Map<string, Promise<CryptoKey>>()
  return (algorithm) => {
    const key = keys.get(algorithm) ?? load(algorithm)
    keys.set(algorithm, key)
    return key
  }
}

const certificates = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/g)]
    .map((match) => (match[1] ?? "").replace(/\s/g, ""))

const pem = (base64: string): string => `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----`

const digest = (algorithm: "SHA-256" | "SHA-1", data: Uint8Array): Effect.Effect<Uint8Array> =>
  Effect.promise(async () => new Uint8Array(await crypto.subtle.digest(algorithm, new Uint8Array(data))))

/** True: RSA; false: EC. */
const keyKind = (key: KeyOf): Effect.Effect<boolean, CredentialError> =>
  Effect.tryPromise(() => key("PS256")).pipe(
    Effect.flatMap(({ algorithm }) =>
      "modulusLength" in algorithm && typeof algorithm.modulusLength === "number" && algorithm.modulusLength < 2048
        ? Effect.fail(unsupportedKey(`has only ${algorithm.modulusLength} bits`))
        : Effect.succeed(true)
    ),
    Effect.catchTag("UnknownError", () =>
      Effect.mapError(
        Effect.as(Effect.tryPromise(() => key("ES256")), false),
        () => unsupportedKey("is damaged, or neither plain RSA nor EC on the curve P-256")
      ))
  )

/** All that a certificate could be for, to tell one for another kind of key from one that cannot be read. */
const otherKinds = ["PS256", "ES256", "ES384", "ES512", "EdDSA"]

/** What the key signs, the certificate must verify; a wrong pair is found here and not by the service. */
const matches = (jose: Jose, key: KeyOf, publicKey: KeyOf, rsa: boolean): Effect.Effect<void, CredentialError> =>
  Effect.gen(function*() {
    const algorithm = rsa ? "PS256" : "ES256"
    const trusted = yield* Effect.tryPromise(() => publicKey(algorithm)).pipe(
      Effect.catch(() =>
        Effect.matchEffect(
          Effect.firstSuccessOf(otherKinds.map((other) => Effect.tryPromise(() => publicKey(other)))),
          {
            onSuccess: () => Effect.fail(otherKind()),
            onFailure: () => Effect.fail(unreadableCertificate())
          }
        )
      )
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

const problem = (code: string, field: string, what: string, remedy: string): CredentialError =>
  new CredentialError({ code, field, origin: "local", message: `${field} ${what}`, remedy })

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

const unsupportedKey = (what: string) =>
  problem("key_unsupported", "privateKey", what, "Use an RSA key of 2048 bits or more, or an EC key on P-256.")
