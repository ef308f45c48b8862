/**
 * Flags whose values are checked: with a schema, whose problem is printed in the words of the schema, or for a text.
 */
import * as Flag from "effect/cli/Flag"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { problemsOf } from "./schemaProblems.ts"

/** The expectation of {@link filled}, for which `usageErrors` has its own words. */
export const notEmpty = "Expected a text that is not empty"

/** Refuses an empty value, which the shell makes of a variable that is not set. */
export const filled = (flag: Flag.Flag<string>): Flag.Flag<string> =>
  Flag.filter(flag, (value) => value !== "", () => notEmpty)

/** Checks the value of a flag. Unlike `Flag.withSchema` it prints the problem without "Schema validation failed". */
export const checked = <A>(schema: Schema.Codec<A>) => {
  const decode = Schema.decodeUnknownResult(schema)
  return (flag: Flag.Flag<A>): Flag.Flag<A> =>
    Flag.filter(flag, (value) => Result.isSuccess(decode(value)), (value) =>
      Result.match(decode(value), {
        onSuccess: () => "",
        onFailure: (error) => problemsOf(error).map(({ message }) => message).join(". ")
      }))
}
