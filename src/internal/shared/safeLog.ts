/** Lines for the log. A logger is somebody else's code: whatever it throws, whoever waits for a token gets it. */
import * as Effect from "effect/Effect"

export const say = (line: Effect.Effect<void>, annotations: Readonly<Record<string, unknown>> = {}) =>
  Effect.annotateLogs(line, annotations).pipe(Effect.catchDefect(() => Effect.void))
