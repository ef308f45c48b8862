/**
 * The error of a subcommand, which is printed as its message and remedy, without a stack trace.
 */
import * as CliError from "effect/cli/CliError"
import * as Data from "effect/Data"
import * as Runtime from "effect/Runtime"

/**
 * An error that the user of the command can fix.
 *
 * `message` and `remedy` are whole sentences: the problem with the value, and the steps that fix it. `exitCode` is the
 * exit code of the process; default: 1.
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
