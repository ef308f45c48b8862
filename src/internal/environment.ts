/** The settings and the credential that the environment names, with all its problems reported together. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { ConfigurationError, CredentialError } from "../EntraError.ts"
import { reported } from "./configurationProblems.ts"
import type { Choice, CredentialKind, CredentialProblem, CredentialVariables } from "./credentialChoice.ts"
import { knownOf, type Overrides, type Settings, settle } from "./environmentSettings.ts"
import { say } from "./say.ts"
import { variables } from "./variables.ts"

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
