/**
 * The output of a command line that cannot be used. An argument may be a secret or the text of a key, so no value is
 * shown. Standard output may be a header or JSON for another program, so it stays empty.
 */
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { notEmpty } from "./checkedFlag.ts"

/** Presents help and the version as `CliOutput.defaultPresenter` does, and usage errors without help and values. */
export const presenter: CliOutput.Presenter = {
  present: Effect.fnUntraced(function*(event) {
    if (event._tag !== "InvalidInvocation") return yield* CliOutput.defaultPresenter.present(event)
    const { canColor } = yield* TerminalCapabilities.TerminalCapabilities
    const errors = event.errors.map(withoutValues)
    yield* Console.error(
      `${CliOutput.defaultFormatter({ colors: canColor }).formatErrors(errors)}\n\nTo see the flags: npx ${
        event.commandPath.join(" ")
      } --help`
    )
  })
}

/** Returns an error whose message has no argument, except the name of an unrecognized flag. */
const withoutValues = (error: CliError.NonShowHelpErrors): CliError.NonShowHelpErrors => {
  switch (error._tag) {
    case "UnrecognizedOption":
      return isFlagName(error.option) ? error : new CliError.ValidationError({
        message: "An argument looks like a flag, but is not one. It is not shown, because it may be a secret."
      })
    case "UnexpectedArgument":
      return new CliError.ValidationError({
        message: "Unexpected positional argument. It is not shown, because it may be a secret."
      })
    case "UnknownSubcommand":
      return new CliError.ValidationError({
        message: ["Unknown subcommand. It is not shown, because it may be a secret.", ...didYouMean(error)].join("\n  ")
      })
    case "InvalidValue":
      return new CliError.ValidationError({ message: invalidValue(error) })
    default:
      return error
  }
}

const isFlagName = (option: string): boolean => option.length <= 40 && /^--[a-z0-9-]+$/.test(option)

const didYouMean = ({ suggestions }: CliError.UnknownSubcommand): ReadonlyArray<string> =>
  suggestions.length === 0 ? [] : [`Did you mean ${suggestions.join(" or ")}?`]

const invalidValue = ({ expected, option, value }: CliError.InvalidValue): string => {
  if (expected === notEmpty) {
    return `--${option} is empty. Pass a value, or leave the flag out. If the value is a variable of the shell, set it.`
  }
  // For the negation of a flag, the expectation repeats `--no-flag=value`.
  const expectation = value === "" ? expected : expected.replaceAll(`=${value}`, "")
  return `${value === "" ? "Missing" : "Invalid"} value for flag --${option}. ${
    expectation.startsWith("Expected") ? "" : "Expected: "
  }${expectation}`
}
