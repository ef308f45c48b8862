/** undici's own agent, for options that `NodeTransport` does not have. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { EnvHttpProxyAgent } from "@effect/platform-node/Undici"
import { Effect, Layer } from "effect"
import { ConfidentialClient } from "effect-entra"

const Dispatcher = Layer.effect(
  NodeHttpClient.Dispatcher,
  Effect.acquireRelease(
    Effect.sync(() => new EnvHttpProxyAgent({ keepAliveTimeout: 60_000, connectTimeout: 5_000 })),
    (agent) => Effect.promise(() => agent.destroy())
  )
)

export const Entra = ConfidentialClient.layerFromEnv().pipe(
  Layer.provideMerge(NodeHttpClient.layerUndiciNoDispatcher.pipe(Layer.provide(Dispatcher)))
)
