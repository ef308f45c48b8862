/** GUIDs for `jti` and correlation ids. Not secret, only unique; a test may bring its own. */
import * as Context from "effect/Context"

export const randomId: Context.Reference<() => string> = Context.Reference<() => string>("effect-entra/randomId", {
  defaultValue: () => () => crypto.randomUUID()
})
