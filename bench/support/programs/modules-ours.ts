/** The same, and effect-entra by its modules. */
import * as AuthorityResolver from "effect-entra/AuthorityResolver"
import * as ClientCredential from "effect-entra/ClientCredential"
import * as ConfidentialClient from "effect-entra/ConfidentialClient"
import * as TokenCache from "effect-entra/TokenCache"
import * as TokenEndpoint from "effect-entra/TokenEndpoint"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"

const modules = [
  Effect,
  Layer,
  Redacted,
  FetchHttpClient,
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  TokenCache,
  TokenEndpoint
]
if (modules.some((module) => module === undefined)) throw new Error("not loaded")
