/** What is said of a client that is built again and again. */
import * as Effect from "effect/Effect"
import { noteBuild } from "./buildCount.ts"
import { say } from "./say.ts"

export const warnIfBuiltTooOften = (clientId: string, now: number): Effect.Effect<void> =>
  noteBuild(clientId, now)
    ? say(
      Effect.logWarning(
        "this client was built more than ten times within a minute, each time with an empty cache. "
          + "Effect.provide inside a handler does that: provide the layer once at the edge of the program, or use a ManagedRuntime."
      ),
      { clientId }
    )
    : Effect.void
