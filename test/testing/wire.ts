/** Helpers of the simulator's tests: raw forms over Effect's HttpClient, without this library's client. */
import { assert } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClient, HttpClientRequest, type HttpClientResponse } from "effect/http"
import { assertShown } from "../support/shown.ts"

export type Fields = Readonly<Record<string, string | ReadonlyArray<string> | undefined>>

export const tenant = EntraSimulator.contosoTenantId
export const tokenUrl = (name: string = tenant, origin = "https://login.microsoftonline.com") =>
  `${origin}/${name}/oauth2/v2.0/token`

export const credential: Fields = { client_secret: Redacted.value(EntraSimulator.daemonSecret) }

export const goodForm: Fields = {
  grant_type: "client_credentials",
  client_id: EntraSimulator.daemonClientId,
  scope: "https://graph.microsoft.com/.default",
  ...credential
}

export const post = (form: Fields, url = tokenUrl()) =>
  HttpClient.execute(HttpClientRequest.post(url).pipe(HttpClientRequest.bodyUrlParams(form)))

const TokenAnswer = Schema.Struct({
  token_type: Schema.Literal("Bearer"),
  expires_in: Schema.Finite,
  ext_expires_in: Schema.Finite,
  refresh_in: Schema.optionalKey(Schema.Finite),
  access_token: Schema.String
})
export const decodeToken = Schema.decodeUnknownEffect(TokenAnswer)

export const readToken = (response: HttpClientResponse.HttpClientResponse) =>
  Effect.gen(function*() {
    const body = yield* response.text
    assert.strictEqual(response.status, 200, body)
    return yield* decodeToken(JSON.parse(body))
  })

const Refusal = Schema.Struct({
  error: Schema.String,
  error_description: Schema.String,
  error_codes: Schema.Array(Schema.Finite),
  timestamp: Schema.String,
  trace_id: Schema.String,
  correlation_id: Schema.String,
  error_uri: Schema.optionalKey(Schema.String),
  suberror: Schema.optionalKey(Schema.String),
  claims: Schema.optionalKey(Schema.String)
})

export const members = ["error", "error_description", "error_codes", "timestamp", "trace_id", "correlation_id"]
export const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
export const timestamp = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$/

/** A refusal with exactly the members of the real service. */
export const assertRefusal = (
  response: HttpClientResponse.HttpClientResponse,
  expected: { readonly status: number; readonly error: string; readonly code: number; readonly more?: Array<string> }
) =>
  Effect.gen(function*() {
    const json = yield* response.json
    const body = yield* Schema.decodeUnknownEffect(Refusal)(json)
    assert.deepStrictEqual(
      { status: response.status, error: body.error, codes: body.error_codes },
      { status: expected.status, error: expected.error, codes: [expected.code] },
      body.error_description
    )
    assert.deepStrictEqual(Object.keys(body).sort(), [...members, ...(expected.more ?? [])].sort())
    assert.deepStrictEqual(Object.keys(Object(json)).sort(), Object.keys(body).sort())
    assert.isTrue(body.error_description.startsWith(`AADSTS${expected.code}: `), body.error_description)
    assert.isTrue(body.error_description.endsWith(
      ` Trace ID: ${body.trace_id} Correlation ID: ${body.correlation_id} Timestamp: ${body.timestamp}`
    ))
    const parts = [
      `${response.status} ${body.error}`,
      body.error_description,
      body.suberror,
      body.error_uri,
      body.claims
    ]
    assertShown(parts.filter((part) => part !== undefined).join("\n"))
    assert.match(body.trace_id, guid)
    assert.match(body.correlation_id, guid)
    assert.match(body.timestamp, timestamp)
    return body
  })

const { client_secret: _, ...withoutCredential } = goodForm

export const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

/** A good form with an assertion in place of the secret. */
export const submit = (assertion: string, url = tokenUrl(), form: Fields = {}) =>
  post({ ...withoutCredential, client_assertion_type: assertionType, client_assertion: assertion, ...form }, url)
