/** The same, and effect-entra. */
import { Effect, Layer, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { FetchHttpClient } from "effect/http"

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
