/** What TypeScript does not see: a variable that is not set, a secret that nobody has wrapped, or that has been wiped. */
import * as Redacted from "effect/Redacted"

export const isText = (value: unknown): value is string => typeof value === "string"

/** One that has been wiped holds nothing any more. */
export const isRedactedText = (value: unknown): value is Redacted.Redacted<string> => {
  try {
    return Redacted.isRedacted(value) && isText(Redacted.value(value))
  } catch {
    return false
  }
}
