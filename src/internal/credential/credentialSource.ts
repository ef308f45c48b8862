/** The source of a credential's material: a value, several values, or an effect that returns them. */
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { type CredentialCode, type CredentialError, isEntraError } from "../../EntraError.ts"
import { credentialError } from "../shared/errors.ts"
import { quote } from "../shared/text.ts"
import { durationWords, millisOf } from "../shared/validate.ts"
import type { Credential } from "./credential.ts"
import * as Rotation from "./rotation.ts"

export type OneOrMore<A> = A | ReadonlyArray<A>

export interface ReloadOptions {
  readonly reloadEvery?: Duration.Input | undefined
}

/** A kind of credential: how its input is read, compared and used. */
export interface MaterialKind<A, M> extends Pick<Rotation.Source<M>, "same" | "prove" | "expiresOn"> {
  readonly read: (input: ReadonlyArray<A>) => Effect.Effect<ReadonlyArray<M>, CredentialError>
}

/** Creates a credential from a value, which is read at once so that its problems appear at once. */
export const fromValue = <A, M>(
  input: OneOrMore<A>,
  kind: MaterialKind<A, M>,
  options: ReloadOptions = {}
): Effect.Effect<Credential, CredentialError> =>
  Effect.gen(function*() {
    const reloadEvery = yield* reloadEveryOf(options)
    const initial = yield* read(input, kind)
    return yield* Rotation.make({ ...kind, initial, load: Effect.suspend(() => read(input, kind)), reloadEvery })
  })

/** Creates a credential from an effect, which runs when material is first needed. */
export const fromEffect = <A, M, E, R>(
  source: Effect.Effect<OneOrMore<A>, E, R>,
  field: string,
  kind: MaterialKind<A, M>,
  options: ReloadOptions = {}
): Effect.Effect<Credential, CredentialError, R> =>
  Effect.gen(function*() {
    const reloadEvery = yield* reloadEveryOf(options)
    const context = yield* Effect.context<R>()
    return yield* Rotation.make({
      ...kind,
      reloadEvery,
      load: source.pipe(
        Effect.provideContext(context),
        Effect.mapError((error) =>
          foreignError(error, {
            code: "source_failed",
            field,
            what: `The effect that loads the ${field}`,
            remedy:
              "Check that effect. No request was sent. Its message is not shown, because it may contain a secret. Give its "
              + "errors a tag, or log them there."
          })
        ),
        Effect.flatMap((input) => read(input, kind))
      )
    })
  })

const read = <A, M>(
  input: OneOrMore<A>,
  kind: MaterialKind<A, M>
): Effect.Effect<ReadonlyArray<M>, CredentialError> => {
  const list = Arr.ensure(input)
  if (list.length > maxMaterials) return Effect.fail(tooMany(list.length))
  return list.some(Predicate.isNullish) ? Effect.fail(missing()) : kind.read(list)
}

/** An acquisition sends at most this many requests, so a longer list would have entries that are never tried. */
const maxMaterials = 8

const missing = () =>
  credentialError(
    "credential_missing",
    "credential",
    "The credential is undefined or null",
    "Check the source of its value, such as an unset variable or a store that does not have it."
  )

const tooMany = (number: number): CredentialError =>
  credentialError(
    "source_too_long",
    "credential",
    `The list of credentials has ${number} entries, and the limit is ${maxMaterials}`,
    "Remove credentials that are no longer valid. A rotation needs only two."
  )

/** Returns the reload interval in milliseconds. The default is `Infinity`, which means no reload by time. */
export const reloadEveryOf = (
  { reloadEvery = Duration.infinity }: ReloadOptions
): Effect.Effect<number, CredentialError> => {
  const millis = millisOf(reloadEvery)
  return millis === undefined ? Effect.fail(notReloadable()) : Effect.succeed(millis)
}

const notReloadable = () =>
  credentialError(
    "field_malformed",
    "reloadEvery",
    `reloadEvery is not ${durationWords}`,
    `Pass the interval of reloads, such as "1 minute", or leave reloadEvery out.`
  )

/**
 * Returns the credential error for a failure of foreign code. It shows the tag or the class of the failure, and no
 * content.
 */
export const foreignError = (
  error: unknown,
  as: { readonly code: CredentialCode; readonly field: string; readonly what: string; readonly remedy: string }
): CredentialError =>
  isEntraError(error) && error._tag === "EntraCredentialError"
    ? error
    : credentialError(as.code, as.field, `${as.what} failed with ${quote(nameOf(error))}`, as.remedy)

/** Returns the tag or the class of an error. Its message may contain a secret. */
const nameOf = (error: unknown): string =>
  typeof error === "object" && error !== null
    ? "_tag" in error && typeof error._tag === "string" ? error._tag : error instanceof Error ? error.name : "an object"
    : `a ${typeof error}`
