/** GUIDs for `jti` and correlation ids. Not secret, only unique; a test may bring its own. */
import * as Context from "effect/Context"

export const randomId: Context.Reference<() => string> = Context.Reference<() => string>("effect-entra/randomId", {
  defaultValue: () => () => tied(crypto.randomUUID())
})

/** Node hands out a rope of some fifteen pieces, 480 bytes; a regular expression needs it to be one string, of 56. */
const tied = (rope: string): string => rope.replace(nothing, "")

const nothing = /$^/
