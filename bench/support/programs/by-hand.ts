/**
 * An app that has `effect` already and asks for its token by hand: the same POST over the same transport, the answer
 * decoded by a schema. What effect-entra adds to it is the difference.
 */
import { Effect, Redacted, Schema } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import { answer, authority, check, clientId, scope } from "./answer.ts"

globalThis.fetch = answer

const Answer = Schema.Struct({ access_token: Schema.String, expires_in: Schema.Finite })

const secret = Redacted.make("a-secret")

const token = HttpClientRequest.post(`${authority}/oauth2/v2.0/token`).pipe(
  HttpClientRequest.bodyUrlParams({
    client_id: clientId,
    client_secret: Redacted.value(secret),
    grant_type: "client_credentials",
    scope
  }),
  HttpClient.execute,
  Effect.flatMap(HttpClientResponse.filterStatusOk),
  Effect.flatMap(HttpClientResponse.schemaBodyJson(Answer)),
  Effect.map(({ access_token }) => Redacted.make(access_token)),
  Effect.timeout("10 seconds"),
  Effect.provide(FetchHttpClient.layer)
)

check(Redacted.value(await Effect.runPromise(token)))
