/** The client for the tokens of a managed identity itself. */
import * as Layer from "effect/Layer"
import { createHash } from "node:crypto"
import { AuthorityResolver } from "../../../AuthorityResolver.ts"
import { ClientCredential } from "../../../ClientCredential.ts"
import * as ConfidentialClient from "../../../ConfidentialClient.ts"
import type { ConfigurationError } from "../../../EntraError.ts"
import * as TokenSource from "../../../internal/client/tokenSource.ts"
import * as TokenCache from "../../../TokenCache.ts"
import { TokenEndpoint } from "../../../TokenEndpoint.ts"
import type { Agent } from "./agent.ts"
import * as Endpoint from "./endpoint.ts"

export interface Options
  extends Pick<ConfidentialClient.DefaultOptions, "tenantId" | "renewal" | "onThrottled" | "cache">
{}

/** Creates the client with a cache of its own. */
export const layerOf = (
  agent: Agent,
  { cache = {}, onThrottled, renewal, tenantId = Endpoint.unknownTenant }: Options
): Layer.Layer<ConfidentialClient.ConfidentialClient, ConfigurationError> =>
  ConfidentialClient.layer({ clientId: clientIdOf(agent.platform.name), tenantId, renewal, onThrottled }).pipe(
    Layer.provide([
      Layer.succeed(ClientCredential, TokenSource.credential),
      Layer.succeed(AuthorityResolver, Endpoint.resolver(agent, tenantId)),
      Layer.effect(TokenEndpoint, Endpoint.endpoint(agent)),
      TokenCache.layerMemory(cache)
    ])
  )

/**
 * Returns the client id for keys and results; a resource path is hashed, because it may be too long or have other
 * characters.
 */
const clientIdOf = (name: string): string =>
  name.startsWith("resourceId:") ? `resourceId:${createHash("sha256").update(name.toLowerCase()).digest("hex")}` : name
