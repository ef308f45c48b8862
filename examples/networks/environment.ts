/** The ready transport: the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name, and keep-alive. */
import { Layer } from "effect"
import { ConfidentialClient } from "effect-entra"
import { NodeTransport } from "effect-entra/node"

export const Entra = ConfidentialClient.layerFromEnv().pipe(Layer.provideMerge(NodeTransport.layer))
