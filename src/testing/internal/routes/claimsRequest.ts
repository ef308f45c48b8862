/**
 * The parameter `claims` of a token request (OpenID Connect Core section 5.5), which contains the client capabilities.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { malformedClaims, type Refusal } from "../http/refusal.ts"

const ClaimRequest = Schema.NullOr(Schema.Record(Schema.String, Schema.Unknown))
const ClaimsRequest = Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown))
const decode = Schema.decodeUnknownEffect(ClaimsRequest)
const decodeMembers = Schema.decodeUnknownEffect(Schema.Record(Schema.String, ClaimRequest))
const decodeCapabilities = Schema.decodeUnknownEffect(Schema.Struct({ values: Schema.Array(Schema.NonEmptyString) }))

/** Returns the capabilities in `claims.access_token.xms_cc`, which the token repeats. */
export const readCapabilities = Effect.fnUntraced(function*(
  claims: string | undefined
): Effect.fn.Return<ReadonlyArray<string>, Refusal> {
  if (claims === undefined || claims === "") return []
  const request = yield* Effect.mapError(decode(claims), () => malformedClaims("is no JSON object"))
  const requested = yield* Effect.mapError(
    decodeMembers(request["access_token"] ?? {}),
    () => malformedClaims("has an 'access_token' whose members are neither objects nor null")
  )
  const capabilities = requested["xms_cc"] ?? undefined
  if (capabilities === undefined) return []
  const { values } = yield* Effect.mapError(
    decodeCapabilities(capabilities),
    () => malformedClaims("has an 'xms_cc' without a list of texts in 'values'")
  )
  return values
})
