/** Log lines that cannot fail the caller. */
import * as Effect from "effect/Effect"

/** Logs a line with annotations. A logger is foreign code, so an exception from it is ignored. */
export const logSafely = (line: Effect.Effect<void>, annotations: Readonly<Record<string, unknown>> = {}) =>
  Effect.annotateLogs(line, annotations).pipe(Effect.catchDefect(() => Effect.void))
