/**
 * Verifies a platform token against the federated credentials of an app: issuer, signature, times, subject and audience. The
 * comparison is exact. Unlike the app's own assertion, a platform token may be used several times.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as jose from "jose"
import * as Refusal from "../http/refusal.ts"
import type { AppState, FederatedCredential, World } from "../world/world.ts"
import { checkPeriod } from "./clientAssertion.ts"

const defaultAudiences = ["api://AzureADTokenExchange"]

/** The asymmetric algorithms; the service guarantees RS256 only, but others may work too. */
const algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]

const Claims = Schema.Struct({
  iss: Schema.NonEmptyString,
  sub: Schema.NonEmptyString,
  aud: Schema.Union([Schema.NonEmptyString, Schema.Array(Schema.String)]),
  exp: Schema.Finite,
  nbf: Schema.optionalKey(Schema.Finite)
})
const decodeClaims = Schema.decodeUnknownEffect(Claims)

/** Returns whether the issuer of an assertion is a platform: the `iss` of a platform is a URL, that of an app is its id. */
export const isOfPlatform = (assertion: string): boolean => {
  try {
    const { iss } = jose.decodeJwt(assertion)
    return typeof iss === "string" && /^https?:\/\//i.test(iss)
  } catch {
    return false
  }
}

/** Verifies a platform token against the federated credentials of the app. */
export const verifyPlatformToken = Effect.fnUntraced(function*(
  world: World,
  app: AppState,
  token: string
): Effect.fn.Return<void, Refusal.Refusal> {
  const claims = yield* Effect.try(() => jose.decodeJwt(token)).pipe(
    Effect.flatMap(decodeClaims),
    Effect.mapError(() => Refusal.malformedAssertion("iss, sub and aud must be text, exp and nbf numbers"))
  )
  const ofIssuer = app.federatedCredentials.filter(({ issuer }) => issuer === claims.iss)
  if (ofIssuer.length === 0) return yield* Effect.fail(Refusal.unmatchedIssuer(claims.iss))
  yield* checkSignature(world, token, claims)
  yield* checkPeriod(claims, Math.floor(world.clock.currentTimeMillisUnsafe() / 1000))
  const ofSubject = ofIssuer.filter(({ subject }) => subject === claims.sub)
  if (ofSubject.length === 0) {
    const folded = claims.sub.toLowerCase()
    const inAnotherCase = ofIssuer.some(({ subject }) => subject.toLowerCase() === folded)
    return yield* Effect.fail((inAnotherCase ? Refusal.unmatchedCase : Refusal.unmatchedSubject)(claims.sub))
  }
  const audiences = typeof claims.aud === "string" ? [claims.aud] : claims.aud
  const isFor = (credential: FederatedCredential) =>
    (credential.audiences ?? defaultAudiences).some((audience) => audiences.includes(audience))
  if (!ofSubject.some(isFor)) return yield* Effect.fail(Refusal.unmatchedAudience(audiences.join(", ")))
})

const checkSignature = (
  world: World,
  token: string,
  claims: typeof Claims.Type
): Effect.Effect<void, Refusal.Refusal> => {
  const unverified = Refusal.unverifiedAssertion("it was not signed with a key of its issuer")
  const keys = world.issuers.get(claims.iss)
  if (keys !== undefined) {
    return Effect.asVoid(Effect.tryPromise({
      try: () => jose.compactVerify(token, jose.createLocalJWKSet(keys), { algorithms }),
      catch: () => unverified
    }))
  }
  if (!isOwnIssuer(world, claims.iss)) {
    return Effect.fail(Refusal.unverifiedAssertion("the simulator has no keys of its issuer: pass it in 'issuers'"))
  }
  // The simulator's own signer issues the tokens of managed identities. Their times are checked later, as those of any token.
  const audiences = typeof claims.aud === "string" ? [claims.aud] : claims.aud
  const now = new Date((claims.nbf ?? claims.exp - 1) * 1000)
  return Effect.asVoid(
    Effect.mapError(world.signer.verify(token, { issuers: [claims.iss], audiences, now }), () => unverified)
  )
}

const isOwnIssuer = (world: World, issuer: string): boolean => {
  if (!URL.canParse(issuer)) return false
  const { origin, pathname } = new URL(issuer)
  const tenant = world.findTenant(pathname.split("/")[1] ?? "")
  return tenant !== undefined && issuer === world.issuerOf(tenant, origin)
}
