/** What TypeScript does not see: a variable that is not set, a secret that nobody has wrapped. */
import * as Redacted from "effect/Redacted"

export const isText = (value: unknown): value is string => typeof value === "string"

export const isRedactedText = (value: unknown): value is Redacted.Redacted<string> =>
  Redacted.isRedacted(value) && isText(Redacted.value(value))
