/** GUIDs for `jti` and correlation ids. They are unique but not secret. A test may replace the generator. */
import * as Context from "effect/Context"

export const randomId: Context.Reference<() => string> = Context.Reference<() => string>("effect-entra/randomId", {
  defaultValue: () => () => crypto.randomUUID().replace(matchesNothing, "")
})

/**
 * Node returns a concatenation of about fifteen pieces, which takes 480 bytes. A regular expression makes V8 flatten it to
 * 56 bytes.
 */
const matchesNothing = /$^/
