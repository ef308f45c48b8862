/** The warning about a client that is built too often. */
import * as Effect from "effect/Effect"
import { logSafely } from "../shared/safeLog.ts"

/** Records a build of a client, and logs a warning if the client was built more than ten times within a minute. */
export const warnIfBuiltTooOften = (clientId: string, now: number): Effect.Effect<void> =>
  recordBuild(clientId, now)
    ? logSafely(
      Effect.logWarning(
        "this client was built more than ten times within a minute, each time with an empty cache. "
          + "A frequent cause is Effect.provide in a handler. Provide the layer once at the edge of the program, or use a "
          + "ManagedRuntime."
      ),
      { clientId }
    )
    : Effect.void

/**
 * The builds of one client within a minute. These bounded counts and the counter of aliases in `extraParameters.ts` outlive
 * a layer.
 */
interface BuildCount {
  since: number
  builds: number
  warned: boolean
}

const minute = 60_000
const maxBuilds = 10
const maxClients = 100

const counts = new Map<string, BuildCount>()

/** Records a build at `now`, and returns whether a warning is due. There is one warning per client and minute. */
export const recordBuild = (clientId: string, now: number): boolean => {
  const previous = counts.get(clientId)
  const count = previous !== undefined && now >= previous.since && now - previous.since < minute
    ? previous
    : { since: now, builds: 0, warned: false }
  if (count !== previous) {
    counts.delete(clientId)
    counts.set(clientId, count)
    if (counts.size > maxClients) counts.delete(counts.keys().next().value ?? "")
  }
  count.builds++
  if (count.builds <= maxBuilds || count.warned) return false
  count.warned = true
  return true
}
