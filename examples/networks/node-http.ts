/** `node:http`: its agents read the variables in `proxyEnv` (Node 22.21 or 24.5 and later). */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Layer } from "effect"
import { ConfidentialClient } from "effect-entra"

export const Entra = ConfidentialClient.layerFromEnv().pipe(
  Layer.provideMerge(NodeHttpClient.layerNodeHttpOptions({ keepAlive: true, proxyEnv: process.env }))
)
