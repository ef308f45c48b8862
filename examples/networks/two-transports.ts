/** Token requests use the proxy; requests to an API in the same network do not. */
import { Layer } from "effect"
import { BearerHttpClient, ConfidentialClient } from "effect-entra"
import { NodeTransport } from "effect-entra/node"

const Tokens = ConfidentialClient.layerFromEnv().pipe(Layer.provide(NodeTransport.layer))
const Api = BearerHttpClient.layer({ "https://orders.intranet.example": "api://orders/.default" }).pipe(
  Layer.provide(NodeTransport.layerWith({ proxy: false }))
)

export const Entra = Api.pipe(Layer.provideMerge(Tokens))
