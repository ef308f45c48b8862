/**
 * Flags with a schema, whose problem is printed in the words of the schema.
 */
import * as Flag from "effect/cli/Flag"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { problemsOf } from "./schemaProblems.ts"

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
