/** `fetch`: the environment that Node starts with names the proxy. */
import { Layer } from "effect"
import { ConfidentialClient } from "effect-entra"
import { FetchHttpClient } from "effect/http"

export const Entra = ConfidentialClient.layerFromEnv().pipe(Layer.provideMerge(FetchHttpClient.layer))
