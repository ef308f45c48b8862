/** The settings and the credential that the environment names, with all its problems reported together. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { ConfigurationError, CredentialError } from "../../EntraError.ts"
import { say } from "../shared/safeLog.ts"
import { reported } from "./combinedProblems.ts"
import type { Choice, CredentialKind, CredentialProblem, CredentialVariables } from "./environmentCredential.ts"
import { type Found, knownOf, type Overrides, type Settings, settle } from "./environmentOptions.ts"

/** How a credential comes out of the environment: which one is a plain decision, loading it is not. */
export interface Source<M, A, R> {
  readonly choose: (found: CredentialVariables, wanted: CredentialKind | undefined, decide?: string) => Choice<M>
  readonly load: (material: M) => Effect.Effect<A, CredentialError, R>
  /** What the caller can write to decide among several credentials. */
  readonly decide?: string
}

/** A whole client's worth. */
export const read = <M, A, R>(
  options: Overrides,
  source: Source<M, A, R>
): Effect.Effect<Settings & { readonly credential: A }, ConfigurationError, R> =>
  Effect.gen(function*() {
    const found = yield* variables
    const { loaded, problems, warnings } = yield* load(found.variables, options.credential, source)
    const settled = yield* Effect.fromResult(settle(options, found, loaded, problems))
    yield* Effect.forEach(warnings, (warning) => say(Effect.logWarning(warning)), { discard: true })
    return settled
  })

/** The credential alone. */
export const readCredential = <M, A, R>(
  wanted: CredentialKind | undefined,
  source: Source<M, A, R>
): Effect.Effect<A, CredentialProblem, R> =>
  Effect.gen(function*() {
    const found = yield* variables
    const { loaded, problems, warnings } = yield* load(found.variables, wanted, source)
    const all = [...(Result.isFailure(loaded) ? [loaded.failure] : []), ...problems]
    const credential = yield* Effect.fromResult(reported(all, loaded, knownOf(found, {})))
    yield* Effect.forEach(warnings, (warning) => say(Effect.logWarning(warning)), { discard: true })
    return credential
  })

const load = <M, A, R>(found: CredentialVariables, wanted: CredentialKind | undefined, source: Source<M, A, R>) =>
  Effect.gen(function*() {
    const { material, problems, warnings } = source.choose(found, wanted, source.decide)
    const loaded: Result.Result<A, CredentialProblem> = Result.isFailure(material)
      ? Result.fail(material.failure)
      : yield* Effect.result(source.load(material.success))
    return { loaded, problems, warnings }
  })

export const variables: Effect.Effect<Found> = /*#__PURE__*/ Effect.suspend(() => {
  const unreadable: Array<string> = []

  const optional = <A>(name: string, config: Config.Config<A>): Effect.Effect<A | undefined> =>
    Effect.suspend(() => Config.option(config)).pipe(
      Effect.map(Option.getOrUndefined),
      Effect.catchCause(() =>
        Effect.sync(() => {
          unreadable.push(name)
          return undefined
        })
      )
    )

  const text = (name: string) => Effect.map(optional(name, Config.String(name)), (value) => value || undefined)

  const redacted = (name: string) =>
    Effect.map(
      optional(name, Config.Redacted(name)),
      (value) => value === undefined || Redacted.value(value) === "" ? undefined : value
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
