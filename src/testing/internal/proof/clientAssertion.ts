/**
 * Verifies a client assertion: header, certificate, signature, audience, times and replay.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as jose from "jose"
import {
  malformedAssertion,
  outOfTime,
  type Refusal,
  replayed,
  unverifiedAssertion,
  wrongAudience,
  wrongIssuer
} from "../http/refusal.ts"
import type { RegisteredCertificate } from "../world/certificates.ts"
import type { TrustedSubject } from "../world/world.ts"
import { certificateByName } from "./trustedSubject.ts"

/**
 * The accepted difference between the clocks of client and service, in seconds.
 *
 * @category constants
 * @since 0.1.0
 */
export const assertionSkewSeconds = 60

/**
 * The longest time from the `nbf` to the `exp` of an assertion, in seconds. Without `nbf` it is counted from `iat`, or
 * from the arrival.
 *
 * @category constants
 * @since 0.1.0
 */
export const assertionMaxLifetimeSeconds = 24 * 60 * 60

/** The number of assertion ids that are remembered. */
const replayLimit = 10_000

/** The values that an assertion is verified against; `now` in milliseconds. */
export interface AssertionContext {
  readonly clientId: string
  /** AD FS supports only the SHA-1 thumbprint and RS256. */
  readonly rules: "entra" | "adfs"
  readonly certificates: ReadonlyArray<RegisteredCertificate>
  readonly trustedSubjects: ReadonlyArray<TrustedSubject>
  readonly audiences: ReadonlyArray<string>
  readonly replays: Map<string, number>
  readonly now: number
}

const Header = Schema.Struct({
  alg: Schema.String,
  x5t: Schema.optionalKey(Schema.String),
  "x5t#S256": Schema.optionalKey(Schema.String),
  // An array (RFC 7515 section 4.1.6), or the single string that MSAL.NET sends.
  x5c: Schema.optionalKey(Schema.Union([Schema.String, Schema.Array(Schema.String)])),
  kid: Schema.optionalKey(Schema.String),
  crit: Schema.optionalKey(Schema.Never)
})
const decodeHeader = Schema.decodeUnknownEffect(Header)

const Claims = Schema.Struct({
  iss: Schema.NonEmptyString,
  sub: Schema.NonEmptyString,
  aud: Schema.NonEmptyString,
  jti: Schema.NonEmptyString,
  exp: Schema.Finite,
  // MSAL for Python sends no `nbf`.
  nbf: Schema.optionalKey(Schema.Finite),
  iat: Schema.optionalKey(Schema.Finite)
})
const decodeClaims = Schema.decodeUnknownEffect(Schema.fromJsonString(Claims))

/** Verifies an assertion of the app itself. */
export const verifyAssertion = Effect.fnUntraced(function*(
  assertion: string,
  context: AssertionContext
): Effect.fn.Return<void, Refusal> {
  const header = yield* readHeader(assertion)
  const certificate = yield* findCertificate(header, context)
  const payload = yield* Effect.tryPromise({
    try: async () => {
      const key = await jose.importX509(certificate.pem, header.alg)
      return (await jose.compactVerify(assertion, key, { algorithms: [header.alg] })).payload
    },
    catch: () => unverifiedAssertion("it was not signed with the key of the certificate it names")
  })
  const claims = yield* Effect.mapError(
    decodeClaims(new TextDecoder().decode(payload)),
    () => malformedAssertion("iss, sub, aud and jti must be text, exp, nbf and iat numbers")
  )
  if (!isApp(claims.iss, context) || !isApp(claims.sub, context)) {
    return yield* Effect.fail(wrongIssuer(context.clientId))
  }
  if (!context.audiences.includes(claims.aud)) return yield* Effect.fail(wrongAudience)
  yield* checkTimes(claims, Math.floor(context.now / 1000))
  yield* checkReplay(claims, context)
})

const isApp = (value: string, { clientId }: AssertionContext) => value.toLowerCase() === clientId.toLowerCase()

/** Returns the header of a compact JWT without verifying it. */
export const readHeader = (assertion: string) =>
  Effect.try({
    try: () => {
      if (!/^[\w-]+\.[\w-]+\.[\w-]*$/.test(assertion)) throw new Error()
      return jose.decodeProtectedHeader(assertion)
    },
    catch: () => malformedAssertion("it is not three base64url segments with a JSON header")
  }).pipe(
    Effect.flatMap((header) =>
      Effect.mapError(decodeHeader(header), () => malformedAssertion("its header has members of the wrong type"))
    )
  )

const findCertificate = Effect.fnUntraced(function*(
  header: typeof Header.Type,
  { certificates, now, rules, trustedSubjects }: AssertionContext
): Effect.fn.Return<RegisteredCertificate, Refusal> {
  const sha256 = header["x5t#S256"]
  if (sha256 === undefined && header.x5t === undefined) {
    return yield* Effect.fail(unverifiedAssertion("its header names no certificate"))
  }
  const certificate = certificates.find((certificate) => isNamed(certificate, header)) ??
    (yield* certificateByName(header.x5c ?? [], trustedSubjects, now))
  if (certificate === undefined || !isNamed(certificate, header)) {
    return yield* Effect.fail(unverifiedAssertion("no certificate with that thumbprint is registered for the app"))
  }
  // RFC 7515 section 4.1.6.
  if (header.x5c !== undefined && [header.x5c].flat()[0] !== derOf(certificate)) {
    return yield* Effect.fail(unverifiedAssertion("its 'x5c' does not begin with the certificate it names"))
  }
  if (!algorithmsOf(certificate, header, rules).includes(header.alg)) {
    return yield* Effect.fail(unverifiedAssertion("its algorithm does not fit the key and the thumbprint it names"))
  }
  if (now >= certificate.notAfter || now < certificate.notBefore) {
    return yield* Effect.fail(unverifiedAssertion("the certificate it names has expired or is not valid yet"))
  }
  return certificate
})

const derOf = ({ pem }: RegisteredCertificate): string => pem.replace(/-----[^-]+-----|\s/g, "")

/** Returns whether all thumbprints of the header match the certificate. */
export const isNamed = (certificate: RegisteredCertificate, header: typeof Header.Type): boolean =>
  isThumbprint(certificate.sha256, header["x5t#S256"]) && isThumbprint(certificate.sha1, header.x5t)

/** Returns whether a header parameter, if it is present, is the thumbprint. MSAL for Python writes the padding too. */
const isThumbprint = (thumbprint: string, parameter: string | undefined): boolean =>
  parameter === undefined || parameter === thumbprint || parameter === `${thumbprint}=`

const algorithmsOf = (
  { keyType }: RegisteredCertificate,
  header: typeof Header.Type,
  rules: AssertionContext["rules"]
): ReadonlyArray<string> => {
  const bySha256 = header["x5t#S256"] !== undefined
  if (rules === "adfs") return keyType === "RSA" && header.x5t !== undefined && !bySha256 ? ["RS256"] : []
  const fitting = keyType === "EC" ? ["ES256"] : ["PS256", "RS256"]
  return bySha256 ? fitting : fitting.filter((algorithm) => algorithm === "RS256")
}

/** Checks that a token is valid now; `now` in seconds. */
export const checkPeriod = (
  { exp, nbf }: { readonly exp: number; readonly nbf?: number | undefined },
  now: number
): Effect.Effect<void, Refusal> => {
  if (exp + assertionSkewSeconds <= now) return Effect.fail(outOfTime("it has expired"))
  return nbf !== undefined && nbf - assertionSkewSeconds > now
    ? Effect.fail(outOfTime("it is not valid yet"))
    : Effect.void
}

const checkTimes = Effect.fnUntraced(function*(
  claims: typeof Claims.Type,
  now: number
): Effect.fn.Return<void, Refusal> {
  const { exp, iat, nbf } = claims
  yield* checkPeriod(claims, now)
  if (nbf !== undefined && exp <= nbf) return yield* Effect.fail(outOfTime("it ends before it begins"))
  if (exp - (nbf ?? iat ?? now) > assertionMaxLifetimeSeconds) {
    return yield* Effect.fail(outOfTime("it is valid for more than a day"))
  }
})

/** Checks that the `jti` of an assertion was not used before. */
export const checkReplay = (
  { exp, jti }: { readonly exp: number; readonly jti: string },
  { clientId, now, replays }: Pick<AssertionContext, "clientId" | "now" | "replays">
): Effect.Effect<void, Refusal> => {
  const key = `${clientId} ${jti}`
  const until = replays.get(key)
  if (until !== undefined && until > now) return Effect.fail(replayed)
  if (replays.size >= replayLimit) {
    for (const [key, until] of replays) if (until <= now) replays.delete(key)
    const [oldest] = replays.keys()
    if (replays.size >= replayLimit && oldest !== undefined) replays.delete(oldest)
  }
  replays.set(key, (exp + assertionSkewSeconds) * 1000)
  return Effect.void
}
