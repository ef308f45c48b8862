/**
 * Asks the simulator for tokens with `openid-client`, which knows the standards, and of Entra what it is told, in a
 * process of its own that trusts the simulator's certificate. Takes JSON from the variable PARAMETERS; prints one line of
 * JSON.
 */
import { Schema } from "effect"
import { importPKCS8 } from "jose"
import {
  type ClientAuth,
  clientCredentialsGrant,
  ClientSecretBasic,
  ClientSecretPost,
  discovery,
  modifyAssertion,
  PrivateKeyJwt,
  ResponseBodyError,
  WWWAuthenticateChallengeError
} from "openid-client"

const Parameters = Schema.fromJsonString(Schema.Struct({
  issuer: Schema.String,
  clientId: Schema.String,
  scopes: Schema.Array(Schema.String),
  authentication: Schema.Union([
    Schema.Struct({ method: Schema.Literals(["client_secret_post", "client_secret_basic"]), secret: Schema.String }),
    Schema.Struct({
      method: Schema.Literal("private_key_jwt"),
      algorithm: Schema.String,
      privateKey: Schema.String,
      header: Schema.Record(Schema.String, Schema.String),
      /** Its own choice is the issuer. */
      audience: Schema.optionalKey(Schema.String)
    })
  ])
}))

// Only Entra has numbers.
const decodeCause = Schema.decodeUnknownSync(
  Schema.Struct({ error_codes: Schema.optionalKey(Schema.Array(Schema.Finite)) })
)

const { authentication, clientId, issuer, scopes } = Schema.decodeUnknownSync(Parameters)(process.env["PARAMETERS"])

const clientAuth = async (): Promise<ClientAuth> => {
  switch (authentication.method) {
    case "client_secret_post":
      return ClientSecretPost(authentication.secret)
    case "client_secret_basic":
      return ClientSecretBasic(authentication.secret)
    case "private_key_jwt":
      return PrivateKeyJwt(await importPKCS8(authentication.privateKey, authentication.algorithm), {
        [modifyAssertion]: (header, payload) => {
          Object.assign(header, authentication.header)
          if (authentication.audience !== undefined) payload["aud"] = authentication.audience
        }
      })
  }
}

const config = await discovery(new URL(issuer), clientId, undefined, await clientAuth())

const outcome = async (): Promise<object> => {
  const before = Date.now()
  try {
    const tokens = await clientCredentialsGrant(config, { scope: scopes.join(" ") })
    return {
      token: tokens.access_token,
      expiresOn: before + (tokens.expiresIn() ?? 0) * 1000,
      // It has them in lower case.
      tokenType: tokens.token_type === "bearer" ? "Bearer" : tokens.token_type
    }
  } catch (error) {
    if (error instanceof WWWAuthenticateChallengeError) {
      return { status: error.status, challenges: error.cause.map(({ scheme }) => scheme) }
    }
    if (!(error instanceof ResponseBodyError)) throw error
    const { error_codes: [errorNo = 0] = [] } = decodeCause(error.cause)
    return { error: error.error, errorNo, message: error.error_description }
  }
}

console.log(JSON.stringify(await outcome()))
