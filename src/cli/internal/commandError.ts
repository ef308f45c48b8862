/**
 * The error of a subcommand, which is printed as two lines instead of a stack trace.
 */
import * as CliError from "effect/cli/CliError"
import * as Data from "effect/Data"
import * as Runtime from "effect/Runtime"

/**
 * An error that the user of the command can mend.
 *
 * `message` says what happened to which value, and `remedy` what to do; both are whole sentences. `exitCode` is the exit code
 * of the process; default: 1.
 */
export class CommandError extends Data.TaggedError("CommandError")<{
  readonly message: string
  readonly remedy: string
  readonly exitCode?: number | undefined
}> {
  override get [CliError.userMessage](): string {
    return `${this.message}\n${this.remedy}`
  }
  override get [Runtime.errorExitCode](): number {
    return this.exitCode ?? 1
  }
}
