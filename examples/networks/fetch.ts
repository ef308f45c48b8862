/** fetch: nothing to write, everything is in the environment that Node is started with. */
import { Layer } from "effect"
import { ConfidentialClient } from "effect-entra"
import { FetchHttpClient } from "effect/http"

export const Entra = ConfidentialClient.layerFromEnv().pipe(Layer.provideMerge(FetchHttpClient.layer))
