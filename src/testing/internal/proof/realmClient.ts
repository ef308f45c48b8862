/**
 * The client authentication of a realm: `client_secret_basic` and `client_secret_post` (RFC 6749 section 2.3.1), and
 * `private_key_jwt` (RFC 7523).
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as jose from "jose"
import type { RegisteredCertificate } from "../world/certificates.ts"
import type { AppState, Realm, RealmAuthMethod, World } from "../world/world.ts"
import { checkPeriod, checkReplay, isNamed, readHeader } from "./clientAssertion.ts"

/** A refusal in the format of RFC 6749 section 5.2. */
export interface RealmRefusal {
  readonly status: 400 | 401
  readonly error: string
  readonly text: string
}

const unauthenticated = (text: string): RealmRefusal => ({ status: 401, error: "invalid_client", text })
const malformed = (text: string): RealmRefusal => ({ status: 400, error: "invalid_request", text })

/** The parts of a request that authenticate the client, and what the realm accepts. */
interface ClientProof {
  readonly authorization: string | undefined
  readonly fields: Readonly<Record<string, string>>
  readonly audiences: ReadonlyArray<string>
  readonly methods: ReadonlyArray<RealmAuthMethod>
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

/** Returns the client that a request authenticates. */
export const authenticateClient = Effect.fnUntraced(function*(
  world: World,
  realm: Realm,
  proof: ClientProof
): Effect.fn.Return<AppState, RealmRefusal> {
  const { client_assertion: assertion, client_secret: secret } = proof.fields
  const used: ReadonlyArray<RealmAuthMethod> = [
    ...(proof.authorization === undefined ? [] : ["client_secret_basic" as const]),
    ...(secret === undefined ? [] : ["client_secret_post" as const]),
    ...(assertion === undefined ? [] : ["private_key_jwt" as const])
  ]
  const [method, another] = used
  if (method === undefined) return yield* Effect.fail(unauthenticated("nothing in the request proves the client"))
  if (another !== undefined) return yield* Effect.fail(malformed("a client must not prove itself in two ways"))
  if (!proof.methods.includes(method)) return yield* Effect.fail(unauthenticated(`'${method}' is not taken here`))
  if (proof.authorization !== undefined) return yield* byBasic(world, realm, proof, proof.authorization)
  if (assertion !== undefined) return yield* byAssertion(world, realm, proof, assertion)
  return yield* bySecret(world, realm, proof.fields["client_id"] ?? "", secret ?? "")
})

const findClient = (world: World, realm: Realm, clientId: string): Effect.Effect<AppState, RealmRefusal> => {
  const app = world.findApp(clientId)
  const isMember = realm.clients?.some((known) => known.toLowerCase() === clientId.toLowerCase()) ?? true
  return app === undefined || app.disabled || !isMember
    ? Effect.fail(unauthenticated(`there is no client '${clientId}' here`))
    : Effect.succeed(app)
}

const bySecret = (
  world: World,
  realm: Realm,
  clientId: string,
  secret: string
): Effect.Effect<AppState, RealmRefusal> =>
  Effect.filterOrFail(
    findClient(world, realm, clientId),
    ({ secrets }) => secrets.some((known) => Redacted.value(known) === secret),
    () => unauthenticated("the secret is not one of the client's secrets")
  )

/** Authenticates with HTTP Basic, whose id and secret are form-encoded (RFC 6749 section 2.3.1). */
const byBasic = Effect.fnUntraced(function*(
  world: World,
  realm: Realm,
  { fields }: ClientProof,
  authorization: string
): Effect.fn.Return<AppState, RealmRefusal> {
  const [clientId, secret] = yield* Effect.try({
    try: () => {
      const [, encoded = ""] = /^Basic ([\w+/]+={0,2})$/i.exec(authorization) ?? []
      const [, id, rest] = /^([^:]*):(.*)$/s.exec(atob(encoded)) ?? []
      if (id === undefined || rest === undefined) throw new Error()
      return [decodeFormText(id), decodeFormText(rest)] as const
    },
    catch: () => unauthenticated("the header 'authorization' is no Basic with form-encoded id and secret")
  })
  const named = fields["client_id"]
  if (named !== undefined && named !== clientId) {
    return yield* Effect.fail(malformed("the header and 'client_id' name different clients"))
  }
  return yield* bySecret(world, realm, clientId, secret)
})

const decodeFormText = (text: string): string => {
  if (!/^[\w.*+%-]*$/.test(text)) throw new Error()
  return decodeURIComponent(text.replaceAll("+", " "))
}

const Claims = Schema.Struct({
  iss: Schema.NonEmptyString,
  sub: Schema.NonEmptyString,
  aud: Schema.Union([Schema.NonEmptyString, Schema.Array(Schema.String)]),
  jti: Schema.NonEmptyString,
  exp: Schema.Finite,
  nbf: Schema.optionalKey(Schema.Finite)
})
const decodeClaims = Schema.decodeUnknownEffect(Schema.fromJsonString(Claims))

const byAssertion = Effect.fnUntraced(function*(
  world: World,
  realm: Realm,
  { audiences, fields }: ClientProof,
  assertion: string
): Effect.fn.Return<AppState, RealmRefusal> {
  if (fields["client_assertion_type"] !== assertionType) {
    return yield* Effect.fail(malformed("'client_assertion_type' is missing or unknown"))
  }
  const toRefusal = Effect.mapError(({ text }: { readonly text: string }) => unauthenticated(text))
  const header = yield* toRefusal(readHeader(assertion))
  const { sub: subject } = yield* Effect.mapError(
    Effect.try(() => jose.decodeJwt(assertion)),
    () => unauthenticated("the assertion holds no claims")
  )
  const app = yield* findClient(world, realm, fields["client_id"] ?? subject ?? "")
  const keys = yield* Effect.filter(
    app.certificates.filter((certificate) => isNamed(certificate, header)),
    (certificate) => hasKeyId(certificate, header.kid, realm)
  )
  const payload = yield* verifyWithAny(assertion, header.alg, keys)
  const claims = yield* Effect.mapError(
    decodeClaims(new TextDecoder().decode(payload)),
    () => unauthenticated("iss, sub, aud and jti must be text, exp and nbf numbers")
  )
  const isClient = (name: string) => name.toLowerCase() === app.clientId
  if (!isClient(claims.iss) || !isClient(claims.sub)) {
    return yield* Effect.fail(unauthenticated("the assertion's 'iss' and 'sub' must both be the client"))
  }
  const named = typeof claims.aud === "string" ? [claims.aud] : claims.aud
  if (!audiences.some((audience) => named.includes(audience))) {
    return yield* Effect.fail(unauthenticated("the assertion's audience is neither the issuer nor its token endpoint"))
  }
  const now = world.clock.currentTimeMillisUnsafe()
  yield* toRefusal(checkPeriod(claims, Math.floor(now / 1000)))
  const { replays } = world
  yield* toRefusal(checkReplay(claims, { clientId: `${realm.name} ${app.clientId}`, now, replays }))
  return app
})

/** Returns whether the `kid` of an assertion names the certificate; without a `kid` every certificate is possible. */
const hasKeyId = (
  certificate: RegisteredCertificate,
  kid: string | undefined,
  { keyIds }: Realm
): Effect.Effect<boolean> => {
  if (kid === undefined || kid === certificate.sha256 || kid === certificate.sha1) return Effect.succeed(true)
  const hex = (text: string) => Array.from(jose.base64url.decode(text), (byte) => byte.toString(16).padStart(2, "0"))
  if ([certificate.sha1, certificate.sha256].some((text) => hex(text).join("") === kid.toLowerCase())) {
    return Effect.succeed(true)
  }
  if (keyIds?.[kid]?.includes(certificate.pem) === true) return Effect.succeed(true)
  return Effect.promise(async () => {
    const key = await jose.importX509(certificate.pem, certificate.keyType === "EC" ? "ES256" : "RS256", {
      extractable: true
    }).catch(() => jose.importX509(certificate.pem, "ES384", { extractable: true }))
    return kid === (await jose.calculateJwkThumbprint(await jose.exportJWK(key)))
  })
}

const verifyWithAny = Effect.fnUntraced(function*(
  assertion: string,
  algorithm: string,
  keys: ReadonlyArray<RegisteredCertificate>
): Effect.fn.Return<Uint8Array, RealmRefusal> {
  if (!["RS256", "PS256", "ES256", "ES384"].includes(algorithm)) {
    return yield* Effect.fail(unauthenticated(`the algorithm '${algorithm}' is not taken here`))
  }
  for (const { pem } of keys) {
    const payload = yield* Effect.orElseSucceed(
      Effect.tryPromise(async () => {
        const key = await jose.importX509(pem, algorithm)
        return (await jose.compactVerify(assertion, key, { algorithms: [algorithm] })).payload
      }),
      () => undefined
    )
    if (payload !== undefined) return payload
  }
  return yield* Effect.fail(unauthenticated("the assertion was signed with no key that the client is known by"))
})
