/** Reads the settings and the credential from environment variables, and reports all problems together. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { ConfigurationError } from "../../EntraError.ts"
import { logSafely } from "../shared/safeLog.ts"
import { combinedProblems } from "./combinedProblems.ts"
import type { Choice, CredentialKind, CredentialProblem, CredentialVariables } from "./environmentCredential.ts"
import {
  type Environment,
  type EnvironmentOptions,
  type EnvironmentSettings,
  environmentSettingsOf,
  reportContextOf
} from "./environmentOptions.ts"

/** The choice and the loading of a credential from environment variables. */
export interface CredentialLoader<M, A, R> {
  readonly choose: (
    variables: CredentialVariables,
    selected: CredentialKind | undefined,
    selectionHint?: string
  ) => Choice<M>
  readonly load: (material: M) => Effect.Effect<A, CredentialProblem, R>
  /** The code that a user can write to select one of several credentials, for a warning. */
  readonly selectionHint?: string
}

/** Reads the settings of a client and its credential. */
export const readClient = <M, A, R>(
  options: EnvironmentOptions,
  loader: CredentialLoader<M, A, R>
): Effect.Effect<EnvironmentSettings & { readonly credential: A }, ConfigurationError, R> =>
  Effect.gen(function*() {
    const environment = yield* readEnvironment
    const { loaded, problems, warnings } = yield* load(environment.variables, options.credential, loader)
    const settings = yield* Effect.fromResult(environmentSettingsOf(options, environment, loaded, problems))
    yield* Effect.forEach(warnings, (warning) => logSafely(Effect.logWarning(warning)), { discard: true })
    return settings
  })

/** Reads only the credential. */
export const readCredential = <M, A, R>(
  selected: CredentialKind | undefined,
  loader: CredentialLoader<M, A, R>
): Effect.Effect<A, CredentialProblem, R> =>
  Effect.gen(function*() {
    const environment = yield* readEnvironment
    const { loaded, problems, warnings } = yield* load(environment.variables, selected, loader)
    const all = [...(Result.isFailure(loaded) ? [loaded.failure] : []), ...problems]
    const credential = yield* Effect.fromResult(combinedProblems(all, loaded, reportContextOf(environment, {})))
    yield* Effect.forEach(warnings, (warning) => logSafely(Effect.logWarning(warning)), { discard: true })
    return credential
  })

const load = <M, A, R>(
  variables: CredentialVariables,
  selected: CredentialKind | undefined,
  loader: CredentialLoader<M, A, R>
) =>
  Effect.gen(function*() {
    const { material, problems, warnings } = loader.choose(variables, selected, loader.selectionHint)
    const loaded: Result.Result<A, CredentialProblem> = Result.isFailure(material)
      ? Result.fail(material.failure)
      : yield* Effect.result(loader.load(material.success))
    return { loaded, problems, warnings }
  })

/**
 * Returns functions that read one variable. The result is undefined if the variable is unset or empty. `onUnreadable`
 * handles a variable that the `ConfigProvider` cannot read.
 */
export const variables = <E>(onUnreadable: (name: string) => Effect.Effect<undefined, E>) => {
  const optional = <A>(name: string, config: Config.Config<A>): Effect.Effect<A | undefined, E> =>
    Effect.suspend(() => Config.option(config)).pipe(
      Effect.map(Option.getOrUndefined),
      Effect.catchCause(() => onUnreadable(name))
    )
  return {
    text: (name: string) => Effect.map(optional(name, Config.String(name)), (value) => value || undefined),
    redacted: (name: string) =>
      Effect.map(
        optional(name, Config.Redacted(name)),
        (value) => value === undefined || Redacted.value(value) === "" ? undefined : value
      )
  }
}

/** Reads the variables. An unreadable variable does not fail the effect. */
export const readEnvironment: Effect.Effect<Environment> = /*#__PURE__*/ Effect.suspend(() => {
  const unreadable: Array<string> = []
  const { redacted, text } = variables((name) =>
    Effect.sync(() => {
      unreadable.push(name)
      return undefined
    })
  )
  return Effect.map(
    Effect.all({
      AZURE_CLIENT_ID: text("AZURE_CLIENT_ID"),
      AZURE_TENANT_ID: text("AZURE_TENANT_ID"),
      AZURE_AUTHORITY_HOST: text("AZURE_AUTHORITY_HOST"),
      AZURE_REGIONAL_AUTHORITY_NAME: text("AZURE_REGIONAL_AUTHORITY_NAME"),
      AZURE_CLIENT_SECRET: redacted("AZURE_CLIENT_SECRET"),
      AZURE_CLIENT_CERTIFICATE_PATH: text("AZURE_CLIENT_CERTIFICATE_PATH"),
      AZURE_CLIENT_CERTIFICATE_PASSWORD: redacted("AZURE_CLIENT_CERTIFICATE_PASSWORD"),
      AZURE_CLIENT_SEND_CERTIFICATE_CHAIN: text("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN"),
      AZURE_FEDERATED_TOKEN_FILE: text("AZURE_FEDERATED_TOKEN_FILE")
    }),
    (variables) => ({ variables, unreadable })
  )
})
