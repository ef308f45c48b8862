/** A program over effect's `fetch` that sends one request and has no token. */
import { Effect } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import { answer, check } from "./answer.ts"

globalThis.fetch = answer

const program = HttpClient.get("https://graph.microsoft.com/v1.0/users").pipe(
  Effect.flatMap((response) => response.text),
  Effect.provide(FetchHttpClient.layer)
)
const { access_token } = JSON.parse(await Effect.runPromise(program))
check(access_token)
