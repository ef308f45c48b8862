/** The settings that the environment names, with all its problems reported together. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Authority from "../Authority.ts"
import { type ConfigurationError, InvalidRequestError } from "../EntraError.ts"
import { parseClientId } from "./settings.ts"

const variables = Config.all({
  clientId: Config.option(Config.String("AZURE_CLIENT_ID")),
  tenantId: Config.option(Config.String("AZURE_TENANT_ID")),
  authorityHost: Config.option(Config.String("AZURE_AUTHORITY_HOST"))
})

interface Overrides {
  readonly clientId?: string | undefined
  readonly tenantId?: string | undefined
  readonly authority?: string | URL | undefined
}

/** `credential` is what came of reading that part, so that its problem can be reported with the others. */
export const read = <A>(
  overrides: Overrides,
  credential: Result.Result<A, ConfigurationError>
): Effect.Effect<Required<Overrides> & { readonly clientId: string; readonly credential: A }, ConfigurationError> =>
  Effect.gen(function*() {
    const found = yield* Effect.mapError(variables, unreadable)
    const problems: Array<ConfigurationError> = []
    const noted = <B>(part: Result.Result<B, ConfigurationError>): Result.Result<B, ConfigurationError> => {
      if (Result.isFailure(part)) problems.push(part.failure)
      return part
    }
    const parts = Result.all({
      clientId: noted(
        parseClientId(overrides.clientId ?? Option.getOrElse(found.clientId, () => ""), "AZURE_CLIENT_ID")
      ),
      tenantId: noted(
        optional(overrides.tenantId, found.tenantId, (text) => Authority.parseTenant(text, "AZURE_TENANT_ID"))
      ),
      authority: noted(optional(
        overrides.authority,
        found.authorityHost,
        (text) => Result.map(Authority.parse(text, "AZURE_AUTHORITY_HOST"), () => text)
      )),
      credential: noted(credential)
    })
    return problems.length > 1 ? yield* together(problems) : yield* Effect.fromResult(parts)
  })

/** An option that is given overrides the variable, and is checked where all options are. */
const optional = <A, E>(
  override: A | undefined,
  variable: Option.Option<string>,
  parse: (text: string) => Result.Result<A, E>
): Result.Result<A | undefined, E> =>
  override !== undefined || Option.isNone(variable) || variable.value === ""
    ? Result.succeed(override)
    : parse(variable.value)

const together = (problems: ReadonlyArray<ConfigurationError>): InvalidRequestError =>
  new InvalidRequestError({
    code: "configuration_invalid",
    field: problems.map(({ field }) => field).join(", "),
    origin: "local",
    message: problems.map(({ message }) => message).join("; "),
    remedy: problems.map(({ remedy }) => remedy).join(" ")
  })

const unreadable = (): InvalidRequestError =>
  new InvalidRequestError({
    code: "configuration_invalid",
    field: "AZURE_CLIENT_ID, AZURE_TENANT_ID, AZURE_AUTHORITY_HOST",
    origin: "local",
    message: "the ConfigProvider could not be read",
    remedy: "Look at the ConfigProvider that the program installs."
  })
