/** GUIDs for `jti` and correlation ids. They are unique but not secret. A test may replace the generator. */
import * as Context from "effect/Context"

export const randomId: Context.Reference<() => string> = Context.Reference<() => string>("effect-entra/randomId", {
  defaultValue: () => crypto.randomUUID.bind(crypto)
})
