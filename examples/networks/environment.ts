/** `NodeTransport`: keep-alive, and the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name. */
import { Layer } from "effect"
import { ConfidentialClient } from "effect-entra"
import { NodeTransport } from "effect-entra/node"

export const Entra = ConfidentialClient.layerFromEnv().pipe(Layer.provideMerge(NodeTransport.layer))
