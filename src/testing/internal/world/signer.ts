/**
 * Signers, which create the access tokens of a simulator and verify them for its Microsoft Graph.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as jose from "jose"
import { stableGuid } from "../http/wire.ts"

/**
 * The error of a token that a signer does not accept.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidToken extends Data.TaggedError("EntraSimulatorInvalidToken")<{ readonly message: string }> {}

/**
 * The accepted issuers and audiences of a token, and the time of the verification.
 *
 * @category models
 * @since 0.1.0
 */
export interface Expectation {
  readonly issuers: ReadonlyArray<string>
  readonly audiences: ReadonlyArray<string>
  readonly now: Date
}

/**
 * A signer of access tokens.
 *
 * **Details**
 *
 * - `sign`: creates a token with the claims.
 * - `verify`: returns the claims of a valid token of this signer; fails if the signature, a time, the issuer or the audience is
 *   not valid.
 * - `jwks`: the published keys.
 *
 * @category models
 * @since 0.1.0
 */
export interface Signer {
  readonly sign: (claims: Readonly<Record<string, unknown>>) => Effect.Effect<string>
  readonly verify: (
    token: string,
    expectation: Expectation
  ) => Effect.Effect<Readonly<Record<string, unknown>>, InvalidToken>
  readonly jwks: Effect.Effect<jose.JSONWebKeySet>
}

// -----------------------------------------------------------------------------
// RS256
// -----------------------------------------------------------------------------

const generate = async () => {
  const { privateKey, publicKey } = await jose.generateKeyPair("RS256")
  const jwk = await jose.exportJWK(publicKey)
  const kid = await jose.calculateJwkThumbprint(jwk)
  return { privateKey, publicKey, kid, jwk: { ...jwk, kid, use: "sig", alg: "RS256" } }
}

/**
 * Creates a signer with a new RSA key, which WebCrypto generates on demand.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeSignerRs256 = (): Signer => {
  let promise: ReturnType<typeof generate> | undefined
  const key = Effect.promise(() => promise ??= generate())
  return {
    sign: (claims) =>
      Effect.flatMap(
        key,
        ({ kid, privateKey }) =>
          Effect.promise(() =>
            new jose.SignJWT({ ...claims }).setProtectedHeader({ typ: "JWT", alg: "RS256", kid }).sign(privateKey)
          )
      ),
    verify: (token, { audiences, issuers, now }) =>
      Effect.flatMap(key, ({ publicKey }) =>
        Effect.tryPromise({
          try: () =>
            jose.jwtVerify(token, publicKey, {
              algorithms: ["RS256"],
              issuer: [...issuers],
              audience: [...audiences],
              currentDate: now,
              requiredClaims: ["exp", "nbf", "iss", "aud"]
            }).then(({ payload }) => payload),
          catch: (error) =>
            new InvalidToken({ message: error instanceof Error ? error.message : "The token is not valid." })
        })),
    jwks: Effect.map(key, ({ jwk }) => ({ keys: [jwk] }))
  }
}

/**
 * The default signer: RS256 with one key per process, which is generated on demand.
 *
 * **Gotchas**
 *
 * WebCrypto does not use Effect's `Clock`. A test that adjusts `TestClock` while a token is signed should use
 * {@link signerFake}.
 *
 * @category constructors
 * @since 0.1.0
 */
export const signerRs256: Signer = makeSignerRs256()

// -----------------------------------------------------------------------------
// Fake
// -----------------------------------------------------------------------------

const encode = (value: unknown) => jose.base64url.encode(JSON.stringify(value))

const fakeHeader = encode({ typ: "JWT", alg: "FAKE", kid: "effect-entra-simulator" })

const fakeTag = (input: string) => jose.base64url.encode(`not a signature ${stableGuid(input)}`)

const FakeClaims = Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown))
const decodeFakeClaims = Schema.decodeUnknownEffect(FakeClaims)

const invalid = (message: string) => new InvalidToken({ message })

const verifyFake: Signer["verify"] = Effect.fnUntraced(function*(token, { audiences, issuers, now }) {
  const [header, payload, tag, ...rest] = token.split(".")
  if (header !== fakeHeader || payload === undefined || rest.length > 0 || tag !== fakeTag(`${header}.${payload}`)) {
    return yield* invalid("The token is not from the fake signer.")
  }
  const claims = yield* Effect.try(() => new TextDecoder().decode(jose.base64url.decode(payload))).pipe(
    Effect.flatMap(decodeFakeClaims),
    Effect.mapError(() => invalid("The claims of the token cannot be read."))
  )
  const seconds = Math.floor(now.getTime() / 1000)
  if (typeof claims["exp"] !== "number" || claims["exp"] <= seconds) return yield* invalid("The token has expired.")
  if (typeof claims["nbf"] !== "number" || claims["nbf"] > seconds) return yield* invalid("The token is not valid yet.")
  if (!issuers.some((issuer) => issuer === claims["iss"])) {
    return yield* invalid("The issuer of the token is not accepted.")
  }
  if (!audiences.some((audience) => audience === claims["aud"])) {
    return yield* invalid("The audience of the token is not accepted.")
  }
  return claims
})

/**
 * A signer without cryptography, for tests with `TestClock`. Its tokens have the format of a JWT, with a checksum in place of
 * the signature. Signing and verifying are synchronous.
 *
 * @category constructors
 * @since 0.1.0
 */
export const signerFake: Signer = {
  sign: (claims) =>
    Effect.sync(() => {
      const input = `${fakeHeader}.${encode(claims)}`
      return `${input}.${fakeTag(input)}`
    }),
  verify: verifyFake,
  jwks: Effect.succeed({ keys: [] })
}
