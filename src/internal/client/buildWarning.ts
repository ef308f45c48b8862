/** What is said of a client that is built again and again. */
import * as Effect from "effect/Effect"
import { say } from "../shared/safeLog.ts"

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

/**
 * Noticing that a program builds its client again and again, each time with an empty cache. The bounded counter in here,
 * and that of `aliases.ts`, are the only state of this library that outlives a layer.
 */
interface Count {
  since: number
  builds: number
  warned: boolean
}

const minute = 60_000
const tolerated = 10
const remembered = 100

const counts = new Map<string, Count>()

/** Count a build at `now`; true when this is the moment for the one warning of this minute. */
export const noteBuild = (clientId: string, now: number): boolean => {
  const known = counts.get(clientId)
  const count = known !== undefined && now >= known.since && now - known.since < minute
    ? known
    : { since: now, builds: 0, warned: false }
  if (count !== known) {
    counts.delete(clientId)
    counts.set(clientId, count)
    if (counts.size > remembered) counts.delete(counts.keys().next().value ?? "")
  }
  count.builds++
  if (count.builds <= tolerated || count.warned) return false
  count.warned = true
  return true
}
